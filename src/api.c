/* The public interface over the library's parts. Every entry point that can allocate guards against running out of memory. */
#include "fx/fx.h"
#include "ir/contract.h"
#include "ir/effect.h"
#include "ir/infer.h"
#include "pass/fuse.h"
#include "pass/prove.h"
#include "regraft/regraft.h"
#include "rule/rule.h"

struct regraft_context {
    struct context context;
};

static struct context *internal(regraft_context *context) { return &context->context; }
static struct graph *internal_graph(regraft_graph *graph) { return (struct graph *)graph; }
static const struct graph *const_graph(const regraft_graph *graph) { return (const struct graph *)graph; }
static const struct node *const_node(const regraft_node *node) { return (const struct node *)node; }

static regraft_status out_of_memory(struct context *context) {
    context->diagnostics.message = "regraft: error: out of memory\n";
    return REGRAFT_NO_MEMORY;
}

const char *regraft_version(void) {
#define TEXT_OF(number)              #number
#define VERSION(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)
    return VERSION(REGRAFT_VERSION_MAJOR, REGRAFT_VERSION_MINOR, REGRAFT_VERSION_PATCH);
}

regraft_status regraft_context_create(const regraft_allocator *allocator, regraft_context **result) {
    struct arena *arena = arena_create(allocator);
    struct arena_guard guard;
    *result = NULL;
    if (!arena) return REGRAFT_NO_MEMORY;
    if (arena_guarded(arena, &guard)) {
        arena_destroy(arena);
        return REGRAFT_NO_MEMORY;
    }
    regraft_context *context = arena_new(arena, regraft_context);
    context->context.arena = arena;
    diagnostics_init(&context->context.diagnostics, arena);
    context->context.symbols = symbols_create(arena);
    regraft_status status = operations_create(arena, &context->context.diagnostics, &context->context.operations);
    arena_unguard(arena, &guard);
    *result = context;
    return status;
}

void regraft_context_destroy(regraft_context *context) {
    if (context) arena_destroy(context->context.arena);
}

const char *regraft_message(const regraft_context *context) { return context->context.diagnostics.message; }

regraft_status regraft_operations_add(regraft_context *public, const char *name, const char *text, size_t length) {
    struct context *context = internal(public);
    struct arena_guard guard;
    if (arena_guarded(context->arena, &guard)) return out_of_memory(context);
    diagnostics_clear(&context->diagnostics);
    struct source *source = arena_new(context->arena, struct source);
    *source = (struct source){text_string(context->arena, text_of(name)),
                              text_copy(context->arena, (struct text){text, length})};
    regraft_status status = operations_add(context->operations, &context->diagnostics, source);
    arena_unguard(context->arena, &guard);
    return status;
}

/* Hands a text to a reader of rules or of their configuration. */
static regraft_status read_rules(struct context *context, const char *name, const char *text, size_t length,
                                 regraft_status (*read)(struct context *context, const struct source *source,
                                                        struct rules *rules)) {
    struct arena_guard guard;
    struct rules *rules;
    if (arena_guarded(context->arena, &guard)) return out_of_memory(context);
    diagnostics_clear(&context->diagnostics);
    struct source *source = arena_new(context->arena, struct source);
    *source = (struct source){text_string(context->arena, text_of(name)),
                              text_copy(context->arena, (struct text){text, length})};
    regraft_status status = rules_of(context, &rules);
    if (status == REGRAFT_OK) status = read(context, source, rules);
    arena_unguard(context->arena, &guard);
    return status;
}

/* Reads rules and looks whether each puts there what it takes away; all or none are added. */
static regraft_status add_rules(struct context *context, const struct source *source, struct rules *rules) {
    size_t count = rules->items.count;
    regraft_status status = rules_read(context, source, rules);
    for (size_t i = count; i < rules->items.count && status == REGRAFT_OK; i++)
        status = fuse_check_rule(context, rules->items.items[i]);
    if (status != REGRAFT_OK) rules->items.count = count;
    return status;
}

regraft_status regraft_rules_add(regraft_context *public, const char *name, const char *text, size_t length) {
    return read_rules(internal(public), name, text, length, add_rules);
}

regraft_status regraft_rules_configure(regraft_context *public, const char *name, const char *text, size_t length) {
    return read_rules(internal(public), name, text, length, rules_configure);
}

regraft_status regraft_contract_add(regraft_context *public, const char *contract) {
    struct context *context = internal(public);
    struct arena_guard guard;
    if (arena_guarded(context->arena, &guard)) return out_of_memory(context);
    diagnostics_clear(&context->diagnostics);
    struct source *source = arena_new(context->arena, struct source);
    *source = (struct source){"<contract>", text_copy(context->arena, text_of(contract))};
    regraft_status status = contract_add(context, source);
    arena_unguard(context->arena, &guard);
    return status;
}

regraft_status regraft_graph_contract_add(regraft_graph *graph, const regraft_node *call, const char *contract) {
    struct context *context = internal_graph(graph)->context;
    struct arena_guard guard;
    if (arena_guarded(context->arena, &guard)) return out_of_memory(context);
    diagnostics_clear(&context->diagnostics);
    struct source *source = arena_new(context->arena, struct source);
    *source = (struct source){"<contract>", text_copy(context->arena, text_of(contract))};
    regraft_status status = contract_add_to_call((struct node *)call, source);
    arena_unguard(context->arena, &guard);
    return status;
}

/* ---- reading ---- */

static regraft_status take_graph(struct context *context, struct file *file, const regraft_read_options *options,
                                 regraft_graph **result) {
    struct graph *graph;
    TRY(file_graph(context, file, options ? options->graph : -1, options ? options->stage : NULL, &graph));
    TRY(infer_graph(graph));
    *result = (regraft_graph *)graph;
    return REGRAFT_OK;
}

static regraft_status read_path(struct context *context, const char *path, const regraft_read_options *options,
                                regraft_graph **result) {
    struct file *file;
    TRY(file_read(context, path, &file));
    return take_graph(context, file, options, result);
}

static regraft_status read_bytes(struct context *context, const char *name, struct text bytes,
                                 const regraft_read_options *options, regraft_graph **result) {
    struct file *file;
    TRY(file_read_memory(context, name, bytes, &file));
    return take_graph(context, file, options, result);
}

regraft_status regraft_graph_read(regraft_context *public, const char *path, const regraft_read_options *options,
                                  regraft_graph **graph) {
    struct context *context = internal(public);
    struct arena_guard guard;
    *graph = NULL;
    if (arena_guarded(context->arena, &guard)) return out_of_memory(context);
    diagnostics_clear(&context->diagnostics);
    regraft_status status = read_path(context, path, options, graph);
    arena_unguard(context->arena, &guard);
    return status;
}

regraft_status regraft_graph_read_memory(regraft_context *public, const char *name, const char *bytes, size_t length,
                                         const regraft_read_options *options, regraft_graph **graph) {
    struct context *context = internal(public);
    struct arena_guard guard;
    *graph = NULL;
    if (arena_guarded(context->arena, &guard)) return out_of_memory(context);
    diagnostics_clear(&context->diagnostics);
    regraft_status status = read_bytes(context, name, (struct text){bytes, length}, options, graph);
    arena_unguard(context->arena, &guard);
    return status;
}

const char *regraft_graph_print(regraft_graph *public) {
    struct graph *graph = internal_graph(public);
    struct arena_guard guard;
    struct builder out;
    if (arena_guarded(graph->arena, &guard)) {
        out_of_memory(graph->context);
        return NULL;
    }
    builder_init(&out, graph->arena);
    graph_print(graph, &out);
    arena_unguard(graph->arena, &guard);
    return out.data;
}

/* ---- passes ---- */

regraft_status regraft_graph_run(regraft_graph *public, const char *pipeline, const regraft_run_options *options) {
    struct graph *graph = internal_graph(public);
    struct arena_guard guard;
    if (arena_guarded(graph->arena, &guard)) return out_of_memory(graph->context);
    diagnostics_clear(&graph->context->diagnostics);
    regraft_status status = pipeline_run(graph, pipeline, options);
    arena_unguard(graph->arena, &guard);
    return status;
}

const char *regraft_default_pipeline(void) { return default_pipeline; }

regraft_status regraft_graph_verify(regraft_graph *public) {
    struct graph *graph = internal_graph(public);
    struct arena_guard guard;
    if (arena_guarded(graph->arena, &guard)) return out_of_memory(graph->context);
    diagnostics_clear(&graph->context->diagnostics);
    regraft_status status = graph_verify(graph);
    arena_unguard(graph->arena, &guard);
    return status;
}

static void list_rounded(struct arena *arena, const struct proof *proof, regraft_verdict *verdict) {
    regraft_rounded_calls *rounded = arena_array(arena, regraft_rounded_calls, proof->rounded_count);
    for (size_t i = 0; i < proof->rounded_count; i++)
        rounded[i] = (regraft_rounded_calls){text_string(arena, proof->rounded[i].operation), proof->rounded[i].calls};
    verdict->rounded = rounded;
    verdict->rounded_count = proof->rounded_count;
}

static regraft_status prove(struct graph *before, struct graph *after, regraft_verdict *verdict) {
    struct arena *arena = before->arena;
    struct proof proof;
    TRY(prove_with_meanings(before, after, arena, &proof));
    *verdict = (regraft_verdict){.proved = proof.proved,
                                 .result = proof.result,
                                 .reason = proof.reason,
                                 .first = proof.first ? text_string(arena, proof.first->name) : "",
                                 .second = proof.second ? text_string(arena, proof.second->name) : ""};
    list_rounded(arena, &proof, verdict);
    return REGRAFT_OK;
}

regraft_status regraft_graph_prove(regraft_graph *before, regraft_graph *after, regraft_verdict *verdict) {
    struct graph *graph = internal_graph(before);
    struct arena_guard guard;
    *verdict = (regraft_verdict){.result = "", .reason = "", .first = "", .second = ""};
    if (arena_guarded(graph->arena, &guard)) return out_of_memory(graph->context);
    diagnostics_clear(&graph->context->diagnostics);
    regraft_status status = prove(graph, internal_graph(after), verdict);
    arena_unguard(graph->arena, &guard);
    return status;
}

size_t regraft_graph_remark_count(const regraft_graph *graph) { return const_graph(graph)->remarks.count; }

/* Names of nodes end in a zero byte where graph_insert made them; others are copied once, when they are asked for. */
static const char *terminated(struct arena *arena, struct text text) {
    struct arena_guard guard;
    if (arena_guarded(arena, &guard)) return "";
    const char *string = text_string(arena, text);
    arena_unguard(arena, &guard);
    return string;
}

regraft_remark regraft_graph_remark(const regraft_graph *public, size_t index) {
    const struct graph *graph = const_graph(public);
    const struct remark *remark = &graph->remarks.items[index];
    return (regraft_remark){remark->pass, terminated(graph->arena, remark->node),
                            terminated(graph->arena, remark->source), remark->text, remark->applied};
}

size_t regraft_graph_warning_count(const regraft_graph *graph) { return const_graph(graph)->warnings.count; }

const char *regraft_graph_warning(const regraft_graph *graph, size_t index) {
    return const_graph(graph)->warnings.items[index];
}

void regraft_graph_explain_fusions(regraft_graph *graph) { internal_graph(graph)->explain_fusions = true; }

size_t regraft_graph_fusion_count(const regraft_graph *graph) { return const_graph(graph)->fusions.count; }

regraft_fusion regraft_graph_fusion(const regraft_graph *public, size_t index) {
    const struct graph *graph = const_graph(public);
    const struct fusion *fusion = &graph->fusions.items[index];
    return (regraft_fusion){.rule = terminated(graph->arena, fusion->rule),
                            .outcome = fusion_outcome_name(fusion->outcome),
                            .anchor = terminated(graph->arena, fusion->anchor),
                            .node = terminated(graph->arena, fusion->node),
                            .source = terminated(graph->arena, fusion->source),
                            .text = fusion->text,
                            .remedy = fusion->remedy,
                            .near = fusion->near && !fusion->elsewhere};
}

size_t regraft_graph_copy_count(const regraft_graph *graph) { return const_graph(graph)->copies.count; }

static regraft_copy public_copy(const struct graph *graph, const struct copy *copy) {
    return (regraft_copy){text_string(graph->arena, copy->node->name),
                          copy->bytes ? symint_string(graph->arena, copy->bytes) : "unknown",
                          text_string(graph->arena, copy->place),
                          text_string(graph->arena, copy->source),
                          copy->why,
                          copy->remedy,
                          copy->own,
                          node_copies_inline(copy->node)};
}

regraft_copy regraft_graph_copy(const regraft_graph *public, size_t index) {
    const struct graph *graph = const_graph(public);
    struct arena_guard guard;
    if (arena_guarded(graph->arena, &guard)) return (regraft_copy){"", "", "", "", "out of memory", "", 0, 0};
    regraft_copy copy = public_copy(graph, &graph->copies.items[index]);
    arena_unguard(graph->arena, &guard);
    return copy;
}

/* ---- walking ---- */

size_t regraft_graph_node_count(const regraft_graph *graph) { return const_graph(graph)->node_count; }
const regraft_node *regraft_graph_first(const regraft_graph *graph) {
    return (const regraft_node *)const_graph(graph)->first;
}
const regraft_node *regraft_node_next(const regraft_node *node) { return (const regraft_node *)const_node(node)->next; }

const char *regraft_node_name(const regraft_node *node) {
    return terminated(const_node(node)->graph->arena, const_node(node)->name);
}

const char *regraft_node_target(const regraft_node *public) {
    const struct node *node = const_node(public);
    switch (node->kind) {
    case node_placeholder:
        return "placeholder";
    case node_getitem:
        return "getitem";
    case node_rename:
        return "rename";
    case node_output:
        return "output";
    default:
        return terminated(node->graph->arena, node->target);
    }
}

size_t regraft_node_user_count(const regraft_node *node) { return node_user_count(const_node(node)); }

/* ---- tables ---- */

const char *regraft_pass_name(size_t index) { return pass_at(index) ? pass_at(index)->name : NULL; }
const char *regraft_pass_summary(size_t index) { return pass_at(index) ? pass_at(index)->summary : NULL; }
const char *regraft_pass_parameters(size_t index) { return pass_at(index) ? pass_at(index)->parameters : NULL; }

const char *regraft_operation_schema(const regraft_context *context, size_t index) {
    const struct operation *operation = operations_row(context->context.operations, index);
    return operation ? terminated(context->context.arena, operation->schema.text) : NULL;
}

const char *regraft_operation_class(const regraft_context *context, size_t index) {
    const struct operation *operation = operations_row(context->context.operations, index);
    return operation ? operation_class_name(operation->class) : NULL;
}

static const char *rule_operation(struct context *context, size_t index) {
    struct rules *rules;
    if (rules_of(context, &rules) != REGRAFT_OK) return NULL;
    const struct operation *operation = rules_called(context, rules, index);
    return operation ? text_string(context->arena, operation->target) : NULL;
}

const char *regraft_rule_operation(regraft_context *public, size_t index) {
    struct context *context = internal(public);
    struct arena_guard guard;
    if (arena_guarded(context->arena, &guard)) {
        out_of_memory(context);
        return NULL;
    }
    const char *name = rule_operation(context, index);
    arena_unguard(context->arena, &guard);
    return name;
}
