/* --verify-each=check: does the graph compute the same after a pass as before it? */
#include "tool/opt.h"
#include "tool/verdict.h"

#include "ir/infer.h"

/* Printed and read again: what stays the same text is the same graph, in every stage. Only what a log tells of the inputs
 * is not in the text. */
static regraft_status copy_graph(struct graph *graph, struct graph **copy) {
    struct builder text;
    struct file *file;
    builder_init(&text, graph->arena);
    graph_print(graph, &text);
    TRY(file_read_memory(graph->context, "<before the pass>", builder_text(&text), &file));
    TRY(file_graph(graph->context, file, -1, NULL, copy));
    (*copy)->input_memory = graph->input_memory;
    return infer_graph(*copy);
}

regraft_status opt_keep(struct opt_record *record, struct graph *graph) { return copy_graph(graph, &record->before); }

/* A note for what nobody could decide to the bit: the pass may be right all the same. */
static regraft_status note_undecided(struct graph *graph, const char *pass, const struct verdict *verdict,
                                     regraft_status status) {
    struct diagnostics *diagnostics = &graph->context->diagnostics;
    struct builder out;
    if (status == REGRAFT_NO_MEMORY) return status;
    builder_init(&out, graph->arena);
    if (status == REGRAFT_OK)
        verdict_print(&out, verdict, false);
    else
        verdict_print_proof(&out, &verdict->proof);
    fprintf(stderr, "regraft: note: after the pass %s:\n%s%s", pass, out.data, diagnostics->message);
    diagnostics_clear(diagnostics);
    return REGRAFT_OK;
}

static void note_lines(struct graph *graph, struct text lines) {
    struct position nowhere = {0};
    while (lines.length) {
        const char *end = memchr(lines.data, '\n', lines.length);
        size_t length = end ? (size_t)(end - lines.data) : lines.length;
        fail_note(&graph->context->diagnostics, nowhere, "%.*s", (int)length, lines.data);
        lines = text_skip(lines, length + 1);
    }
}

regraft_status opt_compare(struct opt_record *record, struct graph *graph, const char *pass) {
    struct position nowhere = {0};
    struct verdict verdict;
    regraft_status status = verdict_reach(&verdict, record->before, graph, graph->arena);
    if (status != REGRAFT_OK) return note_undecided(graph, pass, &verdict, status);
    if (!verdict_is_equal(&verdict)) {
        struct builder out;
        builder_init(&out, graph->arena);
        verdict_print(&out, &verdict, false);
        fail(&graph->context->diagnostics, REGRAFT_INTERNAL, nowhere,
             "the pass %s changed what the graph computes; please report this", pass);
        note_lines(graph, builder_text(&out));
        return REGRAFT_INTERNAL;
    }
    bool exact = verdict.proof.proved && !verdict.proof.rounded_count;
    return exact ? REGRAFT_OK : note_undecided(graph, pass, &verdict, status);
}
