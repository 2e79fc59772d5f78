/* Operations that are in no table: they may read and write all that they are given, and any state. */
#include "proof/machine.h"

/* Python's arithmetic on tensors, which writes nothing. */
static bool is_arithmetic(const struct node *node) {
    static const char *const operators[] = {
        "+", "-", "*", "/", "//", "%", "**", "neg", "==", "!=", "<", "<=", ">", ">=", "&", "|", "^", "~", "@"};
    for (size_t i = 0; node->kind == node_operator && i < sizeof operators / sizeof *operators; i++)
        if (text_is(node->target, operators[i])) return true;
    return false;
}

static void refuse_untyped(struct machine *machine, const struct item *item) {
    for (size_t i = 0; item->kind == item_tuple && i < item->tuple.count; i++)
        refuse_untyped(machine, &item->tuple.items[i]);
    if (item->kind == item_pending || (item->kind == item_object && item->object.untyped))
        prover_give_up(machine->prover, "it is given something of unknown type, which it may write");
}

/* Everything that the arguments can reach, not only what they are views of. */
static void encode_buffers(struct machine *machine, struct encoding *encoding) {
    for (size_t i = 0; i < encoding->tensors.count; i++) {
        const struct tensor_value *tensor = encoding->tensors.items[i];
        key_pointer(&encoding->key, contents_term(machine->prover, &tensor->buffer->contents));
        key_place(machine->prover, &encoding->key, &tensor->place);
        for (size_t j = 0; j < i; j++) {
            const struct buffer *other = encoding->tensors.items[j]->buffer;
            if (other == tensor->buffer)
                key_number(&encoding->key, (int64_t)j);
            else if (other->sharing && other->sharing == tensor->buffer->sharing)
                prover_give_up(machine->prover, "two of its arguments may share memory, and it may write one");
        }
        if (tensor->buffer->stale)
            prover_give_up(machine->prover, "memory is read that may have been overwritten through another tensor");
    }
}

static void overwrite(struct machine *machine, struct buffer *buffer, const struct term *term, int64_t item) {
    buffer->contents.cells.count = 0;
    buffer->contents.beyond = term_result_of(machine->prover, term, item, buffer->contents.dtype);
    buffer_changed(buffer);
}

/* The result may be any of the arguments, or a view of one, or something that another such call returned before. */
static void share_result(struct machine *machine, const struct encoding *encoding, const struct item *result) {
    for (size_t i = 0; result->kind == item_tuple && i < result->tuple.count; i++)
        share_result(machine, encoding, &result->tuple.items[i]);
    if (result->kind != item_tensor) return;
    struct buffer *buffer = result->tensor->buffer;
    for (size_t i = 0; i < encoding->tensors.count; i++)
        buffers_may_share(machine, buffer, encoding->tensors.items[i]->buffer);
    if (machine->unknown_result) buffers_may_share(machine, buffer, machine->unknown_result);
    machine->unknown_result = buffer;
}

void run_opaque(struct machine *machine, struct node *node, struct item *result) {
    struct prover *prover = machine->prover;
    struct encoding encoding = {0};
    bool pure = is_arithmetic(node);
    key_start(prover, &encoding.key, term_call, dtype_none);
    key_text(&encoding.key, node->target);
    key_number(&encoding.key, node->kind);
    for (size_t i = 0; i < node->argument_count; i++) {
        struct item item = item_of_value(machine, &node->arguments[i]);
        key_text(&encoding.key, node->arguments[i].keyword);
        encode_item(machine, &encoding, &item, false, true);
        if (!pure) refuse_untyped(machine, &item);
    }
    if (!pure) encode_buffers(machine, &encoding);
    if (!pure) encode_states(machine, &encoding.key);
    struct term *term = key_term(prover, &encoding.key);
    term->name = node->target;
    term->arguments = encoding.readings.items;
    term->argument_count = encoding.readings.count;
    for (size_t i = 0; !pure && i < encoding.tensors.count; i++)
        overwrite(machine, encoding.tensors.items[i]->buffer, term, (int64_t)i + 1);
    if (!pure) states_forget(machine, term);
    *result = item_resolve(machine, (struct item){.kind = item_pending, .object = {term, 0, false}}, node->type);
    if (result->kind == item_pending && node->users && !pure)
        prover_give_up(prover, "the type of its result is not known");
    if (!pure) share_result(machine, &encoding, result);
}
