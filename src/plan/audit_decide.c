/* Whether our placing needs a copy that Inductor made.
 *
 * The functional graph is placed, and the call that reads what a kernel copied is looked up in the result. When the memory
 * that it is given there was written by a copy, the kernel's copy is needed, for the reason of that one; when not, it is
 * not. A copy that no graph shows was made for a layout: the strides that the operation was traced with decide. */
#include "plan/audit_decide.h"

#include "ir/contract.h"
#include "ir/memory.h"
#include "pass/pass.h"
#include "plan/audit_match.h"

struct audit_placing {
    struct graph *graph; /* placed; NULL when there is none */
    struct memory *memory;
    bool *counted; /* by the index of graph->copies: a launch stands for it already */
};

struct audit_placing *audit_place(struct context *context, struct graph *functional) {
    struct audit_placing *placing = arena_new(context->arena, struct audit_placing);
    const char *pipeline = text_format(context->arena, "%s,place,dce", default_pipeline);
    if (functional && pipeline_run(functional, pipeline, NULL) == REGRAFT_OK &&
        memory_of(functional, &placing->memory) == REGRAFT_OK) {
        placing->graph = functional;
        placing->counted = arena_array(context->arena, bool, functional->copies.count);
    }
    diagnostics_clear(&context->diagnostics);
    return placing;
}

/* What is found out about one reader. */
struct verdict {
    enum audit_need needed;
    const char *why, *remedy;
};

static void answer(struct verdict *verdict, enum audit_need needed, const char *why, const char *remedy) {
    *verdict = (struct verdict){needed, why, remedy};
}

/* ---- layouts ---- */

static bool makes_own_layouts(const struct operation *operation) {
    return text_starts_with(operation->schema.name, "aten::") || text_starts_with(operation->schema.name, "prims::");
}

/* The layout of the tensor that the reader reads, in its form in one graph; NULL: not known. */
static const struct layout *layout_in(struct node *call, const struct audit_reader *reader) {
    const struct node *value = value_as_node(audit_argument(call, reader));
    return value && value->type->kind == type_tensor && value->type->layout.strides ? &value->type->layout : NULL;
}

/* A copy that stands for no node of a graph was made when the call was lowered, which knew what the operation is owed. */
static bool decide_by_layout(const struct audit *audit, const struct audit_copy *copy,
                             const struct audit_reader *reader, struct verdict *verdict) {
    struct symbols *symbols = audit->context->symbols;
    const struct layout *traced = layout_in(reader->functional, reader), *given = layout_in(reader->lowered, reader);
    if (copy->lowered.count || reader->writes || !reader->operation || !traced || !given) return false;
    size_t index = schema_find_argument(&reader->operation->schema, reader->argument);
    if (index == SIZE_MAX || makes_own_layouts(reader->operation)) return false;
    struct contract contract = reader->operation->schema.arguments[index].contract;
    if (!contract.stated) contract.kind = contract_as_traced;
    if (contract.kind == contract_as_traced && !contract.traced)
        contract.traced = traced->strides, contract.traced_rank = traced->rank;
    bool same = layout_same(symbols, traced, given) == answer_yes;
    if (same && !contract.stated) return false; /* lies as it was traced: it was not that */
    struct arena *arena = audit->context->arena;
    if (!contract_is_met(symbols, &contract, given))
        answer(verdict, audit_needed, contract_describe(arena, reader->operation, index, &contract),
               contract_remedy(arena, reader->operation, index, &contract));
    else
        answer(verdict, audit_not_needed,
               text_format(arena, "%s takes its argument %.*s with the strides that it has",
                           reader->operation->target.data, TEXT_ARGS(reader->argument)),
               "");
    return true;
}

/* ---- the placed graph ---- */

/* The remark that tells most about a node: what forwarded or placed it, else the last one on it. */
static const struct remark *remark_about(const struct graph *graph, struct text node) {
    const struct remark *found = NULL;
    for (size_t i = 0; i < graph->remarks.count; i++) {
        const struct remark *remark = &graph->remarks.items[i];
        bool forwards = strcmp(remark->pass, "scatter-split-replace") == 0;
        if (!remark->applied) continue;
        if (text_equal(remark->node, node)) {
            if (!found || strcmp(found->pass, "scatter-split-replace") != 0) found = remark;
        } else if (forwards && text_mentions(text_of(remark->text), node)) {
            found = remark;
        }
    }
    return found;
}

static bool is_call_of(const struct node *node, const struct operation *operation) {
    const struct operation *called = node_called_operation(node);
    return called && (called == operation || (operation->out_form && called == operation->out_form));
}

/* The call in the placed graph; an operation that may write elsewhere may stand there as its out form. */
static struct node *find_placed(const struct audit_placing *placing, const struct audit_reader *reader) {
    struct node *found = audit_same_call(placing->graph, reader->functional);
    size_t wanted = 0, count = 0, seen = 0;
    if (found || !reader->operation || !reader->operation->out_form) return found;
    for (const struct node *node = reader->functional->graph->first; node; node = node->next) {
        if (node == reader->functional) wanted = count;
        count += is_call_of(node, reader->operation);
    }
    for (struct node *node = placing->graph->first; node; node = node->next)
        if (is_call_of(node, reader->operation) && seen++ == wanted) found = node;
    return seen == count ? found : NULL;
}

/* What the placed call is given: of an out form, the place that it writes. */
static const struct node *value_given(struct node *call, const struct audit_reader *reader) {
    struct audit_reader out = *reader;
    if (reader->writes && call->operation && operation_is_out_form(call->operation) &&
        !node_is_functionalized_call(call))
        out.argument = text_of(text_format(call->graph->arena, "%.*s_out", TEXT_ARGS(reader->argument)));
    struct value *value = audit_argument(call, &out);
    return value_as_node(value ? value : audit_argument(call, reader));
}

/* A copy that wrote the place of the value before the call; one that no launch stands for yet where there is one. */
static size_t find_copy(const struct audit_placing *placing, const struct node *value, const struct node *call) {
    struct graph *graph = placing->graph;
    const struct place *place = memory_place(placing->memory, value);
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < graph->copies.count; i++) {
        const struct copy *copy = &graph->copies.items[i];
        if (copy->node->order >= call->order) continue;
        const struct place *written = memory_place(placing->memory, copy->node);
        if (written->root != place->root) continue;
        if (written->exact && place->exact &&
            places_disjoint(graph->context, &written->window, &place->window) == answer_yes)
            continue;
        if (found == SIZE_MAX || placing->counted[found]) found = i;
    }
    return found;
}

static void decide_by_copy(const struct audit_placing *placing, size_t index, struct verdict *verdict) {
    const struct copy *copy = &placing->graph->copies.items[index];
    struct arena *arena = placing->graph->arena;
    if (placing->counted[index])
        answer(verdict, audit_not_needed,
               text_format(arena, "one copy of ours, %.*s, serves here and for a kernel before",
                           TEXT_ARGS(copy->node->name)),
               "");
    else
        answer(verdict, audit_needed,
               text_format(arena, "%s; place writes %s bytes: %.*s", copy->why,
                           copy->bytes ? symint_string(arena, copy->bytes) : "unknown", TEXT_ARGS(copy->place)),
               copy->remedy);
    placing->counted[index] = true;
}

/* Why it goes without a copy: what became of the updates that it stands for, else what the call does. */
static const char *why_not(const struct audit *audit, const struct audit_copy *copy, const struct audit_reader *reader,
                           struct node *call, const struct node *value) {
    struct arena *arena = audit->context->arena;
    const struct graph *graph = audit->placing->graph;
    const char *target = reader->operation ? reader->operation->target.data : text_string(arena, call->target);
    for (size_t i = 0; i < copy->nodes.count && copy->updates; i++) {
        const struct remark *remark = remark_about(graph, copy->nodes.items[i]);
        if (remark) return text_format(arena, "%s: %.*s %s", remark->pass, TEXT_ARGS(remark->node), remark->text);
    }
    const struct node *old = value_as_node(audit_argument(call, reader));
    if (reader->writes && old && old != value)
        return text_format(arena, "place: %.*s reads %.*s and writes to fresh memory", TEXT_ARGS(call->name),
                           TEXT_ARGS(old->name));
    const struct node *root = memory_place(audit->placing->memory, value)->root;
    return text_format(arena,
                       reader->writes
                           ? "place: %s writes its argument %.*s where it lies, in the memory of %.*s: nobody "
                             "reads what was there"
                           : "place: %s reads its argument %.*s where it lies, in the memory of %.*s",
                       target, TEXT_ARGS(reader->argument), TEXT_ARGS(root->name));
}

/* Whether the kernel itself puts the tensor together; else a clone of it may stand behind the kernel that does. */
static bool was_built(const struct audit *audit, const struct audit_copy *copy) {
    for (size_t i = 0; audit->lowered && i < copy->lowered.count; i++) {
        const struct node *node = graph_find(audit->lowered, copy->lowered.items[i]);
        if (node && audit_builds(node)) return true;
    }
    return false;
}

static void decide_by_placing(const struct audit *audit, const struct audit_copy *copy,
                              const struct audit_reader *reader, struct verdict *verdict) {
    const struct audit_placing *placing = audit->placing;
    struct arena *arena = audit->context->arena;
    struct node *call = placing->graph && reader->functional ? find_placed(placing, reader) : NULL;
    const struct node *value = call ? value_given(call, reader) : NULL;
    const struct node *root = value ? memory_place(placing->memory, value)->root : NULL;
    answer(verdict, audit_unknown, "no call was found in the functional graph that it was made for", "");
    if (!root) return;
    size_t index = find_copy(placing, value, call);
    bool functional = node_is_functionalized_call(call) && reader->writes;
    if (index != SIZE_MAX)
        decide_by_copy(placing, index, verdict);
    else if (functional || (root->operation && root->operation->class == class_update))
        answer(verdict, audit_unknown,
               text_format(arena, "%.*s stays functional when placed", TEXT_ARGS(functional ? call->name : root->name)),
               "");
    else if (audit_builds(root) && (!reader->writes || was_built(audit, copy)))
        answer(verdict, audit_needed,
               text_format(arena, "the model asks for a new tensor, %.*s; parts of one are not built in its place",
                           TEXT_ARGS(root->name)),
               "");
    else
        answer(verdict, audit_not_needed, why_not(audit, copy, reader, call, value), "");
}

/* ---- the caller's tensors ---- */

struct writing {
    const struct audit_placing *placing;
    const struct node *input, *node, *writer;
};

static void visit_write(void *user, struct node *written) {
    struct writing *writing = user;
    if (!writing->writer && memory_place(writing->placing->memory, written)->root == writing->input)
        writing->writer = writing->node;
}

/* A kernel that writes into an input does what the model says, when the placed graph writes it too. */
static bool decide_by_input(const struct audit *audit, size_t launch, struct audit_copy *copy,
                            struct verdict *verdict) {
    const struct inductor_step *step = &audit->code.steps.items[launch];
    struct graph *graph = audit->placing->graph;
    for (size_t i = 0; graph && i < copy->kernel->stores.count; i++) {
        size_t parameter = copy->kernel->stores.items[i].parameter;
        if (parameter >= step->arguments.count) continue;
        struct writing writing = {.placing = audit->placing,
                                  .input = graph_find(graph, inductor_buffer(step->arguments.items[parameter]))};
        if (!writing.input || writing.input->kind != node_placeholder) continue;
        for (struct node *node = graph->first; node && !writing.writer; node = node->next) {
            writing.node = node;
            node_each_write(node, visit_write, &writing);
        }
        if (!writing.writer) continue;
        answer(verdict, audit_needed,
               text_format(audit->context->arena, "the model writes its input %.*s: %.*s",
                           TEXT_ARGS(writing.input->name), TEXT_ARGS(writing.writer->name)),
               "");
        return true;
    }
    return false;
}

/* ---- the whole ---- */

regraft_status audit_decide(struct audit *audit, size_t launch, struct audit_copy *copy) {
    struct verdict verdict;
    answer(&verdict, audit_unknown, "no call was found that it was made for", "");
    bool decided = decide_by_input(audit, launch, copy, &verdict);
    for (size_t i = 0; i < copy->readers.count && !decided; i++) {
        const struct audit_reader *reader = &copy->readers.items[i];
        struct verdict found;
        if (!decide_by_layout(audit, copy, reader, &found)) decide_by_placing(audit, copy, reader, &found);
        bool stronger = found.needed == audit_needed
                            ? verdict.needed != audit_needed
                            : found.needed == audit_unknown && verdict.needed == audit_not_needed;
        if (!i || stronger) verdict = found;
    }
    copy->needed = verdict.needed;
    copy->why = verdict.why;
    copy->remedy = verdict.remedy;
    return REGRAFT_OK;
}
