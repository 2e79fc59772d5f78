/* Tables and JSON: the two forms of an answer. */
#include <stdlib.h>

#include "tool/tool.h"

void table_init(struct table *table, struct arena *arena, size_t columns) {
    *table = (struct table){.arena = arena, .columns = columns};
}

void table_row(struct table *table, ...) {
    va_list list;
    va_start(list, table);
    for (size_t i = 0; i < table->columns; i++) {
        const char *cell = va_arg(list, const char *);
        vector_push(table->arena, &table->cells, cell);
    }
    va_end(list);
}

void table_print(struct builder *out, const struct table *table) {
    size_t *widths = arena_array(table->arena, size_t, table->columns);
    for (size_t i = 0; i < table->cells.count; i++) {
        size_t length = strlen(table->cells.items[i]);
        if (length > widths[i % table->columns]) widths[i % table->columns] = length;
    }
    for (size_t i = 0; i < table->cells.count; i++) {
        size_t column = i % table->columns;
        if (column + 1 < table->columns)
            builder_format(out, "%-*s  ", (int)widths[column], table->cells.items[i]);
        else
            builder_format(out, "%s\n", table->cells.items[i]);
    }
}

/* JSON is UTF-8, and a graph need not be: U+FFFD for each byte that is none. jansson says what it takes. */
static json_t *json_repaired(struct text text) {
    struct arena *arena = arena_create(&tool_allocator);
    struct builder out;
    builder_init(&out, arena);
    while (text.length) {
        size_t length = 0;
        json_t *character = NULL;
        while (!character && length < 4 && length < text.length) character = json_stringn(text.data, ++length);
        builder_add(&out, character ? (struct text){text.data, length} : TEXT("\xef\xbf\xbd"));
        text = text_skip(text, character ? length : 1);
        json_decref(character);
    }
    json_t *string = json_stringn(out.data, out.length);
    arena_destroy(arena);
    return string;
}

json_t *json_text(struct text text) {
    json_t *string = json_stringn(text.data ? text.data : "", text.length);
    return string ? string : json_repaired(text);
}

json_t *json_words(const char *words) { return json_text(text_of(words)); }

json_t *json_expression(struct arena *arena, symint value) {
    return value ? json_words(symint_string(arena, value)) : json_null();
}

void json_print(struct builder *out, json_t *value) {
    char *text = value ? json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    if (!text) arena_exhausted(out->arena);
    builder_format(out, "%s\n", text);
    free(text);
}
