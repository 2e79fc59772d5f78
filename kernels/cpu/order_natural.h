/* Types whose elements are loaded in their natural order; REGRAFT_BF16_SPLIT: all but bf16. */

/* x * c + y * (-s) has the bits of x * c - y * s. */
static inline block block_turn(block a, const float *numbers) {
    block cosine = load_f32(numbers), sine = load_f32(numbers + 16);
    return block_add(block_multiply(a, cosine), block_multiply(block_swap_pairs(a), sine));
}

#define order_f16(a)         (a)
#define natural_f16(a)       (a)
#define turn_f16(a, numbers) block_turn(a, numbers)
#define sum_f16(a)           block_sum(a)
#define order_f32(a)         (a)
#define natural_f32(a)       (a)
#define turn_f32(a, numbers) block_turn(a, numbers)
#define sum_f32(a)           block_sum(a)
#define round_f32(a)         (a)
#ifndef REGRAFT_BF16_SPLIT
#define order_bf16(a)         (a)
#define natural_bf16(a)       (a)
#define turn_bf16(a, numbers) block_turn(a, numbers)
#define sum_bf16(a)           block_sum(a)
#endif
