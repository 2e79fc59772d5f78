/* Trace logs: records of a log prefix and a JSON object, whose payload follows in lines that start with a tab. The object's
 * first member says what the record is; the others, which compilation it belongs to. */
#include "fx/trace.h"

#include "base/json.h"
#include "fx/frame.h"
#include "fx/load.h"

/* The texts along the pipeline, in its order. Newer versions write some as records of their own, others as artifacts. */
static const struct stage_row {
    const char *name;
    bool is_graph, is_aten;
} stage_rows[] = {
    {"dynamo_output_graph", true, false},   {"graph_dump", true, false}, /* named by the record */
    {"before_pre_grad_graph", true, false}, {"after_pre_grad_graph", true, false},
    {"aot_joint_graph", true, true},        {"aot_forward_graph", true, true},
    {"aot_backward_graph", true, true},     {"aot_inference_graph", true, true},
    {"before_joint_graph", true, true},     {"after_joint_graph", true, true},
    {"before_post_grad_graph", true, true}, {"inductor_post_grad_graph", true, true},
    {"inductor_output_code", false, true},
};

static const struct {
    const char *name;
    void (*add)(struct frame *frame, const json_t *record);
} fact_rows[] = {
    {"create_symbol", frame_add_symbol},
    {"describe_tensor", frame_add_tensor},
    {"describe_source", frame_add_source},
};

enum {
    stage_row_count = sizeof stage_rows / sizeof *stage_rows,
    fact_row_count = sizeof fact_rows / sizeof *fact_rows
};

/* One compilation of one frame, and the graph of the file that its records go to. */
struct compilation {
    struct text name;
    struct frame *frame;
    size_t graph;  /* its index, SIZE_MAX before the first stage */
    bool has_aten; /* a stage at ATen level was seen in that graph */
};

struct trace {
    struct context *context;
    struct file *file;
    struct map *compilations;
    json_t **json; /* the record at hand; the arena drops it when memory runs out */
};

/* ---- lines ---- */

static struct text line_of(struct text rest) {
    const char *newline = memchr(rest.data, '\n', rest.length);
    return newline ? (struct text){rest.data, (size_t)(newline - rest.data) + 1} : rest;
}

/* The JSON object of a line; "" when the line is no record. */
static struct text record_of(struct text line) {
    size_t prefix = log_prefix(line);
    struct text record = text_skip(line, prefix ? prefix : line.length);
    return text_starts_with(record, "{\"") ? record : TEXT("");
}

/* All lines from here on that start with a tab. */
static struct text payload_of(struct text rest) {
    size_t length = 0;
    while (length < rest.length && rest.data[length] == '\t') length += line_of(text_skip(rest, length)).length;
    return (struct text){rest.data, length};
}

bool trace_recognize(struct text text) {
    while (text.length) {
        struct text line = line_of(text);
        if (record_of(line).length) return true;
        text = text_skip(text, line.length);
    }
    return false;
}

struct text trace_payload(struct arena *arena, struct text raw) {
    char *data = arena_allocate(arena, raw.length + 1);
    size_t length = 0;
    while (raw.length) {
        struct text line = line_of(raw);
        memcpy(data + length, line.data + 1, line.length - 1);
        length += line.length - 1;
        raw = text_skip(raw, line.length);
    }
    if (length && data[length - 1] == '\n') length--; /* it ends the record, not the payload */
    return (struct text){data, length};
}

/* ---- compilations ---- */

static const char *member_text(struct arena *arena, const json_t *record, const char *member) {
    const json_t *value = json_object_get(record, member);
    return json_is_integer(value) ? text_format(arena, "%lld", (long long)json_integer_value(value)) : NULL;
}

/* "0/0", "0/0_1" in the second attempt, "rank 1, 0/0" */
static struct text compilation_name(struct arena *arena, const json_t *record) {
    const char *rank = member_text(arena, record, "rank"), *frame = member_text(arena, record, "frame_id");
    const char *compile = member_text(arena, record, "frame_compile_id"),
               *attempt = member_text(arena, record, "attempt");
    bool again = attempt && strcmp(attempt, "0") != 0;
    return text_of(text_format(arena, "%s%s%s%s/%s%s%s", rank ? "rank " : "", rank ? rank : "", rank ? ", " : "",
                               frame ? frame : "-", compile ? compile : "-", again ? "_" : "", again ? attempt : ""));
}

static struct compilation *find_compilation(struct trace *trace, const json_t *record) {
    struct arena *arena = trace->context->arena;
    struct text name = compilation_name(arena, record);
    void **slot = map_slot_text(trace->compilations, name);
    if (!*slot) {
        struct compilation *compilation = arena_new(arena, struct compilation);
        *compilation = (struct compilation){.name = name, .frame = frame_create(arena), .graph = SIZE_MAX};
        *slot = compilation;
    }
    return *slot;
}

static bool has_stage(const struct file_graph *graph, struct text name) {
    for (size_t i = 0; i < graph->stages.count; i++)
        if (text_equal(graph->stages.items[i].name, name)) return true;
    return false;
}

/* A graph of the file begins when a stage comes for the second time, or an early one after a late one: one frame may be
 * compiled in several pieces. */
static void add_stage(struct trace *trace, struct compilation *compilation, struct stage stage) {
    struct arena *arena = trace->context->arena;
    struct file *file = trace->file;
    bool late = stage.is_aten;
    if (compilation->graph == SIZE_MAX || (!late && compilation->has_aten) ||
        has_stage(&file->graphs.items[compilation->graph], stage.name)) {
        struct file_graph graph = {.name = compilation->name, .frame = compilation->frame};
        compilation->graph = file->graphs.count;
        compilation->has_aten = false;
        vector_push(arena, &file->graphs, graph);
    }
    compilation->has_aten |= late;
    vector_push(arena, &file->graphs.items[compilation->graph].stages, stage);
}

/* ---- records ---- */

static const json_t *artifact_name(const json_t *record) {
    return json_object_get(json_object_get(record, "artifact"), "name");
}

/* The row of a record's stage, NULL when it is none. */
static const struct stage_row *find_row(const json_t *record) {
    const char *artifact = json_string_value(artifact_name(record));
    for (size_t i = 0; i < stage_row_count; i++)
        if (json_object_get(record, stage_rows[i].name) || (artifact && strcmp(artifact, stage_rows[i].name) == 0))
            return &stage_rows[i];
    return NULL;
}

static void take_record(struct trace *trace, const json_t *record, struct text payload) {
    struct arena *arena = trace->context->arena;
    struct compilation *compilation = find_compilation(trace, record);
    for (size_t i = 0; i < fact_row_count; i++) {
        const json_t *fact = json_object_get(record, fact_rows[i].name);
        if (fact) fact_rows[i].add(compilation->frame, fact);
    }
    const struct stage_row *row = find_row(record);
    if (!row || !payload.length) return;
    const char *given = json_string_value(json_object_get(json_object_get(record, "graph_dump"), "name"));
    struct text name = given ? text_copy(arena, text_of(given)) : text_of(row->name);
    if (row == stage_rows) frame_set_inputs(compilation->frame, trace_payload(arena, payload));
    add_stage(trace, compilation, (struct stage){name, payload, row->is_graph, row->is_aten});
}

/* Whether the first member of the object is one that counts: the rest of a log is many times larger. */
static bool is_wanted(struct text record) {
    const char *close = memchr(record.data + 2, '"', record.length - 2);
    struct text key = {record.data + 2, close ? (size_t)(close - record.data) - 2 : 0};
    if (!close || text_is(key, "artifact")) return true;
    for (size_t i = 0; i < stage_row_count; i++)
        if (text_is(key, stage_rows[i].name)) return true;
    for (size_t i = 0; i < fact_row_count; i++)
        if (text_is(key, fact_rows[i].name)) return true;
    return false;
}

static void drop_record(void *holder) {
    json_t **json = holder;
    json_decref(*json);
    *json = NULL;
}

static regraft_status read_record(struct trace *trace, struct text record, struct text payload) {
    struct position position = {&trace->file->source, (size_t)(record.data - trace->file->source.contents.data), 0};
    json_error_t error;
    *trace->json = json_loadb(record.data, record.length, 0, &error);
    if (!*trace->json) {
        if (json_lacked_memory(&error)) arena_exhausted(trace->context->arena);
        return fail(&trace->context->diagnostics, REGRAFT_REJECTED, position,
                    "the JSON of a trace record is malformed: %s", error.text);
    }
    take_record(trace, *trace->json, payload);
    drop_record(trace->json);
    return REGRAFT_OK;
}

regraft_status trace_read(struct context *context, struct file *file) {
    struct trace trace = {context, file, map_create(context->arena), arena_new(context->arena, json_t *)};
    arena_defer(context->arena, drop_record, trace.json);
    for (struct text rest = file->source.contents; rest.length;) {
        struct text line = line_of(rest), record = record_of(line);
        rest = text_skip(rest, line.length);
        if (!record.length) continue;
        struct text payload = payload_of(rest);
        if (is_wanted(record)) TRY(read_record(&trace, record, payload));
        rest = text_skip(rest, payload.length);
    }
    if (file->graphs.count) return REGRAFT_OK;
    return fail(&context->diagnostics, REGRAFT_REJECTED, (struct position){&file->source, 0, 0},
                "the trace log has no graphs; expected records such as dynamo_output_graph or aot_inference_graph");
}
