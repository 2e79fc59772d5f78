/* Annotations: `"bf16[s72, 64][64, 1]cuda:0"`, `"Sym(4*s30)"`, `"Parameter(f32[8][1]cpu)"`, or a Python type without quotes.
 *
 * What has the form of a tensor must be well-formed. What has another form (classes that we do not know, element types that
 * we do not compute with, conditions) is kept as text; the type of the node is then unknown. */
#include "fx/reader.h"

/* The piece up to a comma or the closing bracket, brackets inside it balanced; skips the comma. */
static struct text next_dimension(struct cursor *cursor) {
    const char *start = cursor->at, *end;
    size_t depth = 0;
    for (; cursor->at < cursor->end; cursor->at++) {
        char byte = *cursor->at;
        if (!depth && (byte == ',' || byte == ']')) break;
        if (byte == '(' || byte == '[') depth++;
        if ((byte == ')' || byte == ']') && depth) depth--;
    }
    end = cursor->at;
    while (end > start && byte_is_space(end[-1])) end--;
    return (struct text){start, (size_t)(end - start)};
}

static bool is_number(struct text text) {
    for (size_t i = 0; i < text.length; i++)
        if (!byte_is_digit(text.data[i])) return false;
    return true;
}

static regraft_status read_dimension(struct reader *reader, struct cursor *cursor, symint *dimension) {
    cursor_skip_space(cursor);
    struct text text = next_dimension(cursor);
    int64_t integer;
    if (!text.length) return cursor_expected(cursor, "a size such as 64 or 4*s72");
    TRY(symint_parse(reader->context->symbols, cursor->diagnostics, cursor->source, text, dimension));
    bool constant = symint_is_constant(*dimension, &integer);
    if (constant && integer < 0) return cursor_fail(cursor, text, "a size or stride is negative; expected 0 or more");
    if (!constant && is_number(text)) return cursor_fail(cursor, text, "a size or stride does not fit into 64 bits");
    return REGRAFT_OK;
}

/* `64, 4*s72]`, the opening bracket is taken already. */
static regraft_status read_dimensions(struct reader *reader, struct cursor *cursor, const symint **dimensions,
                                      size_t *count) {
    symint found[largest_rank];
    *count = 0;
    while (!cursor_accept(cursor, ']')) {
        if (*count && !cursor_accept(cursor, ',')) return cursor_expected(cursor, "',' or ']' in an annotation");
        if (*count == largest_rank)
            return cursor_fail(cursor, (struct text){cursor->at, 0}, "a tensor has more than %d dimensions",
                               largest_rank);
        TRY(read_dimension(reader, cursor, &found[*count]));
        ++*count;
    }
    *dimensions = arena_copy(reader->context->arena, found, *count * sizeof *found);
    return REGRAFT_OK;
}

/* No tensor has more than 2^63 - 1 elements. */
static regraft_status check_size(const struct cursor *cursor, struct text text, const struct layout *layout) {
    int64_t count = 1, size;
    for (size_t i = 0; i < layout->rank; i++)
        if (symint_is_constant(layout->sizes[i], &size) && size > 0 && __builtin_mul_overflow(count, size, &count))
            return cursor_fail(cursor, text, "a tensor has more elements than 64 bits can count");
    return REGRAFT_OK;
}

/* `cuda:0`, `cpu`, or nothing. */
static regraft_status read_device(struct cursor *cursor, struct device *device) {
    device->index = -1;
    device->type = cursor_name(cursor);
    if (!device->type.length || !cursor_accept(cursor, ':')) return REGRAFT_OK;
    if (!byte_is_digit(cursor_peek(cursor))) return cursor_expected(cursor, "the number of a device");
    for (device->index = 0; byte_is_digit(cursor_peek(cursor)) && device->index < 100000; cursor->at++)
        device->index = device->index * 10 + (*cursor->at - '0');
    return REGRAFT_OK;
}

/* `[s72, 64][64, 1]cuda:0` behind an element type. */
static regraft_status read_tensor(struct reader *reader, struct cursor *cursor, enum dtype dtype,
                                  const struct type **type) {
    struct layout layout = {0};
    struct device device;
    const char *start = cursor->at++;
    TRY(read_dimensions(reader, cursor, &layout.sizes, &layout.rank));
    TRY(check_size(cursor, cursor_since(cursor, start), &layout));
    if (cursor_peek(cursor) == '[') {
        size_t count;
        start = cursor->at++;
        TRY(read_dimensions(reader, cursor, &layout.strides, &count));
        if (count != layout.rank)
            return cursor_fail(cursor, cursor_since(cursor, start), "expected %zu strides, one a dimension, found %zu",
                               layout.rank, count);
    }
    TRY(read_device(cursor, &device));
    *type = type_make_tensor(reader->context->arena, dtype, layout, device);
    return REGRAFT_OK;
}

/* What stands inside `Sym(...)`; a condition or a float has an unknown type. */
static const struct type *integer_type(struct reader *reader, struct text inside) {
    struct diagnostics ignored;
    symint value;
    diagnostics_init(&ignored, reader->context->arena);
    if (symint_parse(reader->context->symbols, &ignored, reader->cursor.source, inside, &value) != REGRAFT_OK)
        return &type_of_unknown;
    return type_make_integer(reader->context->arena, value);
}

/* The type that the text between the quotes stands for. */
static regraft_status parse_type(struct reader *reader, struct text text, const struct type **type) {
    struct cursor cursor = reader->cursor;
    cursor.at = text.data;
    cursor.end = text.data + text.length;
    struct text word = cursor_name(&cursor);
    *type = &type_of_unknown;
    if (text_is(word, "Sym") && cursor_peek(&cursor) == '(' && cursor.end[-1] == ')') {
        *type = integer_type(reader, (struct text){cursor.at + 1, (size_t)(cursor.end - cursor.at) - 2});
        return REGRAFT_OK;
    }
    bool wrapped = (text_is(word, "Parameter") || text_is(word, "Buffer")) && cursor_accept(&cursor, '(');
    if (wrapped) word = cursor_name(&cursor);
    enum dtype dtype = dtype_from_abbreviation(word);
    if (dtype == dtype_none || cursor_peek(&cursor) != '[') return REGRAFT_OK;
    TRY(read_tensor(reader, &cursor, dtype, type));
    if (wrapped && cursor_accept(&cursor, ')')) wrapped = false;
    if (wrapped || cursor.at < cursor.end)
        return cursor_expected(&cursor, wrapped ? "')' in an annotation" : "the closing quote of an annotation");
    return REGRAFT_OK;
}

static regraft_status type_of_annotation(struct reader *reader, struct text inside, const struct type **type) {
    void **slot = map_slot_text(reader->types, inside);
    if (!*slot) {
        TRY(parse_type(reader, inside, type));
        *slot = (void *)(uintptr_t)*type;
    }
    *type = *slot;
    return REGRAFT_OK;
}

/* A type without quotes, up to one of the `stop` bytes outside of brackets. */
static struct text bare_type(struct cursor *cursor, const char *stop) {
    const char *start = cursor->at, *end;
    for (size_t depth = 0; cursor->at < cursor->end && *cursor->at != '\n'; cursor->at++) {
        char byte = *cursor->at;
        if (!depth && strchr(stop, byte)) break;
        if (byte == '[' || byte == '(') depth++;
        if ((byte == ']' || byte == ')') && depth) depth--;
    }
    end = cursor->at;
    while (end > start && byte_is_space(end[-1])) end--;
    return (struct text){start, (size_t)(end - start)};
}

regraft_status reader_annotation(struct reader *reader, const char *stop, struct text *annotation,
                                 const struct type **type) {
    struct cursor *cursor = &reader->cursor;
    *annotation = (struct text){0};
    if (!cursor_accept(cursor, ':')) return REGRAFT_OK;
    cursor_skip_space(cursor);
    const char *start = cursor->at, quote = cursor_peek(cursor);
    if (quote != '"' && quote != '\'') {
        *annotation = bare_type(cursor, stop);
        *type = &type_of_unknown;
        return annotation->length ? REGRAFT_OK : cursor_expected(cursor, "a type behind ':'");
    }
    struct text line = cursor_line(cursor), inside = text_skip(line, 1);
    const char *close = inside.length ? memchr(inside.data, quote, inside.length) : NULL;
    if (!close)
        return cursor_fail(cursor, (struct text){start, 1},
                           "the annotation is not closed; expected %c before the end of the line", quote);
    cursor->at = close + 1;
    *annotation = cursor_since(cursor, start);
    inside.length -= (size_t)(inside.data + inside.length - close);
    return type_of_annotation(reader, inside, type);
}
