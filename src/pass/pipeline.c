/* The list of passes, and pipelines: parsing, running, verifying after each. */
#include <time.h>

#include "pass/pass.h"

static const struct pass passes[] = {
#define PASS(identifier, name, summary) {name, summary, pass_##identifier},
#include "pass/passes.def"
#undef PASS
};

const char default_pipeline[] =
    "unify-functionalized,noop-elim,split-coalesce,cse,scatter-split-replace,dce,split-coalesce,dce";

const struct pass *pass_at(size_t index) { return index < sizeof passes / sizeof *passes ? &passes[index] : NULL; }

static const char *candidate(const void *table, size_t index) {
    (void)table;
    const struct pass *pass = pass_at(index);
    return pass ? pass->name : NULL;
}

static const struct pass *find(struct text name) {
    for (size_t i = 0; pass_at(i); i++)
        if (text_is(name, passes[i].name)) return &passes[i];
    return NULL;
}

static struct text trimmed(struct text text) {
    while (text.length && strchr(" \t\n", text.data[0])) text = text_skip(text, 1);
    while (text.length && strchr(" \t\n", text.data[text.length - 1])) text.length--;
    return text;
}

/* The next name of a pipeline; advances `rest` behind its comma. */
static struct text next_name(struct text *rest) {
    const char *comma = memchr(rest->data, ',', rest->length);
    struct text name = {rest->data, comma ? (size_t)(comma - rest->data) : rest->length};
    *rest = text_skip(*rest, name.length + 1);
    return trimmed(name);
}

typedef VECTOR(const struct pass *) pass_list;

static regraft_status parse(struct graph *graph, const char *pipeline, pass_list *list) {
    struct context *context = graph->context;
    struct source *source = arena_new(context->arena, struct source);
    *source = (struct source){"<pipeline>", text_copy(context->arena, text_of(pipeline))};
    struct text rest = source->contents;
    if (!trimmed(rest).length) return REGRAFT_OK;
    while (true) {
        bool last = !memchr(rest.data, ',', rest.length);
        struct text name = next_name(&rest);
        const struct pass *pass = find(name);
        struct position position = {source, (size_t)(name.data - source->contents.data), name.length};
        if (!pass) {
            regraft_status status = fail(&context->diagnostics, REGRAFT_USAGE, position,
                                         "there is no pass '%.*s'; `regraft passes` lists them", TEXT_ARGS(name));
            const char *nearest = text_nearest(name, candidate, NULL);
            if (nearest) fail_note(&context->diagnostics, position, "did you mean '%s'?", nearest);
            return status;
        }
        vector_push(context->arena, list, pass);
        if (last) return REGRAFT_OK;
    }
}

static double now(void) {
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static regraft_status run_pass(struct graph *graph, const struct pass *pass, const regraft_run_options *options) {
    struct context *context = graph->context;
    if (options->observe) options->observe(options->user, (regraft_graph *)graph, pass->name, 0, 0);
    struct arena *scratch = arena_child(graph->arena);
    double start = now();
    graph->pass = pass->name;
    regraft_status status = pass->run(graph, scratch);
    double seconds = now() - start;
    arena_destroy(scratch);
    if (status == REGRAFT_OK && options->verify && graph_verify(graph) != REGRAFT_OK) {
        struct position nowhere = {0};
        fail_note(&context->diagnostics, nowhere, "the graph was left broken by the pass %s; please report this",
                  pass->name);
        status = REGRAFT_INTERNAL;
    }
    if (status == REGRAFT_OK && options->observe)
        options->observe(options->user, (regraft_graph *)graph, pass->name, 1, seconds);
    return status;
}

regraft_status pipeline_run(struct graph *graph, const char *pipeline, const regraft_run_options *options) {
    static const regraft_run_options defaults = REGRAFT_RUN_OPTIONS_INIT;
    pass_list list = {0};
    if (!options) options = &defaults;
    TRY(parse(graph, pipeline ? pipeline : default_pipeline, &list));
    if (options->verify) TRY(graph_verify(graph));
    for (size_t i = 0; i < list.count; i++) {
        if (options->bisect_limit >= 0 && (long)i >= options->bisect_limit) break;
        TRY(run_pass(graph, list.items[i], options));
    }
    return REGRAFT_OK;
}
