/* What differs between CUDA and HIP, and nothing else. Compiled at run time, without any header of the toolkits. */
#ifndef REGRAFT_GPU_PLATFORM_H
#define REGRAFT_GPU_PLATFORM_H

typedef long long int64;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef unsigned long long uint64;

#if defined(__HIP__) || defined(__HIPCC_RTC__)
#define REGRAFT_HIP 1
#if !defined(__HIPCC_RTC__)
#include <hip/hip_runtime.h>
#endif
#else
#define REGRAFT_HIP 0
#endif

#define INLINE    static __device__ __forceinline__
#define CONSTEXPR static __host__ __device__ constexpr

/* Loads, in the order of the source: the compiler would issue them when their results are needed, and wait in between. `nc`: of
 * arrays that no kernel writes while this one runs (positions, slots, tables, weights, scales); before a wait for earlier kernels
 * these are plain loads, because the assembler moves `nc` behind it.
 * Every element is loaded before its own thread stores it, so that the order of loads and stores is that of the data. */
#if REGRAFT_HIP
template <class T> INLINE T read(const T *address) { return *address; }
template <class T> INLINE T read_constant(const T *address) { return *address; }
#else
#define LOADS(name, kind)                                                                                              \
    template <class T> INLINE T name(const T *address);                                                                \
    LOAD_ONE(name, kind, uint16, "u16", "h")                                                                           \
    LOAD_ONE(name, kind, uint32, "u32", "r")                                                                           \
    LOAD_ONE(name, kind, int64, "s64", "l")                                                                            \
    LOAD_ONE(name, kind, float, "f32", "f")                                                                            \
    template <> __device__ __forceinline__ uint2 name<uint2>(const uint2 *address) {                                   \
        uint2 value;                                                                                                   \
        asm volatile("ld" kind ".v2.u32 {%0, %1}, [%2];" : "=r"(value.x), "=r"(value.y) : "l"(address));               \
        return value;                                                                                                  \
    }                                                                                                                  \
    template <> __device__ __forceinline__ uint4 name<uint4>(const uint4 *address) {                                   \
        uint4 value;                                                                                                   \
        asm volatile("ld" kind ".v4.u32 {%0, %1, %2, %3}, [%4];"                                                       \
                     : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)                                      \
                     : "l"(address));                                                                                  \
        return value;                                                                                                  \
    }
#define LOAD_ONE(name, kind, type, instruction, constraint)                                                            \
    template <> __device__ __forceinline__ type name<type>(const type *address) {                                      \
        type value;                                                                                                    \
        asm volatile("ld" kind "." instruction " %0, [%1];" : "=" constraint(value) : "l"(address));                   \
        return value;                                                                                                  \
    }
LOADS(read, ".global")
#if OVERLAP == 1
LOADS(read_constant, ".global")
#else
LOADS(read_constant, ".global.nc")
#endif
#undef LOADS
#undef LOAD_ONE
#endif

/* Loads before this are issued before loads behind it: the assembler orders by an estimate of what is urgent, and would put loads
 * of elements behind the use of a position, which waits for memory. A barrier of the warp, for what it does to that order; on AMD's, where compilers have
 * it, a barrier of the scheduler. */
INLINE void issue_loads() {
#if REGRAFT_HIP
    asm volatile("" ::: "memory");
#if __has_builtin(__builtin_amdgcn_sched_barrier)
    __builtin_amdgcn_sched_barrier(0);
#endif
#else
    asm volatile("bar.warp.sync 0xffffffff;" ::: "memory");
#endif
}

/* Starts to bring a line to the L2: reads nothing, so that it may come before what writes the line. */
INLINE void bring_to_l2(const void *address) {
#if !REGRAFT_HIP
    asm volatile("prefetch.global.L2 [%0];" ::"l"(address));
#endif
}

/* a * b + c, rounded once. */
INLINE float multiply_add(float a, float b, float c) { return __fmaf_rn(a, b, c); }

/* 1 / x, 1 / sqrt(x) and 2^x within two units of the last place, in one instruction: what is below the normal numbers is zero. */
#if REGRAFT_HIP
INLINE float near_reciprocal(float x) { return 1.0f / x; }
INLINE float near_inverse_root(float x) { return 1.0f / sqrtf(x); }
INLINE float near_exp2(float x) { return exp2f(x); }
#else
#define NEAR(name, instruction)                                                                                        \
    INLINE float name(float x) {                                                                                       \
        float value;                                                                                                   \
        asm(instruction ".approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(x));                                             \
        return value;                                                                                                  \
    }
NEAR(near_reciprocal, "rcp")
NEAR(near_inverse_root, "rsqrt")
NEAR(near_exp2, "ex2")
#undef NEAR
#endif

/* Over groups of at most 32 lanes; all lanes of the warp take part. */
INLINE float shuffle_xor(float value, int mask) {
#if REGRAFT_HIP
    return __shfl_xor(value, mask, 32);
#else
    return __shfl_xor_sync(0xffffffffu, value, mask);
#endif
}

/* Programmatic dependent launch: wait until the kernels before this one have ended and what they wrote is seen; let the
 * kernel behind this one start. Both do nothing in a launch without the attribute, and on other machines. */
INLINE void wait_for_earlier_kernels() {
#if !REGRAFT_HIP && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
INLINE void start_next_kernel() {
#if !REGRAFT_HIP && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/* ---- conversions: to nearest even ---- */

INLINE uint32 bits_of(float value) { return __float_as_uint(value); }
INLINE float float_of(uint32 bits) { return __uint_as_float(bits); }

#include "conversions.h"

INLINE float float_of_f16(uint16 bits) {
#if REGRAFT_HIP
    return (float)__builtin_bit_cast(_Float16, bits);
#else
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
#endif
}

INLINE uint32 two_f16(float low, float high) {
#if REGRAFT_HIP
    return (uint32) __builtin_bit_cast(uint16, (_Float16)low) | (uint32) __builtin_bit_cast(uint16, (_Float16)high)
                                                                    << 16;
#else
    uint16 a, b;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(a) : "f"(low));
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(b) : "f"(high));
    return (uint32)a | (uint32)b << 16;
#endif
}

INLINE uint32 two_bf16(float low, float high) {
#if !REGRAFT_HIP && __CUDA_ARCH__ >= 800
    uint32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
#else
    return bf16_of(low) | bf16_of(high) << 16;
#endif
}

INLINE uint32 two_fp8(float low, float high) {
#if !REGRAFT_HIP && __CUDA_ARCH__ >= 890
    uint16 both;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(both) : "f"(high), "f"(low));
    return both;
#else
    return fp8_of(low) | fp8_of(high) << 8;
#endif
}

#endif
