/* One form: included by rows_*.c behind its vector_*.h, with FORM as the name of the table. */
#include "cpu/rows.h"

static inline void fetch_lines(const void *start, int64_t lines) {
    for (int64_t i = 0; i < lines; i++) __builtin_prefetch((const char *)start + 64 * i);
}

/* Powers of two: multiplying by their inverse gives the bits of a division, and takes less time. */
static inline int inverse_is_exact(float scale) {
    int exponent;
    float fraction = frexpf(scale, &exponent);
    return (fraction == 0.5f || fraction == -0.5f) && exponent > -120 && exponent < 120;
}

/* e to the power of numbers in [-87, 89], within 2 units of the last place: 2^n * e^r, n whole, |r| <= ln(2) / 2, e^r by
 * the Taylor series. */
static inline block block_exponential(block x) {
    const block to_whole = block_set(0x1.8p23f); /* added and taken away, it rounds to a whole number */
    block n = block_subtract(block_add(block_multiply(x, block_set(0x1.715476p0f)), to_whole), to_whole);
    block r = block_subtract(x, block_multiply(n, block_set(0x1.62e4p-1f))); /* ln(2), upper bits: an exact product */
    r = block_subtract(r, block_multiply(n, block_set(0x1.7f7d1cp-20f)));    /* ln(2), the rest */
    static const float factors[] = {
        0x1.a01a02p-13f, 0x1.6c16c2p-10f, 0x1.111112p-7f, 0x1.555556p-5f, 0x1.555556p-3f, 0.5f, 1.0f, 1.0f};
    block power = block_set(factors[0]);
    for (int i = 1; i < 8; i++) power = block_add(block_multiply(power, r), block_set(factors[i]));
    return block_multiply(power, block_power_of_two(n));
}

/* x / (1 + exp(-x)) */
static inline block block_silu(block x) {
    block negative = block_multiply(block_clamp(x, -89, 87), block_set(-1));
    return block_divide(x, block_add(block_set(1), block_exponential(negative)));
}

#define ELEMENT    float
#define NAME(name) name##_of_f32
#define TYPE(name) name##_f32
#include "cpu/rows_type.h"
#undef ELEMENT
#undef NAME
#undef TYPE

#define ELEMENT    uint16_t
#define NAME(name) name##_of_bf16
#define TYPE(name) name##_bf16
#include "cpu/rows_type.h"
#undef ELEMENT
#undef NAME
#undef TYPE

#define ELEMENT    uint16_t
#define NAME(name) name##_of_f16
#define TYPE(name) name##_f16
#include "cpu/rows_type.h"
#undef ELEMENT
#undef NAME
#undef TYPE

#define ROWS(type)                                                                                                     \
    {                                                                                                                  \
        rotate_of_##type, norm_of_##type, silu_and_mul_of_##type, quantize_of_##type, load_turn_of_##type,             \
            load_turn_from_f32_of_##type                                                                               \
    }
const struct form FORM = {{ROWS(bf16), ROWS(f16), ROWS(f32)}, stream_bytes, stream_fence};
