/* RMS norms and the gated activation: rows, split over threads by tokens. */
#include "cpu/parallel.h"

struct norm_run {
    const struct typed_rows *rows;
    int64_t element;
    regraft_heads in, residual, out;
    const void *weight;
    int64_t size;
    float epsilon;
};

static char *token_at(const struct norm_run *run, const regraft_heads *heads, int64_t token) {
    return heads->data ? (char *)heads->data + token * heads->token_stride * run->element : NULL;
}

static void norm_range(const void *user, int64_t first, int64_t last) {
    const struct norm_run *run = user;
    for (int64_t token = first; token < last; token++) {
        struct norm_rows norm = {.rows = {token_at(run, &run->in, token),
                                          token_at(run, &run->out, token),
                                          run->in.heads,
                                          run->in.head_stride,
                                          run->out.head_stride,
                                          {NULL, 0}},
                                 .residual = token_at(run, &run->residual, token),
                                 .residual_stride = run->residual.head_stride,
                                 .weight = run->weight,
                                 .size = run->size,
                                 .epsilon = run->epsilon};
        run->rows->norm(&norm);
    }
}

static int64_t bytes_of(const struct norm_run *run, int64_t tokens) {
    return tokens * run->in.heads * run->size * run->element;
}

regraft_status regraft_cpu_rms_norm(regraft_cpu *cpu, const regraft_rms_norm_arguments *arguments) {
    struct setup setup;
    CHECK(setup_start(&setup, cpu));
    CHECK(check_rms_norm(&setup.check, arguments));
    struct norm_run run = {.rows = &setup.form->types[arguments->type],
                           .element = (int64_t)type_size(arguments->type),
                           .in = arguments->input,
                           .out = arguments->out,
                           .weight = arguments->weight,
                           .size = arguments->size,
                           .epsilon = arguments->epsilon};
    parallel_run(setup.threads, arguments->tokens, 2 * bytes_of(&run, arguments->tokens), norm_range, &run);
    return REGRAFT_OK;
}

regraft_status regraft_cpu_fused_add_rms_norm(regraft_cpu *cpu, const regraft_fused_add_rms_norm_arguments *arguments) {
    struct setup setup;
    CHECK(setup_start(&setup, cpu));
    CHECK(check_fused_add_rms_norm(&setup.check, arguments));
    struct norm_run run = {.rows = &setup.form->types[arguments->type],
                           .element = (int64_t)type_size(arguments->type),
                           .in = arguments->input,
                           .residual = arguments->residual,
                           .out = arguments->input,
                           .weight = arguments->weight,
                           .size = arguments->size,
                           .epsilon = arguments->epsilon};
    parallel_run(setup.threads, arguments->tokens, 4 * bytes_of(&run, arguments->tokens), norm_range, &run);
    return REGRAFT_OK;
}

struct activation_run {
    const struct typed_rows *rows;
    int64_t element;
    const regraft_silu_and_mul_arguments *arguments;
};

static void activation_range(const void *user, int64_t first, int64_t last) {
    const struct activation_run *run = user;
    const regraft_silu_and_mul_arguments *arguments = run->arguments;
    for (int64_t token = first; token < last; token++) {
        const char *in = (const char *)arguments->input.data + token * arguments->input.token_stride * run->element;
        char *out = (char *)arguments->out.data + token * arguments->out.token_stride * run->element;
        run->rows->silu_and_mul(out, in, in + arguments->size * run->element, arguments->size);
    }
}

regraft_status regraft_cpu_silu_and_mul(regraft_cpu *cpu, const regraft_silu_and_mul_arguments *arguments) {
    struct setup setup;
    CHECK(setup_start(&setup, cpu));
    CHECK(check_silu_and_mul(&setup.check, arguments));
    struct activation_run run = {&setup.form->types[arguments->type], (int64_t)type_size(arguments->type), arguments};
    parallel_run(setup.threads, arguments->tokens, 3 * arguments->tokens * arguments->size * run.element,
                 activation_range, &run);
    return REGRAFT_OK;
}
