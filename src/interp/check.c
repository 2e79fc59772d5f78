#include "interp/check.h"

#include "interp/random_inputs.h"

regraft_status check_graphs(struct graph *a, struct graph *b, const struct bindings *bindings, struct arena *arena,
                            struct comparison *comparison) {
    struct outcome first, second;
    *comparison = (struct comparison){0};
    TRY(interpret(a, bindings, arena, &first));
    TRY(interpret(b, bindings, arena, &second));
    compare_outcomes(arena, &second, &first, comparison);
    return REGRAFT_OK;
}

static regraft_status run_trial(struct graph *a, struct graph *b, struct random_options options, struct arena *arena,
                                struct comparison *comparison) {
    struct bindings bindings;
    TRY(random_bindings(a, options, arena, &bindings));
    return check_graphs(a, b, &bindings, arena, comparison);
}

/* Every second seed gives each symbol a value of its own. Most graphs only run when some of their symbols agree (the
 * number of tokens has a name for each input), and what one of the graphs refuses is then tried with one value for all. */
static regraft_status run_seed(struct graph *a, struct graph *b, uint64_t seed, struct arena *arena,
                               struct comparison *comparison) {
    struct diagnostics *diagnostics = &a->context->diagnostics;
    const char *before = diagnostics->message;
    struct random_options options = {seed, seed % 2 == 0};
    regraft_status status = run_trial(a, b, options, arena, comparison);
    if (status == REGRAFT_OK || options.equal_symbols) return status;
    diagnostics->message = before;
    options.equal_symbols = true;
    return run_trial(a, b, options, arena, comparison);
}

regraft_status check_random(struct graph *a, struct graph *b, struct check_options options, struct arena *arena,
                            struct comparison *comparison, size_t *trial) {
    double largest = 0;
    *comparison = (struct comparison){.equal = true};
    for (*trial = 0; *trial < options.trials && comparison->equal; ++*trial) {
        struct arena *scratch = arena_child(arena);
        struct comparison result;
        regraft_status status = run_seed(a, b, options.seed + *trial, scratch, &result);
        if (status == REGRAFT_OK) compare_keep(arena, &result, comparison);
        arena_destroy(scratch);
        TRY(status);
        if (comparison->norm > largest) largest = comparison->norm;
    }
    comparison->norm = largest;
    if (!comparison->equal) --*trial;
    return REGRAFT_OK;
}
