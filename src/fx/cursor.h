/* A place in a text that is being read, and the words that FX text is made of. */
#ifndef REGRAFT_FX_CURSOR_H
#define REGRAFT_FX_CURSOR_H

#include "base/diagnostics.h"

struct cursor {
    struct arena *arena;
    struct diagnostics *diagnostics;
    const struct source *source;
    const char *at, *end;
    size_t brackets; /* that are open: inside them line breaks and comments count as space */
};

static inline bool byte_is_space(char byte) { return byte == ' ' || byte == '\t'; }
static inline bool byte_is_digit(char byte) { return byte >= '0' && byte <= '9'; }
static inline bool byte_starts_name(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' || (unsigned char)byte >= 0x80;
}
static inline bool byte_continues_name(char byte) { return byte_starts_name(byte) || byte_is_digit(byte); }

/* The next byte, 0 at the end of the text. */
static inline char cursor_peek(const struct cursor *cursor) { return cursor->at < cursor->end ? *cursor->at : 0; }
static inline struct text cursor_since(const struct cursor *cursor, const char *start) {
    return (struct text){start, (size_t)(cursor->at - start)};
}
static inline struct text cursor_rest(const struct cursor *cursor) {
    return (struct text){cursor->at, (size_t)(cursor->end - cursor->at)};
}
static inline struct position cursor_position(const struct cursor *cursor, struct text text) {
    return source_position(cursor->source, text);
}

void cursor_skip_space(struct cursor *cursor);
/* Skips spaces, then takes the byte if it is the next one. */
bool cursor_accept(struct cursor *cursor, char byte);
/* Takes the word if it is next and no name goes on behind it. */
bool cursor_accept_word(struct cursor *cursor, const char *word);
/* An identifier; "" when there is none. */
struct text cursor_name(struct cursor *cursor);
/* Identifiers with dots between them: torch.ops.aten.add.Tensor. */
struct text cursor_path(struct cursor *cursor);
/* To the end of the line, the line break not included. */
struct text cursor_line(struct cursor *cursor);

/* Rejects the input at a piece of its text. */
regraft_status cursor_fail(const struct cursor *cursor, struct text where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* `expected WHAT, found ...`, at the next byte that is no space. */
regraft_status cursor_expected(struct cursor *cursor, const char *what);

#endif
