#include "rule/instance.h"

#include "ir/effect.h"
#include "ir/infer.h"
#include "rule/matching.h"

enum { largest_named = 1 << 20 }; /* of the numbers in conditions that sizes are taken from */

struct instance {
    struct context *context;
    const struct rule *rule;
    struct graph *graph;
    uint64_t random;
    int64_t *integers;   /* by attribute */
    enum dtype *dtypes;  /* by attribute */
    struct node **nodes; /* by variable of rule->match */
    size_t alternative;  /* which of several types, in all of the instance */
    int64_t lead[2];     /* what `...` stands for */
    size_t lead_rank;
    bool *repeated; /* by variable: the placeholder holds one half of it */
};

/* ---- chance ---- */

static uint64_t draw(struct instance *instance, uint64_t limit) {
    instance->random = instance->random * 6364136223846793005U + 1442695040888963407U;
    return (instance->random >> 33) % limit;
}

static bool seldom(struct instance *instance) { return draw(instance, 8) == 0; }
static bool rarely(struct instance *instance) { return draw(instance, 64) == 0; }

/* ---- attributes ---- */

static bool look_up(void *user, struct text symbol, int64_t *value) {
    struct instance *instance = user;
    for (size_t i = 0; i < instance->rule->attributes.count; i++)
        if (text_equal(instance->rule->attributes.items[i].name, symbol)) {
            *value = instance->integers[i];
            return true;
        }
    return false;
}

static int64_t evaluate(struct instance *instance, symint integer) {
    int64_t value = 1;
    return symint_evaluate(integer, look_up, instance, &value) ? value : 1;
}

/* Whether an expression is the attribute alone. */
static bool is_attribute(const struct instance *instance, const struct expression *expression, size_t attribute) {
    return expression->kind == expression_integer
               ? expression->integer == instance->rule->attributes.items[attribute].symbol
               : expression->kind == expression_attribute && expression->attribute == attribute;
}

static bool is_constant(const struct expression *expression) {
    int64_t number;
    return expression->kind == expression_literal ||
           (expression->kind == expression_integer && symint_is_constant(expression->integer, &number));
}

/* One of the constants that conditions compare the attribute with; NULL: there are none. */
static const struct expression *named_constant(struct instance *instance, size_t attribute) {
    const struct expression *chosen = NULL;
    uint64_t count = 0;
    for (size_t i = 0; i < instance->rule->conditions.count; i++) {
        const struct condition *condition = &instance->rule->conditions.items[i];
        for (size_t k = 0; k < condition->right_count; k++) {
            const struct expression *left = &condition->left, *right = &condition->right[k];
            if (is_attribute(instance, right, attribute)) right = left, left = &condition->right[k];
            if (is_attribute(instance, left, attribute) && is_constant(right) && draw(instance, ++count) == 0)
                chosen = right;
        }
    }
    return chosen;
}

static const enum dtype usual_dtypes[] = {dtype_bf16, dtype_f16, dtype_f32};

static bool is_usual(enum dtype dtype) {
    return dtype == usual_dtypes[0] || dtype == usual_dtypes[1] || dtype == usual_dtypes[2];
}

/* Half of the time what a condition names, or a number beside it; the usual element types come anyway. */
static void choose_named(struct instance *instance, size_t attribute) {
    const struct expression *named = named_constant(instance, attribute);
    int64_t number;
    bool dtype = named && named->kind == expression_literal && named->literal->kind == value_dtype;
    if (!named || (dtype && is_usual(named->literal->dtype)) || draw(instance, 2)) return;
    if (dtype) instance->dtypes[attribute] = named->literal->dtype;
    if (named->kind != expression_integer || !symint_is_constant(named->integer, &number)) return;
    if (seldom(instance)) number += draw(instance, 2) ? 1 : -1;
    if (number > 0 && number <= largest_named) instance->integers[attribute] = number;
}

/* Mostly one number for all widths, so that what must be equal often is. */
static void choose_attributes(struct instance *instance) {
    static const int64_t integers[] = {1, 2, 3, 4, 8};
    int64_t common = (int64_t)(2 * (1 + draw(instance, 4)));
    enum dtype dtype = seldom(instance) ? dtype_f64 : usual_dtypes[draw(instance, 3)];
    for (size_t i = 0; i < instance->rule->attributes.count; i++) {
        const struct attribute *attribute = &instance->rule->attributes.items[i];
        bool apart = text_is(attribute->name, "tokens") || text_is(attribute->name, "heads") ||
                     text_is(attribute->name, "kv_heads");
        instance->integers[i] = apart || seldom(instance) ? integers[draw(instance, 5)] : common;
        if (text_is(attribute->name, "rows")) instance->integers[i] = 16;
        instance->dtypes[i] = seldom(instance) ? usual_dtypes[draw(instance, 3)] : dtype;
        choose_named(instance, i);
    }
}

/* A constant that some condition names, or one of the usual ones. */
static struct value constant(struct instance *instance, size_t attribute) {
    static const char *const strings[] = {"auto", "auto", "fp8_ds_mla"};
    enum attribute_kind kind = instance->rule->attributes.items[attribute].kind;
    const struct expression *named =
        kind == attribute_dtype || kind == attribute_integer ? NULL : named_constant(instance, attribute);
    if (named && named->kind == expression_literal && draw(instance, 2)) return *named->literal;
    switch (kind) {
    case attribute_float:
        return (struct value){.kind = value_float, .real = 1e-5, .written = TEXT("1e-05")};
    case attribute_boolean:
        return (struct value){.kind = value_bool, .boolean = draw(instance, 2)};
    case attribute_string:
        return (struct value){.kind = value_string, .string = text_of(strings[draw(instance, 3)])};
    case attribute_dtype:
        return (struct value){.kind = value_dtype, .dtype = instance->dtypes[attribute]};
    case attribute_layer:
        return (struct value){.kind = value_string, .string = TEXT("layers.0")};
    default:
        return (struct value){.kind = value_integer, .integer = instance->integers[attribute]};
    }
}

/* ---- types ---- */

static const struct tensor_pattern *choose_type(const struct instance *instance, const struct tensor_pattern *type) {
    for (size_t i = 0; i < instance->alternative && type->otherwise; i++) type = type->otherwise;
    return type;
}

static size_t sizes_of(struct instance *instance, const struct tensor_pattern *type, int64_t *sizes) {
    size_t rank = 0, skip = seldom(instance) ? 1 : 0;
    bool broadcast = seldom(instance);
    for (size_t i = skip; type->open && i < instance->lead_rank; i++)
        sizes[rank++] = broadcast && i == 0 ? 1 : instance->lead[i];
    for (size_t i = 0; i < type->rank; i++) {
        bool open = type->sizes[i].kind == pattern_default;
        sizes[rank++] = open ? instance->lead[0] : evaluate(instance, type->sizes[i].integer);
    }
    return rank;
}

static symint number(struct instance *instance, int64_t value) {
    return symint_constant(instance->context->symbols, value);
}

/* Row-major; now and then with gaps between rows, between elements, or column-major. */
static const struct type *make_type(struct instance *instance, enum dtype dtype, const int64_t *sizes, size_t rank) {
    struct arena *arena = instance->context->arena;
    symint *dimensions = arena_array(arena, symint, rank), *strides = arena_array(arena, symint, rank);
    int64_t step = rarely(instance) ? 2 : 1;
    bool gaps = seldom(instance), reversed = rarely(instance), exchanged = rank > 2 && seldom(instance);
    for (size_t k = rank; k-- > 0;) {
        size_t i = reversed ? rank - 1 - k : exchanged && k < 2 ? 1 - k : k;
        dimensions[i] = number(instance, sizes[i]);
        strides[i] = number(instance, step);
        step *= sizes[i] > 0 ? sizes[i] : 1;
        if (gaps && k + 1 == rank) step += 8;
    }
    return type_make_tensor(arena, dtype, (struct layout){rank, dimensions, strides}, (struct device){TEXT("cpu"), -1});
}

/* Whether a condition wants the rows of a tensor to hold everything twice. */
static bool is_repeated(const struct instance *instance, size_t variable, const char *function) {
    for (size_t i = 0; i < instance->rule->conditions.count; i++) {
        const struct expression *left = &instance->rule->conditions.items[i].left;
        if (left->kind == expression_function && left->variable == variable && text_starts_with(left->text, function))
            return true;
    }
    return false;
}

/* Whether the rule wants somebody who takes the result as a key. */
static bool wants_key(const struct instance *instance, size_t variable) {
    for (size_t i = 0; i < instance->rule->conditions.count; i++) {
        const struct condition *condition = &instance->rule->conditions.items[i];
        if (!condition->negated && condition->left.kind == expression_function &&
            condition->left.variable == variable && text_starts_with(condition->left.text, "read_as_key"))
            return true;
    }
    return false;
}

static void add_tensor(struct instance *instance, size_t index) {
    const struct variable *variable = &instance->rule->match.variables.items[index];
    const struct tensor_pattern *type = choose_type(instance, variable->type);
    int64_t sizes[80];
    size_t rank = sizes_of(instance, type, sizes);
    enum dtype dtype = type->any_dtype                     ? dtype_f32
                       : type->dtype_attribute != SIZE_MAX ? instance->dtypes[type->dtype_attribute]
                                                           : type->dtype;
    if (type->any_shape) sizes[0] = 2, rank = 1, dtype = dtype_f32;
    bool repeated = is_repeated(instance, index, "repeats_") && !seldom(instance);
    if (repeated && rank) sizes[rank - 1] = (sizes[rank - 1] + 1) / 2;
    instance->repeated[index] = repeated && rank;
    struct node *node = graph_insert(instance->graph, NULL, node_placeholder, variable->name, 0);
    node->target = variable->name;
    node->type = make_type(instance, dtype, sizes, rank);
    instance->nodes[index] = node;
}

/* ---- statements ---- */

static void set_pattern(struct instance *instance, struct node *user, struct value *value,
                        const struct pattern *pattern) {
    struct text keyword = value->keyword;
    struct value chosen;
    switch (pattern->kind) {
    case pattern_variable:
        if (instance->nodes[pattern->index]) value_set_node(user, value, instance->nodes[pattern->index]);
        return;
    case pattern_integer:
        value_set_integer(user, value, evaluate(instance, pattern->integer));
        return;
    case pattern_list: {
        struct value *items = value_set_list(user, value, value_list, pattern->count);
        for (size_t i = 0; i < pattern->count; i++) set_pattern(instance, user, &items[i], &pattern->items[i]);
        return;
    }
    default:
        chosen = pattern->kind == pattern_literal ? *pattern->literal : constant(instance, pattern->index);
        value_copy(user, value, &chosen);
        value->keyword = keyword;
    }
}

static struct node *insert(struct instance *instance, enum operation_id id, size_t arguments) {
    return graph_insert_call(instance->graph, NULL, operations_by_id(instance->context->operations, id), arguments);
}

/* Now and then another spelling of the operation, which takes a tensor where the statement has one. */
static const struct operation *choose_spelling(struct instance *instance, const struct rule_statement *statement) {
    size_t index = draw(instance, 12);
    const struct operation *other = spelling_at(instance->context->operations, statement->operation, index);
    if (!other || statement->argument_count > other->schema.argument_count) return statement->operation;
    for (size_t i = 1; i < statement->argument_count; i++) {
        struct text name = statement->operation->schema.arguments[i].name;
        size_t own = schema_find_argument(&other->schema, name);
        bool tensor = statement->arguments[i].kind == pattern_variable;
        if (own == SIZE_MAX || tensor != (other->schema.arguments[own].type == schema_tensor))
            return statement->operation;
    }
    return other;
}

static regraft_status add_call(struct instance *instance, const struct rule_statement *statement) {
    const struct operation *operation = choose_spelling(instance, statement);
    bool wrapped = operation_writes(operation), named = wrapped;
    size_t count = wrapped, next = wrapped;
    for (size_t i = 0; i < statement->argument_count; i++) count += statement->arguments[i].kind != pattern_default;
    struct node *call = wrapped ? insert(instance, operation_higher_order_auto_functionalized, count)
                                : graph_insert_call(instance->graph, NULL, operation, count);
    if (wrapped) call->arguments[0] = (struct value){.kind = value_operator, .operation = operation};
    for (size_t i = 0; i < statement->argument_count; i++) {
        named = named || statement->arguments[i].kind == pattern_default || (operation != statement->operation && i) ||
                operation->schema.arguments[i].keyword_only;
        if (statement->arguments[i].kind == pattern_default) continue;
        if (named) call->arguments[next].keyword = statement->operation->schema.arguments[i].name;
        set_pattern(instance, call, &call->arguments[next++], &statement->arguments[i]);
    }
    TRY(infer_node(call));
    for (size_t i = 0; i < statement->result_count; i++) {
        bool list = operation->class == class_view && operation->schema.returns[0].list;
        int64_t item = list ? (int64_t)i : item_of_result(operation, i);
        if (statement->results[i] == SIZE_MAX) continue;
        instance->nodes[statement->results[i]] =
            item < 0 ? call : graph_insert_getitem(instance->graph, NULL, call, item);
    }
    return REGRAFT_OK;
}

static regraft_status reshape_to(struct instance *instance, struct node *source, const int64_t *sizes, size_t rank,
                                 struct node **result) {
    *result = insert(instance, operation_aten_reshape_default, 2);
    value_set_node(*result, &(*result)->arguments[0], source);
    struct value *items = value_set_list(*result, &(*result)->arguments[1], value_list, rank);
    for (size_t i = 0; i < rank; i++) value_set_integer(*result, &items[i], sizes[i]);
    return infer_node(*result);
}

/* a b as a b a b, or as a a b b. */
static regraft_status repeat(struct instance *instance, size_t index) {
    struct node *half = instance->nodes[index];
    bool pairs = is_repeated(instance, index, "repeats_pairs");
    size_t rank = half->type->layout.rank;
    struct node *cat = insert(instance, pairs ? operation_aten_stack_default : operation_aten_cat_default, 2);
    struct value *items = value_set_list(cat, &cat->arguments[0], value_list, 2);
    for (size_t i = 0; i < 2; i++) value_set_node(cat, &items[i], half);
    value_set_integer(cat, &cat->arguments[1], -1);
    instance->nodes[index] = cat;
    TRY(infer_node(cat));
    if (!pairs) return REGRAFT_OK;
    int64_t sizes[80];
    for (size_t i = 0; i < rank; i++)
        if (!symint_is_constant(half->type->layout.sizes[i], &sizes[i])) return REGRAFT_OK;
    sizes[rank - 1] *= 2;
    return reshape_to(instance, cat, sizes, rank, &instance->nodes[index]);
}

/* same_elements, broadcast: a reshape to the type that the result has, or nothing. */
static regraft_status add_elements(struct instance *instance, const struct rule_statement *statement) {
    const struct variable *result = &instance->rule->match.variables.items[statement->results[0]];
    struct node *source = instance->nodes[statement->arguments[0].index];
    int64_t sizes[80];
    instance->nodes[statement->results[0]] = source;
    if (!result->type || result->type->any_shape) return REGRAFT_OK;
    size_t rank = sizes_of(instance, choose_type(instance, result->type), sizes);
    return reshape_to(instance, source, sizes, rank, &instance->nodes[statement->results[0]]);
}

/* The statement is one of several that define its first result: one of them is chosen. */
static bool is_chosen(struct instance *instance, size_t index, size_t *choices) {
    const struct rule_statement *statement = &instance->rule->match.statements.items[index];
    for (size_t i = 0; i < statement->result_count; i++) {
        if (statement->results[i] == SIZE_MAX) continue;
        const struct variable *variable = &instance->rule->match.variables.items[statement->results[i]];
        size_t count = variable->definitions.count, *choice = &choices[statement->results[i]];
        if (!*choice) *choice = 1 + draw(instance, count);
        if (variable->definitions.items[*choice - 1].statement != index) return false;
    }
    return true;
}

static regraft_status add_statements(struct instance *instance) {
    const struct rule_graph *graph = &instance->rule->match;
    size_t *choices = arena_array(instance->context->arena, size_t, graph->variables.count);
    for (size_t i = 0; i < graph->statements.count; i++) {
        const struct rule_statement *statement = &graph->statements.items[i];
        if (!is_chosen(instance, i, choices)) continue;
        if (statement->kind == statement_call || statement->kind == statement_view)
            TRY(add_call(instance, statement));
        else if (statement->kind == statement_same)
            instance->nodes[statement->results[0]] = instance->nodes[statement->arguments[0].index];
        else
            TRY(add_elements(instance, statement));
    }
    return REGRAFT_OK;
}

/* ---- readers ---- */

/* A reader of a replaced result; tests give its operation contracts. */
static regraft_status add_reader(struct instance *instance, struct node **node) {
    struct node *reader = insert(instance, operation_aten_mul_Tensor, 2);
    value_set_node(reader, &reader->arguments[0], *node);
    value_set_integer(reader, &reader->arguments[1], 2);
    *node = reader;
    return infer_node(reader);
}

/* A cache write that takes the result as its key. */
static regraft_status add_key_reader(struct instance *instance, struct node *key) {
    struct node *call = insert(instance, operation_vllm_unified_kv_cache_update_default, 3);
    value_set_node(call, &call->arguments[0], key);
    value_set_node(call, &call->arguments[1], key);
    call->arguments[2] = (struct value){.kind = value_string, .string = TEXT("layers.8")};
    return infer_node(call);
}

/* An attention of another layer that is ordered behind a cache write. */
static regraft_status add_stranger(struct instance *instance, struct node *written) {
    const struct operation *operation =
        operations_by_id(instance->context->operations, operation_vllm_unified_attention_with_output_default);
    struct node *call = insert(instance, operation_higher_order_auto_functionalized, 7);
    call->arguments[0] = (struct value){.kind = value_operator, .operation = operation};
    static const char *const names[] = {"query", "key", "value", "output", "layer_name", "kv_cache_dummy_dep"};
    for (size_t i = 0; i < 6; i++) call->arguments[i + 1].keyword = text_of(names[i]);
    for (size_t i = 0; i < 4; i++) value_set_node(call, &call->arguments[i + 1], instance->graph->first);
    call->arguments[5] =
        (struct value){.kind = value_string, .keyword = TEXT("layer_name"), .string = TEXT("layers.9")};
    value_set_node(call, &call->arguments[6], written);
    return infer_node(call);
}

static bool writes_layer(const struct node *node) {
    return node->kind == node_call && node->operation && node->operation->effect == effect_writes_state;
}

/* Mostly all that is replaced is returned, and now and then what is not. */
static regraft_status add_output(struct instance *instance) {
    const struct rule *rule = instance->rule;
    VECTOR(struct node *) results = {0};
    bool more = seldom(instance), read = draw(instance, 2);
    for (size_t i = rule->tensor_count; i < rule->match.variables.count; i++) {
        struct node *node = instance->nodes[i];
        if (!node || node->type->kind != type_tensor) continue;
        bool replaced = rule->match.variables.items[i].other != SIZE_MAX;
        if (replaced ? rarely(instance) : !more) continue;
        if (writes_layer(node) && seldom(instance)) TRY(add_stranger(instance, node));
        bool key = wants_key(instance, i) ? !seldom(instance) : rarely(instance);
        if (!writes_layer(node) && key) TRY(add_key_reader(instance, node));
        if (read && !writes_layer(node)) TRY(add_reader(instance, &node));
        vector_push(instance->context->arena, &results, node);
    }
    struct node *output = graph_insert(instance->graph, NULL, node_output, TEXT("output"), 1);
    output->target = TEXT("output");
    struct value *items = value_set_list(output, &output->arguments[0], value_tuple, results.count);
    for (size_t i = 0; i < results.count; i++) value_set_node(output, &items[i], results.items[i]);
    return REGRAFT_OK;
}

regraft_status rule_instance(struct context *context, const struct rule *rule, uint64_t seed, struct graph **graph) {
    struct instance instance = {
        .context = context, .rule = rule, .graph = graph_create(context), .random = seed * 2 + 1};
    instance.integers = arena_array(context->arena, int64_t, rule->attributes.count);
    instance.dtypes = arena_array(context->arena, enum dtype, rule->attributes.count);
    instance.nodes = arena_array(context->arena, struct node *, rule->match.variables.count);
    *graph = instance.graph;
    for (int i = 0; i < 8; i++) draw(&instance, 2);
    choose_attributes(&instance);
    instance.alternative = draw(&instance, 2);
    instance.lead_rank = 1 + draw(&instance, 2);
    instance.lead[0] = 3;
    instance.lead[1] = 2;
    for (size_t i = 0; i < rule->attributes.count; i++)
        if (text_is(rule->attributes.items[i].name, "tokens")) instance.lead[0] = instance.integers[i];
    instance.repeated = arena_array(context->arena, bool, rule->match.variables.count);
    for (size_t i = 0; i < rule->tensor_count; i++) add_tensor(&instance, i);
    for (size_t i = 0; i < rule->tensor_count; i++)
        if (instance.repeated[i]) TRY(repeat(&instance, i));
    TRY(add_statements(&instance));
    return add_output(&instance);
}
