/* Single elements of tensors: loading, storing, converting and rounding.
 *
 * Arithmetic happens in int64_t or double; a store rounds to the element type: to nearest, ties to even. Types below 32
 * bits are rounded to f32 first, because that is what kernels compute in. */
#ifndef REGRAFT_INTERP_ELEMENT_H
#define REGRAFT_INTERP_ELEMENT_H

#include "ir/type.h"

double element_load_real(enum dtype dtype, const void *bytes); /* the real part of a complex element */
double element_load_imaginary(enum dtype dtype, const void *bytes);
int64_t element_load_integer(enum dtype dtype, const void *bytes); /* floats: towards zero, clamped; NaN is 0 */

void element_store_real(enum dtype dtype, void *bytes, double value);
void element_store_complex(enum dtype dtype, void *bytes, double real, double imaginary);
void element_store_integer(enum dtype dtype, void *bytes, int64_t value); /* wraps around */

/* From one element type to another as Tensor.to does it; equal types are copied bit by bit. */
void element_convert(enum dtype to, void *target, enum dtype from, const void *source);

/* Fills `count` elements with what nobody should ever see in a result: NaN, or a large odd number. */
void element_poison(enum dtype dtype, void *bytes, size_t count);

/* Bits of a floating type of at most 16 bits; the value is rounded. */
uint32_t element_encode(enum dtype dtype, double value);
double element_decode(enum dtype dtype, uint32_t bits);

#endif
