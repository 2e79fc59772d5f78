/* Conversions in integer arithmetic, for machines without an instruction. Included by platform.h, which has what they use. */
#ifndef REGRAFT_GPU_CONVERSIONS_H
#define REGRAFT_GPU_CONVERSIONS_H

INLINE uint32 bf16_of(float value) {
    uint32 bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffu;
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

/* float8_e4m3fn: 4 bits of exponent (bias 7), 3 of mantissa, no infinity; cut to [-448, 448]. */
INLINE uint32 fp8_of(float value) {
    const uint32 bits = bits_of(value), sign = bits >> 24 & 0x80u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return 0x7fu;
    if (magnitude >= 0x43e00000u) return sign | 0x7eu; /* 448 and more */
    if (magnitude < 0x3c800000u)                       /* below 2^-6: steps of 2^-9, by the addition's own rounding */
        return sign | (bits_of(float_of(magnitude) + 16384.0f) - bits_of(16384.0f));
    return sign | (((magnitude + 0x7ffffu + (magnitude >> 20 & 1u)) >> 20) - (120u << 3));
}

#endif
