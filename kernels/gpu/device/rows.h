/* rms_norm, fused_add_rms_norm and silu_and_mul: row by row. ROW_THREADS threads share a row, or half as many; the loads
 * of a row are issued before the first use. */
#ifndef REGRAFT_GPU_ROWS_H
#define REGRAFT_GPU_ROWS_H

#include "element.h"
#include "parameters.h"

constexpr int ROW_CHUNKS = ROW_SIZE / ROW_VECTOR;
typedef pack<ELEMENT, ROW_VECTOR> row_chunk;

INLINE int64 row_start(const tensor_parameters &tensor, uint32 row) {
    const uint32 token = row / ROW_HEADS;
    return (int64)token * tensor.token_stride + (int64)(row - token * ROW_HEADS) * tensor.head_stride;
}

/* One kernel that was launched before may still write what these read. */
INLINE void begin() {
    if (OVERLAP == 1) wait_for_earlier_kernels();
    if (OVERLAP != 0) start_next_kernel();
}
INLINE void end() {
    if (OVERLAP == 2) wait_for_earlier_kernels();
}

#if OPERATION_SILU

/* x / (1 + exp(-x)); in 16 bits, where a few units of the last place of f32 are not seen, of few instructions: all by 4, so that
 * the reciprocal is a normal number until exp overflows. */
INLINE float silu(float x) {
    if (ELEMENT == F32) return x / (1.0f + expf(-x));
    const float log2_e = 1.44269504f;
    return x * 0.25f * near_reciprocal(0.25f + near_exp2(multiply_add(x, -log2_e, -2.0f)));
}

INLINE void silu_and_mul(const row_parameters &p, uint32 index) {
    const uint32 row = index / ROW_CHUNKS, chunk = index - row * ROW_CHUNKS;
    if (row >= p.rows) return;
    row_chunk gate, up;
    const int64 from = row_start(p.input, row) + (int64)chunk * ROW_VECTOR;
    gate.load<ELEMENTS>(p.input.data, from);
    up.load<ELEMENTS>(p.input.data, from + ROW_SIZE);
    issue_loads();
    float values[ROW_VECTOR];
#pragma unroll
    for (int i = 0; i < ROW_VECTOR; i++) {
        values[i] = rounded<ELEMENT>(silu(gate.get(i))) * up.get(i);
    }
    gate.set_all(values);
    gate.store(p.out.data, row_start(p.out, row) + (int64)chunk * ROW_VECTOR);
}

extern "C" __global__ void __launch_bounds__(BLOCK_THREADS) regraft_rows(const row_parameters p) {
    begin();
    silu_and_mul(p, blockIdx.x * BLOCK_THREADS + threadIdx.x);
    end();
}

#else

/* The threads of a row, of whole warps, and of its block. Few rows: two chunks a thread, and the weights read with them. Many: four,
 * and the weights read when they are used, so that with the registers of a multiprocessor more bytes are under way. */
constexpr int MANY_THREADS = (ROW_THREADS / 2 + 31) / 32 * 32;
/* Many rows: where few blocks fit on a multiprocessor, the loads of weights are issued together, in as many registers
 * as that takes (1 block a multiprocessor at least, for the compiler); else, and beside a residual, that takes
 * too many registers: the weights are brought near before anything is waited for. As measured. */
constexpr bool WEIGHTS_AT_ONCE = !OPERATION_ADD && MANY_THREADS > 128;
CONSTEXPR int block_of(int threads) { return threads == 32 ? 128 : threads; }

/* Over the threads of a row; the order of the additions is fixed. */
template <int THREADS> INLINE float sum_of_row(float sum, int thread) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
    if (THREADS == 32) return sum;
    __shared__ float warps[32];
    if (thread % 32 == 0) warps[thread / 32] = sum;
    __syncthreads();
    sum = thread % 32 < THREADS / 32 ? warps[thread % 32] : 0;
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
    return sum;
}

template <int THREADS> INLINE void norm(const row_parameters &p, uint32 row, int thread) {
    constexpr int CHUNKS = (ROW_CHUNKS + THREADS - 1) / THREADS;
    row_chunk data[CHUNKS], weights[CHUNKS];
    const int64 from = row_start(p.input, row), to = row_start(p.out, row);
#define EACH_CHUNK                                                                                                     \
    _Pragma("unroll") for (int c = 0; c < CHUNKS; c++) if (const int at = (thread + c * THREADS) * ROW_VECTOR;         \
                                                           ROW_CHUNKS % THREADS == 0 || at < ROW_SIZE)
    EACH_CHUNK data[c].template load<ELEMENTS>(p.input.data, from + at);
#if OPERATION_ADD
    row_chunk residual[CHUNKS];
    EACH_CHUNK residual[c].template load<ELEMENTS>(p.out.data, to + at);
#endif
    if (HAS_WEIGHT && THREADS == ROW_THREADS) EACH_CHUNK weights[c].template load<ELEMENTS>(p.weight, at);
    issue_loads();
    float sum = 0;
    EACH_CHUNK {
#if OPERATION_ADD
        float values[ROW_VECTOR];
#pragma unroll
        for (int i = 0; i < ROW_VECTOR; i++) values[i] = data[c].get(i) + residual[c].get(i);
        data[c].set_all(values);
        data[c].store(p.out.data, to + at);
#endif
#pragma unroll
        for (int i = 0; i < ROW_VECTOR; i++) sum += data[c].get(i) * data[c].get(i);
    }
    sum = sum_of_row<THREADS>(sum, thread);
    if (HAS_WEIGHT && THREADS != ROW_THREADS) {
        if (WEIGHTS_AT_ONCE) issue_loads();
        EACH_CHUNK weights[c].template load<ELEMENTS>(p.weight, at);
        if (WEIGHTS_AT_ONCE) issue_loads();
    }
    const float scale = near_inverse_root(sum * (1.0f / ROW_SIZE) + p.epsilon);
    EACH_CHUNK {
        float values[ROW_VECTOR];
#pragma unroll
        for (int i = 0; i < ROW_VECTOR; i++) {
            values[i] = rounded<ELEMENT>(data[c].get(i) * scale);
            if (HAS_WEIGHT) values[i] *= weights[c].get(i);
        }
        data[c].set_all(values);
        data[c].store(OPERATION_ADD ? p.input.data : p.out.data, (OPERATION_ADD ? from : to) + at);
    }
#undef EACH_CHUNK
}

/* Each of the first blocks brings a line of the weights near. */
INLINE void bring_weights(const void *weight) {
    if (blockIdx.x * 128 < ROW_SIZE * size_of(ELEMENT)) bring_to_l2((const char *)weight + blockIdx.x * 128);
}

template <int THREADS> INLINE void norms(const row_parameters &p) {
    const uint32 row = blockIdx.x * (block_of(THREADS) / THREADS) + threadIdx.x / THREADS;
    if (HAS_WEIGHT && THREADS != ROW_THREADS && !WEIGHTS_AT_ONCE && threadIdx.x == 0) bring_weights(p.weight);
    begin();
    if (row < p.rows) norm<THREADS>(p, row, threadIdx.x % THREADS);
    end();
}

extern "C" __global__ void __launch_bounds__(block_of(ROW_THREADS)) regraft_rows(const row_parameters p) {
    norms<ROW_THREADS>(p);
}
extern "C" __global__ void __launch_bounds__(block_of(MANY_THREADS), WEIGHTS_AT_ONCE)
    regraft_many_rows(const row_parameters p) {
    norms<MANY_THREADS>(p);
}

#endif
#endif
