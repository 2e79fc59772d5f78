/* Elements in registers: N of a type, loaded and stored with accesses as wide as N elements are, at most 16 bytes. The caller
 * has seen to the alignment. */
#ifndef REGRAFT_GPU_ELEMENT_H
#define REGRAFT_GPU_ELEMENT_H

#include "platform.h"

/* As regraft_type. */
enum { BF16 = 0, F16 = 1, F32 = 2, FP8 = 3, NONE = -1 };

CONSTEXPR int size_of(int type) { return type == F32 ? 4 : type == FP8 ? 1 : 2; }
CONSTEXPR int at_least_one(int value) { return value > 0 ? value : 1; }

/* What memory is loaded: elements, or what is constant while the kernel runs. */
enum source { ELEMENTS, CONSTANTS };

template <source FROM, class T> INLINE T load_from(const void *address) {
    return FROM == CONSTANTS ? read_constant((const T *)address) : read((const T *)address);
}

template <int BYTES> struct access;
template <> struct access<1> {
    INLINE void store(void *to, const uint32 *words) { *(unsigned char *)to = (unsigned char)words[0]; }
};
template <> struct access<2> {
    template <source FROM> INLINE void load(uint32 *words, const void *from) {
        words[0] = load_from<FROM, uint16>(from);
    }
    INLINE void store(void *to, const uint32 *words) { *(uint16 *)to = (uint16)words[0]; }
};
template <> struct access<4> {
    template <source FROM> INLINE void load(uint32 *words, const void *from) {
        words[0] = load_from<FROM, uint32>(from);
    }
    INLINE void store(void *to, const uint32 *words) { *(uint32 *)to = words[0]; }
};
template <> struct access<8> {
    template <source FROM> INLINE void load(uint32 *words, const void *from) {
        const uint2 two = load_from<FROM, uint2>(from);
        words[0] = two.x, words[1] = two.y;
    }
    INLINE void store(void *to, const uint32 *words) { *(uint2 *)to = make_uint2(words[0], words[1]); }
};
template <> struct access<16> {
    template <source FROM> INLINE void load(uint32 *words, const void *from) {
        const uint4 four = load_from<FROM, uint4>(from);
        words[0] = four.x, words[1] = four.y, words[2] = four.z, words[3] = four.w;
    }
    INLINE void store(void *to, const uint32 *words) {
        *(uint4 *)to = make_uint4(words[0], words[1], words[2], words[3]);
    }
};

template <int TYPE, int N> struct pack {
    static constexpr int BYTES = N * size_of(TYPE), WIDE = BYTES < 16 ? BYTES : 16;
    static constexpr int WORDS = at_least_one(BYTES / 4), STEP = at_least_one(WIDE / 4);
    static_assert((BYTES & (BYTES - 1)) == 0, "a power of two");
    uint32 words[WORDS];

    /* `index` counts elements from `base`. */
    template <source FROM> __device__ __forceinline__ void load(const void *base, int64 index) {
        const char *from = (const char *)base + index * size_of(TYPE);
#pragma unroll
        for (int i = 0; i < WORDS; i += STEP) access<WIDE>::template load<FROM>(words + i, from + i * 4);
    }
    __device__ __forceinline__ void store(void *base, int64 index) const {
        char *to = (char *)base + index * size_of(TYPE);
#pragma unroll
        for (int i = 0; i < WORDS; i += STEP) access<WIDE>::store(to + i * 4, words + i);
    }
    __device__ __forceinline__ float get(int i) const {
        if (TYPE == F32) return float_of(words[i]);
        const uint32 word = words[i / 2];
        if (TYPE == F16) return float_of_f16((uint16)(word >> i % 2 * 16));
        return float_of(i % 2 ? word & 0xffff0000u : word << 16);
    }
    __device__ __forceinline__ void get_all(float *values) const {
#pragma unroll
        for (int i = 0; i < N; i++) values[i] = get(i);
    }
    __device__ __forceinline__ void set_all(const float *values) {
#pragma unroll
        for (int i = 0; i < WORDS; i++) words[i] = word_of(values, i);
    }

  private:
    INLINE uint32 word_of(const float *values, int i) {
        if (TYPE == F32) return bits_of(values[i]);
        if (TYPE == FP8) {
            uint32 word = two_fp8(values[4 * i], N > 1 ? values[4 * i + (N > 1)] : 0);
            if (N > 2) word |= two_fp8(values[4 * i + (N > 2) * 2], values[4 * i + (N > 2) * 3]) << 16;
            return word;
        }
        const float low = values[2 * i], high = N > 1 ? values[2 * i + (N > 1)] : 0;
        return TYPE == F16 ? two_f16(low, high) : two_bf16(low, high);
    }
};

/* x / scale, as the division rounds it wherever fp8 can tell, without a division for each x. The inverse of a power of two is
 * multiplied with (`exact`). Else the quotient with the rounded reciprocal is off by a step at most, which one more step of
 * Newton's puts right (Markstein). `factor`, a power of two, brings scales at the ends of f32 to its middle; quotients of 2^60 and
 * more are cut to fp8's largest value either way, zeros keep their sign. */
struct divisor {
    float factor, scale, reciprocal;
    bool exact;
};
INLINE divisor divide_by(float scale) {
    const float size = fabsf(scale);
    const float factor = size >= 0x1p60f ? 0x1p-64f : size <= 0x1p-60f ? 0x1p64f : 1.0f;
    const float near = scale * factor;
    return {factor, size > 0x1.fffffep127f ? 0.0f : near, 1.0f / near,
            factor == 1.0f && (bits_of(scale) & 0x7fffffu) == 0};
}
INLINE float quotient(float x, const divisor &by) {
    const float q = x * by.reciprocal;
    const float better = multiply_add(multiply_add(-q, by.scale, x), by.reciprocal, q);
    return fabsf(q) < 0x1p60f && q != 0 ? better : q;
}
template <int N> INLINE void divide_all(float *values, const divisor &by) {
    if (by.exact) {
#pragma unroll
        for (int i = 0; i < N; i++) values[i] *= by.reciprocal;
        return;
    }
    if (by.factor != 1) {
#pragma unroll
        for (int i = 0; i < N; i++) values[i] *= by.factor;
    }
#pragma unroll
    for (int i = 0; i < N; i++) values[i] = quotient(values[i], by);
}

/* What a type keeps of a value. */
template <int TYPE> INLINE float rounded(float value) {
    if (TYPE == F32) return value;
    pack<TYPE, 1> one;
    one.set_all(&value);
    return one.get(0);
}

#endif
