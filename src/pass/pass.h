/* Passes over the functional graph, and the pipelines made of them. The flat list is pass/passes.def. */
#ifndef REGRAFT_PASS_PASS_H
#define REGRAFT_PASS_PASS_H

#include "ir/verify.h"

struct pass {
    const char *name;
    const char *parameters; /* `NAME=FORM NAME=FORM`, "" when there are none (pass/parameter.h) */
    const char *summary;
    /* `scratch` is dropped after the pass. */
    regraft_status (*run)(struct graph *graph, struct arena *scratch);
};

/* NULL after the last one. */
const struct pass *pass_at(size_t index);

/* The pipeline that runs when none is named. */
extern const char default_pipeline[];

/* Part `index` of a pipeline, such as `cse` or `place{a=b,c}`; "" after the last. */
struct text pipeline_part(struct text pipeline, size_t index);

/* The pipeline with the default one in place of the word `default`. */
const char *pipeline_expand(struct arena *arena, const char *pipeline);

/* Runs the passes of a pipeline text ("noop-elim,cse"), the verifier before the first and after each unless
 * options->verify is 0. `options` NULL: the defaults. */
regraft_status pipeline_run(struct graph *graph, const char *pipeline, const regraft_run_options *options);

/* Merges nodes that are as new as number `from` with equal ones in front of them (cse.c). */
regraft_status merge_equal(struct graph *graph, struct arena *scratch, uint32_t from);

#define PASS(identifier, name, parameters, summary)                                                                    \
    regraft_status pass_##identifier(struct graph *graph, struct arena *scratch);
#include "pass/passes.def"
#undef PASS

#endif
