/* How values flow through a kernel's body. */
#include "fx/inductor_flow.h"

#include <stdint.h>

#include "fx/cursor.h"

/* ---- element types ---- */

static const struct {
    const char *name; /* in Triton or C++, where it is not PyTorch's or that of annotations */
    enum dtype dtype;
} dtype_rows[] = {
    {"fp16", dtype_f16},
    {"Half", dtype_f16},
    {"fp32", dtype_f32},
    {"float", dtype_f32},
    {"fp64", dtype_f64},
    {"double", dtype_f64},
    {"BFloat16", dtype_bf16},
    {"i1", dtype_b8},
    {"int1", dtype_b8},
    {"int8_t", dtype_i8},
    {"int16_t", dtype_i16},
    {"int32_t", dtype_i32},
    {"int", dtype_i32},
    {"int64_t", dtype_i64},
    {"long", dtype_i64},
    {"uint8_t", dtype_u8},
    {"uint16_t", dtype_u16},
    {"uint32_t", dtype_u32},
    {"uint64_t", dtype_u64},
    {"fp8e4nv", dtype_f8e4m3fn},
    {"float8e4nv", dtype_f8e4m3fn},
    {"fp8e5", dtype_f8e5m2},
    {"float8e5", dtype_f8e5m2},
    {"Float8_e4m3fn", dtype_f8e4m3fn},
    {"Float8_e5m2", dtype_f8e5m2},
};

/* The last word of a dotted or scoped name: BFloat16 of at::BFloat16. */
static struct text last_word(struct text name) {
    size_t start = name.length;
    while (start && byte_continues_name(name.data[start - 1])) start--;
    return text_skip(name, start);
}

enum dtype dtype_from_code(struct text name) {
    struct text word = last_word(scan_trim(name));
    for (size_t i = 0; i < sizeof dtype_rows / sizeof *dtype_rows; i++)
        if (text_is(word, dtype_rows[i].name)) return dtype_rows[i].dtype;
    enum dtype dtype = dtype_from_torch_name(word);
    return dtype != dtype_none ? dtype : dtype_from_abbreviation(word);
}

/* Whether every value of `from` is one of `to`. */
static bool holds_all(enum dtype to, enum dtype from) {
    if (to == from) return true;
    if (from == dtype_none || to == dtype_none || dtype_is_complex(to)) return false;
    if (from == dtype_b8) return true;
    size_t more = dtype_size(to), less = dtype_size(from);
    if (dtype_is_integral(to)) return dtype_is_integral(from) && more > less && to < dtype_u8;
    if (to == dtype_b8) return false;
    if (dtype_is_integral(from)) return (to == dtype_f32 && less <= 2) || (to == dtype_f64 && less <= 4);
    return more > less && !dtype_is_complex(from);
}

/* ---- flows ---- */

static const struct flow constant = {.kind = flow_constant};

static struct flow plain(enum flow_kind kind, uint32_t dimensions) {
    return (struct flow){.kind = kind, .dimensions = dimensions};
}

struct flow flow_combine(struct flow a, struct flow b) {
    uint32_t dimensions = a.dimensions | b.dimensions;
    if (a.array && b.kind <= flow_index) return a;
    if (a.kind == flow_unknown || b.kind == flow_unknown) return plain(flow_unknown, dimensions);
    if (a.kind == flow_pointer && b.kind == flow_pointer) return plain(flow_unknown, dimensions);
    if (a.kind == flow_pointer || b.kind == flow_pointer) {
        struct flow pointer = a.kind == flow_pointer ? a : b;
        pointer.dimensions = dimensions;
        return pointer;
    }
    if (a.kind <= flow_index && b.kind <= flow_index) return plain(a.kind > b.kind ? a.kind : b.kind, dimensions);
    return plain(flow_computed, dimensions);
}

/* Either of two, chosen by an index. */
static struct flow either(struct flow a, struct flow b) {
    uint32_t dimensions = a.dimensions | b.dimensions;
    if (a.kind == flow_unknown || b.kind == flow_unknown) return plain(flow_unknown, dimensions);
    if (a.kind == flow_data && b.kind == flow_data) {
        a.converted |= b.converted || a.dtype != b.dtype;
    } else if (a.kind == flow_data || b.kind == flow_data) {
        struct flow other = a.kind == flow_data ? b : a;
        if (other.kind != flow_constant) return plain(flow_computed, dimensions);
        if (b.kind == flow_data) a = b;
    } else {
        return flow_combine(a, b);
    }
    a.dimensions = dimensions;
    return a;
}

/* A value that is only there (or only one of those it may be) under a condition. */
static struct flow under(struct flow value, struct flow condition) {
    value.dimensions |= condition.dimensions;
    if (condition.kind == flow_unknown) return plain(flow_unknown, value.dimensions);
    if (condition.kind > flow_index && value.kind != flow_unknown) return plain(flow_computed, value.dimensions);
    return value;
}

struct flow flow_select(struct flow condition, struct flow a, struct flow b) {
    return under(either(a, b), condition);
}

static struct flow cast(struct flow value, enum dtype to) {
    if (value.kind == flow_data && to != dtype_none && !holds_all(to, value.dtype)) value.converted = true;
    return value;
}

/* ---- expressions ---- */

struct parse {
    struct judge *judge;
    const char *at, *end;
};

static struct flow expression(struct parse *parse);

enum { most_arguments = 16 };

struct call {
    struct text space;    /* the name in front of the first dot or colons: tl, libdevice, std; "" when there is none */
    struct text function; /* the last name */
    struct text types;    /* between < and > */
    bool has_object;      /* object.function(...) */
    struct flow object;
    struct text written[most_arguments]; /* without the keyword */
    struct flow arguments[most_arguments];
    size_t count;
};

static void skip_blank(struct parse *parse) {
    while (parse->at < parse->end && strchr(" \t\r\n", *parse->at) && *parse->at) parse->at++;
}

static char peek(struct parse *parse) {
    skip_blank(parse);
    return parse->at < parse->end ? *parse->at : 0;
}

static struct text rest_of(const struct parse *parse) {
    return (struct text){parse->at, (size_t)(parse->end - parse->at)};
}

static bool is_cpp(const struct parse *parse) { return parse->judge->kernel->language == language_cpp; }

/* The text of a bracketed group, which is skipped; false when it does not close. */
static bool take_group(struct parse *parse, struct text *inside) {
    size_t close = scan_close(rest_of(parse), 0);
    if (close == SIZE_MAX) return false;
    *inside = text_between(rest_of(parse), 1, close);
    parse->at += close + 1;
    return true;
}

static struct flow within(struct parse *parse, struct text text) {
    struct parse inner = {parse->judge, text.data, text.data + text.length};
    struct flow flow = expression(&inner);
    return peek(&inner) ? plain(flow_unknown, 0) : flow;
}

static struct flow combine_parts(struct parse *parse, struct text text) {
    struct text_list parts = scan_split(parse->judge->arena, text, ',');
    struct flow flow = parts.count ? within(parse, parts.items[0]) : constant;
    for (size_t i = 1; i < parts.count; i++) flow = flow_combine(flow, within(parse, parts.items[i]));
    return flow;
}

/* ---- functions ---- */

static struct flow all_arguments(const struct call *call) {
    struct flow flow = call->has_object ? call->object : constant;
    for (size_t i = 0; i < call->count; i++) flow = flow_combine(flow, call->arguments[i]);
    return flow;
}

/* load(pointer, mask, other=0.0), Vectorized<T>::loadu(pointer, count), mask.loadu<T>(pointer). */
static struct flow call_load(struct judge *judge, const struct call *call) {
    struct flow source = call->count ? call->arguments[0] : plain(flow_unknown, 0);
    if (source.array) {
        source.array = false;
        return source;
    }
    if (source.kind != flow_pointer) return plain(flow_unknown, 0);
    struct flow value = {.kind = flow_data,
                         .dtype = judge->kernel->parameters.items[source.parameter].dtype,
                         .dimensions = source.dimensions};
    if (call->has_object) value = under(value, call->object);
    for (size_t i = 1; i < call->count; i++) value = under(value, call->arguments[i]);
    return value;
}

/* The value itself, in another type or shape. The type is the template's or the argument's of `to`. */
static struct flow call_cast(struct judge *judge, const struct call *call) {
    struct flow value = call->has_object ? call->object : call->count ? call->arguments[0] : constant;
    struct text type = call->types;
    if (call->has_object && !type.length && call->count) type = call->written[0];
    if (!type.length && !call->has_object) type = call->function;
    struct text_list types = scan_split(judge->arena, type, ',');
    return cast(value, types.count ? dtype_from_code(types.items[0]) : dtype_none);
}

static struct flow call_shape(struct judge *judge, const struct call *call) {
    (void)judge;
    return call->has_object ? call->object : call->count ? call->arguments[0] : constant;
}

static struct flow call_where(struct judge *judge, const struct call *call) {
    (void)judge;
    if (call->count != 3) return plain(flow_unknown, 0);
    return flow_select(call->arguments[0], call->arguments[1], call->arguments[2]);
}

static struct flow call_blend(struct judge *judge, const struct call *call) {
    (void)judge;
    if (call->count < 3) return plain(flow_unknown, 0);
    return flow_select(call->arguments[2], call->arguments[0], call->arguments[1]);
}

/* full(shape, value, type) */
static struct flow call_full(struct judge *judge, const struct call *call) {
    (void)judge;
    return call->count > 1 ? call->arguments[1] : constant;
}

static struct flow call_index(struct judge *judge, const struct call *call) {
    (void)judge;
    struct flow flow = all_arguments(call);
    if (flow.kind == flow_constant) flow.kind = flow_index;
    return flow;
}

static struct flow call_compute(struct judge *judge, const struct call *call) {
    (void)judge;
    struct flow flow = all_arguments(call);
    return flow.kind == flow_pointer ? plain(flow_unknown, 0) : flow;
}

static const struct {
    const char *function;
    struct flow (*flow)(struct judge *judge, const struct call *call);
} function_rows[] = {
    {"load", call_load},
    {"loadu", call_load},
    {"to", call_cast},
    {"cast", call_cast},
    {"convert", call_cast},
    {"static_cast", call_cast},
    {"Vectorized", call_cast},
    {"VectorizedN", call_cast},
    {"VecMask", call_cast},
    {"from", call_cast},
    {"decltype", call_shape},
    {"broadcast_to", call_shape},
    {"reshape", call_shape},
    {"view", call_shape},
    {"trans", call_shape},
    {"data", call_shape},
    {"where", call_where},
    {"blendv", call_blend},
    {"full", call_full},
    {"zeros", call_full},
    {"program_id", call_index},
    {"num_programs", call_index},
    {"arange", call_index},
    {"range", call_index},
    {"cdiv", call_index},
    {"div_floor_integer", call_index},
    {"all_zero", call_index},
    {"sum", call_compute},
    {"max", call_compute},
    {"min", call_compute},
    {"maximum", call_compute},
    {"minimum", call_compute},
    {"exp", call_compute},
    {"exp2", call_compute},
    {"log", call_compute},
    {"sqrt", call_compute},
    {"rsqrt", call_compute},
    {"sigmoid", call_compute},
    {"abs", call_compute},
    {"neg", call_compute},
    {"sin", call_compute},
    {"cos", call_compute},
    {"tanh", call_compute},
    {"erf", call_compute},
    {"pow", call_compute},
    {"floor", call_compute},
    {"ceil", call_compute},
    {"round", call_compute},
    {"trunc", call_compute},
    {"reciprocal", call_compute},
    {"fma", call_compute},
    {"fmadd", call_compute},
    {"dot", call_compute},
    {"reduce", call_compute},
    {"associative_scan", call_compute},
    {"vec_reduce_all", call_compute},
    {"max_propagate_nan", call_compute},
    {"min_propagate_nan", call_compute},
    {"welford_combine", call_compute},
};

/* Libraries whose functions all compute. */
static const char *const computing_spaces[] = {"libdevice", "tl_math", "triton_helpers", "std"};

static struct flow call_function(struct judge *judge, const struct call *call) {
    if (!call->function.length) return call_shape(judge, call); /* decltype(x)(y) */
    for (size_t i = 0; i < sizeof function_rows / sizeof *function_rows; i++)
        if (text_is(call->function, function_rows[i].function)) return function_rows[i].flow(judge, call);
    if (!call->has_object && dtype_from_code(call->function) != dtype_none) return call_cast(judge, call);
    for (size_t i = 0; i < sizeof computing_spaces / sizeof *computing_spaces; i++)
        if (text_is(call->space, computing_spaces[i])) return call_compute(judge, call);
    struct flow flow = all_arguments(call);
    return flow.kind <= flow_index ? plain(flow_index, flow.dimensions) : plain(flow_unknown, flow.dimensions);
}

/* `name=` in front of an argument; not `name == value`. */
static struct text take_keyword(struct parse *parse) {
    skip_blank(parse);
    struct text name = scan_name(rest_of(parse)), rest = scan_trim(text_skip(rest_of(parse), name.length));
    if (!name.length || !text_starts_with(rest, "=") || text_starts_with(rest, "==")) return (struct text){0};
    parse->at = rest.data + 1;
    return name;
}

/* The arguments up to the end of `inside`; false when they are not understood. */
static bool take_arguments(struct parse *inside, struct call *call) {
    while (peek(inside)) {
        if (call->count == most_arguments) return false;
        struct text keyword = take_keyword(inside);
        skip_blank(inside);
        const char *start = inside->at;
        struct flow flow = expression(inside);
        if (peek(inside) && *inside->at != ',') return false;
        call->written[call->count] = (struct text){start, (size_t)(inside->at - start)};
        call->arguments[call->count++] = text_starts_with(keyword, "eviction") ? constant : flow;
        if (inside->at < inside->end) inside->at++;
    }
    return true;
}

static struct flow take_call(struct parse *parse, struct call *call) {
    struct text inside;
    if (!take_group(parse, &inside)) {
        parse->at = parse->end;
        return plain(flow_unknown, 0);
    }
    struct parse arguments = {parse->judge, inside.data, inside.data + inside.length};
    call->count = 0;
    if (!take_arguments(&arguments, call)) return plain(flow_unknown, 0);
    return call_function(parse->judge, call);
}

/* ---- names ---- */

/* <float,2> right behind a name; false when it is no list of template arguments. */
static bool take_types(struct parse *parse, struct text *types) {
    size_t depth = 0;
    for (const char *at = parse->at; at < parse->end && !strchr(";{}", *at); at++) {
        if (*at == '<') depth++;
        if (*at == '>' && --depth == 0) {
            *types = (struct text){parse->at + 1, (size_t)(at - parse->at) - 1};
            parse->at = at + 1;
            return true;
        }
    }
    return false;
}

static struct text take_name(struct parse *parse) {
    struct text name = scan_name(rest_of(parse));
    parse->at += name.length;
    return name;
}

static struct flow subscript(struct parse *parse, struct flow flow) {
    struct text inside;
    if (!take_group(parse, &inside)) {
        parse->at = parse->end;
        return plain(flow_unknown, 0);
    }
    if (!is_cpp(parse)) return flow; /* x[:, None] */
    struct call load = {.count = 1, .arguments = {flow_combine(flow, within(parse, inside))}};
    return call_load(parse->judge, &load);
}

/* What follows a value: calls, subscripts, members. `call` has the name read last, `flow` its value, if any. */
static struct flow postfix(struct parse *parse, struct call *call, struct flow flow, bool named) {
    for (;;) {
        char next = parse->at < parse->end ? *parse->at : 0;
        if (next == '<' && is_cpp(parse) && take_types(parse, &call->types)) continue;
        struct text rest = rest_of(parse);
        if (text_starts_with(rest, "::") || (next == '.' && named && !call->has_object)) {
            /* a scope, or a module */
            parse->at += next == '.' ? 1 : 2;
            if (!call->space.length) call->space = call->function;
            *call = (struct call){.space = call->space, .function = take_name(parse), .types = call->types};
            named = true;
        } else if (next == '(') {
            flow = take_call(parse, call);
            *call = (struct call){0};
            named = false;
        } else if (next == '[') {
            flow = subscript(parse, flow);
        } else if (next == '.') {
            parse->at++;
            struct text name = take_name(parse);
            if (text_is(name, "template")) {
                skip_blank(parse);
                name = take_name(parse);
            }
            *call = (struct call){.function = name, .has_object = true, .object = flow};
            bool called = parse->at < parse->end && (*parse->at == '(' || *parse->at == '<');
            if (!called) flow = text_is(name, "shape") || text_is(name, "dtype") ? constant : plain(flow_unknown, 0);
        } else {
            return flow;
        }
    }
}

static struct flow named_value(struct parse *parse) {
    struct judge *judge = parse->judge;
    struct call call = {.function = take_name(parse)};
    const struct flow *known = map_get_text(judge->names, call.function);
    bool followed = parse->at < parse->end && strchr(".:<", *parse->at) && *parse->at;
    if (known && parse->at < parse->end && *parse->at == '(') { /* tmp6() runs a lambda */
        struct text inside;
        if (!take_group(parse, &inside)) parse->at = parse->end;
        return *known;
    }
    if (known) return postfix(parse, &(struct call){.has_object = true, .object = *known}, *known, false);
    if (!followed && (parse->at >= parse->end || *parse->at != '('))
        return text_is(call.function, "None") || text_is(call.function, "True") || text_is(call.function, "False")
                   ? constant
                   : plain(flow_unknown, 0);
    return postfix(parse, &call, constant, true);
}

/* ---- operands and operators ---- */

static void skip_number(struct parse *parse) {
    const char *start = parse->at;
    while (parse->at < parse->end) {
        char here = *parse->at;
        bool exponent_sign = (here == '-' || here == '+') && parse->at > start && strchr("eE", parse->at[-1]);
        if (!byte_continues_name(here) && here != '.' && !exponent_sign) return;
        parse->at++;
    }
}

/* [&] { ... } */
static struct flow lambda_value(struct parse *parse) {
    struct text inside, parameters = {0};
    if (!take_group(parse, &inside)) return plain(flow_unknown, 0);
    if (peek(parse) == '(' && !take_group(parse, &parameters)) return plain(flow_unknown, 0);
    if (peek(parse) != '{' || !take_group(parse, &inside)) return plain(flow_unknown, 0);
    if (parameters.length) return plain(flow_computed, 0); /* a function of values, such as how to reduce */
    struct flow flow = parse->judge->lambda(parse->judge, inside);
    if (peek(parse) == '(' && !take_group(parse, &inside)) return plain(flow_unknown, 0); /* run at once */
    return flow;
}

static struct flow operand(struct parse *parse) {
    char next = peek(parse);
    struct text inside;
    struct call none = {0};
    if (byte_is_digit(next) || next == '.') {
        skip_number(parse);
        return constant;
    }
    if (next == '"' || next == '\'') {
        parse->at += scan_string(rest_of(parse), 0);
        return constant;
    }
    if (next == '[' && is_cpp(parse)) return lambda_value(parse);
    if (next == '(' || next == '[') {
        if (!take_group(parse, &inside)) return plain(flow_unknown, 0);
        struct flow flow = combine_parts(parse, inside);
        none.has_object = true;
        none.object = flow;
        return postfix(parse, &none, flow, false);
    }
    if (byte_starts_name(next)) return named_value(parse);
    return plain(flow_unknown, 0);
}

static bool take_word(struct parse *parse, const char *word) {
    skip_blank(parse);
    if (!text_is(scan_name(rest_of(parse)), word)) return false;
    parse->at += strlen(word);
    return true;
}

static struct flow unary(struct parse *parse) {
    bool changed = false;
    for (;;) {
        char next = peek(parse);
        if (next && strchr("+-~!*&", next))
            parse->at++;
        else if (!take_word(parse, "not"))
            break;
        changed = true;
    }
    struct flow flow = operand(parse);
    return changed ? flow_combine(flow, constant) : flow;
}

static bool take_operator(struct parse *parse) {
    const char *start;
    skip_blank(parse);
    start = parse->at;
    while (parse->at < parse->end && *parse->at && strchr("+-*/%<>=!&|^", *parse->at)) {
        parse->at++;
        if (*start == '-' || *start == '+') break; /* what follows is a sign */
    }
    return parse->at > start || take_word(parse, "and") || take_word(parse, "or");
}

static struct flow expression(struct parse *parse) {
    if (++parse->judge->depth > judge_most_nesting) {
        parse->at = parse->end;
        parse->judge->depth--;
        return plain(flow_unknown, 0);
    }
    struct flow flow = unary(parse);
    while (take_operator(parse)) flow = flow_combine(flow, unary(parse));
    if (peek(parse) == '?') {
        parse->at++;
        struct flow a = expression(parse);
        if (peek(parse) == ':') {
            parse->at++;
            flow = flow_select(flow, a, expression(parse));
        } else {
            flow = plain(flow_unknown, 0);
        }
    }
    parse->judge->depth--;
    return flow;
}

struct flow judge_expression(struct judge *judge, struct text text) {
    struct parse parse = {judge, text.data, text.data + text.length};
    return within(&parse, text);
}

/* ---- statements ---- */

void judge_init(struct judge *judge, struct arena *arena, struct inductor_kernel *kernel) {
    *judge = (struct judge){.arena = arena, .kernel = kernel, .names = map_create(arena), .control = constant};
    for (size_t i = 0; i < kernel->parameters.count; i++) {
        const struct kernel_parameter *parameter = &kernel->parameters.items[i];
        struct flow *flow = arena_new(arena, struct flow);
        *flow = (struct flow){.kind = parameter->pointer ? flow_pointer : flow_index, .parameter = i};
        *map_slot_text(judge->names, parameter->name) = flow;
    }
}

void judge_declare(struct judge *judge, struct text name, struct flow flow) {
    void **slot = map_slot_text(judge->names, name);
    if (!*slot) *slot = arena_new(judge->arena, struct flow);
    flow = under(flow, judge->control);
    flow.part = judge->part;
    *(struct flow *)*slot = flow;
}

void judge_assign(struct judge *judge, struct text name, struct flow flow) {
    const struct flow *known = map_get_text(judge->names, name);
    if (known && known->part == judge->part) {
        if (known->kind == flow.kind && flow.kind <= flow_index)
            flow.dimensions |= known->dimensions;
        else
            flow = either(*known, flow);
    }
    judge_declare(judge, name, flow);
}

static enum kernel_kind stored_kind(const struct kernel_parameter *parameter, struct flow value) {
    switch (value.kind) {
    case flow_constant:
        return kernel_fills;
    case flow_data:
        if (parameter->dtype == dtype_none || value.dtype == dtype_none) return kernel_unknown;
        return value.converted || value.dtype != parameter->dtype ? kernel_converts : kernel_moves;
    case flow_index:
    case flow_computed:
        return kernel_computes;
    default:
        return kernel_unknown;
    }
}

/* Each loop's extent is a text of its own. */
static bool same_extents(const struct text_list *a, const struct text_list *b) {
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->items[i].data != b->items[i].data) return false;
    return true;
}

void judge_store(struct judge *judge, struct flow address, struct flow value, struct text written,
                 struct text_list extents) {
    struct inductor_kernel *kernel = judge->kernel;
    if (address.kind != flow_pointer) {
        judge_not_understood(judge, (struct text){0});
        return;
    }
    struct kernel_store store = {
        .kind = stored_kind(&kernel->parameters.items[address.parameter], under(value, judge->control)),
        .parameter = address.parameter,
        .part = judge->part,
        .value = scan_trim(written),
        .extents = extents};
    for (size_t i = 0; i < kernel->stores.count; i++) {
        const struct kernel_store *other = &kernel->stores.items[i];
        if (other->part == store.part && text_equal(other->value, store.value) &&
            same_extents(&other->extents, &extents))
            store.repeats = true;
    }
    vector_push(judge->arena, &kernel->stores, store);
}

void judge_not_understood(struct judge *judge, struct text statement) {
    for (size_t i = 0; i < judge->kernel->parameters.count; i++) {
        const struct kernel_parameter *parameter = &judge->kernel->parameters.items[i];
        if (!parameter->pointer || (statement.length && !text_mentions(statement, parameter->name))) continue;
        struct kernel_store store = {.kind = kernel_unknown, .parameter = i, .part = judge->part};
        vector_push(judge->arena, &judge->kernel->stores, store);
        return;
    }
}
