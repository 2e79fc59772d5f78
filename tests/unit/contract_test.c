/* Contracts: the table of them, and those of single calls of a live graph. */
#include "fx_support.h"
#include "ir/contract.h"
#include "ir/effect.h"
#include "pass/pass.h"

/* The schema of each out form is that of the operation, nothing written, and X_out behind it for each written X. */
static void out_forms_have_the_arguments_of_their_operation(void **state) {
    struct context *context = context_of(state);
    size_t forms = 0;
    for (size_t row = 0; operations_row(context->operations, row); row++) {
        const struct operation *operation = operations_row(context->operations, row), *out = operation->out_form;
        if (!out || operation_is_out_form(operation)) continue;
        const struct schema *schema = &operation->schema;
        size_t next = schema->argument_count;
        forms++;
        for (size_t i = 0; i < schema->argument_count; i++) {
            const struct schema_argument *from = &schema->arguments[i], *to = &out->schema.arguments[i];
            assert_true(text_equal(from->name, to->name) && from->type == to->type && !to->written);
            if (!from->written) continue;
            assert_true(next < out->schema.argument_count && !from->list);
            const struct schema_argument *written = &out->schema.arguments[next++];
            assert_string_equal(text_string(context->arena, written->name),
                                text_format(context->arena, "%.*s_out", TEXT_ARGS(from->name)));
            assert_true(written->written && written->optional == from->optional);
        }
        assert_int_equal(next, out->schema.argument_count);
        assert_int_equal(out->schema.return_count, 0);
    }
    assert_true(forms > 0);
}

static const char layers[] =
    "class G(torch.nn.Module):\n"
    "    def forward(self, s: \"Sym(s7)\", x: \"f32[s7, 24][24, 1]cpu\", o: \"f32[s7, 4][4, 1]cpu\"):\n"
    "        slice_1: \"f32[s7, 8][24, 1]cpu\" = torch.ops.aten.slice.Tensor(x, 1, 0, 8)\n"
    "        a = torch.ops.higher_order.auto_functionalized(torch.ops._C.silu_and_mul.default, result = o, input = "
    "slice_1)\n"
    "        i: \"f32[s7, 4][4, 1]cpu\" = a[1]\n"
    "        b = torch.ops.higher_order.auto_functionalized(torch.ops._C.silu_and_mul.default, result = i, input = "
    "slice_1)\n"
    "        j: \"f32[s7, 4][4, 1]cpu\" = b[1]\n"
    "        return (j,)\n";

static regraft_graph *read_layers(regraft_context *context) {
    regraft_graph *graph;
    assert_int_equal(regraft_graph_read_memory(context, "g.txt", layers, sizeof layers - 1, NULL, &graph), REGRAFT_OK);
    return graph;
}

static const regraft_node *node_named(const regraft_graph *graph, const char *name) {
    for (const regraft_node *node = regraft_graph_first(graph); node; node = regraft_node_next(node))
        if (strcmp(regraft_node_name(node), name) == 0) return node;
    return NULL;
}

/* What PyTorch's compiler knows of a call that it traced, and no text shows: also with symbols. */
static void a_call_can_be_owed_what_others_are_not(void **state) {
    (void)state;
    regraft_context *context;
    assert_int_equal(regraft_context_create(NULL, &context), REGRAFT_OK);
    regraft_graph *graph = read_layers(context);
    assert_int_equal(regraft_graph_contract_add(graph, node_named(graph, "b"), "input=as-traced[8, 1]"), REGRAFT_OK);
    assert_int_equal(regraft_graph_run(graph, "place,dce", NULL), REGRAFT_OK);
    size_t owed = 0;
    for (size_t i = 0; i < regraft_graph_copy_count(graph); i++) {
        regraft_copy copy = regraft_graph_copy(graph, i);
        if (strcmp(copy.why, "_C.silu_and_mul.default is owed input with the strides that it was traced with: [8, 1]"))
            continue;
        owed++;
        assert_string_equal(copy.bytes, "32*s7");
        assert_non_null(strstr(copy.remedy, "flexible_layout"));
        assert_non_null(strstr(copy.remedy, "a producer that returns a fresh contiguous input"));
    }
    assert_int_equal(owed, 1);
    regraft_context_destroy(context);
}

static void symbols_may_stand_in_strides(void **state) {
    static const char text[] = "class G(torch.nn.Module):\n"
                               "    def forward(self, s: \"Sym(s7)\", x: \"f32[s7, 8][8, 1]cpu\"):\n"
                               "        permute: \"f32[8, s7][1, 8]cpu\" = torch.ops.aten.permute.default(x, [1, 0])\n"
                               "        exp: \"f32[8, s7][1, 8]cpu\" = torch.ops.aten.exp.default(permute)\n"
                               "        return (exp,)\n";
    static const struct {
        const char *contract, *expected;
    } cases[] = {{"self=as-traced[s7, 1]", "clone.default(permute, memory_format = torch.contiguous_format)"},
                 {"self=as-traced[1, 16]", "empty_strided.default([8, s], [1, 16]"},
                 {"self=as-traced[1, 8]", "exp.default(permute)"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        regraft_context *context;
        regraft_graph *graph;
        assert_int_equal(regraft_context_create(NULL, &context), REGRAFT_OK);
        assert_int_equal(regraft_graph_read_memory(context, "g.txt", text, sizeof text - 1, NULL, &graph), REGRAFT_OK);
        assert_int_equal(regraft_graph_contract_add(graph, node_named(graph, "exp"), cases[i].contract), REGRAFT_OK);
        if (regraft_graph_run(graph, "place,dce", NULL) != REGRAFT_OK) fail_msg("%s", regraft_message(context));
        if (!strstr(regraft_graph_print(graph), cases[i].expected)) fail_msg("%s", regraft_graph_print(graph));
        regraft_context_destroy(context);
    }
}

/* The operation's own contract, taken back for one call. */
static void a_call_can_be_let_off(void **state) {
    (void)state;
    regraft_context *context;
    assert_int_equal(regraft_context_create(NULL, &context), REGRAFT_OK);
    regraft_graph *graph = read_layers(context);
    assert_int_equal(regraft_contract_add(context, "_C::silu_and_mul.input=contiguous"), REGRAFT_OK);
    assert_int_equal(regraft_graph_contract_add(graph, node_named(graph, "a"), "*=flexible_layout"), REGRAFT_OK);
    assert_int_equal(regraft_graph_run(graph, "place,dce", NULL), REGRAFT_OK);
    size_t owed = 0;
    for (size_t i = 0; i < regraft_graph_copy_count(graph); i++)
        owed += strcmp(regraft_graph_copy(graph, i).why, "_C.silu_and_mul.default is owed a contiguous input") == 0;
    assert_int_equal(owed, 1);
    regraft_context_destroy(context);
}

static void what_is_no_call_is_refused(void **state) {
    (void)state;
    regraft_context *context;
    assert_int_equal(regraft_context_create(NULL, &context), REGRAFT_OK);
    regraft_graph *graph = read_layers(context);
    assert_int_equal(regraft_graph_contract_add(graph, node_named(graph, "x"), "input=contiguous"), REGRAFT_USAGE);
    assert_non_null(strstr(regraft_message(context), "'x' is no call of an operation that is known"));
    assert_int_equal(regraft_graph_contract_add(graph, node_named(graph, "a"), "inputs=contiguous"), REGRAFT_USAGE);
    assert_non_null(strstr(regraft_message(context), "<contract>:1:1: error: no argument is called 'inputs'"));
    assert_int_equal(regraft_graph_contract_add(graph, node_named(graph, "a"), "input"), REGRAFT_USAGE);
    assert_int_equal(regraft_graph_contract_add(graph, node_named(graph, "a"), ""), REGRAFT_USAGE);
    assert_int_equal(regraft_contract_add(context, ""), REGRAFT_USAGE);
    assert_int_equal(regraft_contract_add(context, "="), REGRAFT_USAGE);
    assert_int_equal(regraft_contract_add(context, "_C::silu_and_mul.input="), REGRAFT_USAGE);
    assert_int_equal(regraft_contract_add(context, "_C::silu_and_mul.input=as-traced["), REGRAFT_USAGE);
    assert_int_equal(regraft_contract_add(context, "_C::silu_and_mul.input=as-traced[]"), REGRAFT_OK);
    regraft_context_destroy(context);
}

/* Noted once, before the first pass: a rewrite that changes the strides of an argument does not change what it is owed. */
static void traced_strides_are_those_that_were_read(void **state) {
    struct context *context = context_of(state);
    struct source contract = {"<contract>", TEXT("_C::silu_and_mul.input=as-traced")};
    regraft_graph *graph = read_layers((regraft_context *)context);
    struct graph *internal = (struct graph *)graph;
    assert_int_equal(contract_add(context, &contract), REGRAFT_OK);
    assert_int_equal(pipeline_run(internal, "cse", NULL), REGRAFT_OK);
    struct node *call = graph_find(internal, TEXT("a")), *slice = graph_find(internal, TEXT("slice_1"));
    assert_int_equal(contract_of(call, 1)->traced_rank, 2);
    assert_true(symint_is(contract_of(call, 1)->traced[0], 24));
    struct node *clone =
        graph_insert_call(internal, call, operations_by_id(context->operations, operation_aten_clone_default), 2);
    value_set_node(clone, &clone->arguments[0], slice);
    clone->arguments[1] = (struct value){
        .kind = value_name, .keyword = TEXT("memory_format"), .written = TEXT("torch.contiguous_format")};
    value_set_node(call, node_called_argument(call, 1), clone);
    assert_int_equal(pipeline_run(internal, "place,dce", NULL), REGRAFT_OK);
    assert_non_null(strstr(regraft_graph_print(graph), "empty_strided.default([s, 8], [24, 1]"));
}

int main(void) {
    const struct CMUnitTest tests[] = {FX_TEST(out_forms_have_the_arguments_of_their_operation),
                                       FX_TEST(a_call_can_be_owed_what_others_are_not),
                                       FX_TEST(symbols_may_stand_in_strides),
                                       FX_TEST(a_call_can_be_let_off),
                                       FX_TEST(what_is_no_call_is_refused),
                                       FX_TEST(traced_strides_are_those_that_were_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
