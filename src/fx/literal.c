/* Numbers and strings, as Python writes them. */
#include <locale.h>
#include <stdlib.h>

#include "fx/reader.h"

/* ---- numbers ---- */

enum { longest_number = 400 };

/* strtod expects the decimal point of the process's locale. */
static double parse_float(struct text text) {
    char buffer[longest_number + 1];
    memcpy(buffer, text.data, text.length);
    buffer[text.length] = 0;
    char *point = memchr(buffer, '.', text.length);
    if (point) *point = *localeconv()->decimal_point;
    return strtod(buffer, NULL);
}

static void skip_digits(struct cursor *cursor) {
    while (byte_is_digit(cursor_peek(cursor))) cursor->at++;
}

/* Behind the digits before the point: `.5e-06`; false when the number ends here. */
static bool skip_fraction(struct cursor *cursor) {
    const char *start = cursor->at;
    if (cursor_peek(cursor) == '.') cursor->at++, skip_digits(cursor);
    if (cursor_peek(cursor) == 'e' || cursor_peek(cursor) == 'E') {
        cursor->at++;
        if (cursor_peek(cursor) == '+' || cursor_peek(cursor) == '-') cursor->at++;
        skip_digits(cursor);
    }
    return cursor->at > start;
}

static regraft_status read_integer(struct reader *reader, struct text text, struct value *value) {
    bool negative = *text.data == '-';
    int64_t integer = 0;
    for (size_t i = negative; i < text.length; i++) {
        int digit = text.data[i] - '0';
        if (__builtin_mul_overflow(integer, 10, &integer) || __builtin_sub_overflow(integer, digit, &integer))
            return cursor_fail(&reader->cursor, text, "the integer does not fit into 64 bits");
    }
    if (!negative && __builtin_sub_overflow(0, integer, &integer))
        return cursor_fail(&reader->cursor, text, "the integer does not fit into 64 bits");
    value->kind = value_integer;
    value->integer = integer;
    return REGRAFT_OK;
}

bool reader_complex(struct reader *reader, struct value *value) {
    struct cursor *cursor = &reader->cursor;
    const char *start = cursor->at, *at = start + 1;
    if (at < cursor->end && *at == '-') at++;
    if (at >= cursor->end || !byte_is_digit(*at)) return false;
    while (at < cursor->end && *at && (byte_is_digit(*at) || strchr("+-.e", *at))) at++;
    if (cursor->end - at < 2 || at[0] != 'j' || at[1] != ')') return false;
    cursor->at = at + 2;
    value->kind = value_name;
    value->written = cursor_since(cursor, start);
    return true;
}

/* An integer, or a floating-point or imaginary number, which keeps its spelling. */
regraft_status reader_number(struct reader *reader, struct value *value) {
    struct cursor *cursor = &reader->cursor;
    const char *start = cursor->at;
    if (*cursor->at == '-') cursor->at++;
    skip_digits(cursor);
    bool real = skip_fraction(cursor);
    if (cursor_peek(cursor) == 'j' && byte_is_digit(cursor->at[-1])) {
        cursor->at++;
        value->kind = value_name;
        value->written = cursor_since(cursor, start);
        if (!byte_continues_name(cursor_peek(cursor))) return REGRAFT_OK;
    }
    struct text text = cursor_since(cursor, start);
    if (byte_continues_name(cursor_peek(cursor)) || !(byte_is_digit(cursor->at[-1]) || cursor->at[-1] == '.')) {
        cursor_name(cursor);
        text = cursor_since(cursor, start);
        return cursor_fail(cursor, text, "a number is malformed; expected digits such as 12 or 1e-06");
    }
    if (!real) return read_integer(reader, text, value);
    if (text.length > longest_number)
        return cursor_fail(cursor, text, "a number has more than %d characters", longest_number);
    value->kind = value_float;
    value->real = parse_float(text);
    value->written = text;
    return REGRAFT_OK;
}

/* ---- strings ---- */

static void add_utf8(struct builder *out, unsigned long code) {
    if (code < 0x80) {
        builder_byte(out, (char)code);
        return;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned lead[] = {0, 0xc0, 0xe0, 0xf0};
    builder_byte(out, (char)(lead[more] | code >> 6 * more));
    while (more-- > 0) builder_byte(out, (char)(0x80 | (code >> 6 * more & 0x3f)));
}

/* Undoes the escape at `at` (its backslash) and returns what follows it; NULL when Python has no such escape. */
static const char *add_escape(struct builder *out, const char *at, const char *end) {
    static const char plain[] = "\\\\''\"\"n\nr\rt\ta\ab\bf\fv\v";
    char kind = at + 1 < end ? at[1] : 0;
    for (size_t i = 0; i + 1 < sizeof plain; i += 2)
        if (plain[i] == kind) {
            builder_byte(out, plain[i + 1]);
            return at + 2;
        }
    ptrdiff_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (!digits || end - at < digits + 2) return NULL;
    unsigned long code = 0;
    for (ptrdiff_t i = 2; i < digits + 2; i++) {
        static const char hexadecimal[] = "0123456789abcdef0123456789ABCDEF";
        const char *found = at[i] ? strchr(hexadecimal, at[i]) : NULL;
        if (!found) return NULL;
        code = code << 4 | (unsigned long)((found - hexadecimal) % 16);
    }
    if (code > 0x10ffff) return NULL;
    add_utf8(out, code);
    return at + digits + 2;
}

static regraft_status unescape(struct reader *reader, struct text inside, struct text *result) {
    struct builder out;
    *result = inside;
    if (!inside.length || !memchr(inside.data, '\\', inside.length)) return REGRAFT_OK;
    builder_init(&out, reader->context->arena);
    for (const char *at = inside.data, *end = at + inside.length; at < end;) {
        const char *next = *at == '\\' ? add_escape(&out, at, end) : at + 1;
        if (!next)
            return cursor_fail(
                &reader->cursor, (struct text){at, at + 1 < end ? 2 : 1},
                "unknown escape in a string; expected one of \\\\ \\' \\\" \\n \\r \\t \\xNN \\uNNNN \\UNNNNNNNN");
        if (*at != '\\') builder_byte(&out, *at);
        at = next;
    }
    *result = builder_text(&out);
    return REGRAFT_OK;
}

regraft_status reader_string(struct reader *reader, struct value *value) {
    struct cursor *cursor = &reader->cursor;
    const char *start = cursor->at, *at = start + 1;
    while (at < cursor->end && *at != *start && *at != '\n')
        at += *at == '\\' && at + 1 < cursor->end && at[1] != '\n' ? 2 : 1;
    if (at >= cursor->end || *at != *start)
        return cursor_fail(cursor, (struct text){start, 1},
                           "the string is not closed; expected %c before the end of the line", *start);
    cursor->at = at + 1;
    value->kind = value_string;
    value->written = cursor_since(cursor, start);
    return unescape(reader, (struct text){start + 1, value->written.length - 2}, &value->string);
}
