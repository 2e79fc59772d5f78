/* Prints a graph as torch.fx.graph.CodeGen does, from its structure. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fx/cursor.h"
#include "fx/fx.h"

struct printer {
    struct builder *out;
    struct graph *graph;
    const struct node **last_users;  /* by node->index, of a changed graph: who uses it last */
    const struct location *location; /* of the statement printed last */
};

/* ---- literals ---- */

/* The shortest spelling that reads back as the same number, in Python's form. */
static void print_float(struct builder *out, double real) {
    char buffer[40];
    if (isnan(real) || isinf(real)) {
        builder_string(out, isnan(real) ? "nan" : real < 0 ? "-inf" : "inf");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buffer, sizeof buffer, "%.*g", digits, real);
        if (strtod(buffer, NULL) == real) break;
    }
    bool whole = true;
    for (char *at = buffer; *at; at++) {
        if (!byte_is_digit(*at) && !strchr("+-e", *at)) *at = '.'; /* the decimal point of the process's locale */
        if (*at == '.' || *at == 'e') whole = false;
    }
    builder_string(out, buffer);
    if (whole) builder_string(out, ".0");
}

static void print_string(struct builder *out, struct text string) {
    char quote = string.length && memchr(string.data, '\'', string.length) && !memchr(string.data, '"', string.length)
                     ? '"'
                     : '\'';
    builder_byte(out, quote);
    for (size_t i = 0; i < string.length; i++) {
        unsigned char byte = (unsigned char)string.data[i];
        if (byte == '\n')
            builder_string(out, "\\n");
        else if (byte == '\t')
            builder_string(out, "\\t");
        else if (byte == '\r')
            builder_string(out, "\\r");
        else if (byte < 0x20 || byte == 0x7f)
            builder_format(out, "\\x%02x", byte);
        else {
            if (byte == '\\' || byte == (unsigned char)quote) builder_byte(out, '\\');
            builder_byte(out, (char)byte);
        }
    }
    builder_byte(out, quote);
}

static void print_integer(struct builder *out, int64_t integer) {
    char buffer[24], *at = buffer + sizeof buffer;
    uint64_t rest = integer < 0 ? 0 - (uint64_t)integer : (uint64_t)integer;
    do *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (integer < 0) *--at = '-';
    builder_add(out, (struct text){at, (size_t)(buffer + sizeof buffer - at)});
}

static void print_device(struct builder *out, struct device device) {
    builder_string(out, "device(type=");
    print_string(out, device.type);
    if (device.index >= 0) builder_format(out, ", index=%d", device.index);
    builder_byte(out, ')');
}

/* ---- values ---- */

static void print_value(struct builder *out, const struct value *value);

static void print_items(struct builder *out, const struct value *items, size_t count, const char *equals) {
    for (size_t i = 0; i < count; i++) {
        if (i) builder_string(out, ", ");
        if (items[i].keyword.length && equals) {
            builder_add(out, items[i].keyword);
            builder_string(out, equals);
        }
        print_value(out, &items[i]);
    }
}

static void print_tuple(struct builder *out, const struct value *value) {
    bool size = text_is(value->written, "torch.Size"), object = value->written.length && !size;
    builder_add(out, value->written);
    builder_string(out, size ? "([" : "(");
    print_items(out, value->list.items, value->list.count, object ? "=" : NULL);
    if (value->list.count == 1 && !value->written.length) builder_byte(out, ',');
    builder_string(out, size ? "])" : ")");
}

static void print_value(struct builder *out, const struct value *value) {
    switch (value->kind) {
    case value_node:
        builder_add(out, value->use.node->name);
        return;
    case value_list:
        builder_byte(out, '[');
        print_items(out, value->list.items, value->list.count, NULL);
        builder_byte(out, ']');
        return;
    case value_tuple:
        print_tuple(out, value);
        return;
    case value_dictionary:
        builder_byte(out, '{');
        print_items(out, value->list.items, value->list.count, ": ");
        builder_byte(out, '}');
        return;
    case value_slice:
        builder_string(out, "slice(");
        print_items(out, value->list.items, value->list.count, NULL);
        builder_byte(out, ')');
        return;
    case value_none:
        builder_string(out, "None");
        return;
    case value_bool:
        builder_string(out, value->boolean ? "True" : "False");
        return;
    case value_integer:
        print_integer(out, value->integer);
        return;
    default:
        break;
    }
    if (value->written.length) {
        builder_add(out, value->written);
        return;
    }
    switch (value->kind) {
    case value_float:
        print_float(out, value->real);
        return;
    case value_string:
        print_string(out, value->string);
        return;
    case value_symint:
        symint_print(out, value->expression);
        return;
    case value_dtype:
        builder_format(out, "torch.%s", dtype_torch_name(value->dtype));
        return;
    case value_device:
        print_device(out, value->device);
        return;
    case value_operator:
        builder_string(out, "torch.ops.");
        builder_add(out, value->operation->target);
        return;
    default:
        return;
    }
}

/* ---- the right side of a statement ---- */

static void print_arguments(struct builder *out, const struct node *node, size_t first) {
    builder_byte(out, '(');
    print_items(out, node->arguments + first, node->argument_count - first, " = ");
    builder_byte(out, ')');
}

/* self.layers.0.weight: `getattr(self.layers, "0").weight`, as an attribute must be a name. */
static void print_attribute(struct printer *printer, struct text target) {
    struct builder spelled;
    builder_init(&spelled, printer->graph->arena);
    builder_string(&spelled, "self");
    for (size_t start = 0; start <= target.length;) {
        struct text part = text_skip(target, start);
        const char *dot = part.length ? memchr(part.data, '.', part.length) : NULL;
        if (dot) part.length = (size_t)(dot - part.data);
        start += part.length + 1;
        bool is_name = part.length && byte_starts_name(*part.data);
        for (size_t i = 0; i < part.length; i++) is_name = is_name && byte_continues_name(part.data[i]);
        if (is_name)
            builder_format(&spelled, ".%.*s", TEXT_ARGS(part));
        else {
            const char *inner = text_string(printer->graph->arena, builder_text(&spelled));
            builder_init(&spelled, printer->graph->arena);
            builder_format(&spelled, "getattr(%s, \"%.*s\")", inner, TEXT_ARGS(part));
        }
    }
    builder_add(printer->out, builder_text(&spelled));
}

/* x += y, x[i] = y; not the comparisons, which end in = as well. */
static bool changes_its_argument(const struct node *node) {
    struct text target = node->target;
    if (node->kind != node_operator || target.length < 2 || target.data[target.length - 1] != '=') return false;
    return target.length == 3 || !strchr("=!<>", *target.data);
}

static void print_operator(struct builder *out, const struct node *node) {
    static const struct {
        const char *target, *before, *between, *after;
    } forms[] = {
        {"neg", "-", NULL, ""},    {"pos", "+", NULL, ""},   {"invert", "~", NULL, ""},
        {"getitem", "", "[", "]"}, {"[]=", "", "[", "] = "},
    };
    const struct value *arguments = node->arguments;
    if (text_is(node->target, "getattr")) {
        print_value(out, &arguments[0]);
        builder_byte(out, '.');
        builder_add(out, arguments[1].string);
        return;
    }
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (!text_is(node->target, forms[i].target)) continue;
        builder_string(out, forms[i].before);
        print_value(out, &arguments[0]);
        if (forms[i].between) builder_string(out, forms[i].between), print_value(out, &arguments[1]);
        builder_string(out, forms[i].after);
        if (node->argument_count == 3) print_value(out, &arguments[2]);
        return;
    }
    print_value(out, &arguments[0]);
    builder_byte(out, ' ');
    builder_add(out, node->target);
    builder_byte(out, ' ');
    print_value(out, &arguments[1]);
}

static void print_expression(struct printer *printer, const struct node *node) {
    struct builder *out = printer->out;
    switch (node->kind) {
    case node_call:
        if (node->in_torch_ops) builder_string(out, "torch.ops.");
        builder_add(out, node->target);
        print_arguments(out, node, 0);
        return;
    case node_method:
        print_value(out, &node->arguments[0]);
        builder_byte(out, '.');
        builder_add(out, node->target);
        print_arguments(out, node, 1);
        return;
    case node_getitem:
        print_value(out, &node->arguments[0]);
        builder_byte(out, '[');
        print_value(out, &node->arguments[1]);
        builder_byte(out, ']');
        return;
    case node_operator:
        print_operator(out, node);
        return;
    case node_attribute:
        print_attribute(printer, node->target);
        return;
    default:
        print_value(out, &node->arguments[0]);
        return; /* rename */
    }
}

/* ---- names that end ---- */

struct scan {
    struct printer *printer;
    const struct node *user;
    bool any;
};

static void note_last_user(void *user, struct value *value) {
    struct scan *scan = user;
    const struct node **last = &scan->printer->last_users[value->use.node->index];
    if (!*last) *last = scan->user;
}

/* torch.fx prints the names of parameters (`l_x_ = L_x_`) apart from the graph: they end nothing. */
static void find_last_users(struct printer *printer) {
    printer->last_users = arena_array(printer->graph->arena, const struct node *, printer->graph->node_limit);
    for (struct node *node = printer->graph->last; node; node = node->previous) {
        struct scan scan = {.printer = printer, .user = node};
        if (node->kind != node_rename) node_each_use(node, note_last_user, &scan);
    }
}

static void print_free(struct scan *scan, struct text name) {
    builder_string(scan->printer->out, scan->any ? " = " : ";  ");
    builder_add(scan->printer->out, name);
    scan->any = true;
}

static void print_if_last(void *user, struct value *value) {
    struct scan *scan = user;
    const struct node **last = &scan->printer->last_users[value->use.node->index];
    if (*last != scan->user) return;
    *last = NULL; /* once, when it is used more than once here */
    print_free(scan, value->use.node->name);
}

static void print_frees(struct printer *printer, struct node *node) {
    struct scan scan = {.printer = printer, .user = node};
    if (!printer->graph->prints_frees) return;
    if (!printer->graph->changed) {
        if (node->frees.length) builder_string(printer->out, ";  "), builder_add(printer->out, node->frees);
        return;
    }
    if (node->kind == node_rename) return;
    node_each_use(node, print_if_last, &scan);
    if (!node->users) print_free(&scan, node->name);
    if (scan.any) builder_string(printer->out, " = None");
}

/* ---- statements ---- */

static void print_annotation(struct builder *out, const struct node *node) {
    if (node->annotation.length) {
        bool quoted = *node->annotation.data == '"' || *node->annotation.data == '\'';
        builder_string(out, quoted ? ": " : " : ");
        builder_add(out, node->annotation);
    } else if (!node->position.source && (node->type->kind == type_tensor || node->type->kind == type_integer)) {
        builder_string(out, ": \"");
        type_print(out, node->type);
        builder_byte(out, '"');
    }
}

static struct text without_blank_lines(struct text text) {
    while (text.length && (*text.data == '\n' || byte_is_space(*text.data))) text = text_skip(text, 1);
    return text;
}

/* The comment over a statement. In a changed graph comments meet that were apart: none is printed twice in a row, and
 * the one that had no blank line before it, as it followed the signature, gets one elsewhere. */
static void print_location(struct printer *printer, const struct node *node, bool first) {
    const struct location *location = node->location, *previous = printer->location;
    struct builder *out = printer->out;
    bool changed = printer->graph->changed;
    printer->location = location;
    if (location == previous) return;
    if (!location) {
        builder_byte(out, '\n');
        builder_add(out, printer->graph->indent);
        builder_string(out, "# No stacktrace found for following nodes\n");
        return;
    }
    if (changed && previous && text_equal(without_blank_lines(location->text), without_blank_lines(previous->text)))
        return;
    struct text signature = printer->graph->signature;
    if (!first && signature.length && location->text.data == signature.data + signature.length) builder_byte(out, '\n');
    builder_add(out, location->text);
}

/* The comment that begins a piece (ir/piece.h), above its first statement. */
static void print_marker(struct printer *printer, const struct node *node) {
    const struct node *previous = node->previous;
    bool first = !previous || previous->kind == node_placeholder || previous->piece != node->piece;
    if (first && node->piece < printer->graph->pieces.count)
        builder_add(printer->out, printer->graph->pieces.items[node->piece].marker);
}

static void print_statement(struct printer *printer, struct node *node) {
    struct builder *out = printer->out;
    builder_add(out, printer->graph->indent);
    if (changes_its_argument(node)) {
        print_expression(printer, node);
        builder_string(out, ";  ");
        builder_add(out, node->name);
        print_annotation(out, node);
        builder_string(out, " = ");
        print_value(out, &node->arguments[0]);
    } else {
        builder_add(out, node->name);
        print_annotation(out, node);
        builder_string(out, " = ");
        print_expression(printer, node);
    }
    print_frees(printer, node);
    builder_add(out, node->trailing);
    builder_byte(out, '\n');
}

/* ---- the return statement ---- */

/* What decides the meaning of a return statement: its text without space, comments and last commas. */
static struct text skeleton(struct arena *arena, struct text text) {
    struct builder out;
    builder_init(&out, arena);
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.data[i];
        if (byte == '#')
            while (i + 1 < text.length && text.data[i + 1] != '\n') i++;
        else if (byte != '\n' && !byte_is_space(byte)) {
            if ((byte == ')' || byte == ']') && out.length && out.data[out.length - 1] == ',') out.length--;
            builder_byte(&out, byte);
        }
    }
    return builder_text(&out);
}

/* The comment in line `index` of a text, with the spaces before it. */
static struct text line_comment(struct text text, size_t index) {
    for (; index && text.length; text = text_skip(text, 1)) index -= *text.data == '\n';
    const char *newline = text.length ? memchr(text.data, '\n', text.length) : NULL;
    if (newline) text.length = (size_t)(newline - text.data);
    const char *mark = text.length ? memchr(text.data, '#', text.length) : NULL;
    if (!mark) return TEXT("");
    while (mark > text.data && byte_is_space(mark[-1])) mark--;
    return text_skip(text, (size_t)(mark - text.data));
}

static size_t count_lines(struct text text) {
    size_t count = 1;
    for (size_t i = 0; i < text.length; i++) count += text.data[i] == '\n';
    return count;
}

/* One value a line, with the comments that stood there while the number of values is the same. */
static void print_output_lines(struct printer *printer, const struct value *value, struct text written) {
    struct builder *out = printer->out;
    bool list = value->kind == value_list, keep = count_lines(written) == value->list.count + 2;
    builder_string(out, list ? "return [" : "return (");
    for (size_t i = 0; i < value->list.count; i++) {
        builder_byte(out, '\n');
        builder_add(out, printer->graph->indent);
        builder_string(out, "    ");
        print_value(out, &value->list.items[i]);
        builder_byte(out, ',');
        if (keep) builder_add(out, line_comment(written, i + 1));
    }
    builder_byte(out, '\n');
    builder_add(out, printer->graph->indent);
    builder_byte(out, list ? ']' : ')');
}

static void print_output(struct printer *printer, const struct node *node) {
    static const char unflatten[] = "return pytree.tree_unflatten(";
    struct graph *graph = printer->graph;
    struct text written = graph->output_written;
    struct builder plain;
    bool wrapped = text_starts_with(written, unflatten);
    const struct value *value = &node->arguments[0];
    builder_init(&plain, graph->arena);
    builder_string(&plain, wrapped ? unflatten : "return ");
    print_value(&plain, value);
    if (wrapped) builder_string(&plain, ", self._out_spec)");
    builder_add(printer->out, graph->indent);
    if (written.length &&
        (!graph->changed || text_equal(skeleton(graph->arena, written), skeleton(graph->arena, builder_text(&plain)))))
        builder_add(printer->out, written);
    else if (count_lines(written) > 1 && !wrapped && (value->kind == value_tuple || value->kind == value_list))
        print_output_lines(printer, value, written);
    else
        builder_add(printer->out, builder_text(&plain));
    if (written.length)
        builder_add(printer->out, graph->trailing);
    else
        builder_byte(printer->out, '\n');
}

/* ---- the graph ---- */

static void print_signature(struct printer *printer) {
    struct builder *out = printer->out;
    builder_string(out, "class GraphModule(torch.nn.Module):\n    def forward(self");
    for (const struct node *node = printer->graph->first; node; node = node->next) {
        if (node->kind != node_placeholder) continue;
        builder_string(out, ", ");
        builder_add(out, node->name);
        print_annotation(out, node);
    }
    builder_string(out, "):\n");
}

void graph_print(struct graph *graph, struct builder *out) {
    struct printer printer = {.out = out, .graph = graph};
    bool first = true;
    if (graph->changed && graph->prints_frees) find_last_users(&printer);
    builder_add(out, graph->leading);
    if (graph->signature.length)
        builder_add(out, graph->signature);
    else
        print_signature(&printer);
    for (struct node *node = graph->first; node; node = node->next) {
        if (node->kind == node_placeholder) continue;
        if (node->kind != node_output || node->location) print_location(&printer, node, first);
        print_marker(&printer, node);
        if (node->kind == node_output)
            print_output(&printer, node);
        else
            print_statement(&printer, node);
        first = false;
    }
}
