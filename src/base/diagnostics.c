/* Formatting of errors. */
#include "base/diagnostics.h"

enum { widest_line = 160 };

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

/* Whether a byte can be shown in a terminal as it is; bytes of UTF-8 sequences can. */
static char printable(char byte) {
    unsigned char code = (unsigned char)byte;
    return code < 0x20 || code == 0x7f ? ' ' : byte;
}

/* The source line, cut around the caret when it is very long, and the caret below it. */
static void add_line(struct builder *out, struct position position, size_t column) {
    const char *text = position.source->contents.data;
    size_t start = position.offset - (column - 1), end = position.offset, from = start;
    while (end < position.source->contents.length && text[end] != '\n') end++;
    if (column > widest_line / 2) from = position.offset - widest_line / 2;
    size_t to = end - from > widest_line ? from + widest_line : end;
    builder_string(out, from > start ? "  ..." : "  ");
    for (size_t i = from; i < to; i++) builder_byte(out, printable(text[i]));
    builder_string(out, to < end ? "...\n" : "\n");
    for (size_t i = 0; i < position.offset - from + (from > start ? 5 : 2); i++) builder_byte(out, ' ');
    builder_byte(out, '^');
    for (size_t i = 1; i < position.length && position.offset + i < to; i++) builder_byte(out, '~');
    builder_byte(out, '\n');
}

static void add_message(struct builder *out, struct position position, const char *kind, const char *format, va_list list) {
    size_t line = 0, column = 0;
    if (position.source) {
        if (position.offset > position.source->contents.length) position.offset = position.source->contents.length;
        source_locate(position.source, position.offset, &line, &column);
        builder_format(out, "%s:%zu:%zu: ", position.source->name, line, column);
    } else {
        builder_string(out, "regraft: ");
    }
    builder_format(out, "%s: ", kind);
    builder_string(out, text_format_list(out->arena, format, list));
    builder_byte(out, '\n');
    if (position.source) add_line(out, position, column);
}

regraft_status fail(struct diagnostics *diagnostics, regraft_status status, struct position position, const char *format, ...) {
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
