#include "ir/effect.h"

#include "ir/infer.h"

bool node_is_functionalized_call(const struct node *node) {
    return node_is(node, operation_higher_order_auto_functionalized) ||
           node_is(node, operation_higher_order_auto_functionalized_v2);
}

const struct operation *node_called_operation(const struct node *node) {
    if (node->kind != node_call) return NULL;
    if (!node_is_functionalized_call(node)) return node->operation;
    bool named = node->argument_count && node->arguments[0].kind == value_operator;
    return named ? node->arguments[0].operation : NULL;
}

const struct value *functionalized_keyword(const struct node *call, struct text keyword) {
    for (size_t i = 1; i < call->argument_count; i++)
        if (text_equal(call->arguments[i].keyword, keyword)) return &call->arguments[i];
    return NULL;
}

struct value *node_called_argument(const struct node *call, size_t index) {
    const struct operation *called = node_called_operation(call);
    if (!called || index >= called->schema.argument_count) return NULL;
    const struct value *value = node_is_functionalized_call(call)
                                    ? functionalized_keyword(call, called->schema.arguments[index].name)
                                    : node_argument(call, index);
    return value ? &call->arguments[value - call->arguments] : NULL;
}

size_t functionalized_lead(const struct node *call) {
    const struct operation *called = node_called_operation(call);
    return called && called->schema.return_count ? called->schema.return_count : 1;
}

const struct value *functionalized_item(const struct node *call, int64_t index) {
    const struct operation *called = node_called_operation(call);
    if (!called || index < (int64_t)functionalized_lead(call)) return NULL;
    size_t place = (size_t)index - functionalized_lead(call);
    if (node_is(call, operation_higher_order_auto_functionalized_v2)) {
        const struct value *bases = functionalized_keyword(call, TEXT("_all_bases"));
        bool list = bases && (bases->kind == value_list || bases->kind == value_tuple);
        return list && place < bases->list.count ? &bases->list.items[place] : NULL;
    }
    for (size_t i = 0; i < called->schema.argument_count; i++)
        if (called->schema.arguments[i].written && place-- == 0)
            return functionalized_keyword(call, called->schema.arguments[i].name);
    return NULL;
}

static bool is_known_call(const struct node *node) {
    return node->kind == node_call && node->operation && node->operation->class != class_opaque &&
           (node->operation->class != class_higher || node_is_functionalized_call(node));
}

/* Python's operators on numbers; the ones that write are `+=` and its kin and `[]=`. */
static bool is_writing_operator(const struct node *node) {
    return node->kind == node_operator && node->target.length > 1 &&
           node->target.data[node->target.length - 1] == '=' && !strchr("=!<>", node->target.data[0]);
}

struct visit {
    void (*visit)(void *user, struct node *written);
    void *user;
};

static void visit_use(void *user, struct value *value) {
    struct visit *visit = user;
    visit->visit(visit->user, value->use.node);
}

static void visit_value(const struct value *value, struct visit *visit) {
    if (value->kind == value_node) visit->visit(visit->user, value->use.node);
    if (value->kind == value_list || value->kind == value_tuple)
        for (size_t i = 0; i < value->list.count; i++) visit_value(&value->list.items[i], visit);
}

void node_each_write(struct node *node, void (*visit)(void *user, struct node *written), void *user) {
    struct visit state = {visit, user};
    if (is_writing_operator(node)) {
        visit_value(&node->arguments[0], &state);
    } else if (node->kind == node_method || (node->kind == node_call && !is_known_call(node))) {
        node_each_use(node, visit_use, &state);
    } else if (is_known_call(node) && !node_is_functionalized_call(node)) {
        const struct schema *schema = &node->operation->schema;
        for (size_t i = 0; i < schema->argument_count; i++) {
            const struct value *value = schema->arguments[i].written ? node_argument(node, i) : NULL;
            if (value) visit_value(value, &state);
        }
    }
}

bool node_is_random(const struct node *node) {
    if (node->kind != node_call || !node->operation || node->operation->effect != effect_random) return false;
    const struct value *dropout = node_argument_named(node, "dropout_p");
    if (!dropout) return false;
    return !(dropout->kind == value_integer && dropout->integer == 0) &&
           !(dropout->kind == value_float && dropout->real == 0);
}

bool node_has_effect(const struct node *node) {
    if (node->kind == node_method) return true;
    if (node->kind != node_call) return is_writing_operator(node);
    const struct operation *called = node_called_operation(node);
    if (!is_known_call(node) || !called || called->class == class_opaque) return true;
    return called->effect == effect_random ? node_is_random(node) : called->effect != effect_none;
}

bool node_is_removable(const struct node *node) {
    if (node->kind == node_placeholder || node->kind == node_output) return false;
    if (node->kind == node_getitem || node->kind == node_rename || node->kind == node_attribute) return true;
    if (node_has_effect(node)) return false;
    if (node->kind != node_call || node_is_functionalized_call(node)) return true;
    return node->operation->class != class_assert && !operation_writes(node->operation);
}

bool node_is_pure(const struct node *node) {
    if (node->kind == node_getitem) return true;
    if (node->kind == node_operator) return !is_writing_operator(node);
    if (node->kind != node_call || !node_is_removable(node) || node_is_functionalized_call(node)) return false;
    return node->operation->class == class_view || node->operation->class == class_update ||
           node->operation->class == class_compute;
}

bool node_is_pointwise(const struct node *node) {
    const struct operation *operation = node->kind == node_call ? node->operation : NULL;
    if (!operation || operation->class != class_compute) return false;
    return operation->infer == infer_pointwise || operation->infer == infer_pointwise_float ||
           operation->infer == infer_pointwise_rounded || operation->infer == infer_pointwise_bool;
}

bool node_is_generated(const struct node *node) {
    static const char *const namespaces[] = {"aten.", "prims.", "vllm_ir.", NULL};
    if (node->kind != node_call || !text_starts_with_any(node->target, namespaces)) return false;
    if (!node->operation) return true;
    regraft_status (*infer)(struct inference *) = node->operation->infer;
    return infer != infer_mm && infer != infer_matmul && infer != infer_linear && infer != infer_grouped_mm &&
           infer != infer_attention && infer != infer_attention_first;
}

bool node_copies_inline(const struct node *copy) {
    if (!node_is(copy, operation_aten_copy__default)) return false;
    const struct node *value = value_as_node(&copy->arguments[1]);
    while (value && value->users && !value->users->use.next) {
        if (node_is_pointwise(value) || node_is(value, operation_aten_full_default)) return true;
        bool view = node_has_class(value, class_view);
        value = view ? value_as_node(node_argument(value, 0)) : NULL;
    }
    return false;
}
