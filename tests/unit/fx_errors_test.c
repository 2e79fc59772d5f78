/* Bad input: each defect is refused at its line and column, with what was expected. */
#include <stdio.h>

#include "fx_support.h"

struct defect {
    const char *text;
    const char *place; /* LINE:COLUMN */
    const char *message;
};

static const char head[] = "class M(torch.nn.Module):\n    def forward(self, x: \"f32[4]\", y):\n";

/* The first line of the message; what follows is the line and the caret, which the diagnostics have tests for. */
static void assert_defect(struct context *context, const char *text, const struct defect *defect) {
    struct file *file;
    struct graph *graph;
    regraft_status status = file_read_memory(context, "t.txt", text_of(text), &file);
    if (status == REGRAFT_OK) status = file_graph(context, file, -1, NULL, &graph);
    const char *message = context->diagnostics.message;
    const char *expected = text_format(context->arena, "t.txt:%s: error: %s", defect->place, defect->message);
    size_t length = strcspn(message, "\n");
    assert_string_equal(text_string(context->arena, (struct text){message, length}), expected);
    assert_int_equal(status, REGRAFT_REJECTED);
    diagnostics_clear(&context->diagnostics);
}

/* Statements that stand in line 3 of a module with the parameters x and y. */
static void test_statements(void **state) {
    static const struct defect defects[] = {
        {"x = y + 1", "3:9", "'x' is defined twice; every statement needs a name of its own"},
        {"abcd = x + 1\n        b = abce + 1", "4:13", "'abce' is not defined; did you mean 'abcd'?"},
        {"a = zzzzzz + 1", "3:13", "'zzzzzz' is not defined; expected a parameter or the result of a statement above"},
        {"a = f(x, [1, q9])", "3:22", "'q9' is not defined; expected a parameter or the result of a statement above"},
        {"a = x + 1;  q = None", "3:21", "'q' is not defined; expected a parameter or the result of a statement above"},
        {"a = f('b\\qc')", "3:17",
         "unknown escape in a string; expected one of \\\\ \\' \\\" \\n \\r \\t \\xNN \\uNNNN \\UNNNNNNNN"},
        {"a = f('\\xg0')", "3:16",
         "unknown escape in a string; expected one of \\\\ \\' \\\" \\n \\r \\t \\xNN \\uNNNN \\UNNNNNNNN"},
        {"a = f('abc)", "3:15", "the string is not closed; expected ' before the end of the line"},
        {"a = f(x, 1", "4:9", "expected ',' or ')', found 'return'"},
        {"a = f([x, 1)", "3:20", "expected ',' or ']', found ')'"},
        {"a = x + 1\n          b = a + 1", "4:1",
         "wrong indentation: expected that of the first statement, 8 characters, found 10"},
        {"a = f(9223372036854775808)", "3:15", "the integer does not fit into 64 bits"},
        {"a = f(-9223372036854775809)", "3:15", "the integer does not fit into 64 bits"},
        {"a = f(12abc)", "3:15", "a number is malformed; expected digits such as 12 or 1e-06"},
        {"a = f(1e+)", "3:15", "a number is malformed; expected digits such as 12 or 1e-06"},
        {"a: \"f32[4, 2][1]\" = f(x)", "3:22", "expected 2 strides, one a dimension, found 1"},
        {"a: \"f32[-4]\" = f(x)", "3:17", "a size or stride is negative; expected 0 or more"},
        {"a: \"f32[99999999999999999999]\" = f(x)", "3:17", "a size or stride does not fit into 64 bits"},
        {"a: \"f32[4611686018427387904, 4]\" = f(x)", "3:16", "a tensor has more elements than 64 bits can count"},
        {"a: \"f32[4 +]\" = f(x)", "3:20", "expected a number, a name or '(', found the end of the expression"},
        {"a: \"f32[4, , 2]\" = f(x)", "3:20", "expected a size such as 64 or 4*s72, found ','"},
        {"a: \"f32[4]cpu:0x\" = f(x)", "3:24", "expected the closing quote of an annotation, found 'x'"},
        {"a: \"f32[4]cpu:\" = f(x)", "3:23", "expected the number of a device, found the end of the text"},
        {"a = f(k = 1, k = 2)", "3:22", "the argument 'k' is given twice"},
        {"a = f(k = 1, 2)", "3:22", "expected NAME = VALUE after an argument with a keyword, found '2'"},
        {"a = x +", "3:16", "expected a value, found the end of the line"},
        {"a = f(,)", "3:15", "expected a value, found ','"},
        {"a = x + y * 2", "3:19", "expected the end of the line, found '*'"},
        {"a = f(x)[0]", "3:17", "expected the end of the line, found '['"},
        {"a x", "3:11", "expected '=' or ': \"TYPE\" =' behind a name, found 'x'"},
        {"x += y", "3:15", "expected ';  NAME = ...', the result of an assignment in place, found the end of the line"},
        {"x += y;  iadd = y", "3:25", "expected 'x', the value that was assigned to"},
        {"a = 3", "3:14", "expected an operator behind a constant, found the end of the line"},
        {"a = f(x, x*2)", "3:18",
         "'x' is no symbol; an expression among arguments is made of integers and symbols such as s72: compute it in a "
         "statement of its own"},
        {"a = f(x.shape)", "3:15", "an attribute of 'x' cannot be an argument; give it a statement of its own"},
        {"a = x.view(1).t()", "3:22", "expected the end of the line, found '.'"},
        {"a = x.a.b(1)", "3:15", "expected one method or attribute of 'x'; give each a statement of its own"},
        {"a = x[slice()]", "3:15", "slice takes one to three arguments, found 0"},
        {"a = f(device(index=0))", "3:15", "expected device(type='cuda', index=0)"},
        {"a = f({'a' 1})", "3:20", "expected ':' behind the key of a dictionary, found '1'"},
        {"a = f({x: 1})", "3:16", "the key of a dictionary must be a constant"},
        {"a = x + 1 2", "3:19", "expected the end of the line, found '2'"},
        {"a = x + 1;  x", "3:22",
         "expected '=' in the list of names that end here (`;  a = b = None`), found the end of the line"},
        {"a = getattr(self, x)", "3:27", "expected the name of an attribute in quotes, found 'x'"},
        {"a = self", "3:17", "expected the name of an attribute of self, found the end of the line"},
        {"1 = x", "3:9", "expected a statement (NAME = ...) or return, found '1'"},
        {"a = \001x", "3:13", "expected a value, found byte 0x01"},
    };
    struct context *context = context_of(state);
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++)
        assert_defect(context, text_format(context->arena, "%s        %s\n        return x\n", head, defects[i].text),
                      &defects[i]);
}

/* The signature and what may follow it. */
static void test_cut_off(void **state) {
    static const struct defect defects[] = {
        {"        a = x + 1\n", "4:1",
         "expected a statement or 'return': the function ends without one, found the end of the text"},
        {"        a = x + 1\nfoo\n", "4:1",
         "expected a statement or 'return': the function ends without one, found 'foo'"},
        {"", "3:1", "expected a statement or 'return': the function ends without one, found the end of the text"},
        {"        a = torch.ops.aten.add.Ten", "3:35",
         "expected '(' behind the name of an operation, found the end of the text"},
        {"        a = torch.ops.aten.add.Tensor(x, ", "3:42", "expected a value, found the end of the text"},
        {"        a: \"f32[4", "3:12", "the annotation is not closed; expected \" before the end of the line"},
        {"        abc", "3:12", "expected '=' or ': \"TYPE\" =' behind a name, found the end of the text"},
        {"        return (x,", "3:19", "expected a value, found the end of the text"},
    };
    struct context *context = context_of(state);
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++)
        assert_defect(context, text_format(context->arena, "%s%s", head, defects[i].text), &defects[i]);
}

static void test_texts(void **state) {
    static const struct defect defects[] = {
        {"class M(torch.nn.Module):\n    def forward(self, x: \"f32[4]\", y", "2:37",
         "expected ',' or ')' in a signature, found the end of the text"},
        {"class M(torch.nn.Module):\n    de", "2:7",
         "expected 'def forward(self, ...):' in the module, found the end of the text"},
        {"class M(torch.nn.Module):\n    def forward", "2:16",
         "expected '(' behind forward, found the end of the text"},
        {"class M(torch.nn.Module):\n    def forward(self)", "2:22",
         "expected ':' behind a signature, found the end of the text"},
        {"class M(torch.nn.Module):\n    def forward(self, x, x):\n        return x\n", "2:26",
         "'x' is defined twice; every statement needs a name of its own"},
        {"class M(torch.nn.Module):\n    def forward(self, 1):\n        return x\n", "2:23",
         "expected the name of a parameter, found '1'"},
        {"class M(torch.nn.Module):\n    def forward(self, x): return x\n", "2:27",
         "expected the end of the line, found 'return'"},
        {"", "1:1", "the file is empty; expected FX text or a trace log"},
        {"hello world\n", "1:1",
         "no graph found; expected FX text ('class NAME(torch.nn.Module):' with 'def forward') or a trace log of "
         "TORCH_TRACE"},
    };
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++)
        assert_defect(context_of(state), defects[i].text, &defects[i]);
}

/* A text cut off anywhere is refused, and never more than once. */
static void test_every_prefix(void **state) {
    static const char body[] = "        a: \"f32[4][1]cpu\" = torch.ops.aten.add.Tensor(x, 1, alpha = 2.5);  a = None\n"
                               "\n"
                               "        # File: a.py:1 in f, code: x\n"
                               "        b = f('s\\n', [(1, 2), device(type='cpu')], {'k': x})\n"
                               "        x[(slice(0, 2, None),)] = b;  setitem = x;  b = setitem = None\n"
                               "        return (x, y";
    struct context *context = context_of(state);
    struct text whole = text_of(text_format(context->arena, "%s%s", head, body));
    for (size_t length = 0; length <= whole.length; length++) {
        struct file *file;
        struct graph *graph;
        diagnostics_clear(&context->diagnostics);
        regraft_status status = file_read_memory(context, "t.txt", (struct text){whole.data, length}, &file);
        if (status == REGRAFT_OK) status = file_graph(context, file, 0, NULL, &graph);
        assert_int_equal(status, REGRAFT_REJECTED);
        assert_true(text_starts_with(text_of(context->diagnostics.message), "t.txt:"));
    }
}

static void test_carets_and_notes(void **state) {
    struct context *context = context_of(state);
    assert_rejected(context,
                    text_format(context->arena, "%s        a = x + 1\n        a = x + 2\n        return a\n", head),
                    "t.txt:4:9: error: 'a' is defined twice; every statement needs a name of its own\n"
                    "          a = x + 2\n"
                    "          ^\n"
                    "t.txt:3:9: note: first defined here\n"
                    "          a = x + 1\n"
                    "          ^\n");
    assert_rejected(context,
                    text_format(context->arena, "%s        b = abcd + 1\n        abcd = x\n        return x\n", head),
                    "t.txt:3:13: error: 'abcd' is used before its definition; move its statement up\n"
                    "          b = abcd + 1\n"
                    "              ^~~~\n");
}

static void test_limits(void **state) {
    struct context *context = context_of(state);
    struct builder text;
    builder_init(&text, context->arena);
    for (int i = 0; i < 100000; i++) builder_byte(&text, '[');
    const struct defect deep = {.place = "3:214", .message = "brackets are nested more than 200 deep"};
    assert_defect(context, text_format(context->arena, "%s        a = f(%s)\n", head, text.data), &deep);
    text.length = 0;
    for (int i = 0; i < 65; i++) builder_string(&text, i ? ", 1" : "1");
    const struct defect rank = {.place = "3:208", .message = "a tensor has more than 64 dimensions"};
    assert_defect(context, text_format(context->arena, "%s        a: \"f32[%s]\" = f(x)\n", head, text.data), &rank);
}

static void test_other_files(void **state) {
    struct context *context = context_of(state);
    struct file *file;
    assert_message(
        context, file_read_memory(context, "t.txt", (struct text){"ab\0c", 4}, &file), REGRAFT_REJECTED,
        "t.txt:1:3: error: found a zero byte; expected FX text or a trace log, plain or gzip\n  ab c\n    ^\n");
    assert_message(
        context, file_read_memory(context, "t.pt2", text_of("PK\x03\x04..."), &file), REGRAFT_UNSUPPORTED,
        "regraft: error: 't.pt2' is a zip archive; expected text: print the graph of a torch.export archive with "
        "print_readable(include_stride=True, include_device=True)\n");
    assert_message(context, file_read(context, "/nowhere/at/all", &file), REGRAFT_REJECTED,
                   "regraft: error: cannot open '/nowhere/at/all': No such file or directory\n");
    assert_message(context, file_read(context, "/", &file), REGRAFT_REJECTED,
                   "regraft: error: cannot read '/': Is a directory\n");
}

static void test_choice(void **state) {
    struct context *context = context_of(state);
    struct file *file = read_file(context, text_of("def forward(self, x):\n    return x\n"));
    struct graph *graph;
    assert_message(context, file_graph(context, file, 1, NULL, &graph), REGRAFT_USAGE,
                   "regraft: error: there is no graph 1 in 't.txt'; it has 1, numbered from 0\n");
    assert_message(context, file_graph(context, file, 0, "joint", &graph), REGRAFT_USAGE,
                   "regraft: error: graph 0 of 't.txt' has no stage 'joint'; it has text\n");
    assert_int_equal(file_graph(context, file, 0, "text", &graph), REGRAFT_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FX_TEST(test_statements),       FX_TEST(test_cut_off), FX_TEST(test_texts),       FX_TEST(test_every_prefix),
        FX_TEST(test_carets_and_notes), FX_TEST(test_limits),  FX_TEST(test_other_files), FX_TEST(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
