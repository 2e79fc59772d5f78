/* The body of a C++ kernel: which of its stores only move data. */
#include <stdint.h>

#include "fx/cursor.h"
#include "fx/inductor_flow.h"

struct cpp {
    struct judge judge; /* first: the lambda gets it back */
    bool returned;
    struct flow result; /* of the lambda at hand: what its return statements gave so far */
};

static void read_block(struct cpp *cpp, struct text block);

/* ---- the signature ---- */

static void read_parameter(struct arena *arena, struct inductor_kernel *kernel, struct text written) {
    size_t start = written.length;
    while (start && byte_continues_name(written.data[start - 1])) start--;
    struct text type = scan_trim(text_between(written, 0, start));
    struct kernel_parameter parameter = {.name = text_skip(written, start), .dtype = dtype_none};
    for (bool cut = true; cut;) { /* `const float* __restrict__` -> `const float` */
        cut = text_ends_with(type, "*") || text_ends_with(type, "__restrict__");
        if (text_ends_with(type, "*")) parameter.pointer = true;
        if (cut)
            type = scan_trim(
                text_between(type, 0, type.length - (text_ends_with(type, "*") ? 1 : strlen("__restrict__"))));
    }
    if (parameter.pointer) parameter.dtype = dtype_from_code(type);
    vector_push(arena, &kernel->parameters, parameter);
}

/* The body of `kernel(...) { ... }`, without its braces; "" when it does not end. */
static struct text read_cpp_signature(struct arena *arena, struct inductor_kernel *kernel) {
    struct text none = {0}, rest = kernel->body;
    size_t start = text_find(rest, "extern \"C\"");
    if (start == SIZE_MAX) return none;
    rest = text_skip(rest, start + strlen("extern \"C\""));
    size_t open = scan_find(rest, '('), close = open == SIZE_MAX ? SIZE_MAX : scan_close(rest, open);
    if (close == SIZE_MAX) return none;
    struct text_list parts = scan_split(arena, text_between(rest, open + 1, close), ',');
    for (size_t i = 0; i < parts.count; i++) read_parameter(arena, kernel, parts.items[i]);
    rest = scan_trim(text_skip(rest, close + 1));
    size_t end = text_starts_with(rest, "{") ? scan_close(rest, 0) : SIZE_MAX;
    return end == SIZE_MAX ? none : text_between(rest, 1, end);
}

/* ---- statements ---- */

static struct text_list current_loops(struct cpp *cpp) {
    struct text_list loops = {0};
    for (size_t i = 0; i < cpp->judge.loops.count; i++)
        vector_push(cpp->judge.arena, &loops, cpp->judge.loops.items[i]);
    return loops;
}

/* A loop of a vector's part and its remainder store to the same place of the same loop: that is one store. */
static void store(struct cpp *cpp, struct flow address, struct flow value, struct text written) {
    struct inductor_kernel *kernel = cpp->judge.kernel;
    struct text_list loops = current_loops(cpp);
    if (address.kind == flow_pointer)
        for (size_t i = 0; i < kernel->stores.count; i++) {
            struct kernel_store *other = &kernel->stores.items[i];
            bool same = other->parameter == address.parameter && other->part == cpp->judge.part && loops.count &&
                        other->extents.count == loops.count &&
                        other->extents.items[loops.count - 1].data == loops.items[loops.count - 1].data;
            if (!same) continue;
            size_t count = kernel->stores.count;
            judge_store(&cpp->judge, address, value, written, loops);
            if (kernel->stores.items[count].kind > other->kind)
                kernel->stores.items[i].kind = kernel->stores.items[count].kind;
            kernel->stores.count = count;
            return;
        }
    judge_store(&cpp->judge, address, value, written, loops);
}

/* value.store(pointer, count) */
static bool read_store(struct cpp *cpp, struct text statement) {
    size_t dot = text_find(statement, ".store(");
    if (dot == SIZE_MAX) return false;
    size_t open = dot + strlen(".store"), close = scan_close(statement, open);
    if (close == SIZE_MAX) return false;
    struct text_list parts = scan_split(cpp->judge.arena, text_between(statement, open + 1, close), ',');
    if (!parts.count) return false;
    struct text value = text_between(statement, 0, dot);
    store(cpp, judge_expression(&cpp->judge, parts.items[0]), judge_expression(&cpp->judge, value), value);
    return true;
}

/* target[index] = value: a store, or a part of a local array. */
static bool assign_element(struct cpp *cpp, struct text target, struct flow value, struct text written) {
    struct text name = scan_name(target), rest = scan_trim(text_skip(target, name.length));
    if (!name.length || !text_starts_with(rest, "[")) return false;
    size_t close = scan_close(rest, 0);
    if (close != rest.length - 1) return false;
    const struct flow *known = map_get_text(cpp->judge.names, name);
    if (known && known->kind == flow_pointer)
        store(cpp, flow_combine(*known, judge_expression(&cpp->judge, text_between(rest, 1, close))), value, written);
    else {
        value.array = true;
        judge_assign(&cpp->judge, name, value);
    }
    return true;
}

static struct text last_name(struct text text) {
    size_t start = text.length;
    while (start && byte_continues_name(text.data[start - 1])) start--;
    return scan_name(text_skip(text, start));
}

static void read_assignment(struct cpp *cpp, struct text statement, size_t equals) {
    struct text target = scan_trim(text_between(statement, 0, equals)),
                value = scan_trim(text_skip(statement, equals + 1));
    bool compound = target.length && strchr("+-*/|&^%", target.data[target.length - 1]);
    struct flow flow = judge_expression(&cpp->judge, value);
    if (compound) {
        target = scan_trim(text_between(target, 0, target.length - 1));
        flow = flow_combine(flow, judge_expression(&cpp->judge, target));
    }
    if (assign_element(cpp, target, flow, value)) return;
    struct text name = last_name(target);
    if (name.length && name.length < target.length) /* with a type in front */
        judge_declare(&cpp->judge, name, flow);
    else if (name.length)
        judge_assign(&cpp->judge, name, flow);
    else
        judge_not_understood(&cpp->judge, statement);
}

/* at::vec::transpose_mxn<T, m, n>(source, stride, array, stride): the array holds what was loaded. */
static bool read_transpose(struct cpp *cpp, struct text statement) {
    size_t open = scan_find(statement, '(');
    if (open == SIZE_MAX || text_find(text_between(statement, 0, open), "transpose_mxn") == SIZE_MAX) return false;
    size_t close = scan_close(statement, open);
    if (close == SIZE_MAX) return false;
    struct text_list parts = scan_split(cpp->judge.arena, text_between(statement, open + 1, close), ',');
    if (parts.count < 3 || !scan_name(parts.items[2]).length) return false;
    struct flow source = judge_expression(&cpp->judge, parts.items[0]);
    if (source.kind != flow_pointer || map_get_text(cpp->judge.names, scan_name(parts.items[2]))) return false;
    source = (struct flow){
        .kind = flow_data, .array = true, .dtype = cpp->judge.kernel->parameters.items[source.parameter].dtype};
    judge_assign(&cpp->judge, scan_name(parts.items[2]), source);
    return true;
}

static void read_return(struct cpp *cpp, struct text value) {
    struct flow flow = judge_expression(&cpp->judge, value);
    cpp->result = flow_select(cpp->judge.control, flow, cpp->returned ? cpp->result : flow);
    cpp->returned = true;
}

static void read_simple(struct cpp *cpp, struct text statement) {
    static const char *const silent[] = {"TORCH_CHECK(",  "AOTI_TORCH_CHECK(",
                                         "inductor_cpu_", "std::atomic<int> ",
                                         "int tid ",      "__at_align__ ",
                                         "alignas(",      "continue",
                                         "break",         NULL};
    for (const char *const *word = silent; *word; word++)
        if (text_starts_with(statement, *word)) return;
    if (!statement.length) return;
    if (text_starts_with(statement, "return")) {
        read_return(cpp, scan_trim(text_skip(statement, strlen("return"))));
        return;
    }
    size_t equals = scan_assignment(statement);
    if (equals != SIZE_MAX)
        read_assignment(cpp, statement, equals);
    else if (!read_store(cpp, statement) && !read_transpose(cpp, statement))
        judge_not_understood(&cpp->judge, statement);
}

/* ---- blocks ---- */

/* `int64_t x0=LOW; x0<HIGH; x0+=STEP`: takes note of the loop, unless it runs over the lanes of a vector, which the
 * loop around it counts. */
static bool enter_loop(struct cpp *cpp, struct text header) {
    struct text_list parts = scan_split(cpp->judge.arena, header, ';');
    size_t equals = parts.count ? scan_assignment(parts.items[0]) : SIZE_MAX;
    if (parts.count < 2 || equals == SIZE_MAX) return false;
    struct text low = scan_trim(text_skip(parts.items[0], equals + 1));
    struct text name = last_name(scan_trim(text_between(parts.items[0], 0, equals)));
    judge_declare(&cpp->judge, name, (struct flow){.kind = flow_index});
    size_t less = scan_find(parts.items[1], '<');
    if (less == SIZE_MAX || text_ends_with(name, "_inner")) return false;
    struct text high = scan_trim(text_skip(parts.items[1], less + 1));
    if (text_starts_with(high, "=")) return false;
    struct text extent = text_of(text_format(cpp->judge.arena, "(%.*s) - (%.*s)", TEXT_ARGS(high), TEXT_ARGS(low)));
    if (!cpp->judge.loops.count) cpp->judge.part = cpp->judge.kernel->parts++;
    vector_push(cpp->judge.arena, &cpp->judge.loops, extent);
    return true;
}

static size_t read_nested(struct cpp *cpp, struct text text);

/* One statement at the start of the text; returns its length. */
static size_t read_cpp_statement(struct cpp *cpp, struct text text) {
    struct text head = scan_name(text);
    if (*text.data == '#') {
        const char *end = memchr(text.data, '\n', text.length);
        return end ? (size_t)(end - text.data) + 1 : text.length;
    }
    if (*text.data == ';') return 1;
    if (*text.data == '{' || text_is(head, "for") || text_is(head, "if") || text_is(head, "else")) {
        if (cpp->judge.depth >= judge_most_nesting) {
            judge_not_understood(&cpp->judge, text);
            return text.length;
        }
        cpp->judge.depth++;
        size_t length = read_nested(cpp, text);
        cpp->judge.depth--;
        return length;
    }
    size_t end = scan_find(text, ';');
    if (end == SIZE_MAX) {
        judge_not_understood(&cpp->judge, text);
        return text.length;
    }
    read_simple(cpp, scan_trim(text_between(text, 0, end)));
    return end + 1;
}

static size_t skip_blank(struct text text, size_t at) {
    while (at < text.length && strchr(" \t\r\n", text.data[at]) && text.data[at]) at++;
    return at;
}

/* A condition on the place alone is forgotten: other places take the other branch. One on data holds to the end, as
 * what its `else` does depends on data too. */
static void add_condition(struct cpp *cpp, struct flow condition) {
    if (condition.kind > flow_index) cpp->judge.control = flow_combine(cpp->judge.control, condition);
}

static size_t read_nested(struct cpp *cpp, struct text text) {
    struct text head = scan_name(text);
    size_t loops = cpp->judge.loops.count, at = head.length;
    if (!head.length) { /* { ... } */
        size_t close = scan_close(text, 0);
        if (close == SIZE_MAX) {
            judge_not_understood(&cpp->judge, text);
            return text.length;
        }
        read_block(cpp, text_between(text, 1, close));
        return close + 1;
    }
    if (!text_is(head, "else")) {
        size_t open = skip_blank(text, at);
        size_t close = open < text.length && text.data[open] == '(' ? scan_close(text, open) : SIZE_MAX;
        if (close == SIZE_MAX) {
            judge_not_understood(&cpp->judge, text);
            return text.length;
        }
        struct text header = text_between(text, open + 1, close);
        if (text_is(head, "for"))
            enter_loop(cpp, header);
        else
            add_condition(cpp, judge_expression(&cpp->judge, header));
        at = close + 1;
    }
    at = skip_blank(text, at);
    if (at < text.length) at += read_cpp_statement(cpp, text_skip(text, at));
    cpp->judge.loops.count = loops;
    return at;
}

static void read_block(struct cpp *cpp, struct text block) {
    for (size_t at = skip_blank(block, 0); at < block.length; at = skip_blank(block, at))
        at += read_cpp_statement(cpp, text_skip(block, at));
}

static struct flow read_lambda(struct judge *judge, struct text body) {
    struct cpp *cpp = (struct cpp *)judge;
    bool returned = cpp->returned;
    struct flow result = cpp->result;
    cpp->returned = false;
    read_block(cpp, body);
    struct flow value = cpp->returned ? cpp->result : (struct flow){.kind = flow_unknown};
    cpp->returned = returned;
    cpp->result = result;
    return value;
}

void judge_cpp(struct arena *arena, struct inductor_kernel *kernel) {
    struct cpp cpp = {0};
    struct text body = read_cpp_signature(arena, kernel);
    judge_init(&cpp.judge, arena, kernel);
    cpp.judge.lambda = read_lambda;
    read_block(&cpp, body);
}
