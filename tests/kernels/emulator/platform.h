/* Stands for kernels/gpu/device/platform.h when the kernels run on a CPU: threads one after another, each on a stack of its own,
 * that change at every exchange between lanes (emulator.c). */
#ifndef REGRAFT_GPU_PLATFORM_H
#define REGRAFT_GPU_PLATFORM_H

typedef long long int64;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef unsigned long long uint64;

#define __device__
#define __host__
#define __global__      __attribute__((visibility("default")))
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __shared__ static
#define INLINE     static __forceinline__
#define CONSTEXPR  static constexpr

struct emulated_index {
    unsigned x, y, z;
};
extern "C" {
extern emulated_index emulated_thread, emulated_block, emulated_block_size;
float emulated_shuffle_xor(float value, int mask);
void emulated_barrier();
float emulated_multiply_add(float a, float b, float c);
float emulated_float_of_f16(unsigned short bits);
unsigned short emulated_f16_of(float value);
float sqrtf(float);
float expf(float);
float fabsf(float);
float exp2f(float);
}
#define threadIdx     emulated_thread
#define blockIdx      emulated_block
#define blockDim      emulated_block_size
#define __syncthreads emulated_barrier

struct alignas(8) uint2 {
    uint32 x, y;
};
struct alignas(16) uint4 {
    uint32 x, y, z, w;
};
INLINE uint2 make_uint2(uint32 x, uint32 y) { return {x, y}; }
INLINE uint4 make_uint4(uint32 x, uint32 y, uint32 z, uint32 w) { return {x, y, z, w}; }

template <class T> INLINE T read(const T *address) { return *address; }
template <class T> INLINE T read_constant(const T *address) { return *address; }
INLINE void issue_loads() {}
INLINE void bring_to_l2(const void *) {}
INLINE float multiply_add(float a, float b, float c) { return emulated_multiply_add(a, b, c); }
INLINE float near_reciprocal(float x) { return 1.0f / x; }
INLINE float near_inverse_root(float x) { return 1.0f / sqrtf(x); }
INLINE float near_exp2(float x) { return exp2f(x); }
INLINE float shuffle_xor(float value, int mask) { return emulated_shuffle_xor(value, mask); }
INLINE void wait_for_earlier_kernels() {}
INLINE void start_next_kernel() {}

INLINE uint32 bits_of(float value) { return __builtin_bit_cast(uint32, value); }
INLINE float float_of(uint32 bits) { return __builtin_bit_cast(float, bits); }
INLINE float float_of_f16(uint16 bits) { return emulated_float_of_f16(bits); }
INLINE uint32 two_f16(float low, float high) { return emulated_f16_of(low) | (uint32)emulated_f16_of(high) << 16; }
#include "conversions.h"
INLINE uint32 two_bf16(float low, float high) { return bf16_of(low) | bf16_of(high) << 16; }
INLINE uint32 two_fp8(float low, float high) { return fp8_of(low) | fp8_of(high) << 8; }

#endif
