#include "interp/check.h"

#include "interp/random_inputs.h"

static regraft_status run_and_compare(const struct outcome *first, struct graph *b, const struct bindings *bindings,
                                      struct arena *arena, struct comparison *comparison) {
    struct outcome second;
    TRY(interpret(b, bindings, arena, &second));
    compare_outcomes(arena, &second, first, comparison);
    return REGRAFT_OK;
}

regraft_status check_graphs(struct graph *a, struct graph *b, const struct bindings *bindings, struct arena *arena,
                            struct comparison *comparison) {
    struct outcome first;
    TRY(interpret(a, bindings, arena, &first));
    return run_and_compare(&first, b, bindings, arena, comparison);
}

/* Inputs for graph `a`, and what it gives for them. Symbols differ in every second trial, if the graph bears it. */
static regraft_status first_outcome(struct graph *a, uint64_t seed, bool equal, struct arena *arena,
                                    struct bindings *bindings, struct outcome *outcome) {
    struct diagnostics *diagnostics = &a->context->diagnostics;
    const char *before = diagnostics->message;
    if (!equal && random_bindings(a, (struct random_options){seed, false}, arena, bindings) == REGRAFT_OK &&
        interpret(a, bindings, arena, outcome) == REGRAFT_OK)
        return REGRAFT_OK;
    diagnostics->message = before;
    TRY(random_bindings(a, (struct random_options){seed, true}, arena, bindings));
    return interpret(a, bindings, arena, outcome);
}

regraft_status check_random(struct graph *a, struct graph *b, struct check_options options, struct arena *arena,
                            struct comparison *comparison, size_t *trial) {
    double largest = 0;
    *comparison = (struct comparison){.equal = true};
    for (*trial = 0; *trial < options.trials && comparison->equal; ++*trial) {
        struct bindings bindings;
        struct outcome outcome;
        struct arena *scratch = arena_child(arena);
        struct comparison result = {0};
        regraft_status status = first_outcome(a, options.seed + *trial, *trial % 2 == 0, scratch, &bindings, &outcome);
        if (status == REGRAFT_OK) status = run_and_compare(&outcome, b, &bindings, scratch, &result);
        if (status == REGRAFT_OK) compare_keep(arena, &result, comparison);
        arena_destroy(scratch);
        TRY(status);
        if (comparison->norm > largest) largest = comparison->norm;
    }
    comparison->norm = largest;
    if (!comparison->equal) --*trial;
    return REGRAFT_OK;
}
