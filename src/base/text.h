/* Pieces of text: a pointer and a length, never owned; most point into the file that was read. */
#ifndef REGRAFT_BASE_TEXT_H
#define REGRAFT_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/arena.h"

struct text {
    const char *data;
    size_t length;
};

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})
/* For printf("%.*s", TEXT_ARGS(text)). */
#define TEXT_ARGS(text) (int)(text).length, (text).data

static inline struct text text_of(const char *string) { return (struct text){string, strlen(string)}; }

static inline bool text_equal(struct text a, struct text b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool text_is(struct text text, const char *string) { return text_equal(text, text_of(string)); }

bool text_starts_with(struct text text, const char *prefix);
/* NULL ends the list. */
bool text_starts_with_any(struct text text, const char *const *prefixes);
/* The part from `start` on; all of it is skipped when the text is shorter. */
struct text text_skip(struct text text, size_t start);
int text_compare(struct text a, struct text b);
/* A copy in the arena that ends in a zero byte. */
struct text text_copy(struct arena *arena, struct text text);
const char *text_string(struct arena *arena, struct text text);
/* How printf would format it, in the arena. */
const char *text_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *text_format_list(struct arena *arena, const char *format, va_list list)
    __attribute__((format(printf, 2, 0)));

/* The candidate nearest to a mistyped `word` (edit distance at most a third of its length), or NULL: "did you mean". */
const char *text_nearest(struct text word, const char *(*candidate)(const void *table, size_t index),
                         const void *table);

/* A text that grows. The bytes end in a zero byte after every call. */
struct builder {
    struct arena *arena;
    char *data;
    size_t length, capacity;
};
void builder_init(struct builder *builder, struct arena *arena);
void builder_add(struct builder *builder, struct text text);
void builder_string(struct builder *builder, const char *string);
void builder_byte(struct builder *builder, char byte);
void builder_format(struct builder *builder, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline struct text builder_text(const struct builder *builder) {
    return (struct text){builder->data, builder->length};
}

#endif
