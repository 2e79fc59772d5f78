/* Statements: one is one line, one line is one node. */
#include "fx/reader.h"

/* ---- nodes ---- */

static regraft_status push_operand(struct reader *reader) {
    struct value value = {0};
    TRY(reader_operand(reader, &value));
    vector_push(reader->context->arena, &reader->stack, value);
    return REGRAFT_OK;
}

void reader_push(struct reader *reader, struct value value) {
    vector_push(reader->context->arena, &reader->stack, value);
}

static regraft_status push_node(struct reader *reader, struct text name) {
    struct value value = {.kind = value_node};
    TRY(reader_node(reader, name, &value.use.node));
    reader_push(reader, value);
    return REGRAFT_OK;
}

regraft_status reader_add_node(struct reader *reader, const struct statement *statement, size_t count,
                               struct node **result) {
    struct node *first = statement->kind == node_output ? NULL : graph_find(reader->graph, statement->name);
    if (first) {
        cursor_fail(&reader->cursor, statement->name,
                    "'%.*s' is defined twice; every statement needs a name of its own", TEXT_ARGS(statement->name));
        if (first->position.source) fail_note(&reader->context->diagnostics, first->position, "first defined here");
        return REGRAFT_REJECTED;
    }
    struct node *node = graph_insert(reader->graph, NULL, statement->kind, statement->name, count);
    const struct value *values = reader_pop(reader, count);
    if (count) memcpy(node->arguments, values, count * sizeof *values);
    for (size_t i = 0; i < count; i++) reader_link_uses(node, &node->arguments[i]);
    node->target = statement->target;
    node->in_torch_ops = statement->in_torch_ops;
    node->annotation = statement->annotation;
    node->type = statement->type;
    node->location = reader->location;
    node->piece = reader->piece;
    if (node->kind != node_output) node->position = cursor_position(&reader->cursor, statement->name);
    if (node->in_torch_ops) node->operation = operations_find(reader->context->operations, node->target);
    *result = node;
    return REGRAFT_OK;
}

/* ---- operators ---- */

static const struct {
    const char *text;
    bool compares;
} operators[] = {
    {"**", false}, {"//", false}, {"<<", false}, {">>", false}, {"==", true}, {"!=", true}, {"<=", true},
    {">=", true},  {"+", false},  {"-", false},  {"*", false},  {"/", false}, {"%", false}, {"&", false},
    {"|", false},  {"^", false},  {"@", false},  {"<", true},   {">", true},
};

/* `+`, or with `assigning` `+=`. "" when no operator is next. */
static struct text accept_operator(struct cursor *cursor, bool assigning) {
    cursor_skip_space(cursor);
    struct text rest = cursor_rest(cursor);
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        size_t length = strlen(operators[i].text);
        if (!text_starts_with(rest, operators[i].text)) continue;
        if (assigning && (operators[i].compares || rest.length <= length || rest.data[length] != '=')) continue;
        length += assigning;
        cursor->at += length;
        return (struct text){rest.data, length};
    }
    return (struct text){rest.data, 0};
}

/* -x, ~x, +x */
static regraft_status read_unary(struct reader *reader, struct statement *statement) {
    char sign = *reader->cursor.at++;
    statement->kind = node_operator;
    statement->target = sign == '-' ? TEXT("neg") : sign == '~' ? TEXT("invert") : TEXT("pos");
    return push_operand(reader);
}

/* x[0], x[(Ellipsis, slice(0, 4, None))], behind the bracket. */
static regraft_status read_index(struct reader *reader, struct statement *statement) {
    struct value index = {0};
    reader->cursor.brackets++;
    TRY(reader_value(reader, &index));
    if (!cursor_accept(&reader->cursor, ']')) return cursor_expected(&reader->cursor, "']' behind an index");
    reader->cursor.brackets--;
    statement->kind = index.kind == value_integer ? node_getitem : node_operator;
    statement->target = TEXT("getitem");
    reader_push(reader, index);
    return REGRAFT_OK;
}

/* x, x[0], x + y, 2 * x */
static regraft_status read_operation(struct reader *reader, struct statement *statement) {
    TRY(push_operand(reader));
    struct value first = reader->stack.items[reader->stack.count - 1];
    if (first.kind == value_node && cursor_accept(&reader->cursor, '[')) return read_index(reader, statement);
    statement->target = accept_operator(&reader->cursor, false);
    if (statement->target.length) {
        statement->kind = node_operator;
        return push_operand(reader);
    }
    if (first.kind != value_node) return cursor_expected(&reader->cursor, "an operator behind a constant");
    statement->kind = node_rename;
    if (!statement->annotation.length) statement->type = first.use.node->type;
    return REGRAFT_OK;
}

/* ---- calls and attributes ---- */

/* getattr(getattr(self, "layers"), "0") stands for self.layers.0; the parts go to `out`, dots between them. */
static regraft_status read_getattr(struct reader *reader, size_t depth, struct builder *out) {
    struct cursor *cursor = &reader->cursor;
    struct value name = {0};
    if (depth > deepest_nesting)
        return cursor_fail(cursor, (struct text){cursor->at, 1}, "brackets are nested more than %d deep",
                           deepest_nesting);
    if (cursor_accept_word(cursor, "getattr")) {
        if (!cursor_accept(cursor, '(')) return cursor_expected(cursor, "'(' behind getattr");
        TRY(read_getattr(reader, depth + 1, out));
        if (!cursor_accept(cursor, ',')) return cursor_expected(cursor, "',' in getattr");
        cursor_skip_space(cursor);
        if (cursor_peek(cursor) != '"' && cursor_peek(cursor) != '\'')
            return cursor_expected(cursor, "the name of an attribute in quotes");
        TRY(reader_operand(reader, &name));
        if (!cursor_accept(cursor, ')')) return cursor_expected(cursor, "')' behind getattr");
        if (out->length) builder_byte(out, '.');
        builder_add(out, name.string);
    } else if (!cursor_accept_word(cursor, "self")) {
        return cursor_expected(cursor, "'self' in getattr");
    }
    while (cursor_peek(cursor) == '.') {
        cursor->at++;
        if (out->length) builder_byte(out, '.');
        struct text part = cursor_name(cursor);
        if (!part.length) return cursor_expected(cursor, "the name of an attribute");
        builder_add(out, part);
    }
    return REGRAFT_OK;
}

static regraft_status read_call(struct reader *reader, struct statement *statement, struct text target) {
    size_t count;
    reader->cursor.at++;
    TRY(reader_items(reader, ')', true, &count));
    statement->kind = node_call;
    statement->in_torch_ops = text_starts_with(target, "torch.ops.");
    statement->target = statement->in_torch_ops ? text_skip(target, strlen("torch.ops.")) : target;
    return REGRAFT_OK;
}

/* self.weight, getattr(self, "0").bias, self.linear(x) */
static regraft_status read_self(struct reader *reader, struct statement *statement) {
    struct builder target;
    const char *start = reader->cursor.at;
    builder_init(&target, reader->context->arena);
    TRY(read_getattr(reader, 0, &target));
    if (cursor_peek(&reader->cursor) == '(') return read_call(reader, statement, cursor_since(&reader->cursor, start));
    if (!target.length) return cursor_expected(&reader->cursor, "the name of an attribute of self");
    statement->kind = node_attribute;
    statement->target = builder_text(&target);
    return REGRAFT_OK;
}

/* x.view(4, 8) or x.shape, where x is a node. */
static regraft_status read_member(struct reader *reader, struct statement *statement, struct text head,
                                  struct text member) {
    TRY(push_node(reader, head));
    if (memchr(member.data, '.', member.length))
        return cursor_fail(&reader->cursor, member,
                           "expected one method or attribute of '%.*s'; give each a statement of its own",
                           TEXT_ARGS(head));
    if (cursor_peek(&reader->cursor) == '(') {
        TRY(read_call(reader, statement, member));
        statement->kind = node_method;
        return REGRAFT_OK;
    }
    statement->kind = node_operator;
    statement->target = TEXT("getattr");
    reader_push(reader, (struct value){.kind = value_string, .string = member});
    return REGRAFT_OK;
}

regraft_status reader_right_side(struct reader *reader, struct statement *statement) {
    struct cursor *cursor = &reader->cursor;
    cursor_skip_space(cursor);
    char byte = cursor_peek(cursor), next = cursor->at + 1 < cursor->end ? cursor->at[1] : 0;
    if (byte == '~' || byte == '+' ||
        (byte == '-' && byte_starts_name(next) && !text_starts_with(cursor_rest(cursor), "-inf")))
        return read_unary(reader, statement);
    struct cursor start = *cursor;
    struct text path = cursor_path(cursor), head = cursor_name(&start);
    bool self = text_is(head, "self") && !graph_find(reader->graph, head);
    if (self || (text_is(path, "getattr") && text_starts_with(cursor_rest(cursor), "(self")) ||
        (text_is(path, "getattr") && text_starts_with(cursor_rest(cursor), "(getattr("))) {
        cursor->at = path.data;
        return read_self(reader, statement);
    }
    if (path.length > head.length && graph_find(reader->graph, head))
        return read_member(reader, statement, head, text_skip(path, head.length + 1));
    if (path.length && cursor_peek(cursor) == '(') return read_call(reader, statement, path);
    if (path.length > head.length) return cursor_expected(cursor, "'(' behind the name of an operation");
    cursor->at = path.data;
    return read_operation(reader, statement);
}

/* ---- lines ---- */

/* `;  a = b = None` */
static regraft_status read_frees(struct reader *reader, struct node *node) {
    struct cursor *cursor = &reader->cursor;
    if (!cursor_accept(cursor, ';')) return REGRAFT_OK;
    cursor_skip_space(cursor);
    const char *start = cursor->at;
    while (!cursor_accept_word(cursor, "None")) {
        struct text name = cursor_name(cursor);
        struct node *freed;
        if (!name.length) return cursor_expected(cursor, "a name or None behind ';'");
        TRY(reader_node(reader, name, &freed));
        if (!cursor_accept(cursor, '='))
            return cursor_expected(cursor, "'=' in the list of names that end here (`;  a = b = None`)");
        cursor_skip_space(cursor);
    }
    node->frees = cursor_since(cursor, start);
    reader->graph->prints_frees = true;
    return REGRAFT_OK;
}

regraft_status reader_line_end(struct reader *reader, struct text *trailing) {
    struct cursor *cursor = &reader->cursor;
    while (byte_is_space(cursor->at[-1])) cursor->at--;
    const char *start = cursor->at;
    cursor_skip_space(cursor);
    if (cursor_peek(cursor) == '#') cursor_line(cursor);
    *trailing = cursor_since(cursor, start);
    if (cursor->at >= cursor->end) return REGRAFT_OK;
    if (*cursor->at != '\n') return cursor_expected(cursor, "the end of the line");
    cursor->at++;
    return REGRAFT_OK;
}

/* Behind `x += y` and `x[i] = y`: `;  iadd = x` names the result. */
static regraft_status read_result_name(struct reader *reader, struct text changed, struct statement *statement) {
    struct cursor *cursor = &reader->cursor;
    if (!cursor_accept(cursor, ';'))
        return cursor_expected(cursor, "';  NAME = ...', the result of an assignment in place");
    cursor_skip_space(cursor);
    statement->name = cursor_name(cursor);
    if (!statement->name.length) return cursor_expected(cursor, "the name of the result");
    TRY(reader_annotation(reader, "=", &statement->annotation, &statement->type));
    if (!cursor_accept(cursor, '=')) return cursor_expected(cursor, "'='");
    cursor_skip_space(cursor);
    struct text again = cursor_name(cursor);
    if (text_equal(again, changed)) return REGRAFT_OK;
    return cursor_fail(cursor, again, "expected '%.*s', the value that was assigned to", TEXT_ARGS(changed));
}

/* `x += y;  iadd = x` or `x[i] = y;  setitem = x`, behind the x. */
static regraft_status read_assignment(struct reader *reader, struct text changed, struct statement *statement) {
    bool indexed = cursor_accept(&reader->cursor, '[');
    struct text target = indexed ? TEXT("[]=") : accept_operator(&reader->cursor, true);
    if (!target.length) return cursor_expected(&reader->cursor, "'=' or ': \"TYPE\" =' behind a name");
    TRY(push_node(reader, changed));
    if (indexed) TRY(read_index(reader, statement));
    if (indexed && !cursor_accept(&reader->cursor, '=')) return cursor_expected(&reader->cursor, "'=' behind an index");
    statement->kind = node_operator;
    statement->target = target;
    TRY(push_operand(reader));
    return read_result_name(reader, changed, statement);
}

regraft_status reader_statement(struct reader *reader) {
    struct statement statement = {.type = &type_of_unknown};
    struct node *node;
    size_t base = reader->stack.count;
    struct text name = cursor_name(&reader->cursor);
    if (!name.length) return cursor_expected(&reader->cursor, "a statement (NAME = ...) or return");
    statement.name = name;
    TRY(reader_annotation(reader, "=", &statement.annotation, &statement.type));
    if (cursor_accept(&reader->cursor, '='))
        TRY(reader_right_side(reader, &statement));
    else
        TRY(read_assignment(reader, name, &statement));
    TRY(reader_add_node(reader, &statement, reader->stack.count - base, &node));
    TRY(read_frees(reader, node));
    return reader_line_end(reader, &node->trailing);
}
