/* FX text: every construct is read as what it is, and prints as it was written. */
#include <math.h>

#include "fx_support.h"

/* The statement prints as it was written and is of this kind and target; its node. */
static struct node *statement(struct context *context, const char *line, enum node_kind kind, const char *target) {
    const char *parameters = ", x: \"f32[s0, 8][8, 1]cpu\", y: \"f32[8]\", n: \"Sym(s0)\"";
    const char *body = text_format(context->arena, "        %s\n        return x\n", line);
    struct graph *graph = read_body(context, parameters, body);
    const char *printed = print(graph);
    assert_non_null(strstr(printed, body));
    struct node *node = graph->last->previous;
    assert_int_equal(node->kind, kind);
    if (target) assert_string_equal(text_string(context->arena, node->target), target);
    graph->changed = true; /* now liveness is computed; it was written as torch.fx does */
    if (strchr(line, ';')) assert_string_equal(print(graph), printed);
    return node;
}

static void assert_node(const struct value *value, const char *name) {
    assert_non_null(value_as_node(value));
    assert_true(text_is(value_as_node(value)->name, name));
}

static void test_calls(void **state) {
    struct context *context = context_of(state);
    struct node *add =
        statement(context, "a: \"f32[8][1]cpu\" = torch.ops.aten.add.Tensor(y, 2, alpha = 1);  y = a = None", node_call,
                  "aten.add.Tensor");
    assert_true(node_is(add, operation_aten_add_Tensor));
    assert_true(add->in_torch_ops);
    assert_int_equal(add->argument_count, 3);
    assert_node(&add->arguments[0], "y");
    assert_true(text_is(add->arguments[2].keyword, "alpha"));
    assert_int_equal(add->type->kind, type_tensor);
    assert_int_equal(add->type->layout.rank, 1);
    assert_null(
        statement(context, "a = torch.ops.mine.unknown.default()", node_call, "mine.unknown.default")->operation);
    assert_false(
        statement(context, "a = torch._C._nn.linear(x, y, None)", node_call, "torch._C._nn.linear")->in_torch_ops);
    statement(context, "a = foo(x)", node_call, "foo");
    struct node *hop =
        statement(context, "a = torch.ops.higher_order.auto_functionalized(torch.ops._C.rms_norm.default, result = x)",
                  node_call, "higher_order.auto_functionalized");
    assert_int_equal(hop->arguments[0].kind, value_operator);
    assert_non_null(hop->arguments[0].operation);
}

static void test_methods_and_attributes(void **state) {
    struct context *context = context_of(state);
    struct node *view = statement(context, "a = x.view(-1, 4)", node_method, "view");
    assert_int_equal(view->argument_count, 3);
    assert_node(&view->arguments[0], "x");
    assert_int_equal(view->arguments[1].integer, -1);
    struct node *shape = statement(context, "a = x.shape", node_operator, "getattr");
    assert_true(text_is(shape->arguments[1].string, "shape"));
    statement(context, "a = self.weight", node_attribute, "weight");
    statement(context, "a = getattr(self, \"0\")", node_attribute, "0");
    statement(context, "a: \"f32[8]\" = getattr(getattr(self.layers, \"0\").mlp, \"1\").weight", node_attribute,
              "layers.0.mlp.1.weight");
    statement(context, "a = self.linear(x)", node_call, "self.linear");
    statement(context, "a = getattr(self.mod, \"0\")(x, y)", node_call, "getattr(self.mod, \"0\")");
    statement(context, "a = getattr(x, 'T', None)", node_call, "getattr");
}

static void test_indices(void **state) {
    struct context *context = context_of(state);
    assert_int_equal(statement(context, "a = x[0]", node_getitem, "getitem")->arguments[1].integer, 0);
    assert_int_equal(statement(context, "a = x[-1]", node_getitem, "getitem")->arguments[1].integer, -1);
    assert_node(&statement(context, "a = x[y]", node_operator, "getitem")->arguments[1], "y");
    struct node *window =
        statement(context, "a = x[(Ellipsis, slice(None, 3, None), None, 2)]", node_operator, "getitem");
    const struct value *index = &window->arguments[1];
    assert_int_equal(index->kind, value_tuple);
    assert_int_equal(index->list.count, 4);
    assert_int_equal(index->list.items[1].kind, value_slice);
    assert_int_equal(index->list.items[1].list.items[1].integer, 3);
    statement(context, "a = x['key']", node_operator, "getitem");
}

static void test_operators(void **state) {
    struct context *context = context_of(state);
    static const char *const binary[] = {"+", "-", "*", "/",  "//", "%", "**", "<<", ">>", "&",
                                         "|", "^", "@", "==", "!=", "<", "<=", ">",  ">="};
    for (size_t i = 0; i < sizeof binary / sizeof *binary; i++)
        statement(context, text_format(context->arena, "a: \"f32[8]\" = x %s y;  y = a = None", binary[i]),
                  node_operator, binary[i]);
    assert_int_equal(statement(context, "a: \"Sym(2*s0)\" = 2 * n", node_operator, "*")->arguments[0].integer, 2);
    assert_true(statement(context, "a = x + -1e-05", node_operator, "+")->arguments[1].real == -1e-05);
    statement(context, "a = -x", node_operator, "neg");
    statement(context, "a = +x", node_operator, "pos");
    statement(context, "a = ~x", node_operator, "invert");
}

static void test_assignments_in_place(void **state) {
    struct context *context = context_of(state);
    static const char *const targets[] = {
        "+=", "-=", "*=", "/=", "//=", "%=", "**=", "<<=", ">>=", "&=", "|=", "^=", "@="};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        const char *line = text_format(context->arena, "x %s y;  iop = x;  y = iop = None", targets[i]);
        struct node *node = statement(context, line, node_operator, targets[i]);
        assert_true(text_is(node->name, "iop"));
        assert_node(&node->arguments[0], "x");
        assert_node(&node->arguments[1], "y");
    }
    struct node *set =
        statement(context, "x[(slice(0, 2, None), 1)] = y;  setitem = x;  y = setitem = None", node_operator, "[]=");
    assert_int_equal(set->argument_count, 3);
    assert_int_equal(set->arguments[1].kind, value_tuple);
    assert_node(&set->arguments[2], "y");
    assert_int_equal(statement(context, "x += y;  iadd: \"f32[8]\" = x", node_operator, "+=")->type->kind, type_tensor);
}

static void test_renames(void **state) {
    struct context *context = context_of(state);
    struct node *rename = statement(context, "a = x", node_rename, "");
    assert_ptr_equal(rename->type, rename->arguments[0].use.node->type);
    /* the name of a parameter lives apart from the graph: it is never freed */
    struct graph *graph = read_body(context, ", L_x_: \"f32[8]\"",
                                    "        l_x_ = L_x_\n        a = l_x_ + 1;  l_x_ = None\n        return a\n");
    const char *before = print(graph);
    graph->changed = true;
    assert_string_equal(print(graph), before);
}

/* The argument of a call prints as it was written; its value. */
static const struct value *argument(struct context *context, const char *written, enum value_kind kind) {
    struct node *node = statement(context, text_format(context->arena, "a = f(%s)", written), node_call, "f");
    assert_int_equal(node->argument_count, 1);
    assert_int_equal(node->arguments[0].kind, kind);
    return &node->arguments[0];
}

static void test_numbers(void **state) {
    struct context *context = context_of(state);
    assert_true(argument(context, "9223372036854775807", value_integer)->integer == INT64_MAX);
    assert_true(argument(context, "-9223372036854775808", value_integer)->integer == INT64_MIN);
    assert_true(argument(context, "1e-06", value_float)->real == 1e-06);
    assert_true(argument(context, "-2.5", value_float)->real == -2.5);
    assert_true(argument(context, "1.", value_float)->real == 1);
    assert_true(isinf(argument(context, "-inf", value_float)->real));
    assert_true(isnan(argument(context, "nan", value_float)->real));
    assert_true(argument(context, "True", value_bool)->boolean);
    argument(context, "None", value_none);
}

static void test_strings(void **state) {
    struct context *context = context_of(state);
    assert_true(text_is(argument(context, "'model.layers.0.attn'", value_string)->string, "model.layers.0.attn"));
    assert_true(text_is(argument(context, "\"it's\"", value_string)->string, "it's"));
    assert_true(text_is(argument(context, "'a\\n\\x41\\u00e9\\\\\\''", value_string)->string, "a\nA\xc3\xa9\\'"));
    assert_true(text_is(argument(context, "'# no; comment'", value_string)->string, "# no; comment"));
}

static void test_lists(void **state) {
    struct context *context = context_of(state);
    const struct value *list = argument(context, "[1, [x, (y,), ()], []]", value_list);
    assert_int_equal(list->list.count, 3);
    assert_node(&list->list.items[1].list.items[0], "x");
    assert_int_equal(list->list.items[1].list.items[1].kind, value_tuple);
    const struct value *dictionary = argument(context, "{'a': x, 'b': 1}", value_dictionary);
    assert_true(text_is(dictionary->list.items[1].keyword, "'b'"));
    const struct value *size = argument(context, "torch.Size([2, n])", value_tuple);
    assert_int_equal(size->list.count, 2);
    assert_node(&size->list.items[1], "n");
    assert_true(text_is(argument(context, "Point(x=1, y=x)", value_tuple)->written, "Point"));
}

static void test_torch_values(void **state) {
    struct context *context = context_of(state);
    assert_int_equal(argument(context, "torch.bfloat16", value_dtype)->dtype, dtype_bf16);
    argument(context, "torch.strided", value_name);
    argument(context, "Ellipsis", value_name);
    assert_int_equal(argument(context, "device(type='cuda', index=1)", value_device)->device.index, 1);
    assert_int_equal(argument(context, "device(type='cpu')", value_device)->device.index, -1);
    const struct value *device = argument(context, "torch.device('cuda:3')", value_device);
    assert_true(text_is(device->device.type, "cuda") && device->device.index == 3);
    assert_null(argument(context, "torch.ops.mine.op.default", value_operator)->operation);
}

static void test_expressions(void **state) {
    struct context *context = context_of(state);
    struct symbols *symbols = context->symbols;
    symint s0 = symint_symbol(symbols, TEXT("s0"));
    assert_ptr_equal(argument(context, "s0", value_symint)->expression, s0);
    assert_ptr_equal(argument(context, "s0*128", value_symint)->expression,
                     symint_multiply(symbols, s0, symint_constant(symbols, 128)));
    assert_ptr_equal(argument(context, "((s0 + 8)//9)", value_symint)->expression,
                     argument(context, "FloorDiv(s0 + 8, 9)", value_symint)->expression);
    assert_ptr_equal(argument(context, "-s0 + 1", value_symint)->expression,
                     argument(context, "1 - s0", value_symint)->expression);
    statement(context, "a = f([s0*2, 1], k = (s0))", node_call, "f");
}

static void test_annotations(void **state) {
    struct context *context = context_of(state);
    const struct type *type = statement(context, "a: \"bf16[4*s0, 64][64, 1]cuda:0\" = f(x)", node_call, "f")->type;
    assert_int_equal(type->dtype, dtype_bf16);
    assert_true(text_is(type->device.type, "cuda") && type->device.index == 0);
    assert_true(symint_is(type->layout.strides[0], 64));
    type = statement(context, "a: \"f32[][]cpu\" = f(x)", node_call, "f")->type;
    assert_true(type->layout.rank == 0 && type->layout.strides && type->device.index == -1);
    type = statement(context, "a: \"i64[2, 3]\" = f(x)", node_call, "f")->type;
    assert_true(type->layout.rank == 2 && !type->layout.strides && !type->device.type.length);
    assert_int_equal(statement(context, "a: \"Sym(4*s0)\" = f(x)", node_call, "f")->type->kind, type_integer);
    assert_int_equal(statement(context, "a: \"Sym(s0 < 4)\" = f(x)", node_call, "f")->type->kind, type_unknown);
    assert_int_equal(statement(context, "a: \"Parameter(f32[8][1]cpu)\" = f(x)", node_call, "f")->type->kind,
                     type_tensor);
    assert_int_equal(statement(context, "a: \"DTensor(f32[8], mesh)\" = f(x)", node_call, "f")->type->kind,
                     type_unknown);
    assert_int_equal(statement(context, "a: \"b1x8[4]\" = f(x)", node_call, "f")->type->kind, type_unknown);
    assert_int_equal(statement(context, "a : torch.Tensor = f(x)", node_call, "f")->type->kind, type_unknown);
}

/* A whole text prints as it was read, and again when liveness is computed anew. */
static struct graph *round_trip(struct context *context, const char *text) {
    struct graph *graph = read_text(context, text);
    assert_string_equal(print(graph), text);
    graph->changed = true;
    assert_string_equal(print(graph), text);
    return graph;
}

static void test_signatures(void **state) {
    struct context *context = context_of(state);
    struct graph *graph = round_trip(context, "# before\n\nclass <lambda>(torch.nn.Module):\n"
                                              "    def forward(\n"
                                              "        self,\n"
                                              "        a: \"Sym(s3)\",  # PlainAOTInput(idx=0)\n"
                                              "        b,  # an object\n"
                                              "        c : torch.Tensor = None, *rest\n"
                                              "    ) -> \"a: b\":  # end\n"
                                              "        d = a + 1;  d = None\n"
                                              "        return (\n"
                                              "            a,  # PlainAOTOutput(idx=0)\n"
                                              "            [b, c],\n"
                                              "        )\n"
                                              "\n"
                                              "    class inner(torch.nn.Module):\n"
                                              "        def forward(self, a):\n"
                                              "            return a\n");
    assert_int_equal(graph->node_count, 6);
    assert_int_equal(graph_find(graph, TEXT("a"))->type->kind, type_integer);
    assert_int_equal(graph_find(graph, TEXT("b"))->type->kind, type_object);
    assert_true(text_is(graph_find(graph, TEXT("rest"))->target, "*rest"));
    assert_true(text_starts_with(graph->trailing, "\n\n    class inner"));
    round_trip(context, "def forward(self):\n    return ()\n");
    round_trip(context, "class M(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n\n    def "
                        "forward(self, x):\n        return x");
}

static void test_unpacking(void **state) {
    struct context *context = context_of(state);
    round_trip(context, "class M(torch.nn.Module):\n    def forward(self, x, y):\n"
                        "        x, y, = fx_pytree.tree_flatten_spec(([x, y], {}), self._in_spec)\n"
                        "        a = x + y;  x = y = None\n"
                        "        return pytree.tree_unflatten([a], self._out_spec)\n");
    struct graph *graph = round_trip(context, "class M(torch.nn.Module):\n    def forward(self, args_list):\n"
                                              "        args_iter = iter(args_list)\n"
                                              "        x = next(args_iter)\n"
                                              "        args_list.clear()\n"
                                              "        return (x,)\n");
    assert_int_equal(graph_find(graph, TEXT("x"))->kind, node_placeholder);
}

static void test_comments(void **state) {
    struct context *context = context_of(state);
    struct graph *graph =
        round_trip(context, "class M(torch.nn.Module):\n    def forward(self, x):\n"
                            "        a = x + 1\n"
                            "        # Annotation: {'k': 1} File: models/defs.py:219 in forward, code: q, k = f(x)\n"
                            "        b = a + 2;  a = None  # more\n"
                            "        c = b + 3  \n"
                            "\n"
                            "        # No stacktrace found for following nodes\n"
                            "        d = c + b;  c = b = None\n"
                            "\"\"\"\nval: x = y\n\"\"\"\n"
                            "        e = d + x;  d = x = None\n"
                            "\n"
                            "        # end\n"
                            "        return e\n"
                            "        \n # graph id: 140\n");
    assert_null(graph_find(graph, TEXT("a"))->location);
    const struct node *b = graph_find(graph, TEXT("b")), *c = graph_find(graph, TEXT("c"));
    assert_true(text_is(b->location->file, "models/defs.py:219"));
    assert_ptr_equal(b->location, c->location);
    assert_true(text_is(b->trailing, "  # more"));
    assert_true(text_is(graph_find(graph, TEXT("d"))->location->file, ""));
}

static void test_frees_as_written(void **state) {
    struct graph *graph =
        read_body(context_of(state), ", x, y",
                  "        a = x + y;  x = None\n        b = a + 1;  y = a = None\n        return b\n");
    assert_non_null(strstr(print(graph), "a = x + y;  x = None\n"));
    graph->changed = true;
    assert_non_null(strstr(print(graph), "a = x + y;  x = y = None\n        b = a + 1;  a = None\n"));
}

static void test_positions_of_users(void **state) {
    struct graph *graph = read_body(context_of(state), ", x",
                                    "        a = f(x, [x, {'k': x}], slice(x, None, None))\n        return a\n");
    assert_int_equal(node_user_count(graph->first), 4);
    assert_int_equal(graph->first->next->position.offset, 70);
}

static void test_many_nodes(void **state) {
    struct context *context = context_of(state);
    struct builder text;
    builder_init(&text, context->arena);
    for (int i = 0; i < 100000; i++)
        builder_format(&text, "        a%d: \"f32[8]\" = torch.ops.aten.add.Tensor(%s%.0d, 1)\n", i, i ? "a" : "x",
                       i ? i - 1 : 0);
    struct graph *graph = read_body(context, ", x, a", text_format(context->arena, "%s        return a\n", text.data));
    assert_int_equal(graph->node_count, 100003);
    struct text name = {memset(arena_allocate(context->arena, 1000000), 'n', 1000000), 1000000};
    graph = read_body(
        context, ", x",
        text_format(context->arena, "        %.*s = x + 1\n        return %.*s\n", TEXT_ARGS(name), TEXT_ARGS(name)));
    assert_int_equal(graph->first->next->name.length, 1000000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FX_TEST(test_calls),
        FX_TEST(test_methods_and_attributes),
        FX_TEST(test_indices),
        FX_TEST(test_operators),
        FX_TEST(test_assignments_in_place),
        FX_TEST(test_renames),
        FX_TEST(test_numbers),
        FX_TEST(test_strings),
        FX_TEST(test_lists),
        FX_TEST(test_torch_values),
        FX_TEST(test_expressions),
        FX_TEST(test_annotations),
        FX_TEST(test_signatures),
        FX_TEST(test_unpacking),
        FX_TEST(test_comments),
        FX_TEST(test_frees_as_written),
        FX_TEST(test_positions_of_users),
        FX_TEST(test_many_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
