/* Printing graphs that were made or changed by calls. */
#include "fx_support.h"

static const struct operation *find(struct context *context, const char *target) {
    return operations_find(context->operations, text_of(target));
}

static struct node *placeholder(struct graph *graph, const char *name, const struct type *type) {
    struct node *node = graph_insert(graph, NULL, node_placeholder, text_of(name), 0);
    node->type = type;
    return node;
}

static void test_made_graph(void **state) {
    struct context *context = context_of(state);
    struct graph *graph = graph_create(context);
    symint sizes[] = {symint_symbol(context->symbols, TEXT("s3")), symint_constant(context->symbols, 8)};
    struct layout layout = {2, sizes, layout_contiguous_strides(context->arena, context->symbols, sizes, 2)};
    const struct type *type = type_make_tensor(context->arena, dtype_bf16, layout, (struct device){TEXT("cuda"), 0});
    struct node *n = placeholder(graph, "n", type_make_integer(context->arena, sizes[0]));
    struct node *x = placeholder(graph, "x", type);
    placeholder(graph, "layer", &type_of_object);
    struct node *add = graph_insert_call(graph, NULL, find(context, "aten.add.Tensor"), 5);
    add->type = type;
    value_set_node(add, &add->arguments[0], x);
    struct value *items = value_set_list(add, &add->arguments[1], value_list, 3);
    value_set_symint(add, &items[0], symint_multiply(context->symbols, sizes[0], sizes[1]));
    value_set_node(add, &items[1], n);
    items[2] = (struct value){.kind = value_string, .string = TEXT("it's \"a\"\n\x01\\")};
    add->arguments[2] = (struct value){.kind = value_float, .real = 1e-06, .keyword = TEXT("alpha")};
    add->arguments[3] = (struct value){.kind = value_dtype, .dtype = dtype_f8e4m3fn, .keyword = TEXT("dtype")};
    add->arguments[4] = (struct value){.kind = value_device, .device = {TEXT("cuda"), 1}, .keyword = TEXT("device")};
    struct node *split = graph_insert_call(graph, NULL, find(context, "aten.split.Tensor"), 1);
    split->type = type_make_tuple(context->arena, &type, 1);
    value_set_node(split, &split->arguments[0], add);
    struct node *part = graph_insert_getitem(graph, NULL, split, -1);
    struct node *output = graph_insert(graph, NULL, node_output, TEXT("output"), 1);
    value_set_node(output, value_set_list(output, &output->arguments[0], value_tuple, 1), part);
    assert_string_equal(
        print(graph),
        "class GraphModule(torch.nn.Module):\n"
        "    def forward(self, n: \"Sym(s3)\", x: \"bf16[s3, 8][8, 1]cuda:0\", layer):\n"
        "        add: \"bf16[s3, 8][8, 1]cuda:0\" = torch.ops.aten.add.Tensor(x, [8*s3, n, 'it\\'s "
        "\"a\"\\n\\x01\\\\'], "
        "alpha = 1e-06, dtype = torch.float8_e4m3fn, device = device(type='cuda', index=1));  x = n = None\n"
        "        split = torch.ops.aten.split.Tensor(add);  add = None\n"
        "        getitem = split[-1];  split = None\n"
        "        return (getitem,)\n");
}

static void test_floats(void **state) {
    static const struct {
        double real;
        const char *text;
    } cases[] = {{0, "0.0"},       {1, "1.0"},        {-0.1, "-0.1"},
                 {1e-06, "1e-06"}, {3.0e38, "3e+38"}, {0.30000000000000004, "0.30000000000000004"}};
    struct context *context = context_of(state);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct graph *graph = read_body(context, ", x", "        a = x + 1\n        return x\n");
        graph->last->previous->arguments[1] = (struct value){.kind = value_float, .real = cases[i].real};
        assert_non_null(strstr(print(graph), text_format(context->arena, "a = x + %s\n", cases[i].text)));
    }
}

static void test_changed_statements(void **state) {
    struct context *context = context_of(state);
    struct graph *graph = read_body(context, ", x: \"f32[8][1]cpu\"",
                                    "        # File: a.py:1 in f, code: a\n"
                                    "        a: \"f32[8][1]cpu\" = torch.ops.aten.neg.default(x)\n"
                                    "        b: \"f32[8][1]cpu\" = torch.ops.aten.add.Tensor(a, x);  a = x = None\n"
                                    "\n"
                                    "        # File: a.py:2 in f, code: c\n"
                                    "        c: \"f32[8][1]cpu\" = torch.ops.aten.neg.default(b);  b = None\n"
                                    "        return (c,)\n");
    struct node *a = graph_find(graph, TEXT("a")), *c = graph_find(graph, TEXT("c"));
    struct node *made = graph_insert_call(graph, c, find(context, "aten.neg.default"), 1);
    made->type = a->type;
    value_set_node(made, &made->arguments[0], a);
    graph_replace(graph_find(graph, TEXT("b")), made);
    graph_remove(graph, graph_find(graph, TEXT("b")));
    graph_move(graph, graph_duplicate(graph, c, a), a);
    graph_find(graph, TEXT("a_1"))->location = c->location;
    assert_string_equal(print(graph), "class GraphModule(torch.nn.Module):\n"
                                      "    def forward(self, x: \"f32[8][1]cpu\"):\n"
                                      "\n"
                                      "        # File: a.py:2 in f, code: c\n"
                                      "        a_1: \"f32[8][1]cpu\" = torch.ops.aten.neg.default(x);  a_1 = None\n"
                                      "\n"
                                      "        # File: a.py:1 in f, code: a\n"
                                      "        a: \"f32[8][1]cpu\" = torch.ops.aten.neg.default(x);  x = None\n"
                                      "\n"
                                      "        # No stacktrace found for following nodes\n"
                                      "        neg: \"f32[8][1]cpu\" = torch.ops.aten.neg.default(a);  a = None\n"
                                      "\n"
                                      "        # File: a.py:2 in f, code: c\n"
                                      "        c: \"f32[8][1]cpu\" = torch.ops.aten.neg.default(neg);  neg = None\n"
                                      "        return (c,)\n");
}

/* Without `= None` in the text none appears. */
static void test_no_frees(void **state) {
    struct graph *graph =
        read_body(context_of(state), ", x", "        a = x + 1\n        b = a + 1\n        return b\n");
    const char *before = print(graph);
    graph->changed = true;
    assert_string_equal(print(graph), before);
}

static const char *output_after(struct context *context, const char *output, bool shorter) {
    struct graph *graph = read_body(context, ", x, y", text_format(context->arena, "        %s\n# end\n", output));
    struct node *last = graph->last, *y = graph_find(graph, TEXT("y"));
    struct value *value = &last->arguments[0];
    value_set_node(last, shorter ? value_set_list(last, value, value_tuple, 1) : value->list.items, y);
    graph->changed = true;
    return strstr(print(graph), "return");
}

static void test_outputs(void **state) {
    struct context *context = context_of(state);
    assert_string_equal(output_after(context, "return (x, y)  # both", false), "return (y, y)\n# end\n");
    assert_string_equal(output_after(context, "return (x,)", false), "return (y,)\n# end\n");
    assert_string_equal(output_after(context, "return (y,)  # kept", false), "return (y,)  # kept\n# end\n");
    assert_string_equal(output_after(context, "return pytree.tree_unflatten([x, y], self._out_spec)", false),
                        "return pytree.tree_unflatten([y, y], self._out_spec)\n# end\n");
    static const char lines[] = "return (\n            x,  # out(idx=0)\n            y,\n        )";
    assert_string_equal(output_after(context, lines, false),
                        "return (\n            y,  # out(idx=0)\n            y,\n        )\n# end\n");
    assert_string_equal(output_after(context, lines, true), "return (\n            y,\n        )\n# end\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FX_TEST(test_made_graph), FX_TEST(test_floats),  FX_TEST(test_changed_statements),
        FX_TEST(test_no_frees),   FX_TEST(test_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
