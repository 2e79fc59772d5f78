/* Parts of the tool that its own commands cannot show: no pass fails on purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <unistd.h>

#include "pass/pass.h"
#include "tool/opt.h" /* before cmocka, which has a macro `fail` */

#include <cmocka.h>

static const char graph_text[] =
    "class GraphModule(torch.nn.Module):\n"
    "    def forward(self, x: \"f32[4][1]cpu\"):\n"
    "        neg: \"f32[4][1]cpu\" = torch.ops.aten.neg.default(x)\n"
    "        neg_1: \"f32[4][1]cpu\" = torch.ops.aten.neg.default(x);  x = None\n"
    "        add: \"f32[4][1]cpu\" = torch.ops.aten.add.Tensor(neg, neg_1);  neg = neg_1 = None\n"
    "        return (add,)\n";

static const char *read_back(struct arena *arena, const char *path) {
    static char bytes[4096];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t count = fread(bytes, 1, sizeof bytes - 1, file);
    fclose(file);
    return text_string(arena, (struct text){bytes, count});
}

/* As if dce had failed after cse merged the two: the reproducer holds the graph between them. */
static void reproducer_holds_the_graph_before_the_failed_pass(void **state) {
    (void)state;
    struct tool tool = {.arena = arena_create(NULL)};
    const char *graph = "tool_test_graph.txt", *reproducer = "tool_test_reproducer.txt";
    assert_int_equal(output_write(graph, text_of(graph_text)), REGRAFT_OK);
    struct opt_options options = {.input = {.graph = -1, .path = graph, .pipeline = "cse,dce"},
                                  .reproducer = reproducer};
    struct opt_record record = {.tool = &tool, .options = &options};
    vector_push(tool.arena, &record.passes, (struct pass_record){.pass = "cse"});
    vector_push(tool.arena, &record.passes, (struct pass_record){.pass = "dce"});
    opt_write_reproducer(&record, 0, "file.txt:1:2: internal error: broken\n  line\n  ^\n");

    const char *written = read_back(tool.arena, reproducer);
    assert_non_null(strstr(written, "failed in the pass dce:\n#   file.txt:1:2: internal error: broken\n#     line\n"));
    assert_non_null(strstr(written, "# regraft opt tool_test_reproducer.txt -p 'dce'\n"));
    assert_non_null(strstr(written, "aten.add.Tensor(neg, neg)"));
    assert_null(strstr(written, "add.Tensor(neg, neg_1)"));

    options = (struct opt_options){.input = {.graph = -1, .path = reproducer}};
    regraft_graph *again;
    assert_int_equal(tool_open(&tool, &options.input), REGRAFT_OK);
    assert_int_equal(opt_read(&tool, &options, 0, &again), REGRAFT_OK);
    regraft_context_destroy(tool.context);
    unlink(graph);
    unlink(reproducer);
    arena_destroy(tool.arena);
}

/* A pass that exchanges the operands of a sum proves equal; one that makes a difference of it is named, and the elements too. */
static void each_pass_is_checked(void **state) {
    (void)state;
    struct tool tool = {.arena = arena_create(NULL)};
    struct opt_options options = {.input.graph = -1, .check_each = true};
    struct opt_record record = {.tool = &tool, .options = &options};
    assert_int_equal(tool_open(&tool, &options.input), REGRAFT_OK);
    assert_int_equal(
        regraft_graph_read_memory(tool.context, "text", graph_text, strlen(graph_text), NULL, &record.graph),
        REGRAFT_OK);
    struct graph *graph = tool_graph(record.graph);
    struct node *sum = graph_find(graph, TEXT("add")), *second = graph_find(graph, TEXT("neg_1"));
    assert_int_equal(opt_keep(&record, graph), REGRAFT_OK);
    value_set_node(sum, &sum->arguments[0], second);
    assert_int_equal(opt_compare(&record, graph, "cse"), REGRAFT_OK);
    assert_string_equal(regraft_message(tool.context), "");

    assert_int_equal(opt_keep(&record, graph), REGRAFT_OK);
    value_set_node(sum, &sum->arguments[0], graph_find(graph, TEXT("x")));
    assert_int_equal(opt_compare(&record, graph, "cse"), REGRAFT_INTERNAL);
    const char *message = regraft_message(tool.context);
    assert_non_null(strstr(message, "internal error: the pass cse changed what the graph computes"));
    assert_non_null(strstr(message, "out0:"));
    assert_non_null(strstr(message, "note: different in trial 1: --seed 0 --trials 1\n"));
    assert_non_null(strstr(message, "note: not proved: out0"));
    regraft_context_destroy(tool.context);
    arena_destroy(tool.arena);
}

static void pipelines_have_parts(void **state) {
    (void)state;
    assert_true(text_is(pipeline_part(TEXT("cse,dce"), 0), "cse"));
    assert_true(text_is(pipeline_part(TEXT("cse,dce"), 1), "dce"));
    assert_int_equal(pipeline_part(TEXT("cse,dce"), 2).length, 0);
    assert_int_equal(pipeline_part(TEXT(""), 0).length, 0);
    assert_true(text_is(pipeline_part(TEXT("place{a=b,c},dce"), 0), "place{a=b,c}"));
    assert_true(text_is(pipeline_part(TEXT("place{a=b,c},dce"), 1), "dce"));
}

static void tables_line_up(void **state) {
    (void)state;
    struct arena *arena = arena_create(NULL);
    struct table table;
    struct builder out;
    table_init(&table, arena, 2);
    builder_init(&out, arena);
    table_row(&table, "a", "first");
    table_row(&table, "longer", "second");
    table_print(&out, &table);
    assert_string_equal(out.data, "a       first\nlonger  second\n");
    arena_destroy(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reproducer_holds_the_graph_before_the_failed_pass),
        cmocka_unit_test(each_pass_is_checked),
        cmocka_unit_test(pipelines_have_parts),
        cmocka_unit_test(tables_line_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
