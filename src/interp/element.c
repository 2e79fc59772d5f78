/* Number formats. The small ones (f16, bf16, f8...) share one encoder and one decoder, driven by a table. */
#include "interp/element.h"

#include <math.h>

/* How a format spells what is not a number. */
enum nan_form {
    nan_ieee,          /* exponent all ones: infinity or NaN */
    nan_all_ones,      /* only the pattern of all ones is NaN; no infinity */
    nan_negative_zero, /* only the pattern of -0 is NaN; no infinity, one zero */
    nan_exponent_only  /* no sign, no mantissa: all ones is NaN; no zero */
};

struct format {
    int exponent_bits, mantissa_bits, bias;
    enum nan_form nan;
};

/* Formats of 8 and 16 bits (github.com/jax-ml/ml_dtypes describes all of them). */
static const struct format formats[dtype_count] = {
    [dtype_f16] = {5, 10, 15, nan_ieee},
    [dtype_bf16] = {8, 7, 127, nan_ieee},
    [dtype_f8e4m3fn] = {4, 3, 7, nan_all_ones},
    [dtype_f8e5m2] = {5, 2, 15, nan_ieee},
    [dtype_f8e4m3fnuz] = {4, 3, 8, nan_negative_zero},
    [dtype_f8e5m2fnuz] = {5, 2, 16, nan_negative_zero},
    [dtype_f8e8m0fnu] = {8, 0, 127, nan_exponent_only},
};

static double decode_exponent_only(uint32_t bits) { return bits == 0xff ? NAN : ldexp(1.0, (int)bits - 127); }

double element_decode(enum dtype dtype, uint32_t bits) {
    const struct format *format = &formats[dtype];
    uint32_t exponent_mask = (1u << format->exponent_bits) - 1, mantissa_mask = (1u << format->mantissa_bits) - 1;
    uint32_t sign_bit = 1u << (format->exponent_bits + format->mantissa_bits);
    uint32_t exponent = bits >> format->mantissa_bits & exponent_mask, mantissa = bits & mantissa_mask;
    if (format->nan == nan_exponent_only) return decode_exponent_only(bits);
    double sign = bits & sign_bit ? -1.0 : 1.0;
    if (format->nan == nan_negative_zero && bits == sign_bit) return NAN;
    if (format->nan == nan_all_ones && (bits & ~sign_bit) == sign_bit - 1) return copysign(NAN, sign);
    if (format->nan == nan_ieee && exponent == exponent_mask) return copysign(mantissa ? NAN : INFINITY, sign);
    double fraction = exponent ? mantissa + (double)(mantissa_mask + 1) : mantissa;
    int scale = (exponent ? (int)exponent : 1) - format->bias - format->mantissa_bits;
    return sign * ldexp(fraction, scale);
}

static uint32_t encode_exponent_only(double value) {
    int exponent;
    if (isnan(value) || isinf(value) || value < 0) return 0xff;
    if (frexp(value, &exponent) > 0.7071067811865475) exponent++;
    int code = value > 0 ? exponent - 1 + 127 : 0;
    return code < 0 ? 0 : code > 254 ? 0xff : (uint32_t)code;
}

/* What a value beyond the largest finite one, or a NaN, becomes. */
static uint32_t encode_special(const struct format *format, uint32_t sign, bool is_nan) {
    uint32_t infinity = ((1u << format->exponent_bits) - 1) << format->mantissa_bits;
    uint32_t sign_bit = 1u << (format->exponent_bits + format->mantissa_bits);
    if (format->nan == nan_negative_zero) return sign_bit;
    if (format->nan == nan_all_ones) return sign | (sign_bit - 1);
    return is_nan ? sign | infinity | 1u << (format->mantissa_bits - 1) : sign | infinity;
}

/* The upper half of an f32, rounded: adding just less than half of the last place carries where it must. */
static uint32_t encode_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

uint32_t element_encode(enum dtype dtype, double value) {
    const struct format *format = &formats[dtype];
    value = (double)(float)value;
    if (dtype == dtype_bf16 && !isnan(value)) return encode_bf16((float)value);
    if (format->nan == nan_exponent_only) return encode_exponent_only(value);
    uint32_t sign_bit = 1u << (format->exponent_bits + format->mantissa_bits);
    uint32_t sign = signbit(value) ? sign_bit : 0;
    if (isnan(value) || isinf(value)) return encode_special(format, sign, isnan(value));
    double magnitude = fabs(value);
    int exponent;
    frexp(magnitude, &exponent);
    exponent = magnitude > 0 && exponent - 1 > 1 - format->bias ? exponent - 1 : 1 - format->bias;
    /* In units of the last place; rounding up to the next power of two carries into the exponent by itself. */
    uint32_t units = (uint32_t)nearbyint(ldexp(magnitude, format->mantissa_bits - exponent));
    uint32_t hidden = 1u << format->mantissa_bits;
    uint32_t code =
        units < hidden ? units : ((uint32_t)(exponent + format->bias) << format->mantissa_bits) + units - hidden;
    uint32_t largest = format->nan == nan_ieee ? (((1u << format->exponent_bits) - 1) << format->mantissa_bits) - 1
                       : format->nan == nan_all_ones ? sign_bit - 2
                                                     : sign_bit - 1;
    if (code > largest) return encode_special(format, sign, false);
    if (format->nan == nan_negative_zero && code == 0) return 0;
    return sign | code;
}

static double load_f32(const void *bytes) {
    float value;
    memcpy(&value, bytes, sizeof value);
    return (double)value;
}

static double load_f64(const void *bytes) {
    double value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static double load_small(enum dtype dtype, const void *bytes) {
    uint16_t wide;
    if (dtype_size(dtype) == 1) return element_decode(dtype, *(const unsigned char *)bytes);
    memcpy(&wide, bytes, sizeof wide);
    if (dtype != dtype_bf16) return element_decode(dtype, wide);
    uint32_t bits = (uint32_t)wide << 16; /* the upper half of an f32 */
    return load_f32(&bits);
}

static uint64_t load_bits(const void *bytes, size_t size) {
    uint64_t bits = 0;
    for (size_t i = 0; i < size; i++) bits |= (uint64_t)((const unsigned char *)bytes)[i] << (8 * i);
    return bits;
}

static void store_bits(void *bytes, size_t size, uint64_t bits) {
    for (size_t i = 0; i < size; i++) ((unsigned char *)bytes)[i] = (unsigned char)(bits >> (8 * i));
}

static bool is_signed(enum dtype dtype) {
    return dtype == dtype_i8 || dtype == dtype_i16 || dtype == dtype_i32 || dtype == dtype_i64;
}

/* Packed pairs of 4 bits count as bytes: they are moved, never computed with. */
static bool is_real(enum dtype dtype) {
    return (dtype_is_floating(dtype) && dtype != dtype_f4e2m1fnx2) || dtype_is_complex(dtype);
}

static int64_t load_integral(enum dtype dtype, const void *bytes) {
    size_t size = dtype_size(dtype);
    uint64_t bits = load_bits(bytes, size);
    if (dtype == dtype_b8) return bits != 0;
    if (is_signed(dtype) && size < 8 && bits >> (8 * size - 1)) bits |= ~UINT64_C(0) << (8 * size);
    return (int64_t)bits;
}

double element_load_real(enum dtype dtype, const void *bytes) {
    switch (dtype) {
    case dtype_f32:
    case dtype_c64:
        return load_f32(bytes);
    case dtype_f64:
    case dtype_c128:
        return load_f64(bytes);
    case dtype_c32:
        return load_small(dtype_f16, bytes);
    case dtype_u64:
        return (double)(uint64_t)load_integral(dtype, bytes);
    default:
        return is_real(dtype) ? load_small(dtype, bytes) : (double)load_integral(dtype, bytes);
    }
}

double element_load_imaginary(enum dtype dtype, const void *bytes) {
    const unsigned char *second = (const unsigned char *)bytes + dtype_size(dtype) / 2;
    switch (dtype) {
    case dtype_c32:
        return load_small(dtype_f16, second);
    case dtype_c64:
        return load_f32(second);
    case dtype_c128:
        return load_f64(second);
    default:
        return 0;
    }
}

int64_t element_load_integer(enum dtype dtype, const void *bytes) {
    if (!is_real(dtype)) return load_integral(dtype, bytes);
    double value = element_load_real(dtype, bytes);
    if (isnan(value)) return 0;
    if (value >= 9223372036854775808.0) return INT64_MAX;
    return value < -9223372036854775808.0 ? INT64_MIN : (int64_t)value;
}

void element_store_real(enum dtype dtype, void *bytes, double value) { element_store_complex(dtype, bytes, value, 0); }

void element_store_complex(enum dtype dtype, void *bytes, double real, double imaginary) {
    float parts[2] = {(float)real, (float)imaginary};
    double wide[2] = {real, imaginary};
    switch (dtype) {
    case dtype_f32:
        memcpy(bytes, parts, sizeof(float));
        break;
    case dtype_f64:
        memcpy(bytes, wide, sizeof(double));
        break;
    case dtype_c64:
        memcpy(bytes, parts, sizeof parts);
        break;
    case dtype_c128:
        memcpy(bytes, wide, sizeof wide);
        break;
    case dtype_c32:
        store_bits(bytes, 2, element_encode(dtype_f16, real));
        store_bits((unsigned char *)bytes + 2, 2, element_encode(dtype_f16, imaginary));
        break;
    case dtype_b8:
        *(unsigned char *)bytes = real != 0 || imaginary != 0;
        break;
    case dtype_u64:
        store_bits(bytes, 8,
                   real >= 9223372036854775808.0 ? real < 18446744073709551616.0 ? (uint64_t)real : UINT64_MAX
                                                 : (uint64_t)element_load_integer(dtype_f64, &real));
        break;
    default:
        store_bits(bytes, dtype_size(dtype),
                   is_real(dtype) ? element_encode(dtype, real) : (uint64_t)element_load_integer(dtype_f64, &real));
    }
}

void element_store_integer(enum dtype dtype, void *bytes, int64_t value) {
    if (is_real(dtype))
        element_store_real(dtype, bytes, (double)value);
    else
        store_bits(bytes, dtype_size(dtype), dtype == dtype_b8 ? value != 0 : (uint64_t)value);
}

void element_convert(enum dtype to, void *target, enum dtype from, const void *source) {
    if (to == from)
        memmove(target, source, dtype_size(to));
    else if (!is_real(from) && from != dtype_u64)
        element_store_integer(to, target, load_integral(from, source));
    else
        element_store_complex(to, target, element_load_real(from, source), element_load_imaginary(from, source));
}

void element_poison(enum dtype dtype, void *bytes, size_t count) {
    size_t size = dtype_size(dtype);
    unsigned char element[16];
    if (is_real(dtype))
        element_store_complex(dtype, element, (double)NAN, (double)NAN);
    else
        element_store_integer(dtype, element, INT64_C(0x5bad5bad5bad5bad));
    if (count == 0) return;
    memcpy(bytes, element, size);
    for (size_t done = 1; done < count; done *= 2) /* what is there, once more */
        memcpy((unsigned char *)bytes + done * size, bytes, (count - done < done ? count - done : done) * size);
}
