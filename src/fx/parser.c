/* The parser of FX text: signature, comments, statements, return.
 *
 * The grammar is that of torch.fx.graph.CodeGen._gen_python_code. What is decided by the graph is not kept as text:
 * names, operations, arguments. What is not, is: annotations, comments, the signature, how numbers are spelled. */
#include "fx/fx.h"
#include "fx/reader.h"
#include "ir/piece.h"

/* ---- comments ---- */

/* `models/defs.py:219` out of `# File: models/defs.py:219 in forward, code: ...`. */
static struct text comment_file(struct text line) {
    static const char mark[] = "File: ";
    for (size_t i = 0; i + sizeof mark <= line.length; i++) {
        struct text rest = text_skip(line, i);
        if (!text_starts_with(rest, mark)) continue;
        rest = text_skip(rest, sizeof mark - 1);
        size_t end = 0;
        while (end < rest.length && rest.data[end] != ',' && !text_starts_with(text_skip(rest, end), " in ")) end++;
        rest.length = end;
        return rest;
    }
    return TEXT("");
}

/* Begins the piece that a comment names: numbers rise, and pieces that lost all of their statements have none. */
static bool begin_piece(struct reader *reader, const struct piece_marker *marker) {
    struct graph *graph = reader->graph;
    if (marker->number < graph->pieces.count) return false;
    while (graph->pieces.count <= marker->number)
        vector_push(graph->arena, &graph->pieces, (struct graph_piece){.split = marker->operations.length > 0});
    graph->owned_boundaries |= marker->owned;
    reader->piece = marker->number;
    return true;
}

/* Takes blank lines, comments and blocks in triple quotes; leaves the cursor at the start of the next line. */
static void read_comments(struct reader *reader) {
    struct cursor *cursor = &reader->cursor;
    const char *start = cursor->at;
    struct text file = {0};
    bool commented = false;
    const char *mark = NULL; /* where the comment about a new piece begins; it goes to the end of the block */
    struct piece_marker marker;
    while (cursor->at < cursor->end) {
        const char *line_start = cursor->at;
        while (byte_is_space(cursor_peek(cursor))) cursor->at++;
        struct text line = cursor_line(cursor);
        if (text_starts_with(line, "\"\"\"")) {
            while (cursor->at < cursor->end && !text_starts_with(cursor_rest(cursor), "\n\"\"\"")) cursor->at++;
            cursor->at += cursor->at < cursor->end;
            cursor_line(cursor);
        } else if (line.length && *line.data == '#') {
            struct text found = comment_file(line);
            commented = true;
            if (!mark && piece_read_marker(line, &marker) && begin_piece(reader, &marker)) mark = line_start;
            if (found.length) file = found;
        } else if (line.length) {
            cursor->at = line_start;
            break;
        }
        if (cursor->at < cursor->end) cursor->at++;
    }
    struct text text = cursor_since(cursor, start);
    if (mark) {
        text.length = (size_t)(mark - start);
        reader->graph->pieces.items[reader->piece].marker = cursor_since(cursor, mark);
    }
    if (!text.length) return;
    struct location *location = arena_new(reader->context->arena, struct location);
    *location = (struct location){.text = text, .file = file};
    if (!commented && reader->location) location->file = reader->location->file;
    reader->location = location;
}

/* ---- the signature ---- */

static regraft_status add_placeholder(struct reader *reader, struct statement *statement) {
    struct node *node;
    statement->kind = node_placeholder;
    return reader_add_node(reader, statement, 0, &node);
}

/* `x: "f32[4]" = None`, `*args`; behind the comma. */
static regraft_status read_parameter(struct reader *reader, bool first) {
    struct cursor *cursor = &reader->cursor;
    struct statement statement = {.type = &type_of_object};
    cursor_skip_space(cursor);
    const char *start = cursor->at;
    while (cursor_peek(cursor) == '*') cursor->at++;
    statement.name = cursor_name(cursor);
    if (!statement.name.length) return cursor_expected(cursor, "the name of a parameter");
    statement.target = cursor_since(cursor, start);
    TRY(reader_annotation(reader, ",=)", &statement.annotation, &statement.type));
    if (cursor_accept(cursor, '=')) {
        struct value ignored = {0};
        TRY(reader_value(reader, &ignored));
    }
    return first && text_is(statement.name, "self") ? REGRAFT_OK : add_placeholder(reader, &statement);
}

/* `self, a, b) -> T:`, behind the opening bracket. */
static regraft_status read_parameters(struct reader *reader) {
    struct cursor *cursor = &reader->cursor;
    bool first = true;
    cursor->brackets++;
    for (; !cursor_accept(cursor, ')'); first = false) {
        if (!first && !cursor_accept(cursor, ',')) return cursor_expected(cursor, "',' or ')' in a signature");
        if (!first && cursor_accept(cursor, ')')) break;
        TRY(read_parameter(reader, first));
    }
    cursor->brackets--;
    cursor_skip_space(cursor);
    if (text_starts_with(cursor_rest(cursor), "->")) {
        struct text line = cursor_line(cursor);
        const char *end = line.data + line.length;
        while (end > line.data && end[-1] != ':') end--;
        cursor->at = end > line.data ? end - 1 : end;
    }
    struct text trailing;
    if (!cursor_accept(cursor, ':')) return cursor_expected(cursor, "':' behind a signature");
    return reader_line_end(reader, &trailing);
}

static bool unpacks_tree(struct text line) {
    for (size_t i = 0; text_starts_with(line, ",") && i < line.length; i++)
        if (text_starts_with(text_skip(line, i), " = fx_pytree.tree_flatten_spec(")) return true;
    return false;
}

/* Lines by which torch.export and compiled autograd unpack their arguments; they count as part of the signature:
 *     x, y, = fx_pytree.tree_flatten_spec(([x, y], {}), self._in_spec)
 *     args_iter = iter(args_list)
 *     x = next(args_iter)                                               defines the placeholder x
 *     args_list.clear() */
static regraft_status read_unpacking(struct reader *reader) {
    struct cursor *cursor = &reader->cursor;
    for (;;) {
        struct cursor line = *cursor;
        while (byte_is_space(cursor_peek(&line))) line.at++;
        struct statement statement = {.name = cursor_name(&line), .type = &type_of_object};
        struct text rest = cursor_line(&line);
        statement.target = statement.name;
        if (text_is(rest, " = next(args_iter)"))
            TRY(add_placeholder(reader, &statement));
        else if (!text_is(rest, " = iter(args_list)") && !text_is(rest, ".clear()") && !unpacks_tree(rest))
            return REGRAFT_OK;
        cursor->at = line.at + (line.at < line.end);
    }
}

/* `class NAME(torch.nn.Module):` and what stands before `def forward(`, or the `def` alone. */
static regraft_status read_signature(struct reader *reader) {
    struct cursor *cursor = &reader->cursor;
    const char *start = cursor->at;
    for (;;) {
        while (byte_is_space(cursor_peek(cursor))) cursor->at++;
        if (cursor_accept_word(cursor, "def")) {
            cursor_skip_space(cursor);
            if (cursor_accept_word(cursor, "forward")) break;
        }
        cursor_line(cursor);
        if (cursor->at >= cursor->end) return cursor_expected(cursor, "'def forward(self, ...):' in the module");
        cursor->at++;
    }
    if (!cursor_accept(cursor, '(')) return cursor_expected(cursor, "'(' behind forward");
    TRY(read_parameters(reader));
    TRY(read_unpacking(reader));
    reader->graph->signature = cursor_since(cursor, start);
    return REGRAFT_OK;
}

/* ---- the body ---- */

/* Nothing in the block of the function may follow its return. */
static regraft_status check_end_of_function(struct cursor cursor, size_t indent) {
    while (cursor.at < cursor.end) {
        const char *start = cursor.at;
        while (byte_is_space(cursor_peek(&cursor))) cursor.at++;
        bool in_block = (size_t)(cursor.at - start) >= indent;
        if (cursor_peek(&cursor) == '#') cursor_line(&cursor);
        if (cursor.at < cursor.end && *cursor.at != '\n')
            return in_block ? cursor_expected(&cursor, "the end of the function behind its 'return'") : REGRAFT_OK;
        cursor.at++;
    }
    return REGRAFT_OK;
}

/* return VALUE, or return pytree.tree_unflatten([...], self._out_spec) of a module made by torch.export. */
static regraft_status read_output(struct reader *reader) {
    struct cursor *cursor = &reader->cursor;
    struct statement statement = {
        .kind = node_output, .name = TEXT("output"), .target = TEXT("output"), .type = &type_of_unknown};
    struct value value = {0};
    struct node *node;
    const char *start = cursor->at;
    cursor->at += strlen("return");
    cursor_skip_space(cursor);
    bool wrapped = text_starts_with(cursor_rest(cursor), "pytree.tree_unflatten(");
    if (wrapped) cursor->at += strlen("pytree.tree_unflatten(");
    TRY(reader_value(reader, &value));
    if (wrapped) cursor_line(cursor);
    reader_push(reader, value);
    TRY(reader_add_node(reader, &statement, 1, &node));
    node->position = cursor_position(cursor, (struct text){start, strlen("return")});
    struct text trailing;
    TRY(reader_line_end(reader, &trailing));
    const char *end = trailing.data + trailing.length;
    reader->graph->output_written = (struct text){start, (size_t)(end - start)};
    reader->graph->trailing = (struct text){end, (size_t)(cursor->end - end)};
    cursor->at = end;
    TRY(check_end_of_function(*cursor, reader->graph->indent.length));
    cursor->at = cursor->end;
    return REGRAFT_OK;
}

/* The spaces in front of a statement: those of the first one for all. */
static regraft_status read_indent(struct reader *reader, bool first) {
    struct cursor *cursor = &reader->cursor;
    const char *start = cursor->at;
    while (byte_is_space(cursor_peek(cursor))) cursor->at++;
    struct text indent = cursor_since(cursor, start), expected = reader->graph->indent;
    if (cursor->at >= cursor->end || (first && !indent.length) || (!first && indent.length < expected.length))
        return cursor_expected(cursor, "a statement or 'return': the function ends without one");
    if (first)
        reader->graph->indent = indent;
    else if (!text_equal(indent, expected))
        return cursor_fail(cursor, indent,
                           "wrong indentation: expected that of the first statement, %zu characters, found %zu",
                           expected.length, indent.length);
    return REGRAFT_OK;
}

static regraft_status read_body(struct reader *reader) {
    struct cursor *cursor = &reader->cursor;
    for (bool first = true;; first = false) {
        struct cursor word;
        read_comments(reader);
        TRY(read_indent(reader, first));
        word = *cursor;
        if (cursor_accept_word(&word, "return")) return read_output(reader);
        TRY(reader_statement(reader));
    }
}

/* A reader behind the signature of the module in `part`. */
static regraft_status start_reader(struct reader *reader, struct context *context, const struct source *source,
                                   struct text part) {
    const char *module = fx_find_module(part, part.data);
    *reader = (struct reader){.context = context, .graph = graph_create(context), .types = map_create(context->arena)};
    reader->graph->source = arena_copy(context->arena, source, sizeof *source);
    reader->graph->prints_frees = false;
    reader->cursor = (struct cursor){context->arena, &context->diagnostics,   reader->graph->source,
                                     part.data,      part.data + part.length, 0};
    if (!module) return cursor_expected(&reader->cursor, "'class NAME(torch.nn.Module):' or 'def forward(...):'");
    reader->cursor.at = module;
    reader->graph->leading = (struct text){part.data, (size_t)(module - part.data)};
    return read_signature(reader);
}

regraft_status fx_parse(struct context *context, const struct source *source, struct text part, struct graph **graph) {
    struct reader reader;
    TRY(start_reader(&reader, context, source, part));
    TRY(read_body(&reader));
    reader.graph->changed = false;
    *graph = reader.graph;
    return REGRAFT_OK;
}

regraft_status fx_parse_signature(struct context *context, const struct source *source, struct text part,
                                  struct graph **graph) {
    struct reader reader;
    TRY(start_reader(&reader, context, source, part));
    *graph = reader.graph;
    return REGRAFT_OK;
}
