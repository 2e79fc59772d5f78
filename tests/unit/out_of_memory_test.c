/* Failing allocations (docs/memory.md, "Out of memory"): every one of them in turn, once or from then on, over all that
 * the public interface does and over the interpreter. Each time the call that needed it has to say so, the context can
 * be destroyed, and no byte is left.
 *
 * Three levels fail. The blocks of the arena, as a caller's allocator sees them; there are few. Every single object
 * that is cut from them: the linker puts the three functions at the bottom of this file before the arena's
 * (unit.cmake). And what jansson allocates, which goes through the same counted allocator. */
#include <jansson.h>
#include <limits.h>
#include <stdalign.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "fx/fx.h"
#include "interp/interpreter.h"
#include "regraft/live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* ---- what fails ---- */

enum level { level_blocks, level_objects, level_jansson, level_count };

/* The one `left` allocations from now fails; with `onwards` all behind it too. */
static struct {
    enum level level;
    long left;
    bool armed, onwards;
    long failures; /* so far */
    long bytes;    /* outstanding */
} fault;

static bool fails(enum level level) {
    if (!fault.armed || fault.level != level || fault.left-- > 0) return false;
    if (fault.failures && !fault.onwards) return false;
    fault.failures++;
    return true;
}

/* Remembers the size in front of the bytes. */
static void *counted_malloc(size_t size) {
    char *memory = malloc(size + alignof(max_align_t));
    assert_non_null(memory);
    memcpy(memory, &size, sizeof size);
    fault.bytes += (long)size;
    return memory + alignof(max_align_t);
}

static size_t counted_size(const void *memory) {
    size_t size;
    memcpy(&size, (const char *)memory - alignof(max_align_t), sizeof size);
    return size;
}

static void counted_free(void *memory) {
    if (!memory) return;
    fault.bytes -= (long)counted_size(memory);
    free((char *)memory - alignof(max_align_t));
}

static void *allocate_block(void *user, size_t size) {
    assert_ptr_equal(user, &fault);
    return fails(level_blocks) ? NULL : counted_malloc(size);
}

static void release_block(void *user, void *memory, size_t size) {
    assert_ptr_equal(user, &fault);
    assert_int_equal(size, counted_size(memory));
    counted_free(memory);
}

static const regraft_allocator allocator = {allocate_block, release_block, &fault};

static void *allocate_json(size_t size) { return fails(level_jansson) ? NULL : counted_malloc(size); }

/* ---- what is read ---- */

#define SIGNATURE                                                                                                      \
    "class M(torch.nn.Module):\n"                                                                                      \
    "    def forward(self, arg0_1: \"Sym(s0)\", arg1_1: \"f32[s0, 8][8, 1]cpu\", arg2_1: \"f32[4, 2][2, 1]cpu\", "     \
    "arg3_1: \"i64[s0][1]cpu\"):\n"                                                                                    \
    "        # File: m.py:3 in forward, code: rotary_embedding(positions, q, k)\n"
#define RESULTS(scale)                                                                                                 \
    "        split = torch.ops.aten.split_with_sizes.default(base, [4, 2, 2], -1)\n"                                   \
    "        q: \"f32[s0, 4][8, 1]cpu\" = split[0]\n"                                                                  \
    "        v: \"f32[s0, 2][8, 1]cpu\" = split[2];  split = None\n"                                                   \
    "        add: \"f32[s0, 4][4, 1]cpu\" = torch.ops.aten.add.Tensor(q, 1);  q = None\n"                              \
    "        scaled: \"f32[s0, 2][2, 1]cpu\" = torch.ops." scale "(v, 2.0);  v = None\n"                               \
    "        return (add, scaled)\n"

static const char first_encoding[] = SIGNATURE
    "        split_1 = torch.ops.aten.split_with_sizes.default(arg1_1, [4, 2, 2], -1)\n"
    "        q_1: \"f32[s0, 4][8, 1]cpu\" = split_1[0]\n"
    "        k_1: \"f32[s0, 2][8, 1]cpu\" = split_1[1];  split_1 = None\n"
    "        call = torch.ops.higher_order.auto_functionalized(torch.ops._C.rotary_embedding.default, positions = "
    "arg3_1, "
    "query = q_1, key = k_1, head_size = 2, cos_sin_cache = arg2_1, is_neox = True)\n"
    "        new_q: \"f32[s0, 4][8, 1]cpu\" = call[1]\n"
    "        new_k: \"f32[s0, 2][8, 1]cpu\" = call[2];  call = None\n"
    "        part: \"f32[s0, 8][8, 1]cpu\" = torch.ops.aten.slice_scatter.default(arg1_1, new_q, 1, 0, 4)\n"
    "        base: \"f32[s0, 8][8, 1]cpu\" = torch.ops.aten.slice_scatter.default(part, new_k, 1, 4, 6)\n" RESULTS(
        "vendor.scale.default");

#define SECOND_CALL                                                                                                    \
    "        call = torch.ops.higher_order.auto_functionalized_v2(torch.ops._C.rotary_embedding.default, positions = " \
    "arg3_1, "                                                                                                         \
    "head_size = 2, cos_sin_cache = arg2_1, is_neox = True, _query_base_index = 0, _query_slice_dim = 1, "             \
    "_query_slice_start = 0, _query_slice_end = 4, _key_base_index = 0, _key_slice_dim = 1, _key_slice_start = 4, "    \
    "_key_slice_end = 6, _all_bases = [arg1_1])\n"                                                                     \
    "        base: \"f32[s0, 8][8, 1]cpu\" = call[1];  call = None\n"

static const char second_encoding[] = SIGNATURE SECOND_CALL RESULTS("vendor.scale.default");
static const char runnable[] = SIGNATURE SECOND_CALL RESULTS("aten.mul.Tensor");

#define RECORD(json) "V1122 03:04:42.538000 403 torch/x.py:1] " json "\n"
#define FRAME        "\"frame_id\": 0, \"frame_compile_id\": 0, \"attempt\": 0"
static const char trace_log[] =
    RECORD("{\"create_symbol\": {\"symbol\": \"s3\", \"val\": \"5\", \"vr\": \"[2, 64]\"}, " FRAME "}") RECORD(
        "{\"describe_tensor\": {\"id\": 1, \"describer_id\": 7, \"size\": [5, 4], \"stride\": [4, 1], \"storage\": "
        "3}, " FRAME "}")
        RECORD("{\"describe_source\": {\"id\": 1, \"describer_id\": 7, \"source\": \"L['x']\"}, " FRAME "}")
            RECORD("{\"dynamo_output_graph\": {}, " FRAME
                   ", \"has_payload\": \"0\"}") "\tclass M(torch.nn.Module):\n\t    def forward(self, "
                                                "L_x_: \"f32[s3, 4][4, 1]cpu\"):\n\t        return "
                                                "(L_x_,)\n\t\n" RECORD("{\"artifact\": {\"name\": "
                                                                       "\"before_post_grad_graph\"},"
                                                                       " " FRAME ", \"has_payload\": "
                                                                       "\"0\"}") "\tclass "
                                                                                 "M(torch.nn."
                                                                                 "Module):\n\t  "
                                                                                 "  def "
                                                                                 "forward(self, "
                                                                                 "arg0_1: "
                                                                                 "\"f32[s3, "
                                                                                 "4][4, "
                                                                                 "1]cpu\"):\n"
                                                                                 "\t        a = "
                                                                                 "torch.ops."
                                                                                 "aten.neg."
                                                                                 "default(arg0_"
                                                                                 "1)\n\t        "
                                                                                 "return "
                                                                                 "(a,)\n\t\n";

static const char schema[] = "vendor::scale(Tensor x, float factor) -> Tensor\n";
static const char bad_text[] = "def forward(self, x):\n    return y\n";

/* A gzip file of a text, made once. */
static struct text gzip(const char *text, unsigned char *buffer, size_t capacity) {
    z_stream stream = {.next_in = (unsigned char *)(uintptr_t)text,
                       .avail_in = (unsigned)strlen(text),
                       .next_out = buffer,
                       .avail_out = (unsigned)capacity};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t length = stream.total_out;
    deflateEnd(&stream);
    return (struct text){(const char *)buffer, length};
}

/* ---- all that a user does ---- */

/* Goes on while nothing failed; any other status than REGRAFT_OK has to be the lack of memory. */
static bool good(regraft_context *context, regraft_status status) {
    if (status == REGRAFT_OK) return true;
    /* A lexer of JSON that is short of memory may also say that the text is malformed. */
    bool blamed = fault.level == level_jansson && status == REGRAFT_REJECTED;
    if (!blamed) {
        if (status != REGRAFT_NO_MEMORY) fail_msg("status %d: %s", (int)status, regraft_message(context));
        assert_string_equal(regraft_message(context), "regraft: error: out of memory\n");
    }
    assert_true(fault.failures > 0);
    assert_true(*regraft_message(context));
    return false;
}

static bool print(regraft_context *context, regraft_graph *graph) {
    return regraft_graph_print(graph) || good(context, REGRAFT_NO_MEMORY);
}

/* Strings that could not be made are empty. */
static void walk(regraft_graph *graph) {
    for (size_t i = 0; i < regraft_graph_remark_count(graph); i++) {
        regraft_remark remark = regraft_graph_remark(graph, i);
        assert_true(remark.node && remark.source && remark.text && (*remark.node || fault.failures));
    }
    for (const regraft_node *node = regraft_graph_first(graph); node; node = regraft_node_next(node))
        assert_true(regraft_node_target(node) && (*regraft_node_name(node) || fault.failures));
}

/* Prints after each pass: one entry point inside another. */
static regraft_status print_inside(void *user, regraft_graph *graph, const char *pass, int after, double seconds) {
    (void)pass;
    (void)seconds;
    if (after && !regraft_graph_print(graph)) *(bool *)user = true;
    return REGRAFT_OK;
}

static bool transform(regraft_context *context, const char *name, struct text bytes) {
    regraft_graph *graph;
    bool missing = false;
    regraft_run_options options = REGRAFT_RUN_OPTIONS_INIT;
    options.observe = print_inside;
    options.user = &missing;
    if (!good(context, regraft_graph_read_memory(context, name, bytes.data, bytes.length, NULL, &graph))) return false;
    if (!good(context, regraft_graph_run(graph, NULL, &options)) || missing) return false;
    if (!good(context, regraft_graph_verify(graph)) || !print(context, graph)) return false;
    walk(graph);
    return fault.failures == 0;
}

static bool read_bad_text(regraft_context *context) {
    regraft_graph *graph;
    regraft_status status = regraft_graph_read_memory(context, "bad.txt", bad_text, strlen(bad_text), NULL, &graph);
    assert_true(status != REGRAFT_OK);
    assert_null(graph);
    return status == REGRAFT_REJECTED || good(context, status);
}

static void use_everything(regraft_context *context, const char *path) {
    static unsigned char buffer[4096];
    regraft_graph *graph;
    fault.armed = false;
    struct text compressed = gzip(trace_log, buffer, sizeof buffer);
    fault.armed = true;
    bool ready = good(context, regraft_operations_add(context, "ops.txt", schema, strlen(schema))) &&
                 transform(context, "v1.txt", text_of(first_encoding)) &&
                 transform(context, "v2.txt", text_of(second_encoding)) &&
                 transform(context, "log.txt", text_of(trace_log)) && transform(context, "log.gz", compressed) &&
                 read_bad_text(context) && good(context, regraft_graph_read(context, path, NULL, &graph)) &&
                 print(context, graph);
    assert_int_equal(ready, fault.failures == 0);
}

static void bind_integers(struct bindings *bindings, const char *name, enum dtype dtype, struct shape shape) {
    struct tensor tensor = tensor_create(bindings->tensors.arena, dtype, &shape, NULL);
    for (int64_t i = 0; i < tensor_count(&tensor); i++) tensor_set_real(&tensor, i, (double)(i % 4));
    tensor_set_put(&bindings->tensors, text_of(name), &tensor);
}

/* Reads the metadata of bindings (jansson), binds tensors, runs. */
static regraft_status bind_and_run(struct graph *graph) {
    struct arena *arena = arena_child(graph->arena);
    struct tensor_set set;
    struct bindings bindings;
    struct outcome outcome;
    tensor_set_init(&set, arena);
    vector_push(arena, &set.metadata, (struct named_text){TEXT("symints"), TEXT("{\"arg0_1\": 3}")});
    TRY(bindings_from_set(&bindings, &graph->context->diagnostics, "inputs", &set));
    bind_integers(&bindings, "arg1_1", dtype_f32, (struct shape){2, {3, 8}});
    bind_integers(&bindings, "arg2_1", dtype_f32, (struct shape){2, {4, 2}});
    bind_integers(&bindings, "arg3_1", dtype_i64, (struct shape){1, {3}});
    TRY(interpret(graph, &bindings, arena, &outcome));
    arena_destroy(arena);
    return REGRAFT_OK;
}

/* As a public entry point would. */
static regraft_status run_guarded(struct graph *graph) {
    struct arena_guard guard;
    if (arena_guarded(graph->arena, &guard)) {
        graph->context->diagnostics.message = "regraft: error: out of memory\n";
        return REGRAFT_NO_MEMORY;
    }
    regraft_status status = bind_and_run(graph);
    arena_unguard(graph->arena, &guard);
    return status;
}

static void use_interpreter(regraft_context *context, const char *path) {
    regraft_graph *graph;
    (void)path;
    bool ready =
        good(context, regraft_graph_read_memory(context, "run.txt", runnable, strlen(runnable), NULL, &graph)) &&
        good(context, run_guarded((struct graph *)graph));
    assert_int_equal(ready, fault.failures == 0);
}

/* y = neg(x); h = auto_functionalized(silu_and_mul, result = y, input = x); return h[1] */
static const char live_texts[] = "x\0y\0h\0g\0output\0aten.neg.default\0higher_order.auto_functionalized\0"
                                 "_C.silu_and_mul.default\0result\0input";

static regraft_status build_live(regraft_live *live, int64_t type, regraft_graph **graph) {
    const regraft_live_node nodes[] = {
        {REGRAFT_NODE_PLACEHOLDER, 0, 0, type, -1, 0, 0, 0, 0, 0},
        {REGRAFT_NODE_CALL, 1, 5, type, 0, -1, 0, 0, 1, 1},
        {REGRAFT_NODE_CALL, 2, 6, REGRAFT_TYPE_UNKNOWN, 0, -1, 0, 1, 3, 3},
        {REGRAFT_NODE_GETITEM, 3, 3, type, -1, -1, 0, 4, 2, 2},
        {REGRAFT_NODE_OUTPUT, 4, 4, REGRAFT_TYPE_UNKNOWN, -1, -1, 0, 6, 1, 1},
    };
    const regraft_value values[] = {
        {REGRAFT_VALUE_NODE, -1, 0}, {REGRAFT_VALUE_OPERATOR, -1, 7}, {REGRAFT_VALUE_NODE, 8, 1},
        {REGRAFT_VALUE_NODE, 9, 0},  {REGRAFT_VALUE_NODE, -1, 2},     {REGRAFT_VALUE_INTEGER, -1, 1},
        {REGRAFT_VALUE_NODE, -1, 3},
    };
    return regraft_live_graph(live, nodes, 5, values, sizeof values / sizeof *values, graph);
}

static void use_live(regraft_context *context, const char *path) {
    static const char declared[] = "_C::silu_and_mul(Tensor($0! -> ) result, Tensor input) -> ()";
    regraft_live *live = NULL;
    regraft_graph *before, *after;
    regraft_proof proof;
    regraft_edits edits;
    int64_t number, type;
    (void)path;
    bool ready = good(context, regraft_live_create(context, &live)) &&
                 good(context, regraft_live_strings(live, live_texts, sizeof live_texts, &number)) &&
                 good(context, regraft_live_expression(live, "2*s0", 4, &number)) &&
                 good(context, regraft_live_tensor(live, "float32", "cpu", 2, (int64_t[]){4, ~number},
                                                   (int64_t[]){~number, 1}, &type)) &&
                 good(context, regraft_live_operation(live, declared, strlen(declared), 0)) &&
                 good(context, regraft_live_keep_copies(live, "_C.silu_and_mul.default", "why")) &&
                 good(context, build_live(live, type, &before)) && good(context, build_live(live, type, &after)) &&
                 good(context, regraft_graph_run(after, "noop-elim,cse,place,dce", NULL)) &&
                 good(context, regraft_live_prove(before, after, &proof)) &&
                 good(context, regraft_live_edits(live, after, &edits)) &&
                 (regraft_live_expression_text(live, number) || good(context, REGRAFT_NO_MEMORY));
    assert_int_equal(ready, fault.failures == 0);
    if (ready) assert_true(proof.proved && edits.node_count > 4);
}

/* ---- in turn ---- */

typedef void usage(regraft_context *context, const char *path);

/* Everything with a failure `left` allocations from the start; how many allocations it took, or -1 when one failed. */
static long attempt(usage *use, const char *path, enum level level, long left, bool onwards) {
    regraft_context *context;
    fault.level = level;
    fault.left = left;
    fault.onwards = onwards;
    fault.failures = 0;
    fault.armed = true;
    if (regraft_context_create(&allocator, &context) == REGRAFT_OK)
        use(context, path);
    else
        assert_true(fault.failures > 0 && !context);
    fault.armed = false;
    regraft_context_destroy(context);
    assert_int_equal(fault.bytes, 0);
    return fault.failures ? -1 : left - fault.left;
}

static long count_creation(enum level level) {
    regraft_context *context;
    fault.level = level;
    fault.left = LONG_MAX;
    fault.armed = true;
    assert_int_equal(regraft_context_create(&allocator, &context), REGRAFT_OK);
    fault.armed = false;
    regraft_context_destroy(context);
    return LONG_MAX - fault.left;
}

static void fail_in_turn(usage *use, const char *path) {
    for (int level = 0; level < level_count; level++) {
        long count = attempt(use, path, (enum level)level, LONG_MAX, false),
             created = count_creation((enum level)level);
        print_message("level %d: %ld allocations, %ld of them for a context\n", level, count, created);
        assert_true(count > created || use == use_live);                     /* which reads no JSON */
        for (long i = use == use_everything ? 0 : created; i < count; i++) { /* a context fails as before */
            assert_int_equal(attempt(use, path, (enum level)level, i, false), -1);
            assert_int_equal(attempt(use, path, (enum level)level, i, true), -1);
        }
        assert_int_equal(attempt(use, path, (enum level)level, count, true), count);
    }
}

static void everything(void **state) { fail_in_turn(use_everything, *state); }
static void live_graphs(void **state) { fail_in_turn(use_live, *state); }
static void interpreter(void **state) { fail_in_turn(use_interpreter, *state); }

/* ---- below the arena ---- */

void *__real_arena_allocate(struct arena *arena, size_t size);
void *__real_arena_zeroed(struct arena *arena, size_t count, size_t size);
void *__real_arena_copy(struct arena *arena, const void *bytes, size_t size);
void *__wrap_arena_allocate(struct arena *arena, size_t size);
void *__wrap_arena_zeroed(struct arena *arena, size_t count, size_t size);
void *__wrap_arena_copy(struct arena *arena, const void *bytes, size_t size);

void *__wrap_arena_allocate(struct arena *arena, size_t size) {
    if (fails(level_objects)) arena_exhausted(arena);
    return __real_arena_allocate(arena, size);
}

void *__wrap_arena_zeroed(struct arena *arena, size_t count, size_t size) {
    if (fails(level_objects)) arena_exhausted(arena);
    return __real_arena_zeroed(arena, count, size);
}

void *__wrap_arena_copy(struct arena *arena, const void *bytes, size_t size) {
    if (fails(level_objects)) arena_exhausted(arena);
    return __real_arena_copy(arena, bytes, size);
}

int main(void) {
    char path[] = "/tmp/regraft-out-of-memory-XXXXXX";
    int file = mkstemp(path);
    if (file < 0 || write(file, second_encoding, strlen(second_encoding)) < 0) return 1;
    close(file);
    json_set_alloc_funcs(allocate_json, counted_free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(everything, path),
        cmocka_unit_test_prestate(interpreter, path),
        cmocka_unit_test_prestate(live_graphs, path),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
