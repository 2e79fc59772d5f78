/* Number formats: every value of the small ones, rounding, conversions, poison. */
#include "interp_support.h"

static const enum dtype small[] = {dtype_f16,        dtype_bf16,       dtype_f8e4m3fn, dtype_f8e5m2,
                                   dtype_f8e4m3fnuz, dtype_f8e5m2fnuz, dtype_f8e8m0fnu};

/* Decoding and encoding again gives the same bits; a NaN stays one. */
static void every_value_survives(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof small / sizeof *small; i++)
        for (uint32_t bits = 0; bits < 1u << (8 * dtype_size(small[i])); bits++) {
            double value = element_decode(small[i], bits);
            uint32_t again = element_encode(small[i], value);
            if (isnan(value))
                assert_true(isnan(element_decode(small[i], again)));
            else
                assert_int_equal(again, bits);
        }
}

/* bf16 is the upper half of an f32; so decoding is known without the decoder. */
static void bf16_is_half_of_f32(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint32_t wide = bits << 16;
        float expected;
        memcpy(&expected, &wide, sizeof expected);
        double found = element_decode(dtype_bf16, bits);
        if (isnan(expected))
            assert_true(isnan(found));
        else
            assert_true(found == (double)expected && !signbit(found) == !signbit(expected));
    }
}

/* Half way between two neighbours goes to the even one, anything else to the nearer one. */
static void ties_go_to_even(void **state) {
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        uint32_t sign = 1u << (8 * dtype_size(small[i]) - 1);
        for (uint32_t bits = 0; bits + 1 < sign; bits++) {
            double low = element_decode(small[i], bits), high = element_decode(small[i], bits + 1),
                   half = (low + high) / 2;
            if (!isfinite(low) || !isfinite(high)) continue;
            assert_int_equal(element_encode(small[i], half), bits % 2 ? bits + 1 : bits);
            assert_int_equal(element_encode(small[i], (double)nextafterf((float)half, 0)), bits);
            assert_int_equal(element_encode(small[i], (double)nextafterf((float)half, INFINITY)), bits + 1);
            assert_int_equal(element_encode(small[i], -half), sign | (bits % 2 ? bits + 1 : bits));
        }
    }
}

static void values_too_large(void **state) {
    (void)state;
    assert_int_equal(element_encode(dtype_f16, 65519), 0x7bff);
    assert_int_equal(element_encode(dtype_f16, 65520), 0x7c00); /* infinity */
    assert_int_equal(element_encode(dtype_f8e5m2, 1e9), 0x7c);
    assert_int_equal(element_encode(dtype_f8e4m3fn, 464), 0x7e); /* 448, the largest */
    assert_int_equal(element_encode(dtype_f8e4m3fn, 465), 0x7f); /* NaN: there is no infinity */
    assert_int_equal(element_encode(dtype_f8e4m3fnuz, -1e9), 0x80);
    assert_int_equal(element_encode(dtype_bf16, -INFINITY), 0xff80);
}

static int64_t convert_integer(enum dtype to, enum dtype from, double value) {
    unsigned char source[16], target[16];
    element_store_real(from, source, value);
    element_convert(to, target, from, source);
    return element_load_integer(to, target);
}

static void conversions(void **state) {
    (void)state;
    assert_int_equal(convert_integer(dtype_i32, dtype_f32, -2.75), -2); /* towards zero */
    assert_int_equal(convert_integer(dtype_i8, dtype_i64, 300), 44);    /* wraps around */
    assert_int_equal(convert_integer(dtype_u8, dtype_i64, -1), 255);
    assert_int_equal(convert_integer(dtype_b8, dtype_f32, 0.5), 1);
    assert_int_equal(convert_integer(dtype_i64, dtype_bf16, (double)NAN), 0);
    assert_int_equal(convert_integer(dtype_i64, dtype_f64, 1e30), INT64_MAX);
    unsigned char bytes[8];
    element_store_integer(dtype_i64, bytes, INT64_C(9007199254740993)); /* 2^53 + 1 is no double */
    assert_int_equal(element_load_integer(dtype_i64, bytes), INT64_C(9007199254740993));
}

static void poison_shows(void **state) {
    (void)state;
    unsigned char bytes[32];
    for (int dtype = 0; dtype < dtype_count; dtype++) {
        element_poison((enum dtype)dtype, bytes, 2);
        if (dtype_is_floating((enum dtype)dtype) && dtype != dtype_f4e2m1fnx2)
            assert_true(isnan(element_load_real((enum dtype)dtype, bytes + dtype_size((enum dtype)dtype))));
        else if (dtype_is_integral((enum dtype)dtype))
            assert_true(element_load_integer((enum dtype)dtype, bytes) % 2 != 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_survives), cmocka_unit_test(bf16_is_half_of_f32),
        cmocka_unit_test(ties_go_to_even),      cmocka_unit_test(values_too_large),
        cmocka_unit_test(conversions),          cmocka_unit_test(poison_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
