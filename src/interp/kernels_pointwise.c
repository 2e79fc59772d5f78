/* Element by element: each operation is a row with its meaning on integers and on floats. */
#include <math.h>

#include "interp/kernels.h"
#include "interp/promote.h"

enum { operand_limit = 3 };

/* What the result's element type is, beside the operands' common one. */
enum rule {
    rule_same,
    rule_float, /* integers become f32 */
    rule_bool
};

struct pointwise {
    const struct tensor *operands[operand_limit]; /* NULL: absent */
    size_t count;
    double alpha;
    enum rule rule;
    int64_t (*integers)(const int64_t *x);
    double (*reals)(const double *x);
};

static regraft_status broadcast(struct call *call, const struct tensor *const *operands, size_t count,
                                struct shape *shape) {
    *shape = (struct shape){0};
    for (size_t i = 0; i < count; i++)
        if (operands[i] && !shape_broadcast(shape, &operands[i]->shape))
            return call_fail(call, REGRAFT_REJECTED, "sizes %s and %s do not broadcast",
                             shape_print(call->arena, shape), shape_print(call->arena, &operands[i]->shape));
    return REGRAFT_OK;
}

static double load_real(const struct tensor *tensor, int64_t position, enum dtype dtype) {
    double value = tensor_real(tensor, position);
    return dtype == dtype_f64 ? value : (double)(float)value;
}

static void compute(const struct pointwise *operation, enum dtype common, const struct tensor *out,
                    const struct tensor *inputs) {
    double reals[operand_limit + 1];
    int64_t integers[operand_limit + 1];
    const struct tensor *tensors[operand_limit + 1] = {out};
    for (size_t i = 0; i < operation->count; i++) tensors[i + 1] = &inputs[i];
    reals[operation->count] = operation->alpha;
    integers[operation->count] = (int64_t)operation->alpha;
    bool real = dtype_is_floating(common);
    for (struct walk walk = walk_start(operation->count + 1, tensors); walk.left; walk_next(&walk)) {
        for (size_t i = 0; i < operation->count; i++) {
            if (!operation->operands[i]) continue;
            if (real)
                reals[i] = load_real(&inputs[i], walk.position[i + 1], common);
            else
                integers[i] = tensor_integer(&inputs[i], walk.position[i + 1]);
        }
        if (real)
            tensor_set_real(out, walk.position[0], operation->reals(reals));
        else
            tensor_set_integer(out, walk.position[0], operation->integers(integers));
    }
}

static regraft_status run_pointwise(struct call *call, const struct pointwise *operation) {
    struct shape shape;
    struct tensor out, inputs[operand_limit];
    enum dtype common = promote_operands(operation->operands, operation->count);
    if (operation->rule == rule_float) common = promote_to_float(common);
    if (dtype_is_complex(common))
        return call_fail(call, REGRAFT_UNSUPPORTED, "the interpreter does not compute with complex numbers");
    TRY(broadcast(call, operation->operands, operation->count, &shape));
    TRY(call_create_result(call, operation->rule == rule_bool ? dtype_b8 : common, &shape, &out));
    for (size_t i = 0; i < operation->count; i++) {
        inputs[i] = out;
        if (operation->operands[i]) tensor_broadcast(operation->operands[i], &shape, &inputs[i]);
    }
    compute(operation, common, &out, inputs);
    return REGRAFT_OK;
}

static regraft_status pointwise(struct call *call, size_t count, enum rule rule, int64_t (*integers)(const int64_t *),
                                double (*reals)(const double *)) {
    const char *second = call_argument(call, "exponent") ? "exponent" : "other";
    struct pointwise operation = {{call_operand(call, "self"), count > 1 ? call_operand(call, second) : NULL},
                                  count,
                                  call_real(call, "alpha", 1),
                                  rule,
                                  integers,
                                  reals};
    return run_pointwise(call, &operation);
}

/* ---- arithmetic that C leaves undefined ---- */

static int64_t add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static int64_t multiply(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
static int64_t negate(int64_t a) { return (int64_t)(0 - (uint64_t)a); }

static int64_t divide_truncating(int64_t a, int64_t b) { return b == 0 ? 0 : b == -1 ? negate(a) : a / b; }

static int64_t divide_floor(int64_t a, int64_t b) {
    int64_t quotient = divide_truncating(a, b);
    return b != 0 && b != -1 && a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

static int64_t power(int64_t base, int64_t exponent) {
    int64_t result = 1;
    if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
    for (; exponent; exponent /= 2, base = multiply(base, base))
        if (exponent % 2) result = multiply(result, base);
    return result;
}

static double remainder_floor(double a, double b) {
    double rest = fmod(a, b);
    return rest != 0 && (b < 0) != (rest < 0) ? rest + b : rest;
}

static double larger(double a, double b) { return isnan(a) ? a : isnan(b) || b > a ? b : a; }
static double smaller(double a, double b) { return isnan(a) ? a : isnan(b) || b < a ? b : a; }

/* ---- the rows: name, operands, rule, on integers, on floats; x[count] is alpha ---- */

#define POINTWISE(name, count, rule, integer_result, real_result)                                                      \
    static int64_t name##_integers(const int64_t *x) {                                                                 \
        (void)x;                                                                                                       \
        return integer_result;                                                                                         \
    }                                                                                                                  \
    static double name##_reals(const double *x) { return real_result; }                                                \
    regraft_status kernel_##name(struct call *call) {                                                                  \
        return pointwise(call, count, rule, name##_integers, name##_reals);                                            \
    }

POINTWISE(add, 2, rule_same, add(x[0], multiply(x[2], x[1])), x[0] + x[2] * x[1])
POINTWISE(sub, 2, rule_same, add(x[0], negate(multiply(x[2], x[1]))), x[0] - x[2] * x[1])
POINTWISE(rsub, 2, rule_same, add(x[1], negate(multiply(x[2], x[0]))), x[1] - x[2] * x[0])
POINTWISE(mul, 2, rule_same, multiply(x[0], x[1]), x[0] * x[1])
POINTWISE(div, 2, rule_float, 0, x[0] / x[1])
POINTWISE(floor_divide, 2, rule_same, divide_floor(x[0], x[1]), floor(x[0] / x[1]))
POINTWISE(remainder, 2, rule_same, add(x[0], negate(multiply(divide_floor(x[0], x[1]), x[1]))),
          remainder_floor(x[0], x[1]))
POINTWISE(fmod, 2, rule_same, add(x[0], negate(multiply(divide_truncating(x[0], x[1]), x[1]))), fmod(x[0], x[1]))
POINTWISE(pow, 2, rule_same, power(x[0], x[1]), pow(x[0], x[1]))
POINTWISE(maximum, 2, rule_same, x[0] > x[1] ? x[0] : x[1], larger(x[0], x[1]))
POINTWISE(minimum, 2, rule_same, x[0] < x[1] ? x[0] : x[1], smaller(x[0], x[1]))

POINTWISE(neg, 1, rule_same, negate(x[0]), -x[0])
POINTWISE(abs, 1, rule_same, x[0] < 0 ? negate(x[0]) : x[0], fabs(x[0]))
POINTWISE(sign, 1, rule_same, (x[0] > 0) - (x[0] < 0), isnan(x[0]) ? x[0] : (x[0] > 0) - (x[0] < 0))
POINTWISE(floor, 1, rule_same, x[0], floor(x[0]))
POINTWISE(ceil, 1, rule_same, x[0], ceil(x[0]))
POINTWISE(round, 1, rule_same, x[0], nearbyint(x[0]))
POINTWISE(trunc, 1, rule_same, x[0], trunc(x[0]))
POINTWISE(relu, 1, rule_same, x[0] > 0 ? x[0] : 0, larger(x[0], 0))
POINTWISE(silu, 1, rule_float, 0, x[0] / (1 + exp(-x[0])))

POINTWISE(exp, 1, rule_float, 0, exp(x[0]))
POINTWISE(exp2, 1, rule_float, 0, exp2(x[0]))
POINTWISE(expm1, 1, rule_float, 0, expm1(x[0]))
POINTWISE(log, 1, rule_float, 0, log(x[0]))
POINTWISE(log2, 1, rule_float, 0, log2(x[0]))
POINTWISE(log1p, 1, rule_float, 0, log1p(x[0]))
POINTWISE(sqrt, 1, rule_float, 0, sqrt(x[0]))
POINTWISE(rsqrt, 1, rule_float, 0, 1 / sqrt(x[0]))
POINTWISE(reciprocal, 1, rule_float, 0, 1 / x[0])
POINTWISE(sin, 1, rule_float, 0, sin(x[0]))
POINTWISE(cos, 1, rule_float, 0, cos(x[0]))
POINTWISE(tanh, 1, rule_float, 0, tanh(x[0]))
POINTWISE(erf, 1, rule_float, 0, erf(x[0]))
POINTWISE(sigmoid, 1, rule_float, 0, 1 / (1 + exp(-x[0])))

POINTWISE(eq, 2, rule_bool, x[0] == x[1], x[0] == x[1])
POINTWISE(ne, 2, rule_bool, x[0] != x[1], x[0] != x[1])
POINTWISE(lt, 2, rule_bool, x[0] < x[1], x[0] < x[1])
POINTWISE(le, 2, rule_bool, x[0] <= x[1], x[0] <= x[1])
POINTWISE(gt, 2, rule_bool, x[0] > x[1], x[0] > x[1])
POINTWISE(ge, 2, rule_bool, x[0] >= x[1], x[0] >= x[1])
POINTWISE(logical_not, 1, rule_bool, x[0] == 0, x[0] == 0)
POINTWISE(logical_and, 2, rule_bool, x[0] && x[1], x[0] != 0 && x[1] != 0)
POINTWISE(logical_or, 2, rule_bool, x[0] || x[1], x[0] != 0 || x[1] != 0)
POINTWISE(isnan, 1, rule_bool, 0, isnan(x[0]))
POINTWISE(isinf, 1, rule_bool, 0, isinf(x[0]))

/* ---- on bits: integers only ---- */

#define BITWISE(name, result)                                                                                          \
    static int64_t name##_integers(const int64_t *x) { return result; }                                                \
    regraft_status kernel_##name(struct call *call) { return bitwise(call, name##_integers); }

static regraft_status bitwise(struct call *call, int64_t (*integers)(const int64_t *)) {
    const struct tensor *operands[] = {call_operand(call, "self"), call_operand(call, "other")};
    if (dtype_is_floating(promote_operands(operands, 2)))
        return call_fail(call, REGRAFT_REJECTED, "floats have no bits to combine");
    return pointwise(call, operands[1] ? 2 : 1, rule_same, integers, NULL);
}

BITWISE(bitwise_and, x[0] & x[1])
BITWISE(bitwise_or, x[0] | x[1])
BITWISE(bitwise_xor, x[0] ^ x[1])

static int64_t complement(const int64_t *x) { return ~x[0]; }

regraft_status kernel_bitwise_not(struct call *call) {
    return call_tensor(call, "self")->dtype == dtype_b8 ? kernel_logical_not(call) : bitwise(call, complement);
}

/* ---- with parameters of their own ---- */

static int64_t truncated_integers(const int64_t *x) { return divide_truncating(x[0], x[1]); }
static double truncated_reals(const double *x) { return trunc(x[0] / x[1]); }

regraft_status kernel_div_mode(struct call *call) {
    struct text mode = call_text(call, "rounding_mode");
    if (!call_has(call, "rounding_mode")) return kernel_div(call);
    if (text_is(mode, "floor")) return kernel_floor_divide(call);
    if (text_is(mode, "trunc")) return pointwise(call, 2, rule_same, truncated_integers, truncated_reals);
    return call_fail(call, REGRAFT_REJECTED, "the rounding mode must be None, 'trunc' or 'floor', found '%.*s'",
                     TEXT_ARGS(mode));
}

static int64_t at_least_integers(const int64_t *x) { return x[0] < x[1] ? x[1] : x[0]; }
static double at_least_reals(const double *x) { return x[0] < x[1] ? x[1] : x[0]; }
static int64_t at_most_integers(const int64_t *x) { return x[0] > x[1] ? x[1] : x[0]; }
static double at_most_reals(const double *x) { return x[0] > x[1] ? x[1] : x[0]; }
static int64_t within_integers(const int64_t *x) {
    return x[0] > x[2] ? x[2] : x[0] < x[1] ? (x[1] > x[2] ? x[2] : x[1]) : x[0];
}
static double within_reals(const double *x) {
    return x[0] > x[2] ? x[2] : x[0] < x[1] ? (x[1] > x[2] ? x[2] : x[1]) : x[0];
}

regraft_status kernel_clamp(struct call *call) {
    const struct tensor *self = call_tensor(call, "self"), *min = call_operand(call, "min"),
                        *max = call_operand(call, "max");
    struct pointwise both = {{self, min, max}, 3, 1, rule_same, within_integers, within_reals};
    struct pointwise low = {{self, min}, 2, 1, rule_same, at_least_integers, at_least_reals};
    struct pointwise high = {{self, max}, 2, 1, rule_same, at_most_integers, at_most_reals};
    if (!min && !max) return call_fail(call, REGRAFT_REJECTED, "at least one bound must be given");
    return run_pointwise(call, min && max ? &both : min ? &low : &high);
}

regraft_status kernel_clamp_min(struct call *call) { return kernel_clamp(call); }
regraft_status kernel_clamp_max(struct call *call) { return kernel_clamp(call); }

static double gelu_exact(const double *x) { return 0.5 * x[0] * (1 + erf(x[0] * 0.70710678118654752440)); }
static double gelu_tanh(const double *x) {
    return 0.5 * x[0] * (1 + tanh(0.79788456080286535588 * (x[0] + 0.044715 * x[0] * x[0] * x[0])));
}

regraft_status kernel_gelu(struct call *call) {
    bool approximate = text_is(call_text(call, "approximate"), "tanh");
    return pointwise(call, 1, rule_float, NULL, approximate ? gelu_tanh : gelu_exact);
}

static double softplus_reals(const double *x) { return x[0] * x[1] > x[2] ? x[0] : log1p(exp(x[0] * x[1])) / x[1]; }

regraft_status kernel_softplus(struct call *call) {
    struct pointwise operation = {
        {call_tensor(call, "self"), call_operand(call, "beta"), call_operand(call, "threshold")},
        3,
        1,
        rule_float,
        NULL,
        softplus_reals};
    return run_pointwise(call, &operation);
}

/* ---- choice: values are moved, not computed ---- */

static regraft_status choose(struct call *call, const struct tensor *condition, const struct tensor *yes,
                             const struct tensor *no, enum dtype dtype) {
    const struct tensor *operands[] = {condition, yes, no};
    struct tensor out, inputs[3];
    struct shape shape;
    TRY(broadcast(call, operands, 3, &shape));
    TRY(call_create_result(call, dtype, &shape, &out));
    for (size_t i = 0; i < 3; i++) tensor_broadcast(operands[i], &shape, &inputs[i]);
    const struct tensor *tensors[] = {&out, &inputs[0], &inputs[1], &inputs[2]};
    for (struct walk walk = walk_start(4, tensors); walk.left; walk_next(&walk)) {
        size_t chosen = tensor_integer(&inputs[0], walk.position[1]) ? 1 : 2;
        element_convert(dtype, tensor_at(&out, walk.position[0]), inputs[chosen].dtype,
                        tensor_at(&inputs[chosen], walk.position[chosen + 1]));
    }
    return REGRAFT_OK;
}

regraft_status kernel_where(struct call *call) {
    const struct tensor *yes = call_tensor(call, "self"), *no = call_tensor(call, "other");
    return choose(call, call_tensor(call, "condition"), yes, no,
                  promote_operands((const struct tensor *[]){yes, no}, 2));
}

regraft_status kernel_masked_fill(struct call *call) {
    const struct tensor *self = call_tensor(call, "self");
    return choose(call, call_tensor(call, "mask"), call_operand(call, "value"), self, self->dtype);
}
