#include "ir/contract.h"

#include "ir/effect.h"

static const struct {
    const char *name;
    enum contract_kind kind;
} kinds[] = {{"any", contract_any},
             {"flexible_layout", contract_any},
             {"last-dim-dense", contract_last_dim_dense},
             {"contiguous", contract_contiguous},
             {"as-traced", contract_as_traced}};

const char *contract_kind_name(enum contract_kind kind) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].kind == kind) return kinds[i].name;
    return "";
}

/* ---- reading ---- */

/* A contract that is being read: `text` is a part of the source's contents. */
struct reader {
    struct context *context;
    const struct source *source;
};

static regraft_status bad_kind(const struct reader *reader, struct text kind) {
    return fail(&reader->context->diagnostics, REGRAFT_USAGE, source_position(reader->source, kind),
                "there is no contract '%.*s'; there are: any, flexible_layout, last-dim-dense, contiguous, as-traced, "
                "as-traced[STRIDES], elsewhere, in-place",
                TEXT_ARGS(kind));
}

/* [8, 8, 1]: at most one for each comma, and one more. */
static regraft_status read_strides(const struct reader *reader, struct text list, struct contract *contract) {
    struct context *context = reader->context;
    size_t commas = 0, start = 1;
    for (size_t i = 0; i < list.length; i++) commas += list.data[i] == ',';
    symint *strides = arena_array(context->arena, symint, commas + 1);
    contract->traced_rank = 0;
    contract->traced = strides;
    for (size_t i = 1, depth = 0; i < list.length; i++) {
        char byte = list.data[i];
        depth += byte == '(';
        if (byte == ')' && depth) depth--;
        if (depth || (byte != ',' && i + 1 < list.length)) continue;
        struct text item = {list.data + start, i - start};
        if (i + 1 == list.length && !contract->traced_rank && !item.length) break; /* [] */
        symint *stride = &strides[contract->traced_rank++];
        if (symint_parse(context->symbols, &context->diagnostics, reader->source, item, stride) != REGRAFT_OK)
            return REGRAFT_USAGE; /* with its message */
        start = i + 1;
    }
    return REGRAFT_OK;
}

static regraft_status read_kind(const struct reader *reader, struct text kind, struct contract *contract) {
    static const char traced[] = "as-traced[";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!text_is(kind, kinds[i].name)) continue;
        *contract = (struct contract){.kind = kinds[i].kind, .stated = true, .elsewhere = contract->elsewhere};
        return REGRAFT_OK;
    }
    if (text_is(kind, "elsewhere") || text_is(kind, "in-place")) {
        contract->elsewhere = text_is(kind, "elsewhere");
        return REGRAFT_OK;
    }
    if (!text_starts_with(kind, traced) || kind.data[kind.length - 1] != ']') return bad_kind(reader, kind);
    *contract = (struct contract){.kind = contract_as_traced, .stated = true, .elsewhere = contract->elsewhere};
    return read_strides(reader, text_skip(kind, strlen(traced) - 1), contract);
}

static regraft_status check_elsewhere(const struct reader *reader, const struct operation *operation, size_t index,
                                      struct text kind) {
    struct diagnostics *diagnostics = &reader->context->diagnostics;
    const struct schema_argument *argument = &operation->schema.arguments[index];
    if (!text_is(kind, "elsewhere")) return REGRAFT_OK;
    if (!argument->written)
        return fail(diagnostics, REGRAFT_USAGE, source_position(reader->source, kind),
                    "%s does not write %.*s; only what is written can go elsewhere", operation->target.data,
                    TEXT_ARGS(argument->name));
    if (operation->out_form) return REGRAFT_OK;
    return fail(diagnostics, REGRAFT_USAGE, source_position(reader->source, kind),
                "no operation is known that does what %s does and writes elsewhere than it reads",
                operation->target.data);
}

/* Sets the contracts of one argument, or of all tensors (`*`), in an array by schema argument. */
static regraft_status set(const struct reader *reader, const struct operation *operation, struct text argument,
                          struct text kind, struct contract *(*slot)(void *user, size_t index), void *user) {
    const struct schema *schema = &operation->schema;
    size_t found = schema_find_argument(schema, argument), first = found, end = found + 1;
    bool all = text_is(argument, "*");
    if (all) first = 0, end = schema->argument_count;
    if (!all && (found == SIZE_MAX || schema->arguments[found].type != schema_tensor))
        return fail(&reader->context->diagnostics, REGRAFT_USAGE, source_position(reader->source, argument),
                    found == SIZE_MAX ? "no argument is called '%.*s'; the schema is %.*s"
                                      : "'%.*s' is no tensor; the schema is %.*s",
                    TEXT_ARGS(argument), TEXT_ARGS(schema->text));
    for (size_t i = first; i < end; i++) {
        if (schema->arguments[i].type != schema_tensor) continue;
        if (!all) TRY(check_elsewhere(reader, operation, i, kind));
        if (all && text_is(kind, "elsewhere") && (!schema->arguments[i].written || !operation->out_form)) continue;
        TRY(read_kind(reader, kind, slot(user, i)));
    }
    return REGRAFT_OK;
}

static size_t last_index(struct text text, char byte) {
    for (size_t i = text.length; i-- > 0;)
        if (text.data[i] == byte) return i;
    return SIZE_MAX;
}

/* "vllm::op" in contracts is "vllm.op" in graphs. */
static struct text target_of(struct arena *arena, struct text name) {
    struct builder out;
    builder_init(&out, arena);
    for (size_t i = 0; i < name.length; i++) {
        bool second = i > 0 && name.data[i] == ':' && name.data[i - 1] == ':';
        if (!second) builder_byte(&out, name.data[i] == ':' ? '.' : name.data[i]);
    }
    return builder_text(&out);
}

static struct contract *operation_slot(void *user, size_t index) {
    const struct operation *operation = user;
    return &operation->schema.arguments[index].contract;
}

/* Cuts NAME=KIND. */
static regraft_status cut(const struct reader *reader, const char *expected, struct text *name, struct text *kind) {
    struct text text = reader->source->contents;
    const char *equals = text.length ? memchr(text.data, '=', text.length) : NULL;
    if (!equals)
        return fail(&reader->context->diagnostics, REGRAFT_USAGE, source_position(reader->source, text), "expected %s",
                    expected);
    *name = (struct text){text.data, (size_t)(equals - text.data)};
    *kind = text_skip(text, name->length + 1);
    return REGRAFT_OK;
}

regraft_status contract_add(struct context *context, const struct source *source) {
    struct reader reader = {context, source};
    struct diagnostics *diagnostics = &context->diagnostics;
    struct text name, kind;
    TRY(cut(&reader, "OPERATION.ARGUMENT=KIND, as in vllm::unified_mla_attention_with_output.k_pe=contiguous", &name,
            &kind));
    size_t dot = last_index(name, '.');
    if (dot == SIZE_MAX)
        return fail(diagnostics, REGRAFT_USAGE, source_position(reader.source, name),
                    "expected the name of an argument behind the operation, as in vllm::op.k_pe");
    struct text operation_name = {name.data, dot};
    const struct operation *operation = operations_find(context->operations, target_of(context->arena, operation_name));
    if (!operation)
        return fail(diagnostics, REGRAFT_USAGE, source_position(reader.source, operation_name),
                    "there is no operation '%.*s'; `regraft ops` lists them, --ops adds more",
                    TEXT_ARGS(operation_name));
    return set(&reader, operation, text_skip(name, dot + 1), kind, operation_slot, (void *)operation);
}

/* ---- single calls ---- */

static struct contract *own_contracts(struct node *call) {
    const struct schema *schema = &node_called_operation(call)->schema;
    if (call->contracts) return call->contracts;
    call->contracts = arena_array(call->graph->arena, struct contract, schema->argument_count);
    for (size_t i = 0; i < schema->argument_count; i++) call->contracts[i] = schema->arguments[i].contract;
    return call->contracts;
}

static struct contract *call_slot(void *user, size_t index) { return &own_contracts(user)[index]; }

regraft_status contract_add_to_call(struct node *call, const struct source *source) {
    struct reader reader = {call->graph->context, source};
    const struct operation *operation = node_called_operation(call);
    struct text name, kind;
    if (!operation)
        return fail(&reader.context->diagnostics, REGRAFT_USAGE, (struct position){0},
                    "'%.*s' is no call of an operation that is known; regraft_operations_add adds operations",
                    TEXT_ARGS(call->name));
    TRY(cut(&reader, "ARGUMENT=KIND, as in k_pe=contiguous", &name, &kind));
    TRY(set(&reader, operation, name, kind, call_slot, call));
    contracts_note_call(call);
    return REGRAFT_OK;
}

const struct contract *contract_of(const struct node *call, size_t index) {
    return call->contracts ? &call->contracts[index] : &node_called_operation(call)->schema.arguments[index].contract;
}

void contracts_note_call(struct node *call) {
    const struct operation *operation = node_called_operation(call);
    for (size_t i = 0; operation && i < operation->schema.argument_count; i++) {
        if (contract_of(call, i)->kind != contract_as_traced || contract_of(call, i)->traced) continue;
        const struct node *argument = value_as_node(node_called_argument(call, i));
        if (!argument || argument->type->kind != type_tensor || !argument->type->layout.strides) continue;
        struct contract *contract = &own_contracts(call)[i];
        contract->traced = argument->type->layout.strides;
        contract->traced_rank = argument->type->layout.rank;
    }
}

void contracts_note_traced(struct graph *graph) {
    if (graph->traced) return;
    graph->traced = true;
    for (struct node *node = graph->first; node; node = node->next)
        if (node->kind == node_call) contracts_note_call(node);
}

/* ---- meeting them ---- */

static bool same_strides(struct symbols *symbols, const struct layout *a, const symint *strides) {
    for (size_t i = 0; i < a->rank; i++)
        if (symint_equal(symbols, a->strides[i], strides[i]) != answer_yes) return false;
    return true;
}

bool contract_is_met(struct symbols *symbols, const struct contract *contract, const struct layout *layout) {
    size_t last = layout->rank - 1;
    switch (contract->kind) {
    case contract_any:
        return true;
    case contract_last_dim_dense:
        return !layout->rank || symint_is(layout->sizes[last], 1) ||
               (layout->strides && symint_is(layout->strides[last], 1));
    case contract_contiguous:
        return layout_contiguous(symbols, layout) == answer_yes;
    case contract_as_traced:
        return contract->traced_rank == layout->rank && layout->strides &&
               same_strides(symbols, layout, contract->traced);
    }
    return false;
}

const char *contract_describe(struct arena *arena, const struct operation *operation, size_t index,
                              const struct contract *contract) {
    struct text name = operation->schema.arguments[index].name;
    const char *target = operation->target.data;
    struct builder out;
    switch (contract->kind) {
    case contract_contiguous:
        return text_format(arena, "%s is owed a contiguous %.*s", target, TEXT_ARGS(name));
    case contract_last_dim_dense:
        return text_format(arena, "%s is owed a dense last dimension of %.*s", target, TEXT_ARGS(name));
    case contract_as_traced:
        builder_init(&out, arena);
        builder_format(&out, "%s is owed %.*s with the strides that it was traced with", target, TEXT_ARGS(name));
        for (size_t i = 0; contract->traced && i < contract->traced_rank; i++) {
            builder_string(&out, i ? ", " : ": [");
            symint_print(&out, contract->traced[i]);
        }
        if (contract->traced && contract->traced_rank) builder_byte(&out, ']');
        return out.data;
    case contract_any:
        break;
    }
    return "";
}

const char *contract_remedy(struct arena *arena, const struct operation *operation, size_t index,
                            const struct contract *contract) {
    return text_format(arena, "%s tagged flexible_layout, or a producer that returns a fresh %s %.*s",
                       operation->target.data, contract->kind == contract_last_dim_dense ? "dense" : "contiguous",
                       TEXT_ARGS(operation->schema.arguments[index].name));
}
