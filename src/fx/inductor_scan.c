/* Pieces of program text. */
#include "fx/inductor_scan.h"

#include <stdint.h>

#include "fx/cursor.h"

static bool is_blank(char byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

struct text scan_trim(struct text text) {
    while (text.length && is_blank(*text.data)) text = text_skip(text, 1);
    while (text.length && is_blank(text.data[text.length - 1])) text.length--;
    return text;
}

bool text_ends_with(struct text text, const char *suffix) {
    size_t length = strlen(suffix);
    return text.length >= length && memcmp(text.data + text.length - length, suffix, length) == 0;
}

size_t text_find(struct text text, const char *word) {
    size_t length = strlen(word);
    if (!text.length) return SIZE_MAX;
    for (const char *at = text.data, *end = text.data + text.length; (size_t)(end - at) >= length; at++) {
        at = memchr(at, *word, (size_t)(end - at));
        if (!at || (size_t)(end - at) < length) return SIZE_MAX;
        if (memcmp(at, word, length) == 0) return (size_t)(at - text.data);
    }
    return SIZE_MAX;
}

bool text_mentions(struct text text, struct text name) {
    for (size_t i = 0; i < text.length;) {
        if (!byte_starts_name(text.data[i])) {
            i++;
            continue;
        }
        struct text word = scan_name(text_skip(text, i));
        if (text_equal(word, name)) return true;
        i += word.length;
    }
    return false;
}

bool scan_line(struct text *rest, struct text *line) {
    if (!rest->length) return false;
    const char *newline = memchr(rest->data, '\n', rest->length);
    *line = (struct text){rest->data, newline ? (size_t)(newline - rest->data) : rest->length};
    *rest = text_skip(*rest, line->length + (newline != NULL));
    return true;
}

struct text scan_name(struct text text) {
    size_t length = 0;
    if (!text.length || !byte_starts_name(*text.data)) return (struct text){text.data, 0};
    while (length < text.length && byte_continues_name(text.data[length])) length++;
    return (struct text){text.data, length};
}

size_t scan_string(struct text text, size_t at) {
    char quote = text.data[at];
    size_t quotes = text.length - at >= 3 && text.data[at + 1] == quote && text.data[at + 2] == quote ? 3 : 1;
    for (size_t i = at + quotes; i < text.length; i++) {
        if (text.data[i] == '\\') {
            i++;
        } else if (text.data[i] == quote) {
            size_t count = 1;
            while (count < quotes && i + count < text.length && text.data[i + count] == quote) count++;
            if (count == quotes) return i + count;
        }
    }
    return text.length;
}

/* Walks from `at` over literals and brackets; ends at `byte` outside of brackets, or (byte 0) where all are closed. */
static size_t walk(struct text text, size_t at, char byte) {
    size_t depth = 0;
    for (size_t i = at; i < text.length; i++) {
        char here = text.data[i];
        if (depth == 0 && byte && here == byte) return i;
        if (here == '"' || here == '\'') {
            i = scan_string(text, i) - 1;
        } else if (here == '(' || here == '[' || here == '{') {
            depth++;
        } else if (here == ')' || here == ']' || here == '}') {
            if (depth == 0) return SIZE_MAX;
            if (--depth == 0 && !byte) return i;
        }
    }
    return SIZE_MAX;
}

size_t scan_close(struct text text, size_t at) { return walk(text, at, 0); }

size_t scan_find(struct text text, char byte) { return walk(text, 0, byte); }

/* How many brackets are open behind a line that starts with `depth` of them open. */
static size_t depth_behind(struct text line, size_t depth) {
    for (size_t i = 0; i < line.length && line.data[i] != '#'; i++) {
        char here = line.data[i];
        if (here == '"' || here == '\'')
            i = scan_string(line, i) - 1;
        else if (here == '(' || here == '[' || here == '{')
            depth++;
        else if ((here == ')' || here == ']' || here == '}') && depth)
            depth--;
    }
    return depth;
}

bool scan_statement(struct text *rest, struct text *statement) {
    enum { most_lines = 16 };
    if (!scan_line(rest, statement)) return false;
    struct text next = *rest, line;
    size_t depth = depth_behind(*statement, 0);
    for (size_t i = 0; i < most_lines && depth && scan_line(&next, &line); i++) {
        depth = depth_behind(line, depth);
        if (depth) continue;
        statement->length = (size_t)(line.data + line.length - statement->data);
        *rest = next;
    }
    return true;
}

struct text_list scan_split(struct arena *arena, struct text text, char separator) {
    struct text_list parts = {0};
    text = scan_trim(text);
    while (text.length) {
        size_t end = scan_find(text, separator);
        vector_push(arena, &parts, scan_trim(text_between(text, 0, end == SIZE_MAX ? text.length : end)));
        if (end == SIZE_MAX) break;
        text = scan_trim(text_skip(text, end + 1));
    }
    return parts;
}

size_t scan_assignment(struct text text) {
    for (size_t start = 0; start < text.length;) {
        size_t found = walk(text, start, '=');
        if (found == SIZE_MAX) return SIZE_MAX;
        bool doubled = found + 1 < text.length && text.data[found + 1] == '=';
        if (!doubled && found && !strchr("<>!=", text.data[found - 1])) return found;
        start = found + 1 + doubled;
    }
    return SIZE_MAX;
}
