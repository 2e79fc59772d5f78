/* The memory plan: lifetimes, the layout of the arena against brute force, and plans with an error in them, which a run in
 * the memory that they give must show. */
#include "interp_support.h"

#include "interp/compare.h"
#include "ir/infer.h"
#include "pass/pass.h"
#include "plan/planned_run.h"

/* ---- lifetimes ---- */

static struct plan plan_of(struct graph *graph) {
    struct plan plan = {0};
    if (infer_graph(graph) || plan_create(graph, (struct plan_options){0}, graph->arena, &plan))
        fail_msg("%s", graph->context->diagnostics.message);
    return plan;
}

/* "x input 0-3, a arena 1-2": each buffer with the orders of the nodes from and until which it is needed. */
static void assert_buffers(struct context *context, const char *body, const char *expected) {
    struct plan plan = plan_of(read_body(context, ", x: \"f32[4, 4][4, 1]cpu\"", body));
    struct builder out;
    builder_init(&out, context->arena);
    for (size_t i = 0; i < plan.buffers.count; i++) {
        const struct buffer *buffer = &plan.buffers.items[i];
        builder_format(&out, "%s%.*s %s %u-%u", i ? ", " : "", TEXT_ARGS(buffer->root->name),
                       buffer_kind_name(buffer->kind), buffer->maker->order, buffer->last->order);
    }
    assert_string_equal(out.data, expected);
}

static void a_buffer_lives_until_its_last_reader(void **state) {
    assert_buffers(context_of(state),
                   "        a = torch.ops.aten.neg.default(x)\n"
                   "        b = torch.ops.aten.neg.default(a)\n"
                   "        c = torch.ops.aten.neg.default(b)\n"
                   "        return (c,)\n",
                   "x input 0-1, a arena 1-2, b arena 2-3, c result 3-4");
}

static void views_keep_their_buffer(void **state) {
    assert_buffers(context_of(state),
                   "        a = torch.ops.aten.neg.default(x)\n"
                   "        v = torch.ops.aten.slice.Tensor(a, 0, 0, 2)\n"
                   "        w = torch.ops.aten.select.int(v, 0, 0)\n"
                   "        b = torch.ops.aten.neg.default(x)\n"
                   "        c = torch.ops.aten.add.Tensor(b, w)\n"
                   "        return (c,)\n",
                   "x input 0-4, a arena 1-5, b arena 4-5, c result 5-6");
}

static void what_a_returned_view_shows_is_the_callers(void **state) {
    assert_buffers(context_of(state),
                   "        a = torch.ops.aten.neg.default(x)\n"
                   "        v = torch.ops.aten.select.int(a, 0, 0)\n"
                   "        u = torch.ops.aten.select.int(x, 0, 1)\n"
                   "        return (v, u)\n",
                   "x input 0-4, a result 1-4");
}

static void writes_in_place_make_no_buffer(void **state) {
    assert_buffers(context_of(state),
                   "        a = torch.ops.aten.neg.default(x)\n"
                   "        w = torch.ops.aten.add_.Tensor(a, 1)\n"
                   "        b = torch.ops.aten.neg.default(w)\n"
                   "        return (b,)\n",
                   "x input 0-1, a arena 1-3, b result 3-4");
}

static void items_are_made_by_their_call(void **state) {
    assert_buffers(context_of(state),
                   "        t = torch.ops.aten.topk.default(x, 2)\n"
                   "        b = torch.ops.aten.neg.default(x)\n"
                   "        v = t[0]\n"
                   "        c = torch.ops.aten.neg.default(v)\n"
                   "        return (b, c)\n",
                   "x input 0-2, b result 2-5, v arena 1-4, c result 4-5");
}

/* What an unknown operation gives back may be what it was given. */
static void an_unknown_operation_keeps_its_arguments(void **state) {
    assert_buffers(context_of(state),
                   "        a = torch.ops.aten.neg.default(x)\n"
                   "        u: \"f32[4, 4][4, 1]cpu\" = torch.ops.mine.op.default(a)\n"
                   "        b = torch.ops.aten.neg.default(x)\n"
                   "        c = torch.ops.aten.add.Tensor(b, u)\n"
                   "        return (c,)\n",
                   "x input 0-3, a arena 1-4, u operation 2-4, b arena 3-4, c result 4-5");
    assert_buffers(context_of(state),
                   "        a = torch.ops.aten.neg.default(x)\n"
                   "        u: \"f32[4, 4][4, 1]cpu\" = torch.ops.mine.op.default(a)\n"
                   "        return (u,)\n",
                   "x input 0-1, a result 1-3, u result 2-3");
}

/* Without strides a reshape may be a view or a copy: both are planned for. */
static void a_reshape_that_may_copy_is_both(void **state) {
    struct context *context = context_of(state);
    struct graph *graph = read_body(context, ", x: \"f32[s0, s1][s2, s3]cpu\", s2: \"Sym(s2)\", s3: \"Sym(s3)\"",
                                    "        a: \"f32[s0, s1][s2, s3]cpu\" = torch.ops.mine.pure.default(x)\n"
                                    "        v = torch.ops.aten.reshape.default(a, [-1])\n"
                                    "        b = torch.ops.aten.neg.default(v)\n"
                                    "        return (b,)\n");
    struct plan plan = plan_of(graph);
    size_t found = 0;
    for (size_t i = 0; i < plan.buffers.count; i++) found += plan.buffers.items[i].may_be_alias;
    assert_int_equal(found, 1);
}

/* A size that only the run tells is not planned. */
static void sizes_that_data_decide_are_not_planned(void **state) {
    assert_buffers(context_of(state),
                   "        u0: \"i64[u0, 2][2, 1]cpu\" = torch.ops.aten.nonzero.default(x)\n"
                   "        a: \"i64[u0, 2][2, 1]cpu\" = torch.ops.aten.neg.default(u0)\n"
                   "        b = torch.ops.aten.sum.default(a)\n"
                   "        return (b,)\n",
                   "x input 0-2, u0 operation 1-2, a unsized 2-3, b result 3-4");
}

/* Memory that lies as something unknown lies may have gaps. */
static void strides_that_nobody_tells_are_not_planned(void **state) {
    struct context *context = context_of(state);
    struct graph *graph = read_body(context, ", x: \"f32[s0, s1][s2, s3]cpu\", s2: \"Sym(s2)\", s3: \"Sym(s3)\"",
                                    "        a = torch.ops.aten.neg.default(x)\n"
                                    "        b = torch.ops.aten.sum.default(a)\n"
                                    "        return (b,)\n");
    struct plan plan = plan_of(graph);
    size_t found = 0;
    for (size_t i = 0; i < plan.buffers.count; i++) found += plan.buffers.items[i].kind == buffer_unsized;
    assert_int_equal(found, 1);
}

/* ---- the layout, against numbers ---- */

enum { most_buffers = 40 };

struct random_plan {
    struct node nodes[most_buffers * 2];
    struct type type;
    struct plan plan;
    uint64_t state;
};

static uint64_t next_random(struct random_plan *random) { /* splitmix64 */
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int64_t below(struct random_plan *random, int64_t limit) {
    return (int64_t)(next_random(random) % (uint64_t)limit);
}

/* a*s0*s1 + b*s0 + c, some of them 0. */
static symint random_size(struct context *context, struct random_plan *random) {
    struct symbols *symbols = context->symbols;
    symint s0 = symint_symbol(symbols, TEXT("s0")), s1 = symint_symbol(symbols, TEXT("s1"));
    symint a = symint_constant(symbols, below(random, 4) ? 0 : below(random, 200)),
           b = symint_constant(symbols, below(random, 3) ? 8 * below(random, 100) : 0);
    symint size = symint_constant(symbols, below(random, 3) ? 0 : below(random, 3000));
    size = symint_add(symbols, size, symint_multiply(symbols, b, s0));
    return symint_add(symbols, size, symint_multiply(symbols, a, symint_multiply(symbols, s0, s1)));
}

static struct random_plan *make_random_plan(struct context *context, uint64_t seed) {
    struct random_plan *random = arena_new(context->arena, struct random_plan);
    random->state = seed;
    random->type = (struct type){.kind = type_tensor, .dtype = dtype_u8};
    random->plan = (struct plan){.graph = graph_create(context), .alignment = INT64_C(1) << below(random, 9)};
    for (uint32_t i = 0; i < most_buffers * 2; i++)
        random->nodes[i] = (struct node){.order = i, .name = TEXT("n"), .type = &random->type};
    for (int64_t i = 0; i < most_buffers; i++) {
        struct node *maker = &random->nodes[i],
                    *last = &random->nodes[i + below(random, below(random, 4) ? 6 : most_buffers)];
        struct buffer buffer = {.root = maker, .maker = maker, .last = last, .bytes = random_size(context, random)};
        vector_push(context->arena, &random->plan.buffers, buffer);
    }
    return random;
}

static bool lookup(void *user, struct text symbol, int64_t *value) {
    const int64_t *values = user;
    *value = values[symbol.data[1] - '0'];
    return true;
}

static int64_t number(symint expression, int64_t *values) {
    int64_t value = -1;
    assert_true(symint_evaluate(expression, lookup, values, &value));
    return value;
}

static void check_numbers(const struct plan *plan, int64_t *values) {
    int64_t peak = number(plan->peak, values), live = number(plan->live, values), sum = number(plan->sum, values);
    int64_t start[most_buffers], end[most_buffers];
    assert_true(live <= peak && peak <= sum);
    for (size_t i = 0; i < plan->buffers.count; i++) {
        const struct buffer *a = &plan->buffers.items[i];
        if (a->kind != buffer_planned) continue;
        start[i] = number(a->offset, values);
        end[i] = start[i] + number(a->bytes, values);
        assert_true(start[i] >= 0 && start[i] % plan->alignment == 0 && end[i] <= peak);
        for (size_t j = 0; j < i; j++) {
            const struct buffer *b = &plan->buffers.items[j];
            bool together = a->maker->order <= b->last->order && b->maker->order <= a->last->order;
            if (together && b->kind == buffer_planned) assert_true(end[i] <= start[j] || end[j] <= start[i]);
        }
    }
}

/* A few sizes cannot be compared with all the others; such a buffer gets memory of its own. */
static void nothing_overlaps_for_any_size(void **state) {
    struct context *context = context_of(state);
    size_t left_out = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct random_plan *random = make_random_plan(context, seed);
        plan_layout(&random->plan, context->arena);
        assert_int_equal(plan_verify(&random->plan), REGRAFT_OK);
        for (int64_t s0 = 0; s0 < 200; s0 = s0 * 3 + 1)
            for (int64_t s1 = 0; s1 < 70; s1 = s1 * 2 + 1) check_numbers(&random->plan, (int64_t[]){s0, s1});
        for (size_t i = 0; i < random->plan.buffers.count; i++)
            left_out += random->plan.buffers.items[i].kind != buffer_planned;
    }
    assert_true(left_out < 10);
}

static void the_verifier_finds_an_overlap(void **state) {
    struct context *context = context_of(state);
    size_t pairs = 0;
    struct random_plan *random = make_random_plan(context, 7);
    plan_layout(&random->plan, context->arena);
    for (size_t i = 0; i < random->plan.buffers.count; i++)
        for (size_t j = 0; j < i; j++) {
            struct buffer *a = &random->plan.buffers.items[i], *b = &random->plan.buffers.items[j];
            if (a->kind != buffer_planned || b->kind != buffer_planned) continue;
            if (!buffers_live_together(a, b) || symint_is(a->bytes, 0) || symint_is(b->bytes, 0)) continue;
            symint kept = a->offset;
            a->offset = b->offset;
            diagnostics_clear(&context->diagnostics);
            assert_int_equal(plan_verify(&random->plan), REGRAFT_INTERNAL);
            assert_non_null(strstr(context->diagnostics.message, "in the same memory"));
            a->offset = kept;
            pairs++;
        }
    assert_true(pairs > 100);
}

/* ---- plans with an error ---- */

struct captured {
    struct context *context;
    struct graph *graph;
    struct bindings bindings;
    struct plan plan;
    struct outcome expected;
};

static void open_captured(struct context *context, const char *name, struct captured *captured) {
    struct file *file;
    struct arena *arena = context->arena;
    *captured = (struct captured){.context = context};
    const char *placed = text_format(arena, "%s,place,dce", default_pipeline);
    if (file_read(context, text_format(arena, REGRAFT_GRAPHS "/%s/graph.txt", name), &file) ||
        file_graph(context, file, -1, NULL, &captured->graph) || infer_graph(captured->graph) ||
        pipeline_run(captured->graph, placed, NULL) ||
        bindings_load(&captured->bindings, arena, &context->diagnostics,
                      text_format(arena, REGRAFT_GRAPHS "/%s/inputs.safetensors", name)) ||
        plan_create(captured->graph, (struct plan_options){0}, arena, &captured->plan) ||
        interpret(captured->graph, &captured->bindings, arena, &captured->expected))
        fail_msg("%s", context->diagnostics.message);
}

/* Whether a run in the memory of the plan gives just what a plain run gives. */
static bool runs_right(struct captured *captured, enum run_memory memory) {
    struct arena *arena = arena_child(captured->context->arena);
    struct outcome outcome;
    struct comparison comparison;
    bool right = planned_run(&captured->plan, memory, &captured->bindings, arena, &outcome) == REGRAFT_OK;
    if (right) compare_outcomes(arena, &outcome, &captured->expected, &comparison);
    right = right && comparison.equal && comparison.norm == 0;
    diagnostics_clear(&captured->context->diagnostics);
    arena_destroy(arena);
    return right;
}

static const char *const cases[] = {"custom/mla_decode_fused_bf16_v2",
                                    "custom/llama_decode_f32_v1",
                                    "custom/qkv_escape_bf16_v2",
                                    "custom/qkv_inputmut_f32_v1",
                                    "custom/oldread_f32_v2",
                                    "custom/explicitkv_bf16_v1",
                                    "hf/qwen3"};

static void a_lifetime_one_step_too_short_is_found(void **state) {
    size_t cut = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct captured captured;
        open_captured(context_of(state), cases[i], &captured);
        assert_true(runs_right(&captured, run_poisoned));
        for (size_t k = 0; k < captured.plan.buffers.count; k++) {
            struct buffer *buffer = &captured.plan.buffers.items[k];
            struct node *last = buffer->last;
            if (buffer->kind != buffer_planned || last == buffer->maker || symint_is(buffer->bytes, 0)) continue;
            buffer->last = last->previous;
            bool right = runs_right(&captured, run_poisoned);
            /* attention takes keys and values from its cache and not from these arguments */
            bool unread = node_has_effect(last);
            if (right && !unread)
                fail_msg("%s: %.*s is needed until %.*s, and nobody noticed", cases[i], TEXT_ARGS(buffer->root->name),
                         TEXT_ARGS(last->name));
            buffer->last = last;
            cut += !right;
        }
    }
    print_message("%zu lifetimes cut, each found\n", cut);
    assert_true(cut > 100);
}

static void buffers_in_the_same_memory_are_found(void **state) {
    size_t pairs = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct captured captured;
        open_captured(context_of(state), cases[i], &captured);
        assert_true(runs_right(&captured, run_in_arena));
        for (size_t k = 1; k < captured.plan.buffers.count; k++) {
            struct buffer *b = &captured.plan.buffers.items[k], *a = b - 1;
            while (a > captured.plan.buffers.items && (a->kind != buffer_planned || symint_is(a->bytes, 0))) a--;
            if (a->kind != buffer_planned || b->kind != buffer_planned || !buffers_live_together(a, b) ||
                symint_is(a->bytes, 0) || symint_is(b->bytes, 0))
                continue;
            symint kept = b->offset;
            b->offset = a->offset;
            assert_int_equal(plan_verify(&captured.plan), REGRAFT_INTERNAL);
            diagnostics_clear(&captured.context->diagnostics);
            if (runs_right(&captured, run_in_arena))
                fail_msg("%s: %.*s and %.*s in the same memory, and nobody noticed", cases[i], TEXT_ARGS(a->root->name),
                         TEXT_ARGS(b->root->name));
            b->offset = kept;
            pairs++;
        }
    }
    print_message("%zu pairs put into the same memory, each found\n", pairs);
    assert_true(pairs > 100);
}

static void too_little_room_is_found(void **state) {
    struct captured captured;
    open_captured(context_of(state), "custom/qkv_escape_bf16_v2", &captured);
    struct symbols *symbols = captured.context->symbols;
    for (size_t k = 0; k < captured.plan.buffers.count; k++) {
        struct buffer *buffer = &captured.plan.buffers.items[k];
        if (buffer->kind != buffer_planned || symint_is(buffer->bytes, 0)) continue;
        symint room = buffer->room, offset = buffer->offset;
        buffer->room = symint_subtract(symbols, buffer->bytes, symint_constant(symbols, 1));
        assert_false(runs_right(&captured, run_in_arena));
        buffer->room = room;
        buffer->offset = captured.plan.peak;
        assert_false(runs_right(&captured, run_in_arena));
        buffer->offset = offset;
    }
    assert_true(runs_right(&captured, run_in_arena));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FX_TEST(a_buffer_lives_until_its_last_reader),
        FX_TEST(views_keep_their_buffer),
        FX_TEST(what_a_returned_view_shows_is_the_callers),
        FX_TEST(writes_in_place_make_no_buffer),
        FX_TEST(items_are_made_by_their_call),
        FX_TEST(an_unknown_operation_keeps_its_arguments),
        FX_TEST(a_reshape_that_may_copy_is_both),
        FX_TEST(sizes_that_data_decide_are_not_planned),
        FX_TEST(strides_that_nobody_tells_are_not_planned),
        FX_TEST(nothing_overlaps_for_any_size),
        FX_TEST(the_verifier_finds_an_overlap),
        FX_TEST(a_lifetime_one_step_too_short_is_found),
        FX_TEST(buffers_in_the_same_memory_are_found),
        FX_TEST(too_little_room_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
