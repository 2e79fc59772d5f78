/* The list of passes, and pipelines: running them, verifying after each. */
#include "pass/pipeline.h"

#include <time.h>

#include "ir/contract.h"

static const struct pass passes[] = {
#define PASS(identifier, name, parameters, summary) {name, parameters, summary, pass_##identifier},
#include "pass/passes.def"
#undef PASS
};

const char default_pipeline[] =
    "unify-functionalized,noop-elim,split-coalesce,cse,scatter-split-replace,dce,split-coalesce,dce";

const struct pass *pass_at(size_t index) { return index < sizeof passes / sizeof *passes ? &passes[index] : NULL; }

static double now(void) {
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static regraft_status run_step(struct graph *graph, const struct step *step, const regraft_run_options *options) {
    struct context *context = graph->context;
    const struct pass *pass = step->pass;
    if (options->observe) TRY(options->observe(options->user, (regraft_graph *)graph, pass->name, 0, 0));
    struct arena *scratch = arena_child(graph->arena);
    double start = now();
    graph->pass = pass->name;
    graph->parameters = &step->parameters;
    regraft_status status = pass->run(graph, scratch);
    graph->parameters = NULL;
    graph_forget_copies(graph);
    double seconds = now() - start;
    arena_destroy(scratch);
    if (status == REGRAFT_OK && options->verify && graph_verify(graph) != REGRAFT_OK) {
        struct position nowhere = {0};
        fail_note(&context->diagnostics, nowhere, "the graph was left broken by the pass %s; please report this",
                  pass->name);
        status = REGRAFT_INTERNAL;
    }
    if (status == REGRAFT_OK && options->observe)
        status = options->observe(options->user, (regraft_graph *)graph, pass->name, 1, seconds);
    return status;
}

regraft_status pipeline_run(struct graph *graph, const char *pipeline, const regraft_run_options *options) {
    static const regraft_run_options defaults = REGRAFT_RUN_OPTIONS_INIT;
    step_list steps = {0};
    if (!options) options = &defaults;
    TRY(pipeline_parse(graph->context, pipeline ? pipeline : default_pipeline, &steps));
    if (options->verify) TRY(graph_verify(graph));
    contracts_note_traced(graph);
    for (size_t i = 0; i < steps.count; i++) {
        if (options->bisect_limit >= 0 && (long)i >= options->bisect_limit) break;
        TRY(run_step(graph, &steps.items[i], options));
    }
    return REGRAFT_OK;
}
