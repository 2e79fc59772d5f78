/* Formatting of errors. */
#include "base/diagnostics.h"

enum { widest_line = 160, longest_message = 1000 };

void diagnostics_init(struct diagnostics *diagnostics, struct arena *arena) {
    *diagnostics = (struct diagnostics){.arena = arena, .message = ""};
}

void diagnostics_clear(struct diagnostics *diagnostics) { diagnostics->message = ""; }

void source_locate(const struct source *source, size_t offset, size_t *line, size_t *column) {
    size_t start = 0;
    *line = 1;
    if (offset > source->contents.length) offset = source->contents.length;
    for (size_t i = 0; i < offset; i++)
        if (source->contents.data[i] == '\n') {
            ++*line;
            start = i + 1;
        }
    *column = offset - start + 1;
}

/* The length of the UTF-8 character at the start of a text that is not empty; 0: it cannot be shown in a terminal. */
static size_t character_length(struct text text) {
    const unsigned char *bytes = (const unsigned char *)text.data, first = *bytes;
    if (first < 0x80) return first >= 0x20 && first != 0x7f;
    size_t length = first < 0xc2 || first > 0xf4 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (length > text.length || (first == 0xc2 && bytes[1] < 0xa0)) return 0; /* cut off; a control character */
    for (size_t i = 1; i < length; i++)
        if ((bytes[i] & 0xc0) != 0x80) return 0;
    return length;
}

/* Adds the text with a stand-in for what cannot be shown; returns how many characters that makes. */
static size_t add_shown(struct builder *out, struct text text) {
    size_t count = 0;
    for (; text.length; count++) {
        size_t length = character_length(text);
        if (length)
            builder_add(out, (struct text){text.data, length});
        else
            builder_byte(out, (unsigned char)*text.data < 0x80 ? ' ' : '?');
        text = text_skip(text, length ? length : 1);
    }
    return count;
}

/* A message quotes the input, and a name there may be as long as a file: the middle of a long one is left out. */
static void add_shortened(struct builder *out, struct text text) {
    size_t head = longest_message / 2, tail = text.length;
    if (text.length <= longest_message) {
        add_shown(out, text);
        return;
    }
    while (head > longest_message / 2 - 4 && (text.data[head] & 0xc0) == 0x80) head--;
    tail -= longest_message / 2;
    while (tail < text.length - longest_message / 2 + 4 && (text.data[tail] & 0xc0) == 0x80) tail++;
    add_shown(out, (struct text){text.data, head});
    builder_string(out, " [...] ");
    add_shown(out, text_skip(text, tail));
}

/* The source line, cut around the caret when it is very long, and the caret below it. */
static void add_line(struct builder *out, struct position position, size_t column) {
    const char *text = position.source->contents.data;
    size_t start = position.offset - (column - 1), end = position.offset, from = start;
    while (end < position.source->contents.length && text[end] != '\n') end++;
    if (column > widest_line / 2) from = position.offset - widest_line / 2;
    size_t to = end - from > widest_line ? from + widest_line : end;
    builder_string(out, from > start ? "  ..." : "  ");
    size_t before = add_shown(out, (struct text){text + from, position.offset - from});
    add_shown(out, (struct text){text + position.offset, to - position.offset});
    builder_string(out, to < end ? "...\n" : "\n");
    for (size_t i = 0; i < before + (from > start ? 5 : 2); i++) builder_byte(out, ' ');
    builder_byte(out, '^');
    for (size_t i = 1; i < position.length && position.offset + i < to; i++) builder_byte(out, '~');
    builder_byte(out, '\n');
}

static void add_message(struct builder *out, struct position position, const char *kind, const char *format,
                        va_list list) {
    size_t line = 0, column = 0;
    if (position.source) {
        if (position.offset > position.source->contents.length) position.offset = position.source->contents.length;
        source_locate(position.source, position.offset, &line, &column);
        builder_format(out, "%s:%zu:%zu: ", position.source->name, line, column);
    } else {
        builder_string(out, "regraft: ");
    }
    builder_format(out, "%s: ", kind);
    add_shortened(out, text_of(text_format_list(out->arena, format, list)));
    builder_byte(out, '\n');
    if (position.source) add_line(out, position, column);
}

regraft_status fail(struct diagnostics *diagnostics, regraft_status status, struct position position,
                    const char *format, ...) {
    struct builder out;
    va_list list;
    if (*diagnostics->message) return status;
    builder_init(&out, diagnostics->arena);
    va_start(list, format);
    add_message(&out, position, status == REGRAFT_INTERNAL ? "internal error" : "error", format, list);
    va_end(list);
    diagnostics->message = out.data;
    return status;
}

void fail_note(struct diagnostics *diagnostics, struct position position, const char *format, ...) {
    struct builder out;
    va_list list;
    builder_init(&out, diagnostics->arena);
    builder_string(&out, diagnostics->message);
    va_start(list, format);
    add_message(&out, position, "note", format, list);
    va_end(list);
    diagnostics->message = out.data;
}
