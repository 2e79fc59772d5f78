/* Values: what can stand as an argument. */
#include <math.h>

#include "fx/reader.h"

/* ---- names ---- */

enum { most_candidates = 256 };

static const char *candidate(const void *table, size_t index) { return ((const char *const *)table)[index]; }

/* The names defined last, for "did you mean". */
static const char *nearest_name(struct reader *reader, struct text name) {
    const char *names[most_candidates + 1];
    size_t count = 0;
    for (struct node *node = reader->graph->last; node && count < most_candidates; node = node->previous)
        names[count++] = text_string(reader->context->arena, node->name);
    names[count] = NULL;
    return text_nearest(name, candidate, names);
}

/* Whether a statement further down defines the name. */
static bool defined_later(const struct cursor *cursor, struct text name) {
    struct cursor probe = *cursor;
    while (cursor_line(&probe), probe.at < probe.end) {
        probe.at++;
        while (byte_is_space(cursor_peek(&probe))) probe.at++;
        if (text_equal(cursor_name(&probe), name) && (cursor_accept(&probe, ':') || cursor_accept(&probe, '=')))
            return true;
    }
    return false;
}

regraft_status reader_node(struct reader *reader, struct text name, struct node **node) {
    *node = graph_find(reader->graph, name);
    if (*node) return REGRAFT_OK;
    if (defined_later(&reader->cursor, name))
        return cursor_fail(&reader->cursor, name, "'%.*s' is used before its definition; move its statement up",
                           TEXT_ARGS(name));
    const char *nearest = nearest_name(reader, name);
    if (nearest)
        return cursor_fail(&reader->cursor, name, "'%.*s' is not defined; did you mean '%s'?", TEXT_ARGS(name),
                           nearest);
    return cursor_fail(&reader->cursor, name,
                       "'%.*s' is not defined; expected a parameter or the result of a statement above",
                       TEXT_ARGS(name));
}

/* s72, u0, zf3, zuf1: the symbols of torch.fx.experimental.symbolic_shapes. In rules: what was declared as an integer. */
static bool is_symbol(const struct reader *reader, struct text name) {
    static const char *const prefixes[] = {"zuf", "zf", "s", "u", "z"};
    if (reader->integers) return map_get_text(reader->integers, name);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t at = strlen(prefixes[i]);
        if (!text_starts_with(name, prefixes[i]) || at == name.length) continue;
        while (at < name.length && byte_is_digit(name.data[at])) at++;
        return at == name.length;
    }
    return false;
}

static bool is_symbolic_function(struct text name) {
    static const char *const names[] = {"FloorDiv", "CleanDiv", "CeilDiv", "ModularIndexing",
                                        "Mod",      "Max",      "Min",     "PythonMod"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text_is(name, names[i])) return true;
    return false;
}

/* ---- symbolic expressions ---- */

/* Takes everything up to the comma, bracket, colon or line end that closes an expression. */
static struct text expression_text(struct cursor *cursor) {
    const char *start = cursor->at;
    for (size_t depth = 0; cursor->at < cursor->end; cursor->at++) {
        char byte = *cursor->at;
        if (byte == '\n' || byte == ';' || byte == '#' || byte == '=') break;
        if (byte == '(') depth++;
        if (byte == ')' && depth)
            depth--;
        else if (!depth && memchr(",)]}:", byte, 5))
            break;
    }
    while (cursor->at > start && byte_is_space(cursor->at[-1])) cursor->at--;
    return cursor_since(cursor, start);
}

static regraft_status read_expression(struct reader *reader, struct value *value) {
    struct text written = expression_text(&reader->cursor);
    struct cursor probe = reader->cursor;
    for (probe.at = written.data; probe.at < reader->cursor.at;) {
        struct text name = cursor_name(&probe);
        if (!name.length)
            probe.at++;
        else if (cursor_peek(&probe) != '(' && !is_symbol(reader, name))
            return cursor_fail(&probe, name,
                               "'%.*s' is no symbol; an expression among arguments is made of integers and symbols "
                               "such as s72: compute it in a statement of its own",
                               TEXT_ARGS(name));
    }
    value->kind = value_symint;
    value->written = written;
    return symint_parse(reader->context->symbols, &reader->context->diagnostics, reader->cursor.source, written,
                        &value->expression);
}

/* ---- brackets ---- */

const struct value *reader_pop(struct reader *reader, size_t count) {
    reader->stack.count -= count;
    return count ? reader->stack.items + reader->stack.count : NULL;
}

/* `name = `, or nothing. */
static regraft_status read_keyword(struct reader *reader, size_t count, struct text *keyword) {
    struct cursor *cursor = &reader->cursor;
    const char *start = cursor->at;
    struct text name = cursor_name(cursor);
    if (!name.length || !cursor_accept(cursor, '=') || cursor_peek(cursor) == '=') {
        cursor->at = start;
        if (count && reader->stack.items[reader->stack.count - 1].keyword.length)
            return cursor_expected(cursor, "NAME = VALUE after an argument with a keyword");
        return REGRAFT_OK;
    }
    if (count > most_keywords)
        return cursor_fail(cursor, name, "a call has more than %d arguments with keywords", most_keywords);
    for (size_t i = 1; i <= count && reader->stack.items[reader->stack.count - i].keyword.length; i++)
        if (text_equal(reader->stack.items[reader->stack.count - i].keyword, name))
            return cursor_fail(cursor, name, "the argument '%.*s' is given twice", TEXT_ARGS(name));
    *keyword = name;
    return REGRAFT_OK;
}

static regraft_status read_key(struct reader *reader, struct text *key) {
    struct value value = {0};
    const char *start = reader->cursor.at;
    TRY(reader_operand(reader, &value));
    if (value.kind == value_node)
        return cursor_fail(&reader->cursor, cursor_since(&reader->cursor, start),
                           "the key of a dictionary must be a constant");
    *key = cursor_since(&reader->cursor, start);
    if (!cursor_accept(&reader->cursor, ':'))
        return cursor_expected(&reader->cursor, "':' behind the key of a dictionary");
    return REGRAFT_OK;
}

static regraft_status read_item(struct reader *reader, char close, bool keywords, size_t count, struct value *item) {
    cursor_skip_space(&reader->cursor);
    if (keywords) TRY(read_keyword(reader, count, &item->keyword));
    if (close == '}') TRY(read_key(reader, &item->keyword));
    return reader_value(reader, item);
}

regraft_status reader_items(struct reader *reader, char close, bool keywords, size_t *count) {
    struct cursor *cursor = &reader->cursor;
    const char *open = cursor->at - 1;
    if (++cursor->brackets > deepest_nesting)
        return cursor_fail(cursor, (struct text){open, 1}, "brackets are nested more than %d deep", deepest_nesting);
    bool comma = false;
    *count = 0;
    while (!cursor_accept(cursor, close)) {
        struct value item = {0};
        comma = *count && cursor_accept(cursor, ',');
        if (*count && !comma) {
            char what[] = "',' or ')'";
            what[8] = close;
            return cursor_expected(cursor, what);
        }
        if (comma && cursor_accept(cursor, close)) break;
        comma = false;
        TRY(read_item(reader, close, keywords, *count, &item));
        vector_push(reader->context->arena, &reader->stack, item);
        ++*count;
    }
    cursor->brackets--;
    reader->ends_with_comma = comma;
    return REGRAFT_OK;
}

static regraft_status read_list(struct reader *reader, char close, enum value_kind kind, struct value *value) {
    size_t count;
    TRY(reader_items(reader, close, false, &count));
    const struct value *items = reader_pop(reader, count);
    value->kind = kind;
    value->list.items = arena_copy(reader->context->arena, items, count * sizeof *items);
    value->list.count = count;
    return REGRAFT_OK;
}

/* `(a, b)`, `(a,)`, `()`, or an expression such as `((s3 + 8)//9)`. */
static regraft_status read_parentheses(struct reader *reader, struct value *value) {
    const char *start = reader->cursor.at++;
    size_t brackets = reader->cursor.brackets;
    TRY(read_list(reader, ')', value_tuple, value));
    if (value->list.count != 1 || reader->ends_with_comma) return REGRAFT_OK;
    *value = (struct value){.keyword = value->keyword};
    reader->cursor.at = start;
    reader->cursor.brackets = brackets;
    return read_expression(reader, value);
}

/* ---- constructors ---- */

static regraft_status make_slice(struct reader *reader, struct text written, size_t count, struct value *value) {
    struct value *items = arena_array(reader->context->arena, struct value, 3);
    const struct value *given = reader_pop(reader, count);
    if (!count || count > 3)
        return cursor_fail(&reader->cursor, written, "slice takes one to three arguments, found %zu", count);
    for (size_t i = 0; i < count; i++) items[count == 1 ? 1 : i] = given[i];
    value->kind = value_slice;
    value->list.items = items;
    value->list.count = 3;
    return REGRAFT_OK;
}

/* device(type='cuda', index=0), torch.device('cuda:0'), torch.device('cuda', 0) */
static regraft_status make_device(struct reader *reader, struct text written, size_t count, struct value *value) {
    const struct value *given = reader_pop(reader, count);
    struct device device = {.index = -1};
    bool good = count == 1 || count == 2;
    for (size_t i = 0; i < count && good; i++) {
        if (given[i].kind == value_string && i == 0)
            device.type = given[i].string;
        else if (given[i].kind == value_integer && i == 1 && given[i].integer >= 0 && given[i].integer < INT32_MAX)
            device.index = (int)given[i].integer;
        else
            good = false;
    }
    const char *colon = device.type.length ? memchr(device.type.data, ':', device.type.length) : NULL;
    if (colon && count == 1) {
        struct text number = text_skip(device.type, (size_t)(colon + 1 - device.type.data));
        device.type.length = (size_t)(colon - device.type.data);
        device.index = 0;
        for (size_t i = 0; i < number.length && good; i++) {
            good = byte_is_digit(number.data[i]) && device.index < 100000;
            device.index = device.index * 10 + (number.data[i] - '0');
        }
    }
    if (!good) return cursor_fail(&reader->cursor, written, "expected device(type='cuda', index=0)");
    value->kind = value_device;
    value->device = device;
    value->written = written;
    return REGRAFT_OK;
}

/* Any other call among arguments, such as torch.Size([4, x]), keeps its values as a tuple that is spelled as a call. */
static regraft_status make_object(struct reader *reader, struct text path, size_t count, struct value *value) {
    const struct value *items = reader_pop(reader, count);
    value->kind = value_tuple;
    value->written = path;
    if (text_is(path, "torch.Size") && count == 1 && items->kind == value_list) {
        value->list = items->list;
        return REGRAFT_OK;
    }
    value->list.items = arena_copy(reader->context->arena, items, count * sizeof *items);
    value->list.count = count;
    return REGRAFT_OK;
}

static regraft_status read_constructor(struct reader *reader, struct text path, struct value *value) {
    size_t count;
    TRY(reader_items(reader, ')', true, &count));
    struct text written = cursor_since(&reader->cursor, path.data);
    if (text_is(path, "slice")) return make_slice(reader, written, count, value);
    if (text_is(path, "device") || text_is(path, "torch.device")) return make_device(reader, written, count, value);
    return make_object(reader, path, count, value);
}

/* ---- names as values ---- */

static bool read_constant(struct text name, struct value *value) {
    static const struct {
        const char *name;
        enum value_kind kind;
        bool boolean;
        double real;
    } constants[] = {
        {"None", value_none, false, 0},        {"True", value_bool, true, 0},    {"False", value_bool, false, 0},
        {"inf", value_float, false, INFINITY}, {"nan", value_float, false, NAN}, {"Ellipsis", value_name, false, 0},
    };
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        if (!text_is(name, constants[i].name)) continue;
        value->kind = constants[i].kind;
        if (value->kind == value_bool) value->boolean = constants[i].boolean;
        if (value->kind == value_float) value->real = constants[i].real;
        if (value->kind == value_float || value->kind == value_name) value->written = name;
        return true;
    }
    return false;
}

/* torch.bfloat16, torch.ops.aten.add.Tensor, torch.strided */
static regraft_status read_dotted(struct reader *reader, struct text path, struct value *value) {
    size_t head = (size_t)((const char *)memchr(path.data, '.', path.length) - path.data);
    struct text first = {path.data, head};
    if (graph_find(reader->graph, first))
        return cursor_fail(&reader->cursor, path,
                           "an attribute of '%.*s' cannot be an argument; give it a statement of its own",
                           TEXT_ARGS(first));
    value->written = path;
    value->kind = value_name;
    if (text_starts_with(path, "torch.ops.")) {
        value->kind = value_operator;
        value->operation = operations_find(reader->context->operations, text_skip(path, strlen("torch.ops.")));
    } else if (text_is(first, "torch")) {
        enum dtype dtype = dtype_from_torch_name(text_skip(path, strlen("torch.")));
        if (dtype == dtype_none) return REGRAFT_OK;
        value->kind = value_dtype;
        value->dtype = dtype;
    }
    return REGRAFT_OK;
}

static regraft_status read_name(struct reader *reader, struct value *value) {
    struct text path = cursor_path(&reader->cursor);
    if (cursor_peek(&reader->cursor) == '(') {
        if (is_symbolic_function(path)) {
            reader->cursor.at = path.data;
            return read_expression(reader, value);
        }
        reader->cursor.at++;
        return read_constructor(reader, path, value);
    }
    if (memchr(path.data, '.', path.length)) return read_dotted(reader, path, value);
    if (read_constant(path, value)) return REGRAFT_OK;
    if (reader->constants && map_get_text(reader->constants, path)) {
        value->kind = value_name;
        value->written = path;
        return REGRAFT_OK;
    }
    if (!graph_find(reader->graph, path) && is_symbol(reader, path)) {
        reader->cursor.at = path.data;
        cursor_name(&reader->cursor);
        value->kind = value_symint;
        value->expression = symint_symbol(reader->context->symbols, path);
        return REGRAFT_OK;
    }
    value->kind = value_node;
    return reader_node(reader, path, &value->use.node);
}

/* ---- values ---- */

regraft_status reader_operand(struct reader *reader, struct value *value) {
    struct cursor *cursor = &reader->cursor;
    cursor_skip_space(cursor);
    char byte = cursor_peek(cursor), next = cursor->at + 1 < cursor->end ? cursor->at[1] : 0;
    if (byte_is_digit(byte) || (byte == '-' && byte_is_digit(next))) return reader_number(reader, value);
    if (byte_starts_name(byte)) return read_name(reader, value);
    if (text_starts_with(cursor_rest(cursor), "-inf")) {
        const char *start = cursor->at++;
        cursor_name(cursor);
        value->kind = value_float;
        value->real = -INFINITY;
        value->written = cursor_since(cursor, start);
        return REGRAFT_OK;
    }
    switch (byte) {
    case '\'':
    case '"':
        return reader_string(reader, value);
    case '(':
        return reader_complex(reader, value) ? REGRAFT_OK : read_parentheses(reader, value);
    case '[':
        cursor->at++;
        return read_list(reader, ']', value_list, value);
    case '{':
        cursor->at++;
        return read_list(reader, '}', value_dictionary, value);
    case '-':
        return read_expression(reader, value);
    default:
        return cursor_expected(cursor, "a value");
    }
}

regraft_status reader_value(struct reader *reader, struct value *value) {
    struct text keyword = value->keyword;
    cursor_skip_space(&reader->cursor);
    const char *start = reader->cursor.at;
    TRY(reader_operand(reader, value));
    if (value->kind == value_string || value->kind == value_list || value->kind == value_tuple) return REGRAFT_OK;
    const char *end = reader->cursor.at;
    cursor_skip_space(&reader->cursor);
    char next = cursor_peek(&reader->cursor);
    bool expression = next && strchr("+-*/%", next);
    reader->cursor.at = expression ? start : end;
    if (!expression) return REGRAFT_OK;
    *value = (struct value){.keyword = keyword};
    return read_expression(reader, value);
}

void reader_link_uses(struct node *user, struct value *value) {
    if (value->kind == value_node) {
        struct node *node = value->use.node;
        value->kind = value_none;
        value_set_node(user, value, node);
    } else if (value->kind == value_list || value->kind == value_tuple || value->kind == value_dictionary ||
               value->kind == value_slice) {
        for (size_t i = 0; i < value->list.count; i++) reader_link_uses(user, &value->list.items[i]);
    }
}
