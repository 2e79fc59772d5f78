#include "elements.h"

#include <math.h>
#include <string.h>

size_t element_size(regraft_type type) { return type == REGRAFT_F32 ? 4 : type == REGRAFT_FP8_E4M3 ? 1 : 2; }

/* ---- elements: a format of `exponent` and `mantissa` bits ---- */

struct format {
    int exponent, mantissa;
};

static struct format format_of(regraft_type type) {
    return type == REGRAFT_BF16  ? (struct format){8, 7}
           : type == REGRAFT_F16 ? (struct format){5, 10}
                                 : (struct format){4, 3};
}

static double decode(unsigned bits, struct format format) {
    int bias = (1 << (format.exponent - 1)) - 1,
        exponent = (int)(bits >> format.mantissa) & ((1 << format.exponent) - 1);
    int mantissa = (int)bits & ((1 << format.mantissa) - 1), sign = (int)(bits >> (format.exponent + format.mantissa));
    int special = exponent == (1 << format.exponent) - 1 && (format.exponent != 4 || mantissa == 7);
    double value = special    ? (mantissa ? NAN : INFINITY)
                   : exponent ? ldexp(mantissa + (1 << format.mantissa), exponent - bias - format.mantissa)
                              : ldexp(mantissa, 1 - bias - format.mantissa);
    return sign ? -value : value;
}

/* To the nearest, ties to even. */
static unsigned encode(double value, struct format format) {
    int bias = (1 << (format.exponent - 1)) - 1, exponent = 0;
    unsigned sign = (signbit(value) ? 1u : 0u) << (format.exponent + format.mantissa);
    unsigned infinity = ((1u << format.exponent) - 1) << format.mantissa;
    double magnitude = fabs(value);
    if (isnan(value)) return sign | infinity | ((1u << format.mantissa) - 1);
    if (format.exponent == 4 && magnitude >= 448) return sign | 0x7eu;
    if (isinf(value)) return sign | infinity;
    frexp(magnitude, &exponent);
    if (exponent < 2 - bias || magnitude == 0) exponent = 2 - bias;
    /* A mantissa that is rounded up to the next power of two carries into the exponent by itself. */
    unsigned steps = (unsigned)nearbyint(ldexp(magnitude, format.mantissa + 1 - exponent));
    unsigned bits = steps + ((unsigned)(exponent - 2 + bias) << format.mantissa);
    return sign | (bits > infinity && format.exponent != 4 ? infinity : bits);
}

double element_get(const void *data, regraft_type type, int64_t index) {
    const char *at = (const char *)data + index * (int64_t)element_size(type);
    if (type == REGRAFT_F32) {
        float value;
        memcpy(&value, at, sizeof value);
        return value;
    }
    uint16_t bits = 0;
    memcpy(&bits, at, element_size(type));
    return decode(bits, format_of(type));
}

void element_set(void *data, regraft_type type, int64_t index, float value) {
    char *at = (char *)data + index * (int64_t)element_size(type);
    uint16_t bits = type == REGRAFT_F32 ? 0 : (uint16_t)encode(value, format_of(type));
    memcpy(at, type == REGRAFT_F32 ? (const void *)&value : (const void *)&bits, element_size(type));
}
