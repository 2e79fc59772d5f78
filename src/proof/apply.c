/* Operations that compute: terms of all that they read; what they write; what they return. */
#include <stdlib.h>

#include "proof/machine.h"

/* Results are numbered from 0; what is left in written arguments, from here. */
enum { first_written = 1 << 20 };

/* ---- arguments ---- */

/* What a default in a schema stands for, where that is plain. */
static struct item default_item(struct machine *machine, struct text text) {
    struct arena *arena = machine->prover->arena;
    const char *string = text_string(arena, text);
    char *end;
    struct value *literal = arena_new(arena, struct value);
    if (text_is(text, "None")) return (struct item){.kind = item_none};
    if (text_is(text, "[]")) return (struct item){.kind = item_tuple};
    long long integer = strtoll(string, &end, 10);
    if (text.length && !*end) return (struct item){.kind = item_integer, .integer = number(machine->prover, integer)};
    double real = strtod(string, &end);
    if (text_is(text, "True") || text_is(text, "False"))
        *literal = (struct value){.kind = value_bool, .boolean = text_is(text, "True")};
    else if (text.length && !*end)
        *literal = (struct value){.kind = value_float, .real = real};
    else if (text.length > 1 && text.data[0] == '\'')
        *literal = (struct value){.kind = value_string, .string = {text.data + 1, text.length - 2}};
    else
        *literal = (struct value){.kind = value_name, .written = text};
    return (struct item){.kind = item_literal, .literal = literal};
}

void bound_start(struct machine *machine, struct bound_call *call, const struct operation *operation) {
    *call = (struct bound_call){.operation = operation};
    call->arguments = arena_array(machine->prover->arena, struct item, operation->schema.argument_count);
}

void bound_set(struct machine *machine, struct bound_call *call, size_t index, const struct value *value) {
    const struct schema_argument *argument = &call->operation->schema.arguments[index];
    struct item *item = &call->arguments[index];
    *item = (struct item){.kind = item_none};
    if (value)
        *item = item_of_value(machine, value);
    else if (argument->has_default)
        *item = default_item(machine, argument->default_text);
}

bool bound_is_default(struct machine *machine, const struct bound_call *call, size_t index) {
    const struct schema_argument *argument = &call->operation->schema.arguments[index];
    struct encoding encodings[2] = {0};
    struct item items[] = {call->arguments[index], {.kind = item_none}};
    if (argument->has_default) items[1] = default_item(machine, argument->default_text);
    if (!argument->has_default || items[0].kind != items[1].kind || items[0].kind == item_tensor) return false;
    for (size_t i = 0; i < 2; i++) {
        builder_init(&encodings[i].key, machine->prover->arena);
        encode_item(machine, &encodings[i], &items[i], false, true);
    }
    return text_equal(builder_text(&encodings[0].key), builder_text(&encodings[1].key));
}

/* ---- keys ---- */

static void encode_tensor(struct machine *machine, struct encoding *encoding, struct tensor_value *tensor, bool written,
                          bool contents) {
    struct prover *prover = machine->prover;
    struct arena *arena = prover->arena;
    if (contents) {
        const struct reading *reading = tensor_read(machine, tensor);
        key_pointer(&encoding->key, reading);
        vector_push(arena, &encoding->readings, reading);
    } else { /* all of it is overwritten: only its shape matters */
        key_number(&encoding->key, tensor->dtype);
        for (size_t i = 0; i < tensor->place.layout.rank; i++)
            key_symint(prover, &encoding->key, tensor->place.layout.sizes[i]);
    }
    vector_push(arena, &encoding->tensors, tensor);
    vector_push(arena, &encoding->written, written);
}

static void encode_literal(struct prover *prover, struct builder *key, const struct value *value) {
    key_number(key, value->kind);
    switch (value->kind) {
    case value_bool:
        key_number(key, value->boolean);
        break;
    case value_integer:
        key_number(key, value->integer);
        break;
    case value_float: {
        int64_t bits;
        memcpy(&bits, &value->real, sizeof bits);
        key_number(key, bits);
        break;
    }
    case value_string:
        key_text(key, value->string);
        break;
    case value_symint:
        key_symint(prover, key, value->expression);
        break;
    case value_dtype:
        key_number(key, value->dtype);
        break;
    case value_device:
        key_text(key, value->device.type);
        key_number(key, value->device.index);
        break;
    case value_operator:
        key_pointer(key, value->operation);
        key_text(key, value->written);
        break;
    case value_dictionary:
    case value_slice:
        key_number(key, (int64_t)value->list.count);
        for (size_t i = 0; i < value->list.count; i++) {
            key_text(key, value->list.items[i].keyword);
            encode_literal(prover, key, &value->list.items[i]);
        }
        break;
    case value_name:
        key_text(key, value->written);
        break;
    case value_none:
        break;
    default:
        prover_give_up(prover, "an argument holds a value in a form that is not understood");
    }
}

void encode_item(struct machine *machine, struct encoding *encoding, const struct item *item, bool written,
                 bool contents) {
    struct prover *prover = machine->prover;
    key_number(&encoding->key, item->kind == item_pending ? item_object : item->kind);
    switch (item->kind) {
    case item_none:
        break;
    case item_integer:
        key_symint(prover, &encoding->key, item->integer);
        break;
    case item_tensor:
        encode_tensor(machine, encoding, item->tensor, written, contents);
        break;
    case item_tuple:
        key_number(&encoding->key, (int64_t)item->tuple.count);
        for (size_t i = 0; i < item->tuple.count; i++)
            encode_item(machine, encoding, &item->tuple.items[i], written, contents);
        break;
    case item_literal:
        encode_literal(prover, &encoding->key, item->literal);
        break;
    case item_object:
        key_pointer(&encoding->key, item->object.term);
        break;
    case item_pending:
        key_pointer(&encoding->key, term_result_of(prover, item->object.term, item->object.index, dtype_none));
        break;
    }
    if (written && item->kind != item_tensor && item->kind != item_tuple && item->kind != item_none)
        prover_give_up(prover, "it writes something that is not known to be a tensor");
}

static void encode_meeting(struct prover *prover, struct encoding *encoding, size_t i, size_t j) {
    const struct tensor_value *a = encoding->tensors.items[i], *b = encoding->tensors.items[j];
    struct window_place first = a->place, second = b->place;
    first.offset = number(prover, 0);
    second.offset = minus(prover, b->place.offset, a->place.offset);
    key_number(&encoding->key, (int64_t)(i << 16 | j));
    key_place(prover, &encoding->key, &first);
    key_place(prover, &encoding->key, &second);
}

/* A call whose written arguments meet others, or themselves, does something of its own: how they meet is part of what it
 * is. */
static void encode_overlaps(struct machine *machine, struct encoding *encoding) {
    struct prover *prover = machine->prover;
    for (size_t i = 0; i < encoding->tensors.count; i++) {
        const struct tensor_value *a = encoding->tensors.items[i];
        if (encoding->written.items[i] && place_overlaps_itself(prover->context, &a->place) != answer_no)
            encode_meeting(prover, encoding, i, i);
        for (size_t j = i + 1; j < encoding->tensors.count; j++) {
            const struct tensor_value *b = encoding->tensors.items[j];
            if (!encoding->written.items[i] && !encoding->written.items[j]) continue;
            if (a->buffer != b->buffer && a->buffer->sharing && a->buffer->sharing == b->buffer->sharing)
                prover_give_up(prover, "two of its arguments may share memory, and it writes one");
            if (a->buffer == b->buffer && places_disjoint(prover->context, &a->place, &b->place) != answer_yes)
                encode_meeting(prover, encoding, i, j);
        }
    }
}

/* aten::add for aten::add_: the same computation, when all its tensors have one element type; NULL when there is none. */
static const struct operation *functional_form(struct machine *machine, const struct bound_call *call) {
    const struct schema *schema = &call->operation->schema;
    const struct tensor_value *self = schema->argument_count ? item_tensor_of(&call->arguments[0]) : NULL;
    const char *overload = schema->overload.length ? text_string(machine->prover->arena, schema->overload) : "default";
    if (!self || !text_starts_with(schema->name, "aten::") || schema->name.data[schema->name.length - 1] != '_')
        return NULL;
    for (size_t i = 0; i < schema->argument_count; i++) {
        const struct tensor_value *tensor = item_tensor_of(&call->arguments[i]);
        if (tensor && tensor->dtype != self->dtype && text_starts_with(schema->name, "aten::index") == false)
            return NULL;
    }
    struct text name = text_skip((struct text){schema->name.data, schema->name.length - 1}, strlen("aten::"));
    const char *target = text_format(machine->prover->arena, "aten.%.*s.%s", TEXT_ARGS(name), overload);
    const struct operation *found = operations_find(machine->prover->context->operations, text_of(target));
    bool fits = found && found->schema.return_count == 1 && found->schema.argument_count == schema->argument_count &&
                (found->class == class_compute || found->class == class_update);
    return fits ? found : NULL;
}

/* ---- operations in place and elsewhere ---- */

/* The argument X_out of an out form for its argument X; SIZE_MAX when that is only read. */
static size_t out_argument(struct arena *arena, const struct operation *operation, size_t index) {
    const struct schema_argument *argument = &operation->schema.arguments[index];
    if (argument->written) return SIZE_MAX;
    return schema_find_argument(&operation->schema, text_of(text_format(arena, "%.*s_out", TEXT_ARGS(argument->name))));
}

bool bound_stands_apart(struct machine *machine, const struct bound_call *call, const struct tensor_value *in,
                        const struct tensor_value *out) {
    struct prover *prover = machine->prover;
    if (place_overlaps_itself(prover->context, &out->place) != answer_no) return false;
    for (size_t i = 0; i < call->operation->schema.argument_count; i++) {
        const struct tensor_value *other = item_tensor_of(&call->arguments[i]);
        if (!other && call->arguments[i].kind == item_tuple) return false;
        if (!other || other == out) continue;
        if (other->buffer != out->buffer && other->buffer->sharing && other->buffer->sharing == out->buffer->sharing)
            return false;
        bool same = other == in && places_identical(prover->context, &other->place, &out->place) == answer_yes;
        if (other->buffer == out->buffer && !same &&
            places_disjoint(prover->context, &other->place, &out->place) != answer_yes)
            return false;
    }
    return true;
}

/* An out form as the call in place that it stands for: the written arguments X, and in `targets` where their new contents
 * go, by argument. False when its arguments meet, so that it is an operation of its own. */
static bool as_in_place(struct machine *machine, const struct bound_call *call, struct tensor_value **targets,
                        size_t *count) {
    const struct schema *schema = &call->operation->schema;
    *count = 0;
    for (size_t i = 0; i < schema->argument_count; i++) {
        size_t index = out_argument(machine->prover->arena, call->operation, i);
        if (schema->arguments[i].written) continue;
        *count = i + 1;
        if (index == SIZE_MAX) continue;
        struct tensor_value *in = item_tensor_of(&call->arguments[i]), *out = item_tensor_of(&call->arguments[index]);
        if (!in && !out) continue;
        if (!in || !out || in->dtype != out->dtype || !bound_stands_apart(machine, call, in, out) ||
            layout_same_sizes(machine->prover->symbols, &in->place.layout, &out->place.layout) != answer_yes)
            return false;
        targets[i] = out;
    }
    return true;
}

/* ---- effects ---- */

static void write_results(struct machine *machine, const struct bound_call *call, const struct encoding *encoding,
                          bool functional) {
    struct prover *prover = machine->prover;
    for (size_t i = 0; i < encoding->tensors.count; i++) {
        struct tensor_value *tensor = encoding->tensors.items[i];
        if (!encoding->written.items[i]) continue;
        const struct layout *layout = &tensor->place.layout;
        int64_t item = functional ? 0 : first_written + (int64_t)i;
        struct window_place dense = dense_place(prover, layout->sizes, layout->rank);
        const struct term *term = term_result_of(prover, call->term, item, tensor->dtype);
        const struct reading *reading = reading_intern(prover, term, dense.offset, &dense.layout);
        tensor_write(machine, tensor, reading_left(prover, reading, &tensor->place, NULL));
    }
}

/* Encodes the operation with its arguments. An operation and its out form are one: both read X; only where its new contents
 * go differs. */
static void encode_call(struct machine *machine, const struct bound_call *call, const struct operation *functional,
                        struct encoding *encoding) {
    const struct operation *operation = call->operation;
    size_t count = operation->schema.argument_count;
    struct tensor_value **targets = arena_array(machine->prover->arena, struct tensor_value *, count);
    bool form = operation_is_out_form(operation), out = form && as_in_place(machine, call, targets, &count);
    bool either = out || (operation->out_form && !form);
    if (!out) count = operation->schema.argument_count;
    key_pointer(&encoding->key, functional ? functional : either ? operation->out_form : operation);
    key_number(&encoding->key, either);
    for (size_t i = 0; i < count; i++) {
        size_t first = encoding->tensors.count;
        bool written = out ? targets[i] != NULL : operation->schema.arguments[i].written;
        encode_item(machine, encoding, &call->arguments[i], written, !operation->schema.arguments[i].overwritten);
        if (targets[i] && out) encoding->tensors.items[first] = targets[i];
    }
    if (!out) encode_overlaps(machine, encoding);
}

void bound_execute(struct machine *machine, struct bound_call *call) {
    struct prover *prover = machine->prover;
    const struct operation *operation = call->operation, *functional = functional_form(machine, call);
    struct bound_call shaped = bound_in_one_shape(machine, call);
    struct encoding encoding = {0};
    bool stateful = operation->effect == effect_reads_state || operation->effect == effect_writes_state;
    struct state *state = stateful ? state_of_call(machine, call) : NULL;
    key_start(prover, &encoding.key, term_call, dtype_none);
    encode_call(machine, &shaped, functional, &encoding);
    if (state) key_pointer(&encoding.key, state->term);
    struct term *term = key_term(prover, &encoding.key);
    call->term = shaped.term = term;
    term->name = operation->target;
    term->arguments = encoding.readings.items;
    term->argument_count = encoding.readings.count;
    if (state) term->state = state->term;
    if (bound_takes_meaning(machine, call)) return;
    write_results(machine, &shaped, &encoding, functional != NULL);
    if (state && operation->effect == effect_writes_state) state->term = term;
}

struct item bound_return(struct machine *machine, const struct bound_call *call, size_t index) {
    const struct schema *schema = &call->operation->schema;
    (void)machine;
    for (size_t i = 0; i < schema->argument_count && schema->returns[index].alias; i++)
        if (schema->arguments[i].written && schema->arguments[i].alias == schema->returns[index].alias)
            return call->arguments[i];
    return (struct item){.kind = item_pending, .object = {call->term, (int64_t)index, false}};
}

void run_call(struct machine *machine, struct node *node, struct item *result) {
    const struct schema *schema = &node->operation->schema;
    struct bound_call call;
    if (node_is_random(node)) prover_give_up(machine->prover, "it draws random numbers");
    bound_start(machine, &call, node->operation);
    for (size_t i = 0; i < schema->argument_count; i++) bound_set(machine, &call, i, node_argument(node, i));
    bound_execute(machine, &call);
    if (schema->return_count == 1) *result = item_resolve(machine, bound_return(machine, &call, 0), node->type);
    if (schema->return_count < 2) return;
    *result = (struct item){
        .kind = item_tuple,
        .tuple = {arena_array(machine->prover->arena, struct item, schema->return_count), schema->return_count}};
    for (size_t i = 0; i < schema->return_count; i++) {
        struct item item = bound_return(machine, &call, i);
        if (node->type->kind == type_tuple && i < node->type->item_count)
            item = item_resolve(machine, item, node->type->items[i]);
        result->tuple.items[i] = item;
    }
}
