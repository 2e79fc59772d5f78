/* Rotary embedding, per-head norm and cache write in one pass over the tokens.
 *
 * A token's work is cut into steps of one warp. A head takes LANES lanes (a power of two); a lane holds LOOPS units of a head, a
 * unit is two chunks of VECTOR elements: the two halves of VECTOR pairs, or two chunks that are copied. So no lane needs
 * another's elements (but for the norm's sum), and a load instruction of the warp covers whole sectors.
 *
 *     warps of a token   | query, STEPS steps each  ...  | key and value, side by side |
 *     one step, rope 64  | head 0: lanes 0-3 | head 1: lanes 4-7 | ... | head 7: lanes 28-31 |
 *     lane 1, half style | elements 8-15 and 40-47, cosines 8-15, sines 8-15 |
 *
 * All loads that depend on nothing are issued first: position, slot, scale, the elements; then the row of cosines and sines;
 * the stores to the cache that need only the slot go before the wait for that row. */
#ifndef REGRAFT_GPU_ROPE_H
#define REGRAFT_GPU_ROPE_H

#include "element.h"
#include "parameters.h"

CONSTEXPR int up(int a, int b) { return (a + b - 1) / b; }
CONSTEXPR int most(int a, int b) { return a > b ? a : b; }
CONSTEXPR int power_of_two(int value) { return value <= 1 ? 1 : 2 * power_of_two(up(value, 2)); }

/* A part of the work of a token: the heads of query, key or value. IN_PLACE: the result goes to where the input came from.
 * OUT: it goes somewhere else. CACHE: the type of the cache, or NONE. */
template <int HEADS_, int SIZE_, int VECTOR_, bool ROTATED_, bool NORMED_, bool IN_PLACE_, bool OUT_, int CACHE_,
          int COPIED_CHUNKS_OF_UNIT>
struct segment {
    static constexpr int HEADS = HEADS_, SIZE = SIZE_, VECTOR = VECTOR_, CACHE = CACHE_;
    static constexpr bool ROTATED = ROTATED_, NORMED = NORMED_, IN_PLACE = IN_PLACE_, OUT = OUT_;
    /* Elements that are not rotated are moved only where they have to go. */
    static constexpr bool WHOLE = NORMED || OUT || CACHE != NONE;
    static constexpr int TURNED = ROTATED ? ROTARY_WIDTH : 0;
    /* Interleaved pairs lie inside a chunk, which is a unit of its own; else a unit is two chunks. */
    static constexpr bool PAIRS_IN_CHUNK = ROTATED && INTERLEAVED && VECTOR > 1;
    static constexpr int CHUNKS = PAIRS_IN_CHUNK ? 1 : ROTATED ? 2 : COPIED_CHUNKS_OF_UNIT;
    static constexpr int ROTATED_UNITS = TURNED / CHUNKS / VECTOR;
    static constexpr int COPIED_CHUNKS = WHOLE ? (SIZE - TURNED) / VECTOR : 0;
    static constexpr int COPIED_UNITS = up(COPIED_CHUNKS, CHUNKS);
    static constexpr int UNITS = ROTATED_UNITS + COPIED_UNITS;
    static constexpr int LANES = power_of_two(UNITS) < 32 ? power_of_two(UNITS) : 32;
    static constexpr int LOOPS = at_least_one(up(UNITS, LANES));
    static constexpr int STEPS = HEADS ? up(HEADS * LANES, 32) : 0;
};

typedef segment<QUERY_HEADS, HEAD_SIZE, QUERY_VECTOR, (ROTARY_WIDTH > 0), NORMED_HEADS, !QUERY_OUT, QUERY_OUT, NONE, 2>
    query_segment;
typedef segment<KEY_HEADS, HEAD_SIZE, KEY_VECTOR, (ROTARY_WIDTH > 0), NORMED_HEADS, KEY_RESULT == 0, KEY_RESULT == 1,
                KEY_CACHE, 2>
    key_segment;
typedef segment<VALUE_HEADS, VALUE_SIZE, VALUE_VECTOR, false, false, false, false, VALUE_CACHE, VALUE_CHUNKS>
    value_segment;

/* Where a token's row starts in the cache, in elements; `there`: it has one. */
struct place {
    int64 row;
    bool there;
};
enum { DIVIDED_BLOCKS = 0, SHIFTED_BLOCKS = 1, DENSE_BLOCKS = 2 }; /* BLOCKS; dense: all rows are equally far apart */
INLINE place place_of(const parameters &p, const cache_parameters &cache, uint32 token, int64 slot) {
    const bool there = slot >= 0 && token < p.slot_count;
    if (BLOCKS == DENSE_BLOCKS) return {slot * cache.row_stride, there};
    const int64 block = BLOCKS == SHIFTED_BLOCKS ? slot >> cache.block_shift : slot / cache.block_size;
    const int64 row = slot - (BLOCKS == SHIFTED_BLOCKS ? block << cache.block_shift : block * cache.block_size);
    return {block * cache.block_stride + row * cache.row_stride, there};
}

INLINE float read_scale(const cache_parameters &cache) { return cache.scale ? read_constant(cache.scale) : 1.0f; }

/* The cosines and sines of a unit's pairs. */
template <class S> struct table_unit {
    static constexpr int COUNT = S::PAIRS_IN_CHUNK ? S::VECTOR / 2 : S::VECTOR;
    pack<TABLE_TYPE, COUNT> cosine, sine;

    __device__ __forceinline__ void load(const parameters &p, int64 position, int unit) {
        const int64 at = position * p.table_stride + unit * COUNT;
        cosine.template load<CONSTANTS>(p.table, at);
        sine.template load<CONSTANTS>(p.table, at + ROTARY_WIDTH / 2);
    }
    /* Products and sums are rounded apart: the source is compiled without contraction. */
    __device__ __forceinline__ void rotate(float (*values)[S::VECTOR]) const {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            if (S::PAIRS_IN_CHUNK)
                turn(values[0][2 * i], values[0][2 * i + 1], cosine.get(i), sine.get(i));
            else
                turn(values[0][i], values[S::CHUNKS - 1][i], cosine.get(i), sine.get(i));
        }
    }

  private:
    INLINE void turn(float &x, float &y, float c, float s) {
        if (INVERSE) s = -s;
        const float turned = x * c - y * s;
        y = y * c + x * s;
        x = turned;
    }
};

/* What a lane does of a segment: COUNT steps from `step` on, one of WARPS warps that share the segment. */
template <class S, int COUNT, int WARPS> struct lane_work {
    static constexpr bool FULL = S::HEADS * S::LANES == 32 * COUNT * WARPS; /* every lane of every step has a head */
    typedef pack<ELEMENT, S::VECTOR> chunk;
    chunk data[COUNT][S::LOOPS][S::CHUNKS];
    table_unit<S> table[S::LOOPS];
    int head, unit; /* of the first step and loop */

    __device__ __forceinline__ lane_work(int step, int lane)
        : head(step * (32 / S::LANES) + lane / S::LANES), unit(lane % S::LANES) {}

    __device__ __forceinline__ int head_of(int step) const { return head + step * (32 / S::LANES); }
    /* From the first head to the step's. */
    __device__ __forceinline__ int64 distance(int step, int64 head_stride) const {
        return S::HEADS == 1 ? 0 : (uint32)head_of(step) * head_stride;
    }
    __device__ __forceinline__ int unit_of(int loop) const { return unit + loop * S::LANES; }
    __device__ __forceinline__ bool has(int step, int loop) const {
        return (FULL || head_of(step) < S::HEADS) && (S::UNITS % S::LANES == 0 || unit_of(loop) < S::UNITS);
    }
    INLINE bool rotates(int unit) { return S::COPIED_UNITS == 0 || unit < S::ROTATED_UNITS; }
    /* A unit of the copied part may lack its second chunk. */
    INLINE bool has_chunk(int unit, int which) {
        return which == 0 || S::COPIED_CHUNKS % S::CHUNKS == 0 || unit < S::UNITS - 1;
    }
    /* The first element of a chunk, counted from the head's start. */
    INLINE int element(int unit, int which) {
        if (rotates(unit)) {
            if (!INTERLEAVED) return ROTARY_OFFSET + which * (S::TURNED / 2) + unit * S::VECTOR;
            if (S::VECTOR == 1) return ROTARY_OFFSET + 2 * unit + which;
            return ROTARY_OFFSET + unit * S::VECTOR;
        }
        const int at = (unit - S::ROTATED_UNITS + which * S::COPIED_UNITS) * S::VECTOR;
        return at < ROTARY_OFFSET || !S::ROTATED ? at : at + S::TURNED;
    }

    __device__ __forceinline__ void load(const tensor_parameters &from, int64 token) {
        const int64 start = token * from.token_stride;
#pragma unroll
        for (int s = 0; s < COUNT; s++)
#pragma unroll
            for (int l = 0; l < S::LOOPS; l++)
#pragma unroll
                for (int w = 0; w < S::CHUNKS; w++)
                    if (has(s, l) && has_chunk(unit_of(l), w))
                        data[s][l][w].template load<ELEMENTS>(from.data, start + distance(s, from.head_stride) +
                                                                             element(unit_of(l), w));
    }
    __device__ __forceinline__ void prefetch(const tensor_parameters &from, int64 token) const {
        const int64 start = token * from.token_stride;
#pragma unroll
        for (int s = 0; s < COUNT; s++)
#pragma unroll
            for (int l = 0; l < S::LOOPS; l++)
#pragma unroll
                for (int w = 0; w < S::CHUNKS; w++)
                    if (has(s, l) && has_chunk(unit_of(l), w))
                        bring_to_l2((const char *)from.data +
                                    size_of(ELEMENT) *
                                        (start + distance(s, from.head_stride) + element(unit_of(l), w)));
    }
    __device__ __forceinline__ void load_table(const parameters &p, int64 position) {
        if constexpr (!S::ROTATED) return;
#pragma unroll
        for (int l = 0; l < S::LOOPS; l++)
            if ((S::UNITS % S::LANES == 0 || unit_of(l) < S::UNITS) && rotates(unit_of(l)))
                table[l].load(p, position, unit_of(l));
    }

    /* x * (1 / sqrt(mean + epsilon)), rounded, times the weight, rounded. */
    __device__ __forceinline__ void norm(int s, const void *weight, float epsilon) {
        float sum = 0;
#pragma unroll
        for (int l = 0; l < S::LOOPS; l++)
#pragma unroll
            for (int w = 0; w < S::CHUNKS; w++)
                if (has(s, l) && has_chunk(unit_of(l), w))
#pragma unroll
                    for (int i = 0; i < S::VECTOR; i++) sum += data[s][l][w].get(i) * data[s][l][w].get(i);
#pragma unroll
        for (int mask = S::LANES / 2; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
        const float scale = near_inverse_root(sum * (1.0f / S::SIZE) + epsilon);
#pragma unroll
        for (int l = 0; l < S::LOOPS; l++)
#pragma unroll
            for (int w = 0; w < S::CHUNKS; w++)
                if (has(s, l) && has_chunk(unit_of(l), w)) {
                    chunk weights;
                    weights.template load<CONSTANTS>(weight, element(unit_of(l), w));
                    float values[S::VECTOR];
#pragma unroll
                    for (int i = 0; i < S::VECTOR; i++)
                        values[i] = rounded<ELEMENT>(data[s][l][w].get(i) * scale) * weights.get(i);
                    data[s][l][w].set_all(values);
                }
    }
    __device__ __forceinline__ void rotate(int s, int l) {
        if constexpr (!S::ROTATED) return;
        if (!rotates(unit_of(l))) return;
        float values[S::CHUNKS][S::VECTOR];
#pragma unroll
        for (int w = 0; w < S::CHUNKS; w++) data[s][l][w].get_all(values[w]);
        table[l].rotate(values);
#pragma unroll
        for (int w = 0; w < S::CHUNKS; w++) data[s][l][w].set_all(values[w]);
    }
    /* The elements, as rounded to their type, to fp8. */
    INLINE void store_cached(const chunk &from, const cache_parameters &cache, int64 index, const divisor &by) {
        if (S::CACHE == ELEMENT) {
            from.store(cache.data, index);
        } else if (S::CACHE != NONE) {
            float values[S::VECTOR];
            pack<FP8, S::VECTOR> small;
            from.get_all(values);
            divide_all<S::VECTOR>(values, by);
            small.set_all(values);
            small.store(cache.data, index);
        }
    }

    __device__ __forceinline__ void finish(int64 token, const tensor_parameters &out, const void *weight, float epsilon,
                                           const cache_parameters &cache, const place &at_row, const divisor &by) {
        const int64 start = token * out.token_stride;
#pragma unroll
        for (int s = 0; s < COUNT; s++) {
            if (S::NORMED) norm(s, weight, epsilon);
#pragma unroll
            for (int l = 0; l < S::LOOPS; l++) {
                if (!has(s, l)) continue;
                rotate(s, l);
                const bool stored = S::OUT || (S::IN_PLACE && (S::NORMED || rotates(unit_of(l))));
#pragma unroll
                for (int w = 0; w < S::CHUNKS; w++) {
                    if (!has_chunk(unit_of(l), w)) continue;
                    const int at = element(unit_of(l), w);
                    if (stored) data[s][l][w].store(out.data, start + distance(s, out.head_stride) + at);
                    if (S::CACHE != NONE && at_row.there)
                        store_cached(data[s][l][w], cache, at_row.row + distance(s, cache.head_stride) + at, by);
                }
            }
        }
    }
};

/* OVERLAP 0: after the kernel before; 1: constants are read before it has ended, and the elements brought to the L2, where its
 * own stores still reach them; 2: all is, the end waits for it.
 * MEASURED leaves something out, for measurements: 3 the wait for the position, 4 cosines and sines, 5 stores. */
INLINE int64 position_of(const parameters &p, uint32 token) {
    if (ROTARY_WIDTH == 0) return 0;
    return MEASURED == 3 ? token : read_constant(p.positions + token);
}
/* No branch around the load, so that it does not wait: beyond the slots a position is read, and not used (place_of). */
INLINE int64 slot_of(const parameters &p, uint32 token) {
    if (ROTARY_WIDTH == 0) return token < p.slot_count ? read_constant(p.slots + token) : -1;
    return read_constant((token < p.slot_count ? p.slots : p.positions) + token);
}
INLINE bool stores(const parameters &p) { return MEASURED != 5 || p.tokens == 0xffffffffu; }

INLINE const tensor_parameters &query_target(const parameters &p) { return QUERY_OUT ? p.query_out : p.query; }
INLINE const tensor_parameters &key_target(const parameters &p) { return KEY_RESULT == 1 ? p.key_out : p.key; }

/* How a token's warps share the work: QUERY_WARPS, then KEY_WARPS, with so many steps each. */
template <int STEPS> struct shares {
    static constexpr int KEY_STEPS = most(1, STEPS / 2), QUERY_WARPS = up(query_segment::STEPS, STEPS);
    static constexpr int KEY_WARPS = up(most(key_segment::STEPS, value_segment::STEPS), KEY_STEPS);
    static constexpr int WARPS = QUERY_WARPS + KEY_WARPS;
    typedef lane_work<query_segment, STEPS, QUERY_WARPS> query_work;
    typedef lane_work<key_segment, KEY_STEPS, KEY_WARPS> key_work;
    typedef lane_work<value_segment, KEY_STEPS, KEY_WARPS> value_work;
};

/* A warp's share of the query of one token. */
template <int STEPS> struct query_share {
    typename shares<STEPS>::query_work query;

    __device__ __forceinline__ query_share(const parameters &, int part, int lane)
        : query(shares<STEPS>::QUERY_WARPS == 1 ? 0 : part * STEPS, lane) {}
    __device__ __forceinline__ void prefetch(const parameters &p, uint32 token) const {
        query.prefetch(p.query, token);
    }
    __device__ __forceinline__ void load(const parameters &p, uint32 token) { query.load(p.query, token); }
    __device__ __forceinline__ void load_table(const parameters &p, int64 position) { query.load_table(p, position); }
    __device__ __forceinline__ void prepare() {}
    __device__ __forceinline__ void finish(const parameters &p, uint32 token, int64) {
        query.finish(token, query_target(p), p.query_weight, p.epsilon, p.key_cache, {0, false}, {1, 1, 1, true});
    }
    static constexpr bool POSITION = ROTARY_WIDTH > 0, SLOT = false;
};

/* A warp's share of key and value of one token. */
template <int STEPS> struct key_share {
    typename shares<STEPS>::value_work value;
    typename shares<STEPS>::key_work key;
    float value_scale, key_scale; /* not looked at before the loads that follow are issued: */
    divisor value_by, key_by;

    __device__ __forceinline__ key_share(const parameters &p, int part, int lane)
        : value(shares<STEPS>::KEY_WARPS == 1 ? 0 : part * shares<STEPS>::KEY_STEPS, lane),
          key(shares<STEPS>::KEY_WARPS == 1 ? 0 : part * shares<STEPS>::KEY_STEPS, lane),
          value_scale(VALUE_CACHE == FP8 ? read_scale(p.value_cache) : 1),
          key_scale(KEY_CACHE != FP8                       ? 1
                    : ONE_CACHE == 2 && VALUE_CACHE == FP8 ? value_scale
                                                           : read_scale(p.key_cache)) {}
    __device__ __forceinline__ void prefetch(const parameters &p, uint32 token) const {
        if (VALUE_HEADS > 0) value.prefetch(p.value, token);
        if (KEY_HEADS > 0) key.prefetch(p.key, token);
    }
    __device__ __forceinline__ void load(const parameters &p, uint32 token) {
        if (VALUE_HEADS > 0) value.load(p.value, token);
        if (KEY_HEADS > 0) key.load(p.key, token);
    }
    __device__ __forceinline__ void load_table(const parameters &p, int64 position) {
        if (KEY_HEADS > 0) key.load_table(p, position);
    }
    __device__ __forceinline__ void prepare() {
        if (VALUE_CACHE == FP8) value_by = divide_by(value_scale);
        if (KEY_CACHE == FP8) key_by = ONE_CACHE == 2 && VALUE_CACHE == FP8 ? value_by : divide_by(key_scale);
    }
    __device__ __forceinline__ void finish(const parameters &p, uint32 token, int64 slot) {
        const place value_place = VALUE_CACHE == NONE ? place{0, false} : place_of(p, p.value_cache, token, slot);
        place key_place = KEY_CACHE == NONE                  ? place{0, false}
                          : ONE_CACHE && VALUE_CACHE != NONE ? value_place
                                                             : place_of(p, p.key_cache, token, slot);
        if (BEHIND_VALUE) key_place.row += VALUE_HEADS * VALUE_SIZE;
        if (VALUE_HEADS > 0) value.finish(token, p.value, nullptr, 0, p.value_cache, value_place, value_by);
        if (KEY_HEADS > 0)
            key.finish(token, key_target(p), p.key_weight, p.epsilon, BEHIND_VALUE ? p.value_cache : p.key_cache,
                       key_place, key_by);
    }
    /* In a latent cache's row the key stands behind the value: found without parameters of its own, which would be waited for. */
    static constexpr bool BEHIND_VALUE = ONE_CACHE == 2 && KEY_CACHE != NONE && VALUE_CACHE != NONE && VALUE_HEADS > 0;
    static constexpr bool POSITION = KEY_HEADS > 0 && ROTARY_WIDTH > 0, SLOT = KEY_CACHE != NONE || VALUE_CACHE != NONE;
};

/* A warp's share of one token. */
template <class SHARE> INLINE void one_token(const parameters &p, uint32 token, int part, int lane) {
    const int64 position = SHARE::POSITION ? position_of(p, token) : 0;
    const int64 slot = SHARE::SLOT ? slot_of(p, token) : -1;
    SHARE work(p, part, lane);
    if (OVERLAP == 0) issue_loads();
    if (OVERLAP == 1) {
        work.prefetch(p, token);
        issue_loads();
        work.load_table(p, position);
        work.prepare();
        wait_for_earlier_kernels();
        start_next_kernel();
    }
    work.load(p, token);
    if (OVERLAP != 1) {
        if (OVERLAP == 0) issue_loads();
        if (MEASURED != 4) work.load_table(p, position);
        work.prepare();
    }
    if (stores(p)) work.finish(p, token, slot);
}

#if MEASURED == 1
/* What a launch with this grid and these dependent loads takes at least: they are read, each lane stores once. */
template <int STEPS> INLINE void floor_part(const parameters &p, uint32 token, int part, int query_warps, int lane) {
    const bool keys = part >= query_warps;
    const int64 slot = keys ? slot_of(p, token) : -1, position = position_of(p, token);
    lane_work<query_segment, 1, 0> work(part * STEPS, lane);
    work.unit %= query_segment::UNITS;
    work.load_table(p, position);
    float value = ROTARY_WIDTH ? work.table[0].cosine.get(0) + work.table[0].sine.get(0) : 0;
    if (keys && VALUE_CACHE != NONE && slot >= 0) {
        pack<VALUE_CACHE, 1> one;
        one.set_all(&value);
        one.store(p.value_cache.data, place_of(p, p.value_cache, token, slot).row + lane);
    } else if (!keys && work.has(0, 0)) {
        pack<ELEMENT, 1> one;
        one.set_all(&value);
        const tensor_parameters &to = query_target(p);
        one.store(to.data, token * to.token_stride + work.head * to.head_stride + work.element(work.unit, 0));
    }
}
#endif

template <int STEPS> INLINE void rope(const parameters &p) {
    typedef shares<STEPS> share;
    const int lane = threadIdx.x % 32;
    const uint32 warp = blockIdx.x * (BLOCK_THREADS / 32) + threadIdx.x / 32;
    const uint32 token = warp / share::WARPS;
    const int part = (int)(warp - token * share::WARPS), key_part = part - share::QUERY_WARPS;
    if (OVERLAP == 2) start_next_kernel();
    if (token < p.tokens && MEASURED != 2) {
#if MEASURED == 1
        floor_part<STEPS>(p, token, part, share::QUERY_WARPS, lane);
#else
        if (QUERY_HEADS > 0 && key_part < 0)
            one_token<query_share<STEPS>>(p, token, part, lane);
        else
            one_token<key_share<STEPS>>(p, token, key_part, lane);
#endif
    }
    if (OVERLAP == 2) wait_for_earlier_kernels();
}

extern "C" __global__ void __launch_bounds__(BLOCK_THREADS) regraft_rope_1(const parameters p) { rope<1>(p); }
extern "C" __global__ void __launch_bounds__(BLOCK_THREADS) regraft_rope_2(const parameters p) { rope<2>(p); }
extern "C" __global__ void __launch_bounds__(BLOCK_THREADS) regraft_rope_4(const parameters p) { rope<4>(p); }

#endif
