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

json_t *json_text(struct text text) { return json_stringn(text.data ? text.data : "", text.length); }

json_t *json_expression(struct arena *arena, symint value) {
    return value ? json_string(symint_string(arena, value)) : json_null();
}

void json_print(struct builder *out, json_t *value) {
    char *text = value ? json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    if (!text) arena_exhausted(out->arena);
    builder_format(out, "%s\n", text);
    free(text);
}
