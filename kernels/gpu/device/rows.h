/* rms_norm, fused_add_rms_norm and silu_and_mul: row by row. ROW_THREADS threads share a row, CHUNKS chunks each; every load is
 * issued before the first use. */
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

/* x / (1 + exp(-x)). The quotient is put right with one step of Newton's: no branch, so that the elements of a lane go side by side.
 * Where exp overflows the quotient is a zero with x's sign, as a division gives. */
INLINE float silu(float x) {
    const float below = 1.0f + expf(-x), reciprocal = near_reciprocal(below), q = x * reciprocal;
    const float better = multiply_add(multiply_add(-q, below, x), reciprocal, q);
    return below < 0x1p126f && q - q == 0 ? better : q;
}

INLINE void silu_and_mul(const row_parameters &p, uint32 index) {
    const uint32 row = index / ROW_CHUNKS, chunk = index - row * ROW_CHUNKS;
    if (row >= p.rows) return;
    row_chunk gate, up;
    const int64 from = row_start(p.input, row) + (int64)chunk * ROW_VECTOR;
    gate.load<ELEMENTS>(p.input.data, from);
    up.load<ELEMENTS>(p.input.data, from + ROW_SIZE);
    float values[ROW_VECTOR];
#pragma unroll
    for (int i = 0; i < ROW_VECTOR; i++) {
        values[i] = rounded<ELEMENT>(silu(gate.get(i))) * up.get(i);
    }
    gate.set_all(values);
    gate.store(p.out.data, row_start(p.out, row) + (int64)chunk * ROW_VECTOR);
}

extern "C" __global__ void __launch_bounds__(THREADS_AT_MOST) regraft_rows(const row_parameters p) {
    begin();
    silu_and_mul(p, blockIdx.x * blockDim.x + threadIdx.x);
    end();
}

#else

constexpr int CHUNKS = (ROW_CHUNKS + ROW_THREADS - 1) / ROW_THREADS;

/* Over the ROW_THREADS threads of a row; the order of the additions is fixed. */
INLINE float sum_of_row(float sum, int thread) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
    if (ROW_THREADS == 32) return sum;
    __shared__ float warps[32];
    if (thread % 32 == 0) warps[thread / 32] = sum;
    __syncthreads();
    sum = thread % 32 < ROW_THREADS / 32 ? warps[thread % 32] : 0;
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
    return sum;
}

INLINE void norm(const row_parameters &p, uint32 row, int thread) {
    row_chunk data[CHUNKS], weights[CHUNKS];
    const int64 from = row_start(p.input, row), to = row_start(p.out, row);
#define EACH_CHUNK                                                                                                     \
    _Pragma("unroll") for (int c = 0; c < CHUNKS; c++) if (const int at = (thread + c * ROW_THREADS) * ROW_VECTOR;     \
                                                           ROW_CHUNKS % ROW_THREADS == 0 || at < ROW_SIZE)
    EACH_CHUNK data[c].load<ELEMENTS>(p.input.data, from + at);
#if OPERATION_ADD
    row_chunk residual[CHUNKS];
    EACH_CHUNK residual[c].load<ELEMENTS>(p.out.data, to + at);
#endif
    if (HAS_WEIGHT) EACH_CHUNK weights[c].load<ELEMENTS>(p.weight, at); /* `nc` would go behind the barrier */
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
    const float scale = 1.0f / sqrtf(sum_of_row(sum, thread) / ROW_SIZE + p.epsilon);
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

extern "C" __global__ void __launch_bounds__(THREADS_AT_MOST) regraft_rows(const row_parameters p) {
    const int rows_of_block = blockDim.x / ROW_THREADS;
    const uint32 row = blockIdx.x * rows_of_block + threadIdx.x / ROW_THREADS;
    begin();
    if (row < p.rows) norm(p, row, threadIdx.x % ROW_THREADS);
    end();
}

#endif
#endif
