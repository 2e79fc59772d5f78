/* Numbers for texts, expressions and types. */
#include "live/live.h"

struct live *live_create(struct context *context) {
    struct live *live = arena_new(context->arena, struct live);
    live->context = context;
    live->string_numbers = map_create(context->arena);
    live->expression_numbers = map_create(context->arena);
    live_add_type(live, &type_of_unknown);
    live_add_type(live, &type_of_none);
    live_add_type(live, &type_of_object);
    return live;
}

regraft_status live_fail(struct live *live, const char *format, ...) {
    va_list list;
    va_start(list, format);
    const char *text = text_format_list(live->context->arena, format, list);
    va_end(list);
    return fail(&live->context->diagnostics, REGRAFT_USAGE, (struct position){0}, "%s", text);
}

/* ---- texts ---- */

static int64_t add_string(struct live *live, struct text text) {
    uintptr_t *slot = (uintptr_t *)map_slot_text(live->string_numbers, text);
    vector_push(live->context->arena, &live->strings, text);
    if (!*slot) *slot = live->strings.count;
    return (int64_t)live->strings.count - 1;
}

int64_t live_string_number(struct live *live, struct text text) {
    uintptr_t known = (uintptr_t)map_get_text(live->string_numbers, text);
    return known ? (int64_t)known - 1 : add_string(live, text_copy(live->context->arena, text));
}

regraft_status live_string(struct live *live, int64_t number, const char *what, struct text *text) {
    if (number < 0 || (uint64_t)number >= live->strings.count)
        return live_fail(live, "there is no text %lld, given as %s; there are %zu", (long long)number, what,
                         live->strings.count);
    *text = live->strings.items[number];
    return REGRAFT_OK;
}

regraft_status live_add_strings(struct live *live, struct text bytes, int64_t *first) {
    struct text rest = text_copy(live->context->arena, bytes);
    *first = (int64_t)live->strings.count;
    while (rest.length) {
        const char *end = memchr(rest.data, 0, rest.length);
        if (!end) return live_fail(live, "the last text does not end in a zero byte");
        size_t length = (size_t)(end - rest.data);
        add_string(live, (struct text){rest.data, length});
        rest = text_skip(rest, length + 1);
    }
    return REGRAFT_OK;
}

/* ---- expressions ---- */

int64_t live_expression_number(struct live *live, symint expression) {
    uintptr_t *slot = (uintptr_t *)map_slot(live->expression_numbers, &expression, sizeof expression);
    if (!*slot) {
        vector_push(live->context->arena, &live->expressions, expression);
        *slot = live->expressions.count;
    }
    return (int64_t)*slot - 1;
}

regraft_status live_expression(struct live *live, struct text text, symint *result) {
    struct context *context = live->context;
    struct source *source = arena_new(context->arena, struct source);
    *source = (struct source){"<expression>", text_copy(context->arena, text)};
    return symint_parse(context->symbols, &context->diagnostics, source, source->contents, result);
}

regraft_status live_dimension(struct live *live, regraft_dimension dimension, symint *result) {
    if (dimension >= 0) {
        *result = symint_constant(live->context->symbols, dimension);
        return REGRAFT_OK;
    }
    size_t number = (size_t)~dimension;
    if (number >= live->expressions.count)
        return live_fail(live, "there is no expression %zu; there are %zu", number, live->expressions.count);
    *result = live->expressions.items[number];
    return REGRAFT_OK;
}

/* ---- types ---- */

int64_t live_add_type(struct live *live, const struct type *type) {
    for (size_t i = 0; i < live->types.count && i < REGRAFT_TYPE_FIRST; i++)
        if (live->types.items[i] == type) return (int64_t)i;
    vector_push(live->context->arena, &live->types, type);
    return (int64_t)live->types.count - 1;
}

regraft_status live_type(struct live *live, int64_t number, const struct type **type) {
    if (number < 0 || (uint64_t)number >= live->types.count)
        return live_fail(live, "there is no type %lld; there are %zu", (long long)number, live->types.count);
    *type = live->types.items[number];
    return REGRAFT_OK;
}

struct device device_of_text(struct text text) {
    struct device device = {text, -1};
    const char *colon = text.length ? memchr(text.data, ':', text.length) : NULL;
    if (!colon) return device;
    device.type.length = (size_t)(colon - text.data);
    device.index = 0;
    for (const char *at = colon + 1; at < text.data + text.length && *at >= '0' && *at <= '9'; at++)
        if (device.index < 100000) device.index = device.index * 10 + (*at - '0');
    return device;
}

regraft_status live_tensor(struct live *live, struct text dtype, struct text device, struct layout layout,
                           int64_t *number) {
    struct arena *arena = live->context->arena;
    enum dtype element = dtype_from_torch_name(dtype);
    *number = REGRAFT_TYPE_UNKNOWN;
    if (element == dtype_none) return REGRAFT_OK;
    *number = live_add_type(live, type_make_tensor(arena, element, layout, device_of_text(text_copy(arena, device))));
    return REGRAFT_OK;
}
