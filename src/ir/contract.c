#include "ir/contract.h"

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

static size_t last_index(struct text text, char byte) {
    for (size_t i = text.length; i-- > 0;)
        if (text.data[i] == byte) return i;
    return SIZE_MAX;
}

static void replace(struct context *context, struct contract contract, bool wanted) {
    size_t kept = 0;
    for (size_t i = 0; i < context->contracts.count; i++) {
        const struct contract *other = &context->contracts.items[i];
        if (text_equal(other->operation, contract.operation) && text_equal(other->argument, contract.argument))
            continue;
        context->contracts.items[kept++] = *other;
    }
    context->contracts.count = kept;
    if (wanted) vector_push(context->arena, &context->contracts, contract);
}

regraft_status contract_add(struct context *context, const struct source *source) {
    struct diagnostics *diagnostics = &context->diagnostics;
    struct text text = source->contents, kind, name;
    struct position whole = {source, 0, text.length};
    size_t equals = last_index(text, '='), dot;
    if (equals == SIZE_MAX)
        return fail(diagnostics, REGRAFT_USAGE, whole,
                    "expected OPERATION.ARGUMENT=KIND, as in vllm::unified_mla_attention_with_output.k_pe=contiguous");
    kind = text_skip(text, equals + 1);
    name = (struct text){text.data, equals};
    dot = last_index(name, '.');
    if (dot == SIZE_MAX)
        return fail(diagnostics, REGRAFT_USAGE, whole,
                    "expected the name of an argument behind the operation, as in vllm::op.k_pe");
    struct text target = target_of(context->arena, (struct text){name.data, dot}), argument = text_skip(name, dot + 1);
    const struct operation *operation = operations_find(context->operations, target);
    if (!operation)
        return fail(diagnostics, REGRAFT_USAGE, (struct position){source, 0, dot},
                    "there is no operation '%.*s'; `regraft ops` lists them, --ops adds more",
                    TEXT_ARGS(((struct text){name.data, dot})));
    if (schema_find_argument(&operation->schema, argument) == SIZE_MAX)
        return fail(diagnostics, REGRAFT_USAGE, (struct position){source, dot + 1, argument.length},
                    "no argument is called '%.*s'; the schema is %.*s", TEXT_ARGS(argument),
                    TEXT_ARGS(operation->schema.text));
    if (!text_is(kind, "any") && !text_is(kind, "contiguous"))
        return fail(diagnostics, REGRAFT_USAGE, (struct position){source, equals + 1, kind.length},
                    "there is no contract '%.*s'; there are: any, contiguous", TEXT_ARGS(kind));
    replace(context, (struct contract){operation->target, argument}, text_is(kind, "contiguous"));
    return REGRAFT_OK;
}
