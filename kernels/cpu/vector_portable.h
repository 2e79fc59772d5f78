/* Blocks of 16 floats in plain C. What each vector_*.h has:
 *
 *   block_*     arithmetic on blocks; the same bits in all of them, but for which NaN a NaN becomes
 *   load_TYPE, store_TYPE   16 elements, in the order of that type; round_TYPE: as an element holds them
 *   order_TYPE  a block in natural order, in the order of the type; natural_TYPE: back
 *   turn_TYPE   pairs of neighbours, rotated by struct turn's numbers; sum_TYPE: block_sum; both in the order of the type
 *   store_fp8, stream_fp8   a block in natural order; the second around the caches, to aligned 16 bytes
 *
 * The order of a type is where its load puts the elements: natural, or the even ones, then the odd ones. A NaN that is stored as
 * bf16 has no bits below the upper 16: neither bf16 nor arithmetic makes others, and tables of f32 are cleaned of them. */
#include <math.h>
#include <string.h>

typedef struct {
    float lane[16];
} block;

#define EACH(expression)                                                                                               \
    block result;                                                                                                      \
    for (int i = 0; i < 16; i++) result.lane[i] = (expression);                                                        \
    return result

static inline uint32_t float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float bits_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline block block_set(float value) { EACH(value); }
static inline block block_add(block a, block b) { EACH(a.lane[i] + b.lane[i]); }
static inline block block_subtract(block a, block b) { EACH(a.lane[i] - b.lane[i]); }
static inline block block_multiply(block a, block b) { EACH(a.lane[i] * b.lane[i]); }
static inline block block_divide(block a, block b) { EACH(a.lane[i] / b.lane[i]); }
static inline block block_clamp(block a, float low, float high) {
    EACH(a.lane[i] < low ? low : a.lane[i] > high ? high : a.lane[i]);
}
static inline block block_swap_pairs(block a) { EACH(a.lane[i ^ 1]); }
/* Each of the first eight, or of the second eight, twice: (a0, a0, a1, a1, ...). */
static inline block block_double(block a, int second) { EACH(a.lane[8 * second + i / 2]); }
static inline block block_negate_even(block a) { EACH(i % 2 ? a.lane[i] : -a.lane[i]); }
/* 2 to the power of whole numbers in [-126, 128]; 128 gives infinity. The addition puts the number into the last bits. */
static inline block block_power_of_two(block a) { EACH(bits_float((float_bits(a.lane[i] + 0x1.8p23f) + 127) << 23)); }
static inline block block_replace_nan(block a) { EACH(a.lane[i] == a.lane[i] ? a.lane[i] : bits_float(0x7fc00000)); }
/* Neighbours first, then by halves. */
static inline float block_sum(block a) {
    for (int i = 0; i < 8; i++) a.lane[i] = a.lane[2 * i] + a.lane[2 * i + 1];
    for (int width = 4; width; width /= 2)
        for (int i = 0; i < width; i++) a.lane[i] += a.lane[i + width];
    return a.lane[0];
}

static inline block load_f32(const float *in) {
    block result;
    memcpy(result.lane, in, sizeof result.lane);
    return result;
}
static inline void store_f32(float *out, block a) { memcpy(out, a.lane, sizeof a.lane); }

static inline block load_bf16(const uint16_t *in) { EACH(bits_float((uint32_t)in[i] << 16)); }
static inline uint16_t encode_bf16(float value) {
    uint32_t bits = float_bits(value);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
static inline void store_bf16(uint16_t *out, block a) {
    for (int i = 0; i < 16; i++) out[i] = encode_bf16(a.lane[i]);
}

static inline block round_bf16(block a) { EACH(bits_float((uint32_t)encode_bf16(a.lane[i]) << 16)); }

/* Scaling by a power of two does the work, subnormals included; the exponent of infinity and NaN is put right apart. */
static inline float decode_f16(uint16_t half) {
    uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13, sign = (uint32_t)(half & 0x8000) << 16;
    float value = bits_float(magnitude) * 0x1p112f;
    uint32_t bits = magnitude >= 0x0f800000 ? magnitude + 0x70000000 : float_bits(value);
    return bits_float(bits | sign);
}
static inline block load_f16(const uint16_t *in) { EACH(decode_f16(in[i])); }
static inline uint16_t encode_f16(float value) {
    uint32_t bits = float_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t code;
    if (magnitude > 0x7f800000)
        code = 0x7e00 | (magnitude >> 13 & 0x3ff);
    else if (magnitude >= 0x477ff000) /* 65520 and more */
        code = 0x7c00;
    else if (magnitude >= 0x38800000) /* 2^-14: normal */
        code = (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
    else /* in units of 2^-24, rounded by the addition */
        code = float_bits(bits_float(magnitude) + 0.5f) - 0x3f000000;
    return (uint16_t)(sign | code);
}
static inline void store_f16(uint16_t *out, block a) {
    for (int i = 0; i < 16; i++) out[i] = encode_f16(a.lane[i]);
}

static inline block round_f16(block a) { EACH(decode_f16(encode_f16(a.lane[i]))); }

static inline uint8_t encode_fp8(float value) {
    uint32_t bits = float_bits(value), sign = bits >> 24 & 0x80, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint8_t)(sign | 0x7f);
    if (magnitude > 0x43e00000) magnitude = 0x43e00000; /* 448 */
    if (magnitude >= 0x3c800000)                        /* 2^-6: normal */
        return (uint8_t)(sign | (((magnitude + 0x7ffff + (magnitude >> 20 & 1)) >> 20) - 960));
    return (uint8_t)(sign | (float_bits(bits_float(magnitude) + 16384.0f) - 0x46800000)); /* in units of 2^-9 */
}
static inline void store_fp8(uint8_t *out, block a) {
    for (int i = 0; i < 16; i++) out[i] = encode_fp8(a.lane[i]);
}
#undef EACH

#include "cpu/order_natural.h"

static void stream_bytes(void *out, const void *in, size_t size, const void *ahead) {
    for (size_t at = 0; ahead && at < size; at += 64) __builtin_prefetch((const char *)ahead + at);
    memcpy(out, in, size);
}
static void stream_fp8(uint8_t *out, block a) { store_fp8(out, a); }
static void stream_fence(void) {}
