/* The body of a Triton kernel: which of its stores only move data. */
#include <stdint.h>

#include "fx/inductor_flow.h"

/* The dimensions of an iteration, as their names begin: xindex, xoffset, xmask, xnumel. */
static const char *const prefixes[] = {"x", "y", "z", "r0_", "r1_", "r"};
enum { prefix_count = sizeof prefixes / sizeof *prefixes };

struct triton {
    struct judge judge;
    struct map *literals;              /* variables that are numbers: name -> struct text */
    struct text lengths[prefix_count]; /* of each dimension */
};

/* Which dimension's `suffix` the name is, or prefix_count. */
static size_t dimension_of(struct text name, const char *suffix) {
    for (size_t i = 0; i < prefix_count; i++) {
        struct text rest = text_skip(name, strlen(prefixes[i]));
        if (text_starts_with(name, prefixes[i]) && text_is(rest, suffix)) return i;
    }
    return prefix_count;
}

/* ---- the signature ---- */

/* The element type in 'in_ptr0': '*bf16' of the kernel's metadata; false for what is no pointer. */
static bool find_pointer(struct text signature, struct text name, enum dtype *dtype) {
    for (size_t at; (at = text_find(signature, "'*")) != SIZE_MAX; signature = text_skip(signature, at + 2)) {
        struct text before = scan_trim(text_between(signature, 0, at)), type = scan_name(text_skip(signature, at + 2));
        if (!text_ends_with(before, ":")) continue;
        before = scan_trim(text_between(before, 0, before.length - 1));
        if (before.length < name.length + 2) continue;
        struct text key = text_skip(before, before.length - name.length - 2);
        if (key.data[0] != '\'' || !text_equal(text_between(key, 1, name.length + 1), name)) continue;
        *dtype = dtype_from_code(type);
        return true;
    }
    return false;
}

/* The text from `def name(` on; "" when there is none. */
static struct text find_function(const struct inductor_kernel *kernel) {
    size_t jit = text_find(kernel->body, "@triton.jit");
    if (jit == SIZE_MAX) return (struct text){0};
    struct text rest = text_skip(kernel->body, jit);
    size_t define = text_find(rest, "\ndef ");
    if (define == SIZE_MAX) return (struct text){0};
    return text_skip(rest, define + 1);
}

static void read_signature(struct arena *arena, struct inductor_kernel *kernel, struct text header) {
    size_t open = scan_find(header, '('), close = open == SIZE_MAX ? SIZE_MAX : scan_close(header, open);
    size_t start = text_find(kernel->body, "'signature': {");
    if (close == SIZE_MAX || start == SIZE_MAX) return;
    struct text signature = text_skip(kernel->body, start + strlen("'signature': "));
    size_t end = scan_close(signature, 0);
    if (end == SIZE_MAX) return;
    signature.length = end;
    struct text_list parts = scan_split(arena, text_between(header, open + 1, close), ',');
    for (size_t i = 0; i < parts.count; i++) {
        struct kernel_parameter parameter = {.name = scan_name(parts.items[i]), .dtype = dtype_none};
        parameter.pointer = find_pointer(signature, parameter.name, &parameter.dtype);
        vector_push(arena, &kernel->parameters, parameter);
    }
}

/* ---- statements ---- */

static struct text literal_of(const struct triton *triton, struct text name) {
    const struct text *literal = map_get_text(triton->literals, name);
    return literal ? *literal : name;
}

static struct text_list extents_of(struct triton *triton, uint32_t dimensions) {
    struct text_list extents = {0};
    for (size_t i = 0; i < prefix_count; i++) {
        if (!(dimensions & 1u << i)) continue;
        struct text *length = &triton->lengths[i];
        if (!length->length) *length = text_of(text_format(triton->judge.arena, "%snumel", prefixes[i]));
        vector_push(triton->judge.arena, &extents, literal_of(triton, *length));
    }
    return extents;
}

/* tl.store(pointer, value, mask) */
static void read_store(struct triton *triton, struct text statement) {
    size_t open = scan_find(statement, '('), close = open == SIZE_MAX ? SIZE_MAX : scan_close(statement, open);
    if (close == SIZE_MAX) {
        judge_not_understood(&triton->judge, statement);
        return;
    }
    struct text_list parts = scan_split(triton->judge.arena, text_between(statement, open + 1, close), ',');
    if (parts.count < 2) {
        judge_not_understood(&triton->judge, statement);
        return;
    }
    struct flow address = judge_expression(&triton->judge, parts.items[0]);
    struct flow value = judge_expression(&triton->judge, parts.items[1]);
    uint32_t dimensions = address.dimensions;
    if (parts.count > 2 && scan_assignment(parts.items[2]) == SIZE_MAX) {
        struct flow mask = judge_expression(&triton->judge, parts.items[2]);
        value = flow_select(mask, value, value);
        dimensions |= mask.dimensions;
    }
    judge_store(&triton->judge, address, value, parts.items[1], extents_of(triton, dimensions));
}

/* xmask = xindex < xnumel_0 says how long dimension x is. */
static void note_length(struct triton *triton, struct text name, struct text value) {
    size_t dimension = dimension_of(name, "mask");
    size_t less = scan_find(value, '<');
    if (dimension == prefix_count || less == SIZE_MAX) return;
    struct text bound = scan_trim(text_skip(value, less + 1));
    if (scan_name(bound).length == bound.length) triton->lengths[dimension] = bound;
}

static void read_assignment(struct triton *triton, struct text statement, size_t equals) {
    struct judge *judge = &triton->judge;
    struct text value = scan_trim(text_skip(statement, equals + 1));
    struct text_list targets = scan_split(judge->arena, text_between(statement, 0, equals), ',');
    struct flow flow = judge_expression(judge, value);
    if (equals && strchr("+-*/|&^%", statement.data[equals - 1])) /* tmp0 += value */
        flow = flow_combine(flow, judge_expression(judge, scan_name(statement)));
    if (targets.count > 1 && flow.kind != flow_unknown && flow.kind > flow_index) flow.kind = flow_computed;
    for (size_t i = 0; i < targets.count; i++) {
        struct text name = scan_name(targets.items[i]);
        const char *const places[] = {"index", "offset", "base"};
        for (size_t k = 0; k < 3; k++) {
            size_t dimension = dimension_of(name, places[k]);
            if (dimension < prefix_count && flow.kind == flow_index) flow.dimensions |= 1u << dimension;
        }
        note_length(triton, name, value);
        if (flow.kind == flow_constant) {
            struct text *literal = arena_copy(judge->arena, &value, sizeof value);
            *map_slot_text(triton->literals, name) = literal;
        }
        judge_assign(judge, name, flow);
    }
}

static void read_condition(struct triton *triton, struct text statement) {
    struct text condition = text_skip(statement, text_starts_with(statement, "el") ? strlen("elif ") : strlen("if "));
    size_t colon = scan_find(condition, ':');
    if (colon != SIZE_MAX) condition.length = colon;
    struct flow flow = judge_expression(&triton->judge, condition);
    triton->judge.control = flow_combine(triton->judge.control, flow);
    triton->judge.control.dimensions = 0;
    /* The parts of combined kernels are the branches on the program's number. */
    if (!text_starts_with(condition, "pid ")) return;
    triton->judge.part = triton->judge.kernel->parts++;
    memset(triton->lengths, 0, sizeof triton->lengths);
}

static void read_loop(struct triton *triton, struct text statement) {
    judge_assign(&triton->judge, scan_name(text_skip(statement, strlen("for "))), (struct flow){.kind = flow_index});
}

static void read_triton_statement(struct triton *triton, struct text statement) {
    static const char *const silent[] = {
        "#", "tl.device_assert(", "tl.static_assert(", "tl.debug_barrier(", "tl.assume(", "pass", "else:", "''", "\"\"",
        NULL};
    static const char *const conditions[] = {"if ", "elif ", NULL};
    if (!statement.length || text_starts_with_any(statement, silent)) return;
    if (text_starts_with(statement, "tl.store(")) {
        read_store(triton, statement);
        return;
    }
    if (text_starts_with_any(statement, conditions)) {
        read_condition(triton, statement);
        return;
    }
    if (text_starts_with(statement, "for ")) {
        read_loop(triton, statement);
        return;
    }
    size_t equals = scan_assignment(statement);
    if (equals != SIZE_MAX && scan_name(statement).length)
        read_assignment(triton, statement, equals);
    else
        judge_not_understood(&triton->judge, statement);
}

void judge_triton(struct arena *arena, struct inductor_kernel *kernel) {
    struct text rest = find_function(kernel), line;
    struct triton triton = {.literals = map_create(arena)};
    if (!scan_statement(&rest, &line)) return;
    read_signature(arena, kernel, line);
    judge_init(&triton.judge, arena, kernel);
    while (scan_statement(&rest, &line)) {
        if (line.length && *line.data != ' ' && *line.data != '\t') break; /* the next function */
        read_triton_statement(&triton, scan_trim(line));
    }
}
