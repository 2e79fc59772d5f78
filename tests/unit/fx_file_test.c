/* Files: gzip, what loggers put around a text, several modules in one file, trace logs; and failing allocations. */
#include <stdlib.h>

#include "fx_support.h"

/* ---- text files ---- */

static const unsigned char compressed[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0x4b, 0x49, 0x4d, 0x53, 0x48, 0xcb, 0x2f, 0x2a,
    0x4f, 0x2c, 0x4a, 0xd1, 0x28, 0x4e, 0xcd, 0x49, 0xd3, 0x51, 0xa8, 0xd0, 0xb4, 0xe2, 0x52, 0x00, 0x82, 0xa2,
    0xd4, 0x92, 0xd2, 0xa2, 0x3c, 0x85, 0x0a, 0x2e, 0x00, 0x0c, 0x39, 0xa4, 0x2e, 0x23, 0x00, 0x00, 0x00};

static const char plain[] = "def forward(self, x):\n    return x\n";

static void test_gzip(void **state) {
    struct context *context = context_of(state);
    struct text bytes = {(const char *)compressed, sizeof compressed};
    struct file *file = read_file(context, bytes);
    assert_true(text_is(file->source.contents, plain));
    char *twice = arena_allocate(context->arena, 2 * bytes.length);
    memcpy(twice, bytes.data, bytes.length);
    memcpy(twice + bytes.length, bytes.data, bytes.length);
    assert_int_equal(read_file(context, (struct text){twice, 2 * bytes.length})->graphs.count, 2);
    for (size_t length = 3; length < bytes.length; length++) {
        assert_message(context, file_read_memory(context, "t.gz", (struct text){bytes.data, length}, &file),
                       REGRAFT_REJECTED, "t.gz:1:1: error: the gzip data is cut off; expected a whole file\n  \n  ^\n");
    }
    memset(twice + 12, 0xff, 8);
    assert_int_equal(file_read_memory(context, "t.gz", (struct text){twice, bytes.length}, &file), REGRAFT_REJECTED);
    assert_non_null(strstr(context->diagnostics.message, "the gzip data is damaged"));
}

static void test_logger_output(void **state) {
    struct context *context = context_of(state);
    const char *prefix = "V0909 19:04:24.654000 712449 torch/fx/x.py:2185] [0/0] [__post_grad_graphs]";
    const char *text =
        text_format(context->arena,
                    "\xef\xbb\xbf[rank0]:%s TRACED GRAPH\r\n"
                    "[rank0]:%s  ===== AFTER POST GRAD =====\r\n"
                    "[rank0]:%s  /lib/lazy.py class <lambda>(torch.nn.Module):\r\n"
                    "[rank0]:%s     def forward(self, \x1b[31mx\x1b[0m: \"\x1b[1;34mf32\x1b[0m[4]\"):\r\n"
                    "[rank0]:%s         a = x + q\r\n"
                    "[rank0]:%s         return (a,)\r\n"
                    "[rank0]:%s\r\n",
                    prefix, prefix, prefix, prefix, prefix, prefix, prefix);
    assert_rejected(context, text,
                    "t.txt:5:17: error: 'q' is not defined; expected a parameter or the result of a statement above\n  "
                    "        a = x + q\n                  ^\n");
}

static void test_clean_text(void **state) {
    struct context *context = context_of(state);
    const char *text = "V0909 19:04:24.654000 712449 torch/fx/x.py:2185] [0/0] [__graph] TRACED GRAPH\n"
                       "V0909 19:04:24.654000 712449 torch/fx/x.py:2185] [0/0] [__graph]  x.py class "
                       "\x1b[1mM\x1b[0m(torch.nn.Module):\n"
                       "V0909 19:04:24.654000 712449 torch/fx/x.py:2185] [0/0] [__graph]     def forward(self, x):\n"
                       "V0909 19:04:24.654000 712449 torch/fx/x.py:2185] [0/0] [__graph]         return x\n"
                       "V0909 19:04:24.654000 712449 torch/fx/x.py:2185] [0/0] [__graph] \n";
    assert_string_equal(
        print(read_text(context, text)),
        "TRACED GRAPH\n x.py class M(torch.nn.Module):\n    def forward(self, x):\n        return x\n\n");
    assert_string_equal(print(read_text(context, "def forward(self, x):\r\n    return x\r\n")), plain);
}

static void test_modules(void **state) {
    struct context *context = context_of(state);
    static const char text[] =
        "import torch\n\n"
        "class A(torch.nn.Module):\n    def forward(self, x):\n        return x\n\n"
        "    class inner(torch.nn.Module):\n        def forward(self, x):\n            return x\n\n"
        " ===== NEXT =====\n\n"
        "class <lambda>(torch.nn.Module):\n    def forward(self, y):\n        z = y + 1\n        return z\n"
        "# end\n";
    struct file *file = read_file(context, text_of(text));
    struct builder all;
    builder_init(&all, context->arena);
    assert_int_equal(file->graphs.count, 2);
    assert_true(text_is(file->graphs.items[0].name, "A"));
    assert_true(text_is(file->graphs.items[1].name, "<lambda>"));
    for (int i = 0; i < 2; i++) {
        struct graph *graph;
        assert_int_equal(file_graph(context, file, i, NULL, &graph), REGRAFT_OK);
        assert_int_equal(graph->node_count, 2 + i);
        graph_print(graph, &all);
    }
    assert_string_equal(all.data, text);
}

/* ---- trace logs ---- */

#define RECORD(file, json)  "V1122 03:04:42.538000 403 torch/" file ".py:1] " json "\n"
#define FRAME(frame)        "\"frame_id\": " frame ", \"frame_compile_id\": 0, \"attempt\": 0"
#define TYPED(stage, frame) RECORD("x", "{\"" stage "\": {}, " FRAME(frame) ", \"has_payload\": \"0\"}")
#define ARTIFACT(stage, frame)                                                                                         \
    RECORD("x", "{\"artifact\": {\"name\": \"" stage                                                                   \
                "\", \"encoding\": \"string\"}, " FRAME(frame) ", \"has_payload\": \"0\"}")
#define DUMP(name)                                                                                                     \
    RECORD("x", "{\"graph_dump\": {\"name\": \"" name "\"}, \"rank\": 1, " FRAME("0") ", \"has_payload\": \"0\"}")
#define MODULE(parameters, body) "\tclass M(torch.nn.Module):\n\t    def forward(self" parameters "):\n" body "\t\n"
#define PURE                                                                                                           \
    MODULE(", arg0_1: \"f32[s3, 4][4, 1]cpu\", arg1_1: \"f32[4][1]cpu\"",                                              \
           "\t        a = torch.ops.aten.neg.default(arg0_1)\n\t        c = torch.ops.aten.copy_.default(arg1_1, "     \
           "a)\n\t        return (a,)\n")
#define WRITES                                                                                                         \
    MODULE(", arg0_1: \"f32[s3, 4][4, 1]cpu\", arg1_1: \"f32[4][1]cpu\"",                                              \
           "\t        a = torch.ops.aten.add_.Tensor(arg0_1, 1)\n\t        return (a,)\n")

static const char log_text[] = "some other line\n" RECORD("a", "{\"dynamo_start\": {\"broken\": }") RECORD(
    "b",
    "{\"describe_storage\": {\"id\": 0}, " FRAME(
        "0") "}") RECORD("c",
                         "{\"describe_tensor\": {\"id\": 1, \"describer_id\": 7, \"size\": [5, 4], \"stride\": [4, 1], "
                         "\"storage\": 3}, " FRAME("0") "}")
    RECORD("d",
           "{\"describe_source\": {\"id\": 1, \"describer_id\": 7, \"source\": \"L['x']\"}, " FRAME(
               "0") "}") RECORD("e",
                                "{\"create_symbol\": {\"symbol\": \"s3\", \"val\": \"5\", \"vr\": \"[2, 64]\"}, " FRAME(
                                    "0") "}")
        RECORD("f", "{\"describe_tensor\": {\"id\": 2, \"describer_id\": 7, \"size\": [4], \"stride\": [1], "
                    "\"storage\": 3, \"storage_offset\": 8}, " FRAME("0") "}")
            RECORD(
                "g",
                "{\"describe_source\": {\"id\": 2, \"describer_id\": 7, \"source\": \"L['s']._buffers['w']\"}, " FRAME(
                    "0") "}") TYPED("dynamo_output_graph", "0")
                MODULE(", L_x_: \"f32[s3, 4][4, 1]cpu\", L_s_buffers_w_: \"f32[4][1]cpu\"",
                       "\t        return (L_x_,)\n")
                    ARTIFACT("aot_forward_graph_fw_metadata", "0") "\tsomething\n" TYPED(
                        "aot_inference_graph", "0") "\tbroken\n" ARTIFACT("before_post_grad_graph", "0")
                        PURE ARTIFACT("inductor_post_grad_graph", "0") WRITES TYPED(
                            "inductor_output_code", "0") "\tdef call(args):\n" ARTIFACT("before_post_grad_graph", "0")
                            PURE                                                   /* the stage again: a second graph */
                                TYPED("inductor_post_grad_graph", "1") WRITES      /* another frame: a third */
                                    ARTIFACT("inductor_post_grad_graph", "0") PURE /* of the second again */
                                        DUMP("submod_0") PURE DUMP("submod_1") PURE ARTIFACT("after_joint_graph", "0")
                                            PURE;

static const char *stages_of(struct context *context, const struct file_graph *graph) {
    struct builder out;
    builder_init(&out, context->arena);
    builder_format(&out, "%.*s:", TEXT_ARGS(graph->name));
    for (size_t i = 0; i < graph->stages.count; i++)
        builder_format(&out, " %.*s", TEXT_ARGS(graph->stages.items[i].name));
    return out.data;
}

static void test_log_graphs(void **state) {
    struct context *context = context_of(state);
    struct file *file = read_file(context, text_of(log_text));
    static const char *const expected[] = {
        ("0/0: dynamo_output_graph aot_inference_graph before_post_grad_graph inductor_post_grad_graph "
         "inductor_output_code"),
        "0/0: before_post_grad_graph inductor_post_grad_graph after_joint_graph",
        "1/0: inductor_post_grad_graph",
        "rank 1, 0/0: submod_0 submod_1",
    };
    assert_int_equal(file->kind, file_log);
    assert_int_equal(file->graphs.count, 4);
    for (size_t i = 0; i < 4; i++) assert_string_equal(stages_of(context, &file->graphs.items[i]), expected[i]);
}

static const char *default_stage(struct context *context, struct file *file, int index) {
    struct graph *graph;
    if (file_graph(context, file, index, NULL, &graph) != REGRAFT_OK) fail_msg("%s", context->diagnostics.message);
    return graph->source->name;
}

static void test_log_stages(void **state) {
    struct context *context = context_of(state);
    struct file *file = read_file(context, text_of(log_text));
    struct graph *graph;
    assert_string_equal(default_stage(context, file, -1), "t.txt[graph 0, before_post_grad_graph]");
    assert_string_equal(default_stage(context, file, 1), "t.txt[graph 1, after_joint_graph]");
    assert_string_equal(default_stage(context, file, 2),
                        "t.txt[graph 2, inductor_post_grad_graph]"); /* there is no other */
    assert_string_equal(default_stage(context, file, 3), "t.txt[graph 3, submod_1]");
    assert_int_equal(file_graph(context, file, 0, "before_post_grad_graph", &graph), REGRAFT_OK);
    assert_string_equal(print(graph),
                        "class M(torch.nn.Module):\n"
                        "    def forward(self, arg0_1: \"f32[s3, 4][4, 1]cpu\", arg1_1: \"f32[4][1]cpu\"):\n"
                        "        a = torch.ops.aten.neg.default(arg0_1)\n"
                        "        c = torch.ops.aten.copy_.default(arg1_1, a)\n"
                        "        return (a,)\n");
    assert_message(context, file_graph(context, file, 0, "aot_inference_graph", &graph), REGRAFT_REJECTED,
                   "t.txt[graph 0, aot_inference_graph]:1:1: error: expected 'class NAME(torch.nn.Module):' or "
                   "'def forward(...):', found 'broken'\n  broken\n  ^~~~~~\n");
    assert_message(
        context, file_graph(context, file, 0, "inductor_output_code", &graph), REGRAFT_USAGE,
        "regraft: error: graph 0 of 't.txt' has no stage 'inductor_output_code'; it has dynamo_output_graph, "
        "aot_inference_graph, before_post_grad_graph, inductor_post_grad_graph\n");
}

static void test_log_facts(void **state) {
    struct context *context = context_of(state);
    struct symbols *symbols = context->symbols;
    struct file *file = read_file(context, text_of(log_text));
    struct graph *graph;
    symint s3 = symint_symbol(symbols, TEXT("s3"));
    assert_int_equal(symint_less_equal(symbols, s3, symint_constant(symbols, 64)), answer_unknown);
    assert_int_equal(file_graph(context, file, 0, NULL, &graph), REGRAFT_OK);
    assert_int_equal(symint_less_equal(symbols, s3, symint_constant(symbols, 64)), answer_yes);
    assert_int_equal(symint_less(symbols, s3, symint_constant(symbols, 2)), answer_no);
    assert_non_null(graph->input_memory);
    assert_int_equal(graph->input_memory[0].storage, 3);
    assert_int_equal(graph->input_memory[1].storage, 3);
    assert_true(symint_is(graph->input_memory[0].offset, 0));
    assert_true(symint_is(graph->input_memory[1].offset, 8));
    assert_int_equal(file_graph(context, file, 2, NULL, &graph), REGRAFT_OK); /* of a frame without descriptions */
    assert_null(graph->input_memory);
}

static void test_bad_logs(void **state) {
    struct context *context = context_of(state);
    assert_rejected(context, RECORD("x", "{\"dynamo_start\": {}}"),
                    "t.txt:1:1: error: the trace log has no graphs; expected records such as dynamo_output_graph or "
                    "aot_inference_graph\n"
                    "  V1122 03:04:42.538000 403 torch/x.py:1] {\"dynamo_start\": {}}\n  ^\n");
    struct file *file;
    const char *cut = "V1122 03:04:42.538000 403 torch/x.py:1] {\"aot_inference_graph\": {}, \"fra";
    assert_int_equal(file_read_memory(context, "t.txt", text_of(cut), &file), REGRAFT_REJECTED);
    assert_true(text_starts_with(text_of(context->diagnostics.message),
                                 "t.txt:1:41: error: the JSON of a trace record is malformed: "));
}

/* ---- failing allocations ---- */

struct counter {
    long left; /* allocations that succeed */
    long live;
};

static void *count_allocation(void *user, size_t size) {
    struct counter *counter = user;
    if (counter->left-- <= 0) return NULL;
    counter->live++;
    return malloc(size);
}

static void count_release(void *user, void *memory, size_t size) {
    struct counter *counter = user;
    (void)size;
    counter->live--;
    free(memory);
}

static regraft_status read_everything(struct context *context, struct text bytes) {
    struct file *file;
    struct graph *graph;
    diagnostics_init(&context->diagnostics, context->arena);
    context->symbols = symbols_create(context->arena);
    TRY(operations_create(context->arena, &context->diagnostics, &context->operations));
    TRY(file_read_memory(context, "t", bytes, &file));
    TRY(file_graph(context, file, -1, NULL, &graph));
    print(graph);
    return REGRAFT_OK;
}

/* Reads with only so many allocations. */
static regraft_status read_within(long allocations, struct text bytes) {
    struct counter counter = {.left = allocations};
    regraft_allocator allocator = {count_allocation, count_release, &counter};
    struct context context = {.arena = arena_create(&allocator)};
    struct arena_guard guard;
    volatile regraft_status status = REGRAFT_NO_MEMORY;
    if (context.arena && !arena_guarded(context.arena, &guard)) {
        status = read_everything(&context, bytes);
        arena_unguard(context.arena, &guard);
    }
    arena_destroy(context.arena);
    assert_int_equal(counter.live, 0);
    return status;
}

static void test_failing_allocations(void **state) {
    (void)state;
    const struct text texts[] = {text_of(log_text), {(const char *)compressed, sizeof compressed}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        long allocations = 0;
        while (read_within(allocations, texts[i]) == REGRAFT_NO_MEMORY) assert_true(++allocations < 10000);
        assert_int_equal(read_within(allocations, texts[i]), REGRAFT_OK);
        assert_true(allocations > 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FX_TEST(test_gzip),      FX_TEST(test_logger_output), FX_TEST(test_clean_text),
        FX_TEST(test_modules),   FX_TEST(test_log_graphs),    FX_TEST(test_log_stages),
        FX_TEST(test_log_facts), FX_TEST(test_bad_logs),      cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
