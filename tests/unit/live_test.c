/* Graphs that go in and out node by node: every captured graph gives the same both ways, the edits rebuild what the passes
 * made, and what is malformed is refused. */
#define _XOPEN_SOURCE 700
#include "fx_support.h"
#include "graph_files.h"
#include "ir/infer.h"
#include "live/live.h"
#include "pass/pass.h"

#define PLACED                                                                                                         \
    "unify-functionalized,noop-elim,split-coalesce,cse,scatter-split-replace,dce,split-coalesce,dce,place,realize-"    \
    "written,dce"

/* ---- a graph as arrays, as a binding makes them ---- */

struct arrays {
    regraft_live *live;
    struct arena *arena;
    VECTOR(regraft_live_node) nodes;
    VECTOR(regraft_value) values;
    int64_t *places; /* by node->index */
};

static int64_t string(struct arrays *arrays, struct text text) {
    const char *bytes = text_string(arrays->arena, text);
    int64_t number;
    assert_int_equal(regraft_live_strings(arrays->live, bytes, text.length + 1, &number), REGRAFT_OK);
    return number;
}

static regraft_dimension dimension(struct arrays *arrays, symint value) {
    struct builder out;
    int64_t number;
    if (symint_is_constant(value, &number) && number >= 0) return number;
    builder_init(&out, arrays->arena);
    symint_print(&out, value);
    assert_int_equal(regraft_live_expression(arrays->live, out.data, out.length, &number), REGRAFT_OK);
    return ~number;
}

static int64_t tensor(struct arrays *arrays, const struct type *type) {
    const struct layout *layout = &type->layout;
    struct builder device;
    regraft_dimension sizes[64], strides[64];
    int64_t number;
    builder_init(&device, arrays->arena);
    builder_add(&device, type->device.type);
    if (type->device.index >= 0) builder_format(&device, ":%d", type->device.index);
    for (size_t i = 0; i < layout->rank; i++) sizes[i] = dimension(arrays, layout->sizes[i]);
    for (size_t i = 0; layout->strides && i < layout->rank; i++) strides[i] = dimension(arrays, layout->strides[i]);
    assert_int_equal(regraft_live_tensor(arrays->live, dtype_torch_name(type->dtype), device.data, layout->rank, sizes,
                                         layout->strides ? strides : NULL, &number),
                     REGRAFT_OK);
    return number;
}

static int64_t type_of(struct arrays *arrays, const struct type *type) {
    int64_t number, items[256];
    switch (type->kind) {
    case type_none:
        return REGRAFT_TYPE_NONE;
    case type_object:
        return REGRAFT_TYPE_OBJECT;
    case type_tensor:
        return tensor(arrays, type);
    case type_integer:
        assert_int_equal(regraft_live_integer(arrays->live, dimension(arrays, type->integer), &number), REGRAFT_OK);
        return number;
    case type_tuple:
        for (size_t i = 0; i < type->item_count; i++) items[i] = type_of(arrays, type->items[i]);
        assert_int_equal(regraft_live_tuple(arrays->live, type->item_count, items, &number), REGRAFT_OK);
        return number;
    default:
        return REGRAFT_TYPE_UNKNOWN;
    }
}

static void add_value(struct arrays *arrays, const struct value *value);

static void add_items(struct arrays *arrays, const struct value *value, int64_t kind, int64_t keyword) {
    vector_push(arrays->arena, &arrays->values, (regraft_value){kind, keyword, (int64_t)value->list.count});
    for (size_t i = 0; i < value->list.count; i++) add_value(arrays, &value->list.items[i]);
}

static const char *device_name(struct arrays *arrays, struct device device) {
    const char *type = text_string(arrays->arena, device.type);
    return device.index < 0 ? type : text_format(arrays->arena, "%s:%d", type, device.index);
}

static void add_value(struct arrays *arrays, const struct value *value) {
    int64_t keyword = value->keyword.length ? string(arrays, value->keyword) : -1, bits;
    regraft_value out = {REGRAFT_VALUE_NONE, keyword, 0};
    switch (value->kind) {
    case value_none:
        break;
    case value_bool:
        out = (regraft_value){REGRAFT_VALUE_BOOL, keyword, value->boolean};
        break;
    case value_integer:
        out = (regraft_value){REGRAFT_VALUE_INTEGER, keyword, value->integer};
        break;
    case value_float:
        memcpy(&bits, &value->real, sizeof bits);
        out = (regraft_value){REGRAFT_VALUE_FLOAT, keyword, bits};
        break;
    case value_string:
        out = (regraft_value){REGRAFT_VALUE_STRING, keyword, string(arrays, value->string)};
        break;
    case value_node:
        out = (regraft_value){REGRAFT_VALUE_NODE, keyword, arrays->places[value->use.node->index]};
        break;
    case value_symint:
        bits = dimension(arrays, value->expression);
        out = (regraft_value){bits < 0 ? REGRAFT_VALUE_EXPRESSION : REGRAFT_VALUE_INTEGER, keyword,
                              bits < 0 ? ~bits : bits};
        break;
    case value_dtype:
        out = (regraft_value){REGRAFT_VALUE_DTYPE, keyword, string(arrays, text_of(dtype_torch_name(value->dtype)))};
        break;
    case value_device:
        out =
            (regraft_value){REGRAFT_VALUE_DEVICE, keyword, string(arrays, text_of(device_name(arrays, value->device)))};
        break;
    case value_list:
        add_items(arrays, value, REGRAFT_VALUE_LIST, keyword);
        return;
    case value_tuple:
        add_items(arrays, value, REGRAFT_VALUE_TUPLE, keyword);
        return;
    case value_dictionary:
        add_items(arrays, value, REGRAFT_VALUE_DICTIONARY, keyword);
        return;
    case value_slice:
        add_items(arrays, value, REGRAFT_VALUE_SLICE, keyword);
        return;
    case value_operator:
        out = (regraft_value){REGRAFT_VALUE_OPERATOR, keyword,
                              string(arrays, text_skip(value->written, strlen("torch.ops.")))};
        break;
    case value_name:
        out = (regraft_value){REGRAFT_VALUE_NAME, keyword, string(arrays, value->written)};
        break;
    }
    vector_push(arrays->arena, &arrays->values, out);
}

static int64_t kind_of(const struct node *node) {
    static const int64_t kinds[] = {
        [node_placeholder] = REGRAFT_NODE_PLACEHOLDER, [node_getitem] = REGRAFT_NODE_GETITEM,
        [node_method] = REGRAFT_NODE_METHOD,           [node_operator] = REGRAFT_NODE_OPERATOR,
        [node_attribute] = REGRAFT_NODE_ATTRIBUTE,     [node_output] = REGRAFT_NODE_OUTPUT};
    if (node->kind == node_call) return node->in_torch_ops ? REGRAFT_NODE_CALL : REGRAFT_NODE_FUNCTION;
    return kinds[node->kind];
}

static void add_node(struct arrays *arrays, const struct node *node, const struct input_memory *memory) {
    regraft_live_node out = {.kind = kind_of(node), .source = -1, .storage = -1};
    out.name = string(arrays, node->name);
    out.target = string(arrays, node->target);
    out.type = type_of(arrays, node->type);
    if (memory) {
        out.storage = memory->storage;
        if (memory->storage >= 0) out.offset = dimension(arrays, memory->offset);
    }
    out.first_value = (int64_t)arrays->values.count;
    for (size_t i = 0; i < node->argument_count; i++) add_value(arrays, &node->arguments[i]);
    out.value_count = (int64_t)arrays->values.count - out.first_value;
    out.argument_count = (int64_t)node->argument_count;
    arrays->places[node->index] = (int64_t)arrays->nodes.count;
    vector_push(arrays->arena, &arrays->nodes, out);
}

/* Whether every node has a place in a live graph: a second name for a value has none. */
static bool is_live(const struct graph *graph) {
    for (const struct node *node = graph->first; node; node = node->next)
        if (node->kind == node_rename) return false;
    return true;
}

static void to_arrays(struct arrays *arrays, struct context *context, regraft_live *live, const struct graph *graph) {
    size_t input = 0;
    *arrays = (struct arrays){.live = live, .arena = context->arena};
    arrays->places = arena_array(context->arena, int64_t, graph->node_limit);
    for (const struct node *node = graph->first; node; node = node->next) {
        bool known = node->kind == node_placeholder && graph->input_memory;
        add_node(arrays, node, known ? &graph->input_memory[input++] : NULL);
    }
}

static regraft_graph *build(struct context *context, const struct arrays *arrays) {
    regraft_graph *graph;
    if (regraft_live_graph(arrays->live, arrays->nodes.items, arrays->nodes.count, arrays->values.items,
                           arrays->values.count, &graph) != REGRAFT_OK)
        fail_msg("%s", context->diagnostics.message);
    return graph;
}

/* ---- are two graphs the same, node for node? ---- */

static const char *value_text(struct arena *arena, const struct value *value, struct builder *out);

static void items_text(struct arena *arena, const struct value *value, struct builder *out) {
    for (size_t i = 0; i < value->list.count; i++) value_text(arena, &value->list.items[i], out);
}

/* Everything that decides a value, but not how it was spelled. */
static const char *value_text(struct arena *arena, const struct value *value, struct builder *out) {
    builder_format(out, " %.*s(%d ", TEXT_ARGS(value->keyword), (int)value->kind);
    switch (value->kind) {
    case value_node:
        builder_add(out, value->use.node->name);
        break;
    case value_symint:
        symint_print(out, value->expression);
        break;
    case value_integer:
        builder_format(out, "%lld", (long long)value->integer);
        break;
    case value_bool:
        builder_format(out, "%d", value->boolean);
        break;
    case value_float:
        builder_format(out, "%a", value->real);
        break;
    case value_string:
        builder_add(out, value->string);
        break;
    case value_dtype:
        builder_string(out, dtype_torch_name(value->dtype));
        break;
    case value_device:
        builder_format(out, "%.*s:%d", TEXT_ARGS(value->device.type), value->device.index);
        break;
    case value_list:
    case value_tuple:
    case value_dictionary:
    case value_slice:
        items_text(arena, value, out);
        break;
    case value_operator:
    case value_name:
        builder_add(out, value->written);
        break;
    default:
        break;
    }
    builder_byte(out, ')');
    return out->data;
}

static const char *node_text(struct arena *arena, const struct node *node) {
    struct builder out;
    builder_init(&out, arena);
    bool named = node->kind != node_getitem && node->kind != node_placeholder;
    builder_format(&out, "%d %.*s %.*s", (int)node->kind, TEXT_ARGS(node->name), named ? (int)node->target.length : 0,
                   node->target.data);
    for (size_t i = 0; i < node->argument_count; i++) value_text(arena, &node->arguments[i], &out);
    return out.data;
}

static void assert_same(struct context *context, const char *what, const struct graph *a, const struct graph *b) {
    const struct node *x = a->first, *y = b->first;
    for (; x && y; x = x->next, y = y->next) {
        const char *left = node_text(context->arena, x), *right = node_text(context->arena, y);
        if (strcmp(left, right) != 0) fail_msg("%s:\n%s\n%s", what, left, right);
    }
    assert_true(!x && !y);
}

/* ---- the edits ---- */

/* The arrays of the graph that the edits make of another one. */
static void follow_edits(struct arrays *from, size_t handles, const regraft_edits *edits, struct arrays *to) {
    *to = (struct arrays){.live = from->live, .arena = from->arena};
    int64_t *places = arena_array(from->arena, int64_t, handles);
    for (size_t i = 0; i < edits->node_count; i++) {
        const regraft_edit *edit = &edits->nodes[i];
        regraft_live_node node = {.storage = -1};
        const regraft_value *values = edits->values;
        if (edit->edit != REGRAFT_EDIT_NEW) node = from->nodes.items[edit->handle];
        if (edit->edit == REGRAFT_EDIT_KEPT)
            values = from->values.items;
        else
            node = (regraft_live_node){
                edit->kind,   edit->name,  edit->target,      edit->type,        -1,
                node.storage, node.offset, edit->first_value, edit->value_count, edit->argument_count};
        int64_t first = (int64_t)to->values.count;
        for (int64_t k = 0; k < node.value_count; k++) {
            regraft_value value = values[node.first_value + k];
            if (value.kind == REGRAFT_VALUE_NODE) value.content = places[value.content];
            vector_push(to->arena, &to->values, value);
        }
        node.first_value = first;
        places[edit->handle] = (int64_t)i;
        vector_push(to->arena, &to->nodes, node);
    }
}

static size_t count_edits(const regraft_edits *edits, int64_t edit) {
    size_t count = 0;
    for (size_t i = 0; i < edits->node_count; i++) count += edits->nodes[i].edit == edit;
    return count;
}

/* ---- captured graphs ---- */

struct totals {
    size_t graphs, changed;
};

static bool open_graph(struct context *context, const char *path, int index, struct graph **graph) {
    struct file *file;
    return file_read(context, path, &file) == REGRAFT_OK &&
           file_graph(context, file, index, NULL, graph) == REGRAFT_OK && infer_graph(*graph) == REGRAFT_OK &&
           is_live(*graph);
}

static void compare_graph(struct context *context, const char *path, struct graph *text, struct totals *totals) {
    regraft_live *live;
    regraft_proof proof;
    regraft_edits edits;
    struct arrays arrays, edited;
    assert_int_equal(regraft_live_create((regraft_context *)context, &live), REGRAFT_OK);
    to_arrays(&arrays, context, live, text);
    regraft_graph *before = build(context, &arrays), *after = build(context, &arrays);
    assert_same(context, path, text, (struct graph *)before);
    assert_int_equal(regraft_live_edits(live, after, &edits), REGRAFT_OK);
    assert_int_equal(count_edits(&edits, REGRAFT_EDIT_KEPT), arrays.nodes.count);

    if (pipeline_run(text, PLACED, NULL) != REGRAFT_OK ||
        pipeline_run((struct graph *)after, PLACED, NULL) != REGRAFT_OK)
        fail_msg("%s: %s", path, context->diagnostics.message);
    assert_same(context, path, text, (struct graph *)after);
    assert_int_equal(regraft_live_prove(before, after, &proof), REGRAFT_OK);
    if (!proof.proved) fail_msg("%s: %s: %s", path, proof.result, proof.reason);

    assert_int_equal(regraft_live_edits(live, after, &edits), REGRAFT_OK);
    follow_edits(&arrays, ((struct graph *)after)->node_limit, &edits, &edited);
    assert_same(context, path, (struct graph *)after, (struct graph *)build(context, &edited));
    totals->graphs++;
    totals->changed += count_edits(&edits, REGRAFT_EDIT_KEPT) < edits.node_count;
}

static void compare_file(const char *path, void *user) {
    for (int index = 0;; index++) {
        void *opened;
        struct graph *graph;
        fixture_open(&opened);
        struct context *context = context_of(&opened);
        bool found = open_graph(context, path, index, &graph);
        if (found) compare_graph(context, path, graph, user);
        fixture_close(&opened);
        if (!found) return;
    }
}

static void captured_graphs_are_the_same_both_ways(void **state) {
    struct totals totals = {0};
    (void)state;
    each_graph(REGRAFT_GRAPHS, compare_file, &totals);
    assert_true(totals.graphs > 80);
    assert_true(totals.changed > 40);
}

/* ---- what is malformed ---- */

struct small {
    struct context *context;
    regraft_live *live;
    int64_t x, y, neg, output, type;
};

static struct small small_open(void **state) {
    struct small small = {.context = context_of(state)};
    const char texts[] = "x\0y\0aten.neg.default\0output";
    int64_t first;
    assert_int_equal(regraft_live_create((regraft_context *)small.context, &small.live), REGRAFT_OK);
    assert_int_equal(regraft_live_strings(small.live, texts, sizeof texts, &first), REGRAFT_OK);
    assert_int_equal(regraft_live_tensor(small.live, "float32", "cpu", 1, (int64_t[]){4}, (int64_t[]){1}, &small.type),
                     REGRAFT_OK);
    small.x = first;
    small.y = first + 1;
    small.neg = first + 2;
    small.output = first + 3;
    return small;
}

/* x; y = neg(x); return y: the second node's value is `value`, of kind `kind`. */
static regraft_status small_build(const struct small *small, regraft_value value, int64_t arguments, int64_t values) {
    const regraft_live_node nodes[] = {
        {REGRAFT_NODE_PLACEHOLDER, small->x, small->x, small->type, -1, -1, 0, 0, 0, 0},
        {REGRAFT_NODE_CALL, small->y, small->neg, small->type, -1, -1, 0, 0, values, arguments},
        {REGRAFT_NODE_OUTPUT, small->output, small->output, REGRAFT_TYPE_UNKNOWN, -1, -1, 0, 1, 1, 1},
    };
    const regraft_value all[] = {value, {REGRAFT_VALUE_NODE, -1, 1}};
    regraft_graph *graph;
    return regraft_live_graph(small->live, nodes, 3, all, 2, &graph);
}

static void malformed_graphs_are_refused(void **state) {
    struct small small = small_open(state);
    struct context *context = small.context;
    assert_int_equal(small_build(&small, (regraft_value){REGRAFT_VALUE_NODE, -1, 0}, 1, 1), REGRAFT_OK);
    assert_message(context, small_build(&small, (regraft_value){REGRAFT_VALUE_NODE, -1, 1}, 1, 1), REGRAFT_USAGE,
                   "regraft: error: y uses node 1, which does not stand before it\n");
    assert_message(context, small_build(&small, (regraft_value){REGRAFT_VALUE_NODE, -1, -1}, 1, 1), REGRAFT_USAGE,
                   "regraft: error: y uses node -1, which does not stand before it\n");
    assert_message(context, small_build(&small, (regraft_value){REGRAFT_VALUE_STRING, -1, 99}, 1, 1), REGRAFT_USAGE,
                   "regraft: error: there is no text 99, given as an argument; there are 4\n");
    assert_message(context, small_build(&small, (regraft_value){REGRAFT_VALUE_NODE, 99, 0}, 1, 1), REGRAFT_USAGE,
                   "regraft: error: there is no text 99, given as a keyword; there are 4\n");
    assert_message(context, small_build(&small, (regraft_value){77, -1, 0}, 1, 1), REGRAFT_USAGE,
                   "regraft: error: there is no kind of value 77\n");
    assert_message(context, small_build(&small, (regraft_value){REGRAFT_VALUE_LIST, -1, 5}, 1, 1), REGRAFT_USAGE,
                   "regraft: error: a list of y cannot have 5 items\n");
    assert_message(context, small_build(&small, (regraft_value){REGRAFT_VALUE_EXPRESSION, -1, 3}, 1, 1), REGRAFT_USAGE,
                   "regraft: error: there is no expression 3; there are 0\n");
    assert_message(context, small_build(&small, (regraft_value){REGRAFT_VALUE_NODE, -1, 0}, 1, 2), REGRAFT_USAGE,
                   "regraft: error: y has other values than it says\n");
    assert_message(context, small_build(&small, (regraft_value){REGRAFT_VALUE_NODE, -1, 0}, 3, 2), REGRAFT_USAGE,
                   "regraft: error: node 1 is malformed\n");
    assert_message(context, small_build(&small, (regraft_value){REGRAFT_VALUE_INTEGER, -1, 0}, 0, 0), REGRAFT_REJECTED,
                   "regraft: error: y: aten.neg.default: the argument 'self' is missing; the schema is "
                   "aten::neg(Tensor self) -> Tensor\n");
}

static void wrong_numbers_are_refused(void **state) {
    struct small small = small_open(state);
    struct context *context = small.context;
    int64_t number;
    assert_message(context, regraft_live_tuple(small.live, 1, (int64_t[]){99}, &number), REGRAFT_USAGE,
                   "regraft: error: there is no type 99; there are 4\n");
    assert_message(context, regraft_live_integer(small.live, ~(int64_t)4, &number), REGRAFT_USAGE,
                   "regraft: error: there is no expression 4; there are 0\n");
    assert_message(context, regraft_live_strings(small.live, "open", 4, &number), REGRAFT_USAGE,
                   "regraft: error: the last text does not end in a zero byte\n");
    assert_int_equal(regraft_live_expression(small.live, "s0 +", 4, &number), REGRAFT_REJECTED);
    diagnostics_clear(&context->diagnostics);
    assert_null(regraft_live_string_text(small.live, 99));
    assert_null(regraft_live_expression_text(small.live, 0));
    assert_int_equal(regraft_live_tensor(small.live, "float2", "cpu", 0, NULL, NULL, &number), REGRAFT_OK);
    assert_int_equal(number, REGRAFT_TYPE_UNKNOWN);
}

static void expressions_are_one_however_they_are_spelled(void **state) {
    struct small small = small_open(state);
    int64_t a, b, types[2];
    assert_int_equal(regraft_live_expression(small.live, "2*s0 + 2", 8, &a), REGRAFT_OK);
    assert_int_equal(regraft_live_expression(small.live, "2*(s0 + 1)", 10, &b), REGRAFT_OK);
    assert_int_equal(a, b);
    assert_string_equal(regraft_live_expression_text(small.live, a), "2*s0 + 2");
    for (size_t i = 0; i < 2; i++) { /* the stride of a dimension of size 1 does not count */
        const regraft_dimension sizes[] = {~a, 1}, strides[] = {1, i ? 7 : 1};
        assert_int_equal(regraft_live_tensor(small.live, "float32", "cpu", 2, sizes, strides, &types[i]), REGRAFT_OK);
    }
    assert_true(regraft_live_same_type(small.live, types[0], types[1]));
    assert_false(regraft_live_same_type(small.live, types[0], small.type));
}

/* ---- operations of a live registry ---- */

static const struct operation *declare(struct small *small, const char *schema, int stateless, const char *target) {
    if (regraft_live_operation(small->live, schema, strlen(schema), stateless) != REGRAFT_OK)
        fail_msg("%s", small->context->diagnostics.message);
    return operations_find(small->context->operations, text_of(target));
}

static void schemas_of_the_registry_hold(void **state) {
    struct small small = small_open(state);
    const struct operation *slice = operations_find(small.context->operations, TEXT("aten.slice.Tensor"));
    const struct operation *found =
        declare(&small,
                "aten::slice.Tensor(Tensor(a) self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> "
                "Tensor(a)",
                1, "aten.slice.Tensor");
    assert_int_equal(found->class, class_view);
    assert_int_equal(found->id, slice->id);

    /* as the registry prints `Tensor!`; a layer that is an object; one more argument with a default */
    found = declare(&small,
                    "_C::rotary_embedding(Tensor positions, Tensor($0! -> ) query, Tensor($1! -> )? key, int "
                    "head_size, Tensor cos_sin_cache, bool is_neox) -> ()",
                    0, "_C.rotary_embedding.default");
    assert_int_equal(found->class, class_call);
    assert_int_equal(found->effect, effect_none);
    assert_true(found->schema.arguments[1].written && found->schema.arguments[2].written);
    found = declare(&small,
                    "vllm::unified_attention_with_output(Tensor query, Tensor key, Tensor value, Tensor(a3!) output, "
                    "PyObject layer_name, Tensor? output_scale=None, Tensor(a6!)? output_block_scale=None, Tensor? "
                    "kv_cache_dummy_dep=None, int more=0) -> ()",
                    0, "vllm.unified_attention_with_output.default");
    assert_int_equal(found->class, class_state);
    assert_true(found->schema.arguments[6].written);
}

static void other_schemas_replace_the_table(void **state) {
    struct small small = small_open(state);
    const struct operation *found = declare(&small, "aten::neg(Tensor(a) self) -> Tensor(a)", 1, "aten.neg.default");
    assert_int_equal(found->class, class_opaque);
    found = declare(&small, "aten::exp(Tensor(a!) self) -> Tensor", 1, "aten.exp.default");
    assert_int_equal(found->class, class_call);
    found =
        declare(&small, "_C::silu_and_mul(Tensor! result, Tensor input, int how) -> ()", 0, "_C.silu_and_mul.default");
    assert_int_equal(found->id, operation_unknown);
    assert_int_equal(found->effect, effect_writes_state);
}

static void unknown_operations_keep_their_place(void **state) {
    struct small small = small_open(state);
    const struct operation *found = declare(&small, "my::op(Tensor x) -> Tensor", 0, "my.op.default");
    assert_int_equal(found->class, class_compute);
    assert_int_equal(found->effect, effect_writes_state);
    found = declare(&small, "aten::a_new_one(Tensor x) -> Tensor", 1, "aten.a_new_one.default");
    assert_int_equal(found->effect, effect_none);
    assert_int_equal(regraft_live_operation(small.live, "my::op(Tensor", 13, 0), REGRAFT_REJECTED);
}

/* x is the graph's own and nobody reads its old contents: the call writes in place, unless its kernel is not to be trusted. */
static size_t count_copies(struct context *context, bool keep) {
    struct graph *graph = read_body(
        context, ", w: \"f32[8][1]cpu\", y: \"f32[4, 8][8, 1]cpu\"",
        "        x: \"f32[4, 8][8, 1]cpu\" = torch.ops.aten.neg.default(y)\n"
        "        part: \"f32[4, 4][8, 1]cpu\" = torch.ops.aten.slice.Tensor(x, 1, 0, 4)\n"
        "        call = torch.ops.higher_order.auto_functionalized(torch.ops._C.silu_and_mul.default, result = part, "
        "input = y)\n"
        "        new: \"f32[4, 4][8, 1]cpu\" = call[1]\n"
        "        whole: \"f32[4, 8][8, 1]cpu\" = torch.ops.aten.slice_scatter.default(x, new, 1, 0, 4)\n"
        "        return (whole,)\n");
    regraft_live *live;
    assert_int_equal(infer_graph(graph), REGRAFT_OK);
    assert_int_equal(regraft_live_create((regraft_context *)context, &live), REGRAFT_OK);
    if (keep)
        assert_int_equal(regraft_live_keep_copies(live, "_C.silu_and_mul.default", "it writes the gaps too"),
                         REGRAFT_OK);
    if (pipeline_run(graph, PLACED, NULL) != REGRAFT_OK) fail_msg("%s", context->diagnostics.message);
    if (keep) assert_string_equal(graph->copies.items[0].why, "it writes the gaps too");
    if (keep)
        assert_string_equal(graph->copies.items[0].remedy, "a kernel that touches what its schema says and no more");
    return graph->copies.count;
}

static void kernels_that_are_not_trusted_write_to_copies(void **state) {
    struct context *context = context_of(state);
    regraft_live *live;
    assert_int_equal(count_copies(context, false), 0);
    assert_int_equal(count_copies(context, true), 2); /* what the call writes, and putting that into x */
    assert_int_equal(regraft_live_create((regraft_context *)context, &live), REGRAFT_OK);
    assert_message(context, regraft_live_keep_copies(live, "no.such.op", ""), REGRAFT_USAGE,
                   "regraft: error: there is no operation 'no.such.op'\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captured_graphs_are_the_same_both_ways),
        FX_TEST(malformed_graphs_are_refused),
        FX_TEST(wrong_numbers_are_refused),
        FX_TEST(expressions_are_one_however_they_are_spelled),
        FX_TEST(schemas_of_the_registry_hold),
        FX_TEST(other_schemas_replace_the_table),
        FX_TEST(unknown_operations_keep_their_place),
        FX_TEST(kernels_that_are_not_trusted_write_to_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
