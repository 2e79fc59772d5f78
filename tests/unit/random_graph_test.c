/* Random graphs of views, updates, functionalised calls in both encodings, raw in-place calls and write-backs, each run in
 * the interpreter as it is, after the default pipeline, and placed: not one element may differ.
 *
 * REGRAFT_RANDOM_GRAPHS and REGRAFT_RANDOM_SEED change how many graphs there are and which. */
#include <stdio.h>
#include <stdlib.h>

#include "fx/fx.h"
#include "interp/check.h"
#include "interp/random_inputs.h"
#include "ir/infer.h"
#include "pass/pass.h"
#include "proof/proof.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { most_values = 64, most_rank = 4 };

/* A value of the text that is written: its name and sizes. */
struct value_text {
    char name[24];
    size_t rank;
    int sizes[most_rank];
    bool input;
};

struct writer {
    struct builder out;
    struct value_text values[most_values];
    size_t count, names;
    uint64_t state;
    bool raw; /* raw in-place calls are allowed */
};

static uint64_t next_random(struct writer *writer) { /* splitmix64 */
    uint64_t z = writer->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int below(struct writer *writer, int limit) { return (int)(next_random(writer) % (uint64_t)limit); }

static struct value_text *pick(struct writer *writer) {
    /* recent values more often, so that chains grow long */
    int back = below(writer, 2) ? below(writer, (int)writer->count)
                                : below(writer, writer->count < 6 ? (int)writer->count : 6);
    return &writer->values[writer->count - 1 - (size_t)back];
}

static struct value_text *add(struct writer *writer, size_t rank, const int *sizes) {
    struct value_text *value = &writer->values[writer->count++];
    *value = (struct value_text){.rank = rank};
    snprintf(value->name, sizeof value->name, "v%zu", writer->names++);
    for (size_t i = 0; i < rank; i++) value->sizes[i] = sizes[i];
    return value;
}

static void line(struct writer *writer, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void line(struct writer *writer, const char *name, const char *format, ...) {
    va_list list;
    va_start(list, format);
    builder_format(&writer->out, "        %s = torch.ops.%s\n", name,
                   text_format_list(writer->out.arena, format, list));
    va_end(list);
}

static bool same_sizes(const struct value_text *a, const struct value_text *b) {
    return a->rank == b->rank && memcmp(a->sizes, b->sizes, a->rank * sizeof *a->sizes) == 0;
}

/* A value of just these sizes: one that is there, or a sum made for it. */
static const char *of_sizes(struct writer *writer, size_t rank, const int *sizes, char *name, size_t room) {
    struct value_text wanted = {.rank = rank};
    memcpy(wanted.sizes, sizes, rank * sizeof *sizes);
    for (int tries = 0; tries < 8; tries++) {
        struct value_text *value = pick(writer);
        if (same_sizes(value, &wanted)) return value->name;
    }
    struct builder list;
    builder_init(&list, writer->out.arena);
    for (size_t i = 0; i < rank; i++) builder_format(&list, "%s%d", i ? ", " : "", sizes[i]);
    snprintf(name, room, "v%zu", writer->names++);
    line(writer, name,
         "aten.full.default([%s], 0.%d, dtype = torch.float32, device = device(type='cpu'), pin_memory = False)",
         list.data, 1 + below(writer, 8));
    return name;
}

static void window(struct writer *writer, const struct value_text *value, int *dimension, int *start, int *end,
                   int *step) {
    *dimension = below(writer, (int)value->rank);
    int size = value->sizes[*dimension];
    *start = below(writer, size);
    *end = *start + 1 + below(writer, size - *start);
    *step = below(writer, 5) ? 1 : 2;
}

/* ---- statements ---- */

static void write_slice(struct writer *writer) {
    struct value_text from = *pick(writer);
    int dimension, start, end, step;
    if (!from.rank) return;
    window(writer, &from, &dimension, &start, &end, &step);
    struct value_text *to = add(writer, from.rank, from.sizes);
    to->sizes[dimension] = (end - start + step - 1) / step;
    line(writer, to->name, "aten.slice.Tensor(%s, %d, %d, %d, %d)", from.name, dimension, start, end, step);
}

static void write_select(struct writer *writer) {
    struct value_text from = *pick(writer);
    if (from.rank < 2) return;
    int dimension = below(writer, (int)from.rank), index = below(writer, from.sizes[dimension]);
    struct value_text *to = add(writer, from.rank, from.sizes);
    for (size_t i = (size_t)dimension; i + 1 < from.rank; i++) to->sizes[i] = from.sizes[i + 1];
    to->rank--;
    line(writer, to->name, "aten.select.int(%s, %d, %d)", from.name, dimension, index);
}

static void write_split(struct writer *writer) {
    struct value_text from = *pick(writer);
    if (!from.rank || writer->count + 2 > most_values) return;
    int dimension = below(writer, (int)from.rank), size = from.sizes[dimension], first = below(writer, size + 1);
    char call[24];
    snprintf(call, sizeof call, "v%zu", writer->names++);
    line(writer, call, "aten.split_with_sizes.default(%s, [%d, %d], %d)", from.name, first, size - first,
         dimension - (below(writer, 2) ? (int)from.rank : 0));
    for (int item = 0; item < 2; item++) {
        int part = item ? size - first : first;
        if (!part || !below(writer, 4)) continue;
        struct value_text *to = add(writer, from.rank, from.sizes);
        to->sizes[dimension] = part;
        builder_format(&writer->out, "        %s = %s[%d]\n", to->name, call, item);
    }
}

static void write_permute(struct writer *writer) {
    struct value_text from = *pick(writer);
    if (from.rank < 2) return;
    int a = below(writer, (int)from.rank), b = below(writer, (int)from.rank);
    struct value_text *to = add(writer, from.rank, from.sizes);
    to->sizes[a] = from.sizes[b];
    to->sizes[b] = from.sizes[a];
    line(writer, to->name, "aten.transpose.int(%s, %d, %d)", from.name, a, b);
}

static void write_unsqueeze(struct writer *writer) {
    struct value_text from = *pick(writer);
    if (from.rank == most_rank) return;
    int dimension = below(writer, (int)from.rank + 1);
    struct value_text *to = add(writer, from.rank + 1, from.sizes);
    for (size_t i = from.rank; i > (size_t)dimension; i--) to->sizes[i] = from.sizes[i - 1];
    to->sizes[dimension] = 1;
    line(writer, to->name, "aten.unsqueeze.default(%s, %d)", from.name, dimension);
}

static void write_reshape(struct writer *writer) {
    struct value_text from = *pick(writer);
    int count = 1, parts[3] = {1, 1, 1};
    for (size_t i = 0; i < from.rank; i++) count *= from.sizes[i];
    for (int factor = 2; factor <= 3; factor++)
        while (count % factor == 0) {
            parts[below(writer, 3)] *= factor;
            count /= factor;
        }
    if (count != 1) return;
    struct value_text *to = add(writer, 3, parts);
    line(writer, to->name, "aten.reshape.default(%s, [%d, %d, -1])", from.name, parts[0], parts[1]);
}

static void write_compute(struct writer *writer) {
    struct value_text from = *pick(writer);
    struct value_text *to = add(writer, from.rank, from.sizes);
    switch (below(writer, 4)) {
    case 0:
        line(writer, to->name, "aten.clone.default(%s)", from.name);
        break;
    case 1:
        line(writer, to->name, "aten.neg.default(%s)", from.name);
        break;
    default:
        line(writer, to->name, "aten.add.Tensor(%s, %d.5)", from.name, below(writer, 9));
    }
}

static void write_slice_scatter(struct writer *writer) {
    struct value_text base = *pick(writer), part = base;
    int dimension, start, end, step;
    char name[24];
    if (!base.rank) return;
    window(writer, &base, &dimension, &start, &end, &step);
    part.sizes[dimension] = (end - start + step - 1) / step;
    const char *source = of_sizes(writer, part.rank, part.sizes, name, sizeof name);
    struct value_text *to = add(writer, base.rank, base.sizes);
    line(writer, to->name, "aten.slice_scatter.default(%s, %s, %d, %d, %d, %d)", base.name, source, dimension, start,
         end, step);
}

static void write_select_scatter(struct writer *writer) {
    struct value_text base = *pick(writer), part = base;
    char name[24];
    if (base.rank < 2) return;
    int dimension = below(writer, (int)base.rank), index = below(writer, base.sizes[dimension]);
    for (size_t i = (size_t)dimension; i + 1 < base.rank; i++) part.sizes[i] = base.sizes[i + 1];
    const char *source = of_sizes(writer, base.rank - 1, part.sizes, name, sizeof name);
    struct value_text *to = add(writer, base.rank, base.sizes);
    line(writer, to->name, "aten.select_scatter.default(%s, %s, %d, %d)", base.name, source, dimension, index);
}

static void write_copy(struct writer *writer) {
    struct value_text base = *pick(writer);
    char name[24];
    const char *source = of_sizes(writer, base.rank, base.sizes, name, sizeof name);
    struct value_text *to = add(writer, base.rank, base.sizes);
    line(writer, to->name, "aten.copy.default(%s, %s)", base.name, source);
}

/* fused_add_rms_norm writes two arguments of equal sizes: here two windows of one base, or two values. */
static void write_call_v1(struct writer *writer) {
    struct value_text a = *pick(writer);
    char name[24], call[24], weight_name[24];
    if (!a.rank || writer->count + 2 > most_values) return;
    const char *b = of_sizes(writer, a.rank, a.sizes, name, sizeof name);
    const char *weight = of_sizes(writer, 1, &a.sizes[a.rank - 1], weight_name, sizeof weight_name);
    snprintf(call, sizeof call, "v%zu", writer->names++);
    line(writer, call,
         "higher_order.auto_functionalized(torch.ops._C.fused_add_rms_norm.default, input = %s, residual = %s, weight "
         "= %s, epsilon = 1e-05)",
         a.name, b, weight);
    for (int item = 1; item < 3; item++) {
        struct value_text *to = add(writer, a.rank, a.sizes);
        builder_format(&writer->out, "        %s = %s[%d]\n", to->name, call, item);
    }
}

static void write_call_v2(struct writer *writer) {
    struct value_text base = *pick(writer);
    char weight_name[24], call[24];
    if (base.rank < 2 || base.sizes[base.rank - 1] < 2) return;
    int last = (int)base.rank - 1, size = base.sizes[last], width = 1 + below(writer, size / 2),
        first = below(writer, size - width + 1), second = below(writer, size - width + 1);
    const char *weight = of_sizes(writer, 1, &width, weight_name, sizeof weight_name);
    snprintf(call, sizeof call, "v%zu", writer->names++);
    line(writer, call,
         "higher_order.auto_functionalized_v2(torch.ops._C.fused_add_rms_norm.default, weight = %s, epsilon = 1e-05, "
         "_input_base_index = 0, _input_slice_dim = %d, "
         "_input_slice_start = %d, _input_slice_end = %d, _residual_base_index = 0, _residual_slice_dim = %d, "
         "_residual_slice_start = %d, _residual_slice_end = %d, _all_bases = [%s])",
         weight, last, first, first + width, last, second, second + width, base.name);
    struct value_text *to = add(writer, base.rank, base.sizes);
    builder_format(&writer->out, "        %s = %s[1]\n", to->name, call);
}

/* Raw in-place calls; what they write must not be expanded memory, which no statement here makes. */
static void write_raw(struct writer *writer) {
    struct value_text target = *pick(writer);
    char name[24], result[24];
    if (!writer->raw) return;
    snprintf(result, sizeof result, "v%zu", writer->names++);
    if (below(writer, 2)) {
        line(writer, result, "aten.add_.Tensor(%s, %d.25)", target.name, below(writer, 5));
        return;
    }
    const char *source = of_sizes(writer, target.rank, target.sizes, name, sizeof name);
    line(writer, result, "aten.copy_.default(%s, %s)", target.name, source);
}

static void (*const statements[])(struct writer *) = {
    write_slice,         write_slice,         write_select,         write_split,
    write_split,         write_permute,       write_unsqueeze,      write_reshape,
    write_compute,       write_compute,       write_slice_scatter,  write_slice_scatter,
    write_slice_scatter, write_slice_scatter, write_select_scatter, write_select_scatter,
    write_copy,          write_call_v1,       write_call_v2,        write_call_v2,
    write_raw,
};

static const char *write_graph(struct arena *arena, uint64_t seed) {
    static struct writer writer;
    writer = (struct writer){.state = seed};
    builder_init(&writer.out, arena);
    writer.raw = below(&writer, 3) == 0;
    builder_string(&writer.out, "class GraphModule(torch.nn.Module):\n    def forward(self, v0: \"f32[4, 6][6, "
                                "1]cpu\", v1: \"f32[4, 12][12, 1]cpu\", v2: \"f32[2, 6, 4][24, 4, 1]cpu\"):\n");
    add(&writer, 2, (int[]){4, 6})->input = true;
    add(&writer, 2, (int[]){4, 12})->input = true;
    add(&writer, 3, (int[]){2, 6, 4})->input = true;
    int length = 6 + below(&writer, 30);
    for (int i = 0; i < length && writer.count + 4 < most_values; i++)
        statements[below(&writer, (int)(sizeof statements / sizeof *statements))](&writer);
    for (int input = 0; input < 3; input++) {
        char name[24];
        if (below(&writer, 3)) continue;
        const char *source =
            of_sizes(&writer, writer.values[input].rank, writer.values[input].sizes, name, sizeof name);
        char result[24];
        snprintf(result, sizeof result, "v%zu", writer.names++);
        line(&writer, result, "aten.copy_.default(%s, %s)", writer.values[input].name, source);
    }
    builder_string(&writer.out, "        return (");
    int results = 1 + below(&writer, 4);
    for (int i = 0; i < results; i++) builder_format(&writer.out, "%s, ", pick(&writer)->name);
    builder_string(&writer.out, ")\n");
    return writer.out.data;
}

/* ---- running ---- */

static struct graph *read_graph(struct context *context, const char *text) {
    struct file *file = NULL;
    struct graph *graph = NULL;
    if (file_read_memory(context, "random.txt", text_of(text), &file) || file_graph(context, file, -1, NULL, &graph) ||
        infer_graph(graph))
        fail_msg("%s\n%s", context->diagnostics.message, text);
    return graph;
}

struct totals {
    size_t graphs, scatters_before, scatters_after, pairs, proved;
};

static size_t count_updates(const struct graph *graph) {
    size_t count = 0;
    for (const struct node *node = graph->first; node; node = node->next)
        count += node->operation && node->operation->class == class_update;
    return count;
}

static void report(struct context *context, uint64_t seed, const char *text, struct graph *after,
                   const struct comparison *comparison) {
    struct builder out;
    builder_init(&out, context->arena);
    comparison_print(&out, comparison);
    builder_format(&out, "\n%s\n", text);
    graph_print(after, &out);
    fprintf(stderr, "%s", out.data); /* too long for cmocka's messages */
    fail_msg("seed %llu", (unsigned long long)seed);
}

/* Nearly all of what was just found equal can be proved. Results that come to share memory cannot be seen by running. */
static void prove_pipeline(struct context *context, struct graph *before, struct graph *after, uint64_t seed,
                           const char *text, struct totals *totals) {
    struct proof proof;
    assert_int_equal(prove_equal(before, after, context->arena, &proof), REGRAFT_OK);
    totals->pairs++;
    totals->proved += proof.proved;
    if (strstr(proof.reason, "shares memory")) {
        struct builder out;
        builder_init(&out, context->arena);
        graph_print(after, &out);
        fprintf(stderr, "%s: %s\n%s\n%s", proof.result, proof.reason, text, out.data);
        fail_msg("seed %llu", (unsigned long long)seed);
    }
}

static struct graph *check_pipeline(struct context *context, uint64_t seed, const char *text, struct graph *before,
                                    const struct bindings *bindings, const char *pipeline, struct totals *totals) {
    struct graph *after = read_graph(context, text);
    struct comparison comparison;
    if (pipeline_run(after, pipeline, NULL))
        fail_msg("seed %llu: %s\n%s", (unsigned long long)seed, context->diagnostics.message, text);
    if (check_graphs(before, after, bindings, context->arena, &comparison))
        fail_msg("seed %llu: %s\n%s", (unsigned long long)seed, context->diagnostics.message, text);
    if (!comparison.equal || comparison.norm != 0) report(context, seed, text, after, &comparison);
    prove_pipeline(context, before, after, seed, text, totals);
    return after;
}

static void check_one(struct context *context, uint64_t seed, struct totals *totals) {
    const char *text = write_graph(context->arena, seed);
    const char *placed = text_format(context->arena, "%s,place,dce", default_pipeline);
    struct graph *before = read_graph(context, text);
    struct bindings bindings;
    struct random_options options = {seed, false};
    if (random_bindings(before, options, context->arena, &bindings))
        fail_msg("seed %llu: %s\n%s", (unsigned long long)seed, context->diagnostics.message, text);
    struct graph *after = check_pipeline(context, seed, text, before, &bindings, NULL, totals);
    check_pipeline(context, seed, text, before, &bindings, placed, totals);
    check_pipeline(context, seed, text, before, &bindings, "unify-functionalized,place", totals);
    totals->graphs++;
    totals->scatters_before += count_updates(before);
    totals->scatters_after += count_updates(after);
}

static void check_in_context(uint64_t seed, struct totals *totals) {
    struct context context = {.arena = arena_create(NULL)};
    struct arena_guard guard;
    assert_non_null(context.arena);
    if (arena_guarded(context.arena, &guard)) fail_msg("out of memory");
    diagnostics_init(&context.diagnostics, context.arena);
    context.symbols = symbols_create(context.arena);
    assert_int_equal(operations_create(context.arena, &context.diagnostics, &context.operations), REGRAFT_OK);
    check_one(&context, seed, totals);
    arena_unguard(context.arena, &guard);
    arena_destroy(context.arena);
}

static unsigned long setting(const char *name, unsigned long otherwise) {
    const char *value = getenv(name);
    return value ? strtoul(value, NULL, 10) : otherwise;
}

static void random_graphs_keep_their_values(void **state) {
    (void)state;
    struct totals totals = {0};
    unsigned long count = setting("REGRAFT_RANDOM_GRAPHS", 2000), seed = setting("REGRAFT_RANDOM_SEED", 1);
    for (unsigned long i = 0; i < count; i++) check_in_context(seed + i, &totals);
    print_message("%zu graphs: %zu updates before, %zu after\n", totals.graphs, totals.scatters_before,
                  totals.scatters_after);
    print_message("%zu of %zu results proved\n", totals.proved, totals.pairs);
    if (count >= 100) assert_true(totals.proved * 10 > totals.pairs * 9);
    if (count >= 100) assert_true(totals.scatters_after * 2 < totals.scatters_before); /* the passes do something */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs_keep_their_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
