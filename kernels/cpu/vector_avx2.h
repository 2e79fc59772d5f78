/* Blocks of 16 floats in two AVX2 registers, with F16C: vector_portable.h has what the functions do. */
#include <immintrin.h>
#include <math.h>
#include <string.h>

typedef struct {
    __m256 low, high;
} block;

static inline block block_of(__m256 low, __m256 high) {
    block result = {low, high};
    return result;
}
static inline block block_set(float value) { return block_of(_mm256_set1_ps(value), _mm256_set1_ps(value)); }
static inline block block_add(block a, block b) {
    return block_of(_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high));
}
static inline block block_subtract(block a, block b) {
    return block_of(_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high));
}
static inline block block_multiply(block a, block b) {
    return block_of(_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high));
}
static inline block block_divide(block a, block b) {
    return block_of(_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high));
}
/* A NaN stays: the second operand is the result then. */
static inline __m256 clamp(__m256 a, __m256 low, __m256 high) { return _mm256_min_ps(high, _mm256_max_ps(low, a)); }
static inline block block_clamp(block a, float low, float high) {
    return block_of(clamp(a.low, _mm256_set1_ps(low), _mm256_set1_ps(high)),
                    clamp(a.high, _mm256_set1_ps(low), _mm256_set1_ps(high)));
}
static inline block block_swap_pairs(block a) {
    return block_of(_mm256_permute_ps(a.low, 0xb1), _mm256_permute_ps(a.high, 0xb1));
}
static inline block block_double(block a, int second) {
    __m256 part = second ? a.high : a.low;
    return block_of(_mm256_permutevar8x32_ps(part, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3)),
                    _mm256_permutevar8x32_ps(part, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7)));
}
static inline block block_negate_even(block a) {
    __m256 signs = _mm256_setr_ps(-0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f);
    return block_of(_mm256_xor_ps(a.low, signs), _mm256_xor_ps(a.high, signs));
}
static inline __m256 power_of_two(__m256 a) {
    __m256i exponent = _mm256_castps_si256(_mm256_add_ps(a, _mm256_set1_ps(0x1.8p23f)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(exponent, _mm256_set1_epi32(127)), 23));
}
static inline block block_power_of_two(block a) { return block_of(power_of_two(a.low), power_of_two(a.high)); }
static inline __m256 replace_nan(__m256 a) {
    return _mm256_blendv_ps(a, _mm256_set1_ps(NAN), _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
static inline block block_replace_nan(block a) { return block_of(replace_nan(a.low), replace_nan(a.high)); }
/* The even ones in the lower register, the odd ones in the upper. */
static inline block order_bf16(block a) {
    __m256d even = _mm256_castps_pd(_mm256_shuffle_ps(a.low, a.high, 0x88));
    __m256d odd = _mm256_castps_pd(_mm256_shuffle_ps(a.low, a.high, 0xdd));
    return block_of(_mm256_castpd_ps(_mm256_permute4x64_pd(even, 0xd8)),
                    _mm256_castpd_ps(_mm256_permute4x64_pd(odd, 0xd8)));
}
static inline block natural_bf16(block a) {
    __m256 first = _mm256_unpacklo_ps(a.low, a.high), second = _mm256_unpackhi_ps(a.low, a.high);
    return block_of(_mm256_permute2f128_ps(first, second, 0x20), _mm256_permute2f128_ps(first, second, 0x31));
}
/* The registers are x and y of the pairs; cosines stand there twice, sines negative and positive. */
static inline block turn_bf16(block a, const float *numbers) {
    __m256 cosine = _mm256_loadu_ps(numbers), sine = _mm256_loadu_ps(numbers + 24);
    return block_of(_mm256_sub_ps(_mm256_mul_ps(a.low, cosine), _mm256_mul_ps(a.high, sine)),
                    _mm256_add_ps(_mm256_mul_ps(a.high, cosine), _mm256_mul_ps(a.low, sine)));
}
/* Neighbours first, then by halves. */
static inline float sum_bf16(block a) {
    __m256 eight = _mm256_add_ps(a.low, a.high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float block_sum(block a) { return sum_bf16(order_bf16(a)); }

static inline block load_f32(const float *in) { return block_of(_mm256_loadu_ps(in), _mm256_loadu_ps(in + 8)); }
static inline void store_f32(float *out, block a) {
    _mm256_storeu_ps(out, a.low);
    _mm256_storeu_ps(out + 8, a.high);
}

/* Even and odd elements are the lower and upper halves of 32 bits: no shuffle moves them. */
static inline block load_bf16(const uint16_t *in) {
    __m256i both = _mm256_loadu_si256((const __m256i *)(const void *)in);
    __m256i odd = _mm256_and_si256(both, _mm256_set1_epi32((int)0xffff0000));
    return block_of(_mm256_castsi256_ps(_mm256_slli_epi32(both, 16)), _mm256_castsi256_ps(odd));
}
/* Rounded in the upper half of 32 bits; the lower half is of no use. */
static inline __m256i narrow_bf16(__m256 a) {
    __m256i bits = _mm256_castps_si256(a);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
}
static inline void store_bf16(uint16_t *out, block a) {
    __m256i even = _mm256_srli_epi32(narrow_bf16(a.low), 16);
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_blend_epi16(even, narrow_bf16(a.high), 0xaa));
}
static inline __m256 keep_upper(__m256i a) {
    return _mm256_castsi256_ps(_mm256_and_si256(a, _mm256_set1_epi32((int)0xffff0000)));
}
static inline block round_bf16(block a) {
    return block_of(keep_upper(narrow_bf16(a.low)), keep_upper(narrow_bf16(a.high)));
}

static inline block load_f16(const uint16_t *in) {
    return block_of(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)in)),
                    _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(in + 8))));
}
static inline void store_f16(uint16_t *out, block a) {
    _mm_storeu_si128((__m128i *)(void *)out, _mm256_cvtps_ph(a.low, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(void *)(out + 8), _mm256_cvtps_ph(a.high, _MM_FROUND_TO_NEAREST_INT));
}

static inline __m256 round_half(__m256 a) { return _mm256_cvtph_ps(_mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT)); }
static inline block round_f16(block a) { return block_of(round_half(a.low), round_half(a.high)); }

static inline __m256i narrow_fp8(__m256 a) {
    __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 magnitude = _mm256_min_ps(_mm256_set1_ps(448), _mm256_andnot_ps(sign, a));
    __m256i bits = _mm256_castps_si256(magnitude);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 20), _mm256_set1_epi32(1));
    __m256i normal = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7ffff)), odd);
    normal = _mm256_sub_epi32(_mm256_srli_epi32(normal, 20), _mm256_set1_epi32(960));
    __m256i small = _mm256_castps_si256(_mm256_add_ps(magnitude, _mm256_set1_ps(16384)));
    small = _mm256_sub_epi32(small, _mm256_set1_epi32(0x46800000));
    __m256 is_small = _mm256_cmp_ps(magnitude, _mm256_set1_ps(0x1p-6f), _CMP_LT_OQ);
    __m256i code = _mm256_blendv_epi8(normal, small, _mm256_castps_si256(is_small));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    code = _mm256_blendv_epi8(code, _mm256_set1_epi32(0x7f), nan);
    __m256i top = _mm256_srli_epi32(_mm256_castps_si256(_mm256_and_ps(sign, a)), 24);
    return _mm256_or_si256(code, top);
}
static inline __m128i encode_fp8(block a) {
    __m256i words = _mm256_packus_epi32(narrow_fp8(a.low), narrow_fp8(a.high));
    words = _mm256_permute4x64_epi64(words, 0xd8);
    return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}
static inline void store_fp8(uint8_t *out, block a) { _mm_storeu_si128((__m128i *)(void *)out, encode_fp8(a)); }

#define REGRAFT_BF16_SPLIT
#include "cpu/order_natural.h"

/* Around the caches: whole aligned parts; the ends go through them. */
static void stream_bytes(void *out, const void *in, size_t size, const void *ahead) {
    char *to = out;
    const char *from = in;
    size_t head = (size_t)(-(intptr_t)to & 31);
    if (head > size) head = size;
    memcpy(to, from, head);
    size_t at = head;
    for (; at + 32 <= size; at += 32) {
        if (ahead && at % 64 < 32) __builtin_prefetch((const char *)ahead + at);
        _mm256_stream_si256((__m256i *)(void *)(to + at),
                            _mm256_loadu_si256((const __m256i *)(const void *)(from + at)));
    }
    memcpy(to + at, from + at, size - at);
}
static inline void stream_fp8(uint8_t *out, block a) { _mm_stream_si128((__m128i *)(void *)out, encode_fp8(a)); }
static void stream_fence(void) { _mm_sfence(); }
