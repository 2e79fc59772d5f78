/* Texts, formatted texts, and the builder. */
#include "base/text.h"

#include <stdint.h>
#include <stdio.h>

bool text_starts_with(struct text text, const char *prefix) {
    size_t length = strlen(prefix);
    return text.length >= length && memcmp(text.data, prefix, length) == 0;
}

bool text_starts_with_any(struct text text, const char *const *prefixes) {
    for (; *prefixes; prefixes++)
        if (text_starts_with(text, *prefixes)) return true;
    return false;
}

struct text text_skip(struct text text, size_t start) {
    if (start > text.length) start = text.length;
    return (struct text){text.data + start, text.length - start};
}

int text_compare(struct text a, struct text b) {
    size_t common = a.length < b.length ? a.length : b.length;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

struct text text_copy(struct arena *arena, struct text text) {
    char *copy = arena_allocate(arena, text.length + 1);
    if (text.length) memcpy(copy, text.data, text.length);
    copy[text.length] = 0;
    return (struct text){copy, text.length};
}

const char *text_string(struct arena *arena, struct text text) { return text_copy(arena, text).data; }

const char *text_format_list(struct arena *arena, const char *format, va_list list) {
    va_list again;
    va_copy(again, list);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0) return "";
    char *data = arena_allocate(arena, (size_t)length + 1);
    vsnprintf(data, (size_t)length + 1, format, list);
    return data;
}

const char *text_format(struct arena *arena, const char *format, ...) {
    va_list list;
    va_start(list, format);
    const char *result = text_format_list(arena, format, list);
    va_end(list);
    return result;
}

enum { longest_word = 63 };

/* Levenshtein's distance, one row at a time. */
static size_t edit_distance(struct text a, struct text b) {
    size_t row[longest_word + 1];
    for (size_t j = 0; j <= b.length; j++) row[j] = j;
    for (size_t i = 1; i <= a.length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.length; j++) {
            size_t change = diagonal + (a.data[i - 1] != b.data[j - 1]);
            size_t insert = (row[j - 1] < row[j] ? row[j - 1] : row[j]) + 1;
            diagonal = row[j];
            row[j] = change < insert ? change : insert;
        }
    }
    return row[b.length];
}

const char *text_nearest(struct text word, const char *(*candidate)(const void *table, size_t index),
                         const void *table) {
    const char *nearest = NULL, *name;
    size_t least = word.length / 3 + 1;
    if (word.length > longest_word) return NULL;
    for (size_t index = 0; (name = candidate(table, index)) != NULL; index++) {
        struct text other = text_of(name);
        size_t distance = other.length > longest_word ? SIZE_MAX : edit_distance(word, other);
        if (distance < least) {
            least = distance;
            nearest = name;
        }
    }
    return nearest;
}

void builder_init(struct builder *builder, struct arena *arena) {
    *builder = (struct builder){.arena = arena, .capacity = 64};
    builder->data = arena_allocate(arena, builder->capacity);
    builder->data[0] = 0;
}

static void reserve(struct builder *builder, size_t more) {
    if (more >= SIZE_MAX / 4 - builder->length) arena_exhausted(builder->arena);
    if (builder->length + more < builder->capacity) return;
    size_t capacity = (builder->length + more) * 2;
    char *data = arena_allocate(builder->arena, capacity);
    memcpy(data, builder->data, builder->length);
    builder->data = data;
    builder->capacity = capacity;
}

void builder_add(struct builder *builder, struct text text) {
    reserve(builder, text.length);
    if (text.length) memcpy(builder->data + builder->length, text.data, text.length);
    builder->length += text.length;
    builder->data[builder->length] = 0;
}

void builder_string(struct builder *builder, const char *string) { builder_add(builder, text_of(string)); }

void builder_byte(struct builder *builder, char byte) { builder_add(builder, (struct text){&byte, 1}); }

void builder_format(struct builder *builder, const char *format, ...) {
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length > 0) {
        reserve(builder, (size_t)length);
        vsnprintf(builder->data + builder->length, (size_t)length + 1, format, list);
        builder->length += (size_t)length;
    }
    va_end(list);
}
