/* Words and spaces, and what was found where something else was expected. */
#include "fx/cursor.h"

enum { longest_quote = 40 };

void cursor_skip_space(struct cursor *cursor) {
    const char *at = cursor->at;
    for (; at < cursor->end; at++) {
        if (byte_is_space(*at) || (cursor->brackets && *at == '\n')) continue;
        if (!cursor->brackets || *at != '#') break;
        const char *newline = memchr(at, '\n', (size_t)(cursor->end - at));
        at = newline ? newline : cursor->end - 1;
    }
    cursor->at = at;
}

bool cursor_accept(struct cursor *cursor, char byte) {
    cursor_skip_space(cursor);
    if (cursor->at >= cursor->end || *cursor->at != byte) return false;
    cursor->at++;
    return true;
}

bool cursor_accept_word(struct cursor *cursor, const char *word) {
    size_t length = strlen(word);
    if (!text_starts_with(cursor_rest(cursor), word)) return false;
    if (cursor->at + length < cursor->end && byte_continues_name(cursor->at[length])) return false;
    cursor->at += length;
    return true;
}

struct text cursor_name(struct cursor *cursor) {
    const char *start = cursor->at, *at = start;
    if (at < cursor->end && byte_starts_name(*at))
        while (at < cursor->end && byte_continues_name(*at)) at++;
    cursor->at = at;
    return cursor_since(cursor, start);
}

struct text cursor_path(struct cursor *cursor) {
    const char *start = cursor->at;
    cursor_name(cursor);
    while (cursor->at > start && cursor->at + 1 < cursor->end && *cursor->at == '.' &&
           byte_starts_name(cursor->at[1])) {
        cursor->at++;
        cursor_name(cursor);
    }
    return cursor_since(cursor, start);
}

struct text cursor_line(struct cursor *cursor) {
    struct text rest = cursor_rest(cursor);
    const char *newline = rest.length ? memchr(rest.data, '\n', rest.length) : NULL;
    cursor->at = newline ? newline : cursor->end;
    return cursor_since(cursor, rest.data);
}

regraft_status cursor_fail(const struct cursor *cursor, struct text where, const char *format, ...) {
    va_list list;
    va_start(list, format);
    const char *message = text_format_list(cursor->arena, format, list);
    va_end(list);
    return fail(cursor->diagnostics, REGRAFT_REJECTED, cursor_position(cursor, where), "%s", message);
}

/* The word or byte that is next. */
static struct text next_word(const struct cursor *cursor) {
    struct cursor probe = *cursor;
    struct text word = cursor_path(&probe);
    while (!word.length && probe.at < probe.end && byte_is_digit(*probe.at)) probe.at++;
    word = cursor_since(&probe, cursor->at);
    if (!word.length) word.length = 1;
    return word;
}

regraft_status cursor_expected(struct cursor *cursor, const char *what) {
    cursor_skip_space(cursor);
    struct text here = {cursor->at, 0};
    if (cursor->at >= cursor->end) return cursor_fail(cursor, here, "expected %s, found the end of the text", what);
    if (*cursor->at == '\n') return cursor_fail(cursor, here, "expected %s, found the end of the line", what);
    struct text word = next_word(cursor), shown = word;
    if (shown.length > longest_quote) shown.length = longest_quote;
    unsigned char first = (unsigned char)*word.data;
    if (first < 0x20 || first == 0x7f) return cursor_fail(cursor, word, "expected %s, found byte 0x%02x", what, first);
    return cursor_fail(cursor, word, "expected %s, found '%.*s%s'", what, TEXT_ARGS(shown),
                       shown.length < word.length ? "..." : "");
}
