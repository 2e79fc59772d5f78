/* Inductor's output code: kernels, and the steps of the function that runs them. */
#include "fx/inductor_code.h"

#include <stdint.h>

#include "fx/cursor.h"
#include "fx/inductor_flow.h"

const char *kernel_kind_name(enum kernel_kind kind) {
    static const char *const names[kernel_kind_count] = {"fills", "moves", "converts", "computes", "unknown"};
    return kind < kernel_kind_count ? names[kind] : "?";
}

typedef VECTOR(struct inductor_step) step_list;

/* `call` of the module or of class Runner, or partition_N. */
struct function {
    struct text name;
    step_list steps;
};

struct reading {
    struct arena *arena;
    struct inductor_code *code;
    struct map *kernels; /* -> struct inductor_kernel */
    struct text rest;
    struct text comment; /* the comment lines above what follows */
    VECTOR(struct function *) functions;
    struct text_list partitions; /* the functions of Runner(partitions=[...]) */
};

static const char partition_call[] = "self.partitions[";

/* ---- kernels ---- */

/* The names of `%name : ... = call_function[...]` in the comment above a kernel. */
static void read_fragment(struct reading *reading, struct inductor_kernel *kernel) {
    for (struct text rest = reading->comment, line; scan_line(&rest, &line);) {
        line = scan_trim(text_skip(scan_trim(line), 1));
        if (!text_starts_with(line, "%") || text_find(line, "= call_function[") == SIZE_MAX) continue;
        vector_push(reading->arena, &kernel->fragment, scan_name(text_skip(line, 1)));
    }
}

static void settle_kind(struct inductor_kernel *kernel) {
    if (!kernel->parts) kernel->parts = 1;
    kernel->kind = kernel->stores.count ? kernel_fills : kernel_unknown;
    for (size_t i = 0; i < kernel->stores.count; i++)
        if (kernel->stores.items[i].kind > kernel->kind) kernel->kind = kernel->stores.items[i].kind;
}

/* NAME = async_compile.KIND(..., '''BODY''' ...). The definition may be far longer than a statement may be. */
static void read_kernel(struct reading *reading, struct text line) {
    struct inductor_kernel *kernel = arena_new(reading->arena, struct inductor_kernel);
    struct text kind = scan_name(text_skip(line, text_find(line, "async_compile.") + strlen("async_compile.")));
    size_t open = text_find(line, "'''");
    kernel->name = scan_name(line);
    kernel->language = text_is(kind, "triton")         ? language_triton
                       : text_starts_with(kind, "cpp") ? language_cpp
                                                       : language_other;
    if (open != SIZE_MAX) {
        const char *end = reading->rest.data + reading->rest.length;
        struct text from = {line.data + open, (size_t)(end - line.data) - open};
        size_t close = scan_string(from, 0);
        bool ends = close > 6 && text_ends_with(text_between(from, 0, close), "'''");
        if (ends) kernel->body = text_between(from, 3, close - 3);
        reading->rest = text_skip(from, close);
    }
    read_fragment(reading, kernel);
    if (kernel->language == language_triton) judge_triton(reading->arena, kernel);
    if (kernel->language == language_cpp) judge_cpp(reading->arena, kernel);
    settle_kind(kernel);
    *map_slot_text(reading->kernels, kernel->name) = kernel;
    vector_push(reading->arena, &reading->code->kernels, kernel);
}

/* ---- steps ---- */

struct text inductor_buffer(struct text argument) {
    static const char view[] = "reinterpret_tensor(";
    argument = scan_trim(argument);
    while (text_starts_with(argument, view)) argument = scan_trim(text_skip(argument, strlen(view)));
    return scan_name(argument);
}

/* `Topologically Sorted Source Nodes: [a, b], Original ATen: [...]`: what is in the first brackets. */
static struct text source_names(struct text comment) {
    size_t start = text_find(comment, "Source Nodes: [");
    if (start == SIZE_MAX) return (struct text){0};
    struct text rest = text_skip(comment, start + strlen("Source Nodes: ["));
    size_t end = scan_find(rest, ']');
    return text_between(rest, 0, end == SIZE_MAX ? 0 : end);
}

static struct text dotted_name(struct text text) {
    size_t length = 0;
    while (length < text.length && (byte_continues_name(text.data[length]) || text.data[length] == '.')) length++;
    return text_between(text, 0, length);
}

/* What stands behind `result =`, or the whole statement. */
static void read_step(struct reading *reading, step_list *steps, struct text result, struct text value, bool reuses) {
    static const char *const allocations[] = {"empty_strided", "alloc_from_pool", NULL};
    static const char *const calls[] = {"extern_kernels.", "torch.ops.",   "aten.", "inductor_ops.",
                                        "_quantized.",     partition_call, NULL};
    struct inductor_step step = {.kind = step_call, .result = result, .sources = source_names(reading->comment)};
    step.target = dotted_name(value);
    size_t open = step.target.length;
    size_t close = open < value.length && value.data[open] == '(' ? scan_close(value, open) : SIZE_MAX;
    if (close != SIZE_MAX) step.arguments = scan_split(reading->arena, text_between(value, open + 1, close), ',');
    struct text name = scan_name(step.target);
    step.kernel = map_get_text(reading->kernels, name);
    if (text_starts_with(value, partition_call)) {
        step.target = value;
    } else if (text_ends_with(step.target, ".run") || (step.kernel && close != SIZE_MAX)) {
        step.kind = step_launch;
        step.target = name;
    } else if (text_starts_with_any(value, allocations) && result.length) {
        step.kind = step_allocate;
    } else if (result.length &&
               (text_starts_with(value, "reinterpret_tensor(") || scan_name(value).length == value.length)) {
        step.kind = reuses ? step_reuse : step_alias;
        step.arguments = (struct text_list){0};
        vector_push(reading->arena, &step.arguments, inductor_buffer(value));
    } else if (!text_starts_with_any(value, calls)) {
        if (!result.length || (step.target.length && close != SIZE_MAX)) return;
        step.kind = step_define;
        step.target = value;
    }
    vector_push(reading->arena, steps, step);
}

/* A statement of a function that runs kernels. */
static void read_body_statement(struct reading *reading, step_list *steps, struct text statement) {
    size_t semicolon = scan_find(statement, ';');
    bool reuses = text_ends_with(statement, "# reuse");
    struct text first = scan_trim(text_between(statement, 0, semicolon == SIZE_MAX ? statement.length : semicolon));
    size_t remark = scan_find(first, '#');
    if (remark != SIZE_MAX) first = scan_trim(text_between(first, 0, remark));
    size_t equals = scan_assignment(first);
    struct text result = {0};
    if (equals != SIZE_MAX) {
        result = scan_trim(text_between(first, 0, equals));
        first = scan_trim(text_skip(first, equals + 1));
        /* `arg0_1, arg1_1 = args` is no step; `(buf1,) = self.partitions[0](...)` is. */
        if (scan_name(result).length != result.length) {
            if (!text_starts_with(first, partition_call)) return;
            result = (struct text){0};
        }
    }
    read_step(reading, steps, result, first, reuses);
}

static bool keeps_comment(struct text statement) {
    return text_starts_with(statement, "stream") || text_find(statement, "numel = ") != SIZE_MAX ||
           text_find(statement, "numel_") != SIZE_MAX;
}

/* The lines behind `def` that are indented deeper than it. */
static void read_function(struct reading *reading, struct text name, size_t indent) {
    struct function *function = arena_new(reading->arena, struct function);
    function->name = name;
    struct text comment = {0}, statement;
    for (struct text rest = reading->rest; scan_statement(&rest, &statement); reading->rest = rest) {
        struct text trimmed = scan_trim(statement);
        if (!trimmed.length) continue;
        if ((size_t)(trimmed.data - statement.data) <= indent) break;
        if (*trimmed.data == '#') {
            comment = trimmed;
            continue;
        }
        reading->comment = comment;
        read_body_statement(reading, &function->steps, trimmed);
        if (!keeps_comment(trimmed)) comment = (struct text){0};
    }
    reading->comment = (struct text){0};
    vector_push(reading->arena, &reading->functions, function);
}

/* ---- the module ---- */

static void read_definition(struct reading *reading, struct text line) {
    struct text trimmed = scan_trim(line), name = scan_name(text_skip(trimmed, strlen("def ")));
    if (text_is(name, "call") || text_starts_with(name, "partition_"))
        read_function(reading, name, (size_t)(trimmed.data - line.data));
}

static void read_module_line(struct reading *reading, struct text line) {
    struct text trimmed = scan_trim(line);
    if (text_starts_with(line, "#")) {
        if (!reading->comment.length) reading->comment = line;
        reading->comment.length = (size_t)(line.data + line.length - reading->comment.data);
        return;
    }
    size_t compile = text_find(line, " = async_compile.");
    struct text literal = text_skip(line, text_starts_with(line, "r"));
    if (text_starts_with(literal, "\"\"\"") || text_starts_with(literal, "'''")) {
        /* Another program in a string: what tunes the kernels when the graph is compiled. */
        const char *end = reading->rest.data + reading->rest.length;
        struct text from = {literal.data, (size_t)(end - literal.data)};
        reading->rest = text_skip(from, scan_string(from, 0));
    } else if (compile != SIZE_MAX && scan_name(line).length == compile) {
        read_kernel(reading, line);
    } else if (text_starts_with(trimmed, "def ")) {
        read_definition(reading, line);
    } else if (text_starts_with(line, "runner = Runner(partitions=[")) {
        struct text list = text_skip(line, strlen("runner = Runner(partitions="));
        size_t close = scan_close(list, 0);
        if (close != SIZE_MAX) reading->partitions = scan_split(reading->arena, text_between(list, 1, close), ',');
    }
    reading->comment = (struct text){0};
}

static struct function *find_function(const struct reading *reading, struct text name) {
    struct function *found = NULL;
    for (size_t i = 0; i < reading->functions.count; i++)
        if (text_equal(reading->functions.items[i]->name, name)) found = reading->functions.items[i];
    return found;
}

/* The function that `self.partitions[K](...)` calls. */
static struct function *called_partition(const struct reading *reading, struct text target) {
    size_t index = 0;
    if (!text_starts_with(target, partition_call)) return NULL;
    for (struct text digits = text_skip(target, strlen(partition_call));
         digits.length && byte_is_digit(*digits.data) && index < 100000; digits = text_skip(digits, 1))
        index = 10 * index + (size_t)(*digits.data - '0');
    return index < reading->partitions.count ? find_function(reading, reading->partitions.items[index]) : NULL;
}

/* A partition runs where it is called; one that calls itself or another does not occur. */
static void add_steps(struct reading *reading, const struct function *function, bool is_partition) {
    for (size_t i = 0; i < function->steps.count; i++) {
        const struct inductor_step *step = &function->steps.items[i];
        const struct function *partition = is_partition ? NULL : called_partition(reading, step->target);
        if (partition)
            add_steps(reading, partition, true);
        else
            vector_push(reading->arena, &reading->code->steps, *step);
    }
}

void inductor_read(struct arena *arena, struct text text, struct inductor_code *code) {
    struct reading reading = {.arena = arena, .code = code, .kernels = map_create(arena), .rest = text};
    struct text line;
    *code = (struct inductor_code){0};
    while (scan_line(&reading.rest, &line)) read_module_line(&reading, line);
    const struct function *call = find_function(&reading, TEXT("call"));
    if (call) add_steps(&reading, call, false);
    for (size_t i = 0; !call && i < reading.functions.count; i++) add_steps(&reading, reading.functions.items[i], true);
}
