/* Blocks of 16 floats in one AVX-512 register; with __AVX512BF16__, conversions to bf16 in one instruction. */
#include <immintrin.h>
#include <math.h>
#include <string.h>

typedef __m512 block;

static inline block block_set(float value) { return _mm512_set1_ps(value); }
static inline block block_add(block a, block b) { return _mm512_add_ps(a, b); }
static inline block block_subtract(block a, block b) { return _mm512_sub_ps(a, b); }
static inline block block_multiply(block a, block b) { return _mm512_mul_ps(a, b); }
static inline block block_divide(block a, block b) { return _mm512_div_ps(a, b); }
/* A NaN stays: the second operand is the result then. */
static inline block block_clamp(block a, float low, float high) {
    return _mm512_min_ps(_mm512_set1_ps(high), _mm512_max_ps(_mm512_set1_ps(low), a));
}
static inline block block_swap_pairs(block a) { return _mm512_permute_ps(a, 0xb1); }
static inline block block_double(block a, int second) {
    __m512i index = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_ps(_mm512_add_epi32(index, _mm512_set1_epi32(8 * second)), a);
}
static inline block block_negate_even(block a) { return _mm512_mask_sub_ps(a, 0x5555, _mm512_set1_ps(-0.0f), a); }
static inline block block_power_of_two(block a) {
    __m512i exponent = _mm512_castps_si512(_mm512_add_ps(a, _mm512_set1_ps(0x1.8p23f)));
    exponent = _mm512_add_epi32(exponent, _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
}
static inline block block_replace_nan(block a) {
    return _mm512_mask_mov_ps(a, _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), _mm512_set1_ps(NAN));
}
/* Neighbours first, then by halves. */
static inline float block_sum(block a) {
    const __m512i apart = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    a = _mm512_permutexvar_ps(apart, a);
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static inline block load_f32(const float *in) { return _mm512_loadu_ps(in); }
static inline void store_f32(float *out, block a) { _mm512_storeu_ps(out, a); }

static inline block load_bf16(const uint16_t *in) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)in));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static inline __m256i narrow_bf16_by_integers(block a) {
    __m512i bits = _mm512_castps_si512(a), upper = _mm512_srli_epi32(bits, 16);
    __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
}
#ifdef __AVX512BF16__
/* The instruction takes subnormal numbers for zero: those blocks, rare ones, go the long way. */
static inline __m256i narrow_bf16(block a) {
    __mmask16 subnormal = _mm512_fpclass_ps_mask(a, 0x20);
    return __builtin_expect(subnormal != 0, 0) ? narrow_bf16_by_integers(a) : (__m256i)_mm512_cvtneps_pbh(a);
}
#else
static inline __m256i narrow_bf16(block a) { return narrow_bf16_by_integers(a); }
#endif
static inline void store_bf16(uint16_t *out, block a) { _mm256_storeu_si256((__m256i *)(void *)out, narrow_bf16(a)); }
static inline block round_bf16(block a) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow_bf16(a)), 16));
}

static inline block load_f16(const uint16_t *in) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)in));
}
static inline void store_f16(uint16_t *out, block a) {
    _mm256_storeu_si256((__m256i *)(void *)out, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}

static inline block round_f16(block a) { return _mm512_cvtph_ps(_mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT)); }

static inline __m128i encode_fp8(block a) {
    __m512i all = _mm512_castps_si512(a);
    __m512 magnitude = _mm512_min_ps(_mm512_set1_ps(448), _mm512_abs_ps(a));
    __m512i bits = _mm512_castps_si512(magnitude);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 20), _mm512_set1_epi32(1));
    __m512i code = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7ffff)), odd);
    code = _mm512_sub_epi32(_mm512_srli_epi32(code, 20), _mm512_set1_epi32(960));
    __mmask16 is_small = _mm512_cmp_ps_mask(magnitude, _mm512_set1_ps(0x1p-6f), _CMP_LT_OQ);
    __m512i small = _mm512_castps_si512(_mm512_add_ps(magnitude, _mm512_set1_ps(16384)));
    code = _mm512_mask_sub_epi32(code, is_small, small, _mm512_set1_epi32(0x46800000));
    __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    code = _mm512_mask_mov_epi32(code, nan, _mm512_set1_epi32(0x7f));
    code = _mm512_or_si512(code, _mm512_and_si512(_mm512_srli_epi32(all, 24), _mm512_set1_epi32(0x80)));
    return _mm512_cvtepi32_epi8(code);
}
static inline void store_fp8(uint8_t *out, block a) { _mm_storeu_si128((__m128i *)(void *)out, encode_fp8(a)); }

#include "cpu/order_natural.h"

/* Around the caches: whole aligned lines; the ends go through them. */
static void stream_bytes(void *out, const void *in, size_t size, const void *ahead) {
    char *to = out;
    const char *from = in;
    size_t head = (size_t)(-(intptr_t)to & 63);
    if (head > size) head = size;
    memcpy(to, from, head);
    size_t at = head;
    for (; at + 64 <= size; at += 64) {
        if (ahead) __builtin_prefetch((const char *)ahead + at);
        _mm512_stream_si512((__m512i *)(void *)(to + at), _mm512_loadu_si512((const void *)(from + at)));
    }
    memcpy(to + at, from + at, size - at);
}
static inline void stream_fp8(uint8_t *out, block a) { _mm_stream_si128((__m128i *)(void *)out, encode_fp8(a)); }
static void stream_fence(void) { _mm_sfence(); }
