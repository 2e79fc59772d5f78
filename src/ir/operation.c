/* The table of operations and the additions to it. */
#include "ir/operation.h"

#include "ir/infer.h"

struct row {
    enum operation_id id;
    const char *schema;
    enum operation_class class;
    enum state_effect effect;
    regraft_status (*infer)(struct inference *inference);
};

static const struct row rows[] = {
#define EFFECT_none         effect_none
#define EFFECT_reads_state  effect_reads_state
#define EFFECT_writes_state effect_writes_state
#define EFFECT_random       effect_random
#define OPERATION(id, schema, class, effect, infer, kernel)                                                            \
    {operation_##id, schema, class_##class, EFFECT_##effect, infer_##infer},
#include "ir/operations.def"
#undef OPERATION
};

/* What the operations are owed, and the forms of them that write elsewhere. */
static const struct owed {
    enum operation_id id;
    const char *argument;
    enum contract_kind kind;
    bool elsewhere;
} owed_rows[] = {
#define LAYOUT(id, argument, kind) {operation_##id, #argument, contract_##kind, false},
#define ELSEWHERE(id, argument)    {operation_##id, #argument, contract_any, true},
#include "ir/contracts.def"
};

static const struct out_form {
    enum operation_id id, out;
} out_forms[] = {
#define OUT_FORM(id, out) {operation_##id, operation_##out},
#include "ir/contracts.def"
};

static const struct overwritten {
    enum operation_id id;
    const char *argument;
} overwritten_rows[] = {
#define OVERWRITES(id, argument) {operation_##id, #argument},
#include "ir/contracts.def"
};

struct operations {
    struct arena *arena;
    struct map *by_target;
    const struct operation *by_id[operation_id_count];
    VECTOR(const struct operation *) rows;
};

/* "aten::slice.Tensor" in schemas is "aten.slice.Tensor" in graphs; no overload there is ".default" here. */
static struct text target_of(struct arena *arena, const struct schema *schema) {
    struct builder out;
    builder_init(&out, arena);
    for (size_t i = 0; i < schema->name.length; i++) {
        bool colon = schema->name.data[i] == ':';
        if (!colon)
            builder_byte(&out, schema->name.data[i]);
        else if (schema->name.data[i - 1] != ':')
            builder_byte(&out, '.');
    }
    if (text_starts_with(schema->name, "higher_order::")) return builder_text(&out);
    builder_byte(&out, '.');
    builder_add(&out, schema->overload.length ? schema->overload : TEXT("default"));
    return builder_text(&out);
}

static void add(struct operations *operations, struct operation *operation) {
    operation->target = target_of(operations->arena, &operation->schema);
    void **slot = map_slot_text(operations->by_target, operation->target);
    if (*slot) { /* a user's row takes the place of a built-in one */
        for (size_t i = 0; i < operations->rows.count; i++)
            if (operations->rows.items[i] == *slot) operations->rows.items[i] = operation;
    } else {
        vector_push(operations->arena, &operations->rows, operation);
    }
    *slot = operation;
}

static void add_contracts(struct operation *const *by_id) {
    for (size_t i = 0; i < sizeof owed_rows / sizeof *owed_rows; i++) {
        const struct owed *row = &owed_rows[i];
        const struct schema *schema = &by_id[row->id]->schema;
        struct contract *contract = &schema->arguments[schema_find_argument(schema, text_of(row->argument))].contract;
        if (row->kind != contract_any) contract->kind = row->kind, contract->stated = true;
        if (row->elsewhere) contract->elsewhere = true;
    }
    for (size_t i = 0; i < sizeof overwritten_rows / sizeof *overwritten_rows; i++) {
        const struct schema *schema = &by_id[overwritten_rows[i].id]->schema;
        schema->arguments[schema_find_argument(schema, text_of(overwritten_rows[i].argument))].overwritten = true;
    }
    for (size_t i = 0; i < sizeof out_forms / sizeof *out_forms; i++) {
        struct operation *out = by_id[out_forms[i].out];
        by_id[out_forms[i].id]->out_form = out->out_form = out;
    }
}

regraft_status operations_create(struct arena *arena, struct diagnostics *diagnostics, struct operations **result) {
    struct operations *operations = arena_new(arena, struct operations);
    operations->arena = arena;
    operations->by_target = map_create(arena);
    struct operation **by_id = arena_array(arena, struct operation *, operation_id_count);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct operation *operation = arena_new(arena, struct operation);
        struct source *source = arena_new(arena, struct source);
        *source = (struct source){"<built-in operations>", text_of(rows[i].schema)};
        *operation = (struct operation){
            .id = rows[i].id, .class = rows[i].class, .effect = rows[i].effect, .infer = rows[i].infer};
        TRY(schema_parse(arena, diagnostics, source, source->contents, &operation->schema));
        operations->by_id[operation->id] = by_id[operation->id] = operation;
        add(operations, operation);
    }
    add_contracts(by_id);
    *result = operations;
    return REGRAFT_OK;
}

/* What a schema alone says: written arguments make a call; a result that aliases an argument is treated as opaque, for
 * its place is not known; otherwise the results are fresh. */
static enum operation_class class_of(const struct schema *schema) {
    for (size_t i = 0; i < schema->argument_count; i++)
        if (schema->arguments[i].written) return class_call;
    for (size_t i = 0; i < schema->return_count; i++)
        if (schema->returns[i].alias) return class_opaque;
    return class_compute;
}

static regraft_status add_line(struct operations *operations, struct diagnostics *diagnostics,
                               const struct source *source, struct text line) {
    struct operation *operation = arena_new(operations->arena, struct operation);
    TRY(schema_parse(operations->arena, diagnostics, source, line, &operation->schema));
    operation->class = class_of(&operation->schema);
    operation->infer = operation->schema.return_count ? infer_from_annotation : infer_nothing;
    add(operations, operation);
    return REGRAFT_OK;
}

/* ---- operations of a live registry ---- */

/* Layers are named by strings in some versions and by objects in others. */
static bool same_kind(const struct schema_argument *a, const struct schema_argument *b) {
    bool names_layer = text_is(a->name, "layer_name") && (a->type == schema_string || a->type == schema_other) &&
                       (b->type == schema_string || b->type == schema_other);
    return a->type == b->type || names_layer;
}

static bool same_argument(const struct schema_argument *a, const struct schema_argument *b) {
    return text_equal(a->name, b->name) && same_kind(a, b) && a->list == b->list && a->optional == b->optional &&
           a->optional_item == b->optional_item && a->keyword_only == b->keyword_only;
}

/* The argument that the result may be a view of; SIZE_MAX when it is fresh. */
static size_t aliased_argument(const struct schema *schema, const struct schema_argument *result) {
    for (size_t i = 0; result->alias && i < schema->argument_count; i++)
        if (schema->arguments[i].alias == result->alias) return i;
    return SIZE_MAX;
}

/* Whether what is known about one holds for the other too: versions of an operation differ in arguments that were added at
 * the end, with defaults. */
static bool same_operation(const struct schema *a, const struct schema *b) {
    size_t most = a->argument_count > b->argument_count ? a->argument_count : b->argument_count;
    if (a->return_count != b->return_count) return false;
    for (size_t i = 0; i < most; i++) {
        const struct schema *longer = i < a->argument_count ? a : b;
        bool both = i < a->argument_count && i < b->argument_count;
        if (both ? !same_argument(&a->arguments[i], &b->arguments[i]) : !longer->arguments[i].has_default) return false;
    }
    for (size_t i = 0; i < a->return_count; i++)
        if (a->returns[i].type != b->returns[i].type || a->returns[i].list != b->returns[i].list ||
            aliased_argument(a, &a->returns[i]) != aliased_argument(b, &b->returns[i]))
            return false;
    return true;
}

static bool writes(const struct schema *schema, size_t i) {
    return i < schema->argument_count && schema->arguments[i].written;
}

/* What an operation writes is for its own schema to say; only calls may write other arguments than the table says. */
static bool writes_the_same(const struct schema *a, const struct schema *b) {
    for (size_t i = 0; i < a->argument_count || i < b->argument_count; i++)
        if (writes(a, i) != writes(b, i)) return false;
    return true;
}

static bool is_known(const struct operation *known, const struct schema *schema) {
    bool call = known && (known->class == class_call || known->class == class_state);
    return known && same_operation(&known->schema, schema) && (call || writes_the_same(&known->schema, schema));
}

regraft_status operations_declare(struct operations *operations, struct diagnostics *diagnostics,
                                  const struct source *source, bool stateless) {
    struct operation *operation = arena_new(operations->arena, struct operation);
    TRY(schema_parse(operations->arena, diagnostics, source, source->contents, &operation->schema));
    struct text target = target_of(operations->arena, &operation->schema);
    const struct operation *known = map_get_text(operations->by_target, target);
    if (is_known(known, &operation->schema)) {
        struct schema schema = operation->schema;
        *operation = *known;
        operation->schema = schema;
        for (size_t i = 0; i < schema.argument_count && i < known->schema.argument_count; i++)
            operation->schema.arguments[i].contract = known->schema.arguments[i].contract;
    } else {
        operation->class = class_of(&operation->schema);
        operation->effect = stateless ? effect_none : effect_writes_state;
        operation->infer = operation->schema.return_count ? infer_from_annotation : infer_nothing;
    }
    add(operations, operation);
    return REGRAFT_OK;
}

bool operations_keep_copies(struct operations *operations, struct text target, const char *why) {
    struct operation *operation = map_get_text(operations->by_target, target);
    if (operation) operation->copied = why;
    return operation;
}

bool operations_set_unavailable(struct operations *operations, struct text target, const char *why) {
    struct operation *operation = map_get_text(operations->by_target, target);
    if (operation) operation->unavailable = why;
    return operation;
}

const struct operation *operations_stand_in(const struct operations *operations, const struct operation *operation) {
    const char *dot = memchr(operation->target.data, '.', operation->target.length);
    struct text rest = text_skip(operation->target, (size_t)(dot - operation->target.data));
    struct text ours = text_of(text_format(operations->arena, "regraft%.*s", TEXT_ARGS(rest)));
    const struct operation *found = map_get_text(operations->by_target, ours);
    bool fits = found && found != operation && same_operation(&operation->schema, &found->schema) &&
                writes_the_same(&operation->schema, &found->schema);
    return fits ? found : NULL;
}

const struct operation *operations_available(const struct operations *operations, const struct operation *operation) {
    if (!operation->unavailable) return operation;
    const struct operation *other = operations_stand_in(operations, operation);
    return other && !other->unavailable ? other : NULL;
}

static struct text trimmed(struct text line) {
    for (size_t i = 0; i < line.length; i++)
        if (line.data[i] == '#') line.length = i;
    while (line.length && strchr(" \t\r", line.data[line.length - 1])) line.length--;
    while (line.length && strchr(" \t\r", line.data[0])) line = text_skip(line, 1);
    return line;
}

regraft_status operations_add(struct operations *operations, struct diagnostics *diagnostics,
                              const struct source *source) {
    struct text rest = source->contents;
    while (rest.length) {
        const char *end = memchr(rest.data, '\n', rest.length);
        size_t length = end ? (size_t)(end - rest.data) : rest.length;
        struct text line = trimmed((struct text){rest.data, length});
        if (line.length) TRY(add_line(operations, diagnostics, source, line));
        rest = text_skip(rest, length + 1);
    }
    return REGRAFT_OK;
}

const struct operation *operations_find(const struct operations *operations, struct text target) {
    const struct operation *found = map_get_text(operations->by_target, target);
    if (found) return found;
    char buffer[256];
    if (target.length + sizeof ".default" > sizeof buffer) return NULL;
    memcpy(buffer, target.data, target.length);
    memcpy(buffer + target.length, ".default", sizeof ".default");
    return map_get(operations->by_target, buffer, target.length + sizeof ".default" - 1);
}

const struct operation *operations_by_id(const struct operations *operations, enum operation_id id) {
    return operations->by_id[id];
}

const struct operation *operations_row(const struct operations *operations, size_t index) {
    return index < operations->rows.count ? operations->rows.items[index] : NULL;
}

bool operation_writes(const struct operation *operation) {
    for (size_t i = 0; i < operation->schema.argument_count; i++)
        if (operation->schema.arguments[i].written) return true;
    return false;
}

const char *operation_class_name(enum operation_class class) {
    static const char *const names[] = {"opaque", "view",  "update",       "compute", "allocate",
                                        "call",   "state", "higher-order", "assert"};
    return names[class];
}
