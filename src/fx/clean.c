/* Takes off what terminals and loggers put around the lines of a graph. */
#include "fx/cursor.h"
#include "fx/load.h"

static const char escape = 0x1b;

static size_t skip_while(struct text text, size_t at, bool (*belongs)(char byte)) {
    while (at < text.length && belongs(text.data[at])) at++;
    return at;
}

static bool in_time(char byte) { return byte_is_digit(byte) || byte == ':' || byte == '.'; }
static bool in_tag(char byte) {
    return byte_continues_name(byte) || byte == '/' || byte == '.' || byte == '!' || byte == '-';
}

/* Behind `[rank0]:`, if it is there. */
static size_t skip_rank(struct text line) {
    if (!text_starts_with(line, "[rank")) return 0;
    size_t at = skip_while(line, 5, byte_is_digit);
    return text_starts_with(text_skip(line, at), "]:") ? at + 2 : 0;
}

size_t log_prefix(struct text line) {
    size_t start = skip_rank(line), at = start, field;
    if (at + 6 > line.length || !memchr("VDIWEC", line.data[at], 6)) return 0;
    field = skip_while(line, at + 1, byte_is_digit); /* month and day */
    if (field != start + 5 || line.data[field] != ' ') return 0;
    at = skip_while(line, field + 1, in_time);
    if (at == field + 1 || at >= line.length || line.data[at] != ' ') return 0;
    field = skip_while(line, at + 1, byte_is_digit); /* process */
    if (field == at + 1 || field >= line.length || line.data[field] != ' ') return 0;
    for (at = field + 1; at < line.length && line.data[at] != ']' && line.data[at] != ' ';) at++;
    if (at >= line.length || line.data[at] != ']' || !byte_is_digit(line.data[at - 1])) return 0;
    return at + 1 < line.length && line.data[at + 1] == ' ' ? at + 2 : at + 1;
}

/* Behind tags such as `[0/0] [__post_grad_graphs] `. */
static size_t skip_tags(struct text line, size_t at) {
    while (at < line.length && line.data[at] == '[') {
        size_t end = skip_while(line, at + 1, in_tag);
        if (end == at + 1 || end >= line.length || line.data[end] != ']') return at;
        at = end + 1;
        if (at < line.length && line.data[at] == ' ') at++;
    }
    return at;
}

static struct text next_line(struct text rest) {
    const char *newline = rest.length ? memchr(rest.data, '\n', rest.length) : NULL;
    return newline ? (struct text){rest.data, (size_t)(newline - rest.data) + 1} : rest;
}

/* A line without escape sequences (ESC [ ... letter), in place of a copy when there are none. */
static void add_without_colour(struct builder *out, struct text line) {
    while (line.length) {
        const char *found = memchr(line.data, escape, line.length);
        size_t plain = found ? (size_t)(found - line.data) : line.length, at = plain + 1;
        builder_add(out, (struct text){line.data, plain});
        if (at < line.length && line.data[at] == '[') {
            at++;
            while (at < line.length && (unsigned char)line.data[at] < 0x40 && line.data[at] != '\n') at++;
            if (at < line.length && line.data[at] != '\n') at++;
        }
        line = text_skip(line, at);
    }
}

static void add_clean(struct builder *out, struct builder *scratch, struct text line) {
    scratch->length = 0;
    add_without_colour(scratch, line);
    line = builder_text(scratch);
    bool ends = line.length && line.data[line.length - 1] == '\n';
    line.length -= ends;
    while (line.length && line.data[line.length - 1] == '\r') line.length--;
    size_t prefix = log_prefix(line);
    if (prefix) prefix = skip_tags(line, prefix);
    builder_add(out, text_skip(line, prefix));
    if (ends) builder_byte(out, '\n');
}

static bool is_clean(struct text text) {
    if (text.length && (memchr(text.data, escape, text.length) || memchr(text.data, '\r', text.length))) return false;
    for (struct text rest = text; rest.length;) {
        struct text line = next_line(rest);
        if (log_prefix(line)) return false;
        rest = text_skip(rest, line.length);
    }
    return true;
}

struct text load_clean(struct arena *arena, struct text text) {
    struct builder out, scratch;
    if (text_starts_with(text, "\xef\xbb\xbf")) text = text_skip(text, 3);
    if (is_clean(text)) return text;
    builder_init(&out, arena);
    builder_init(&scratch, arena);
    while (text.length) {
        struct text line = next_line(text);
        add_clean(&out, &scratch, line);
        text = text_skip(text, line.length);
    }
    return builder_text(&out);
}
