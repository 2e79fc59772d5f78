/* What the fuzzers of the readers share: a context for each input. A fuzzer defines `read` and includes this. */
#ifndef REGRAFT_TESTS_FUZZ_SUPPORT_H
#define REGRAFT_TESTS_FUZZ_SUPPORT_H

#include "fx/fx.h"

/* What the fuzzer does with an input; the context's arena goes afterwards. */
static void read(struct context *context, struct text bytes);

/* The table is the same for all inputs and by far the dearest part of a context: it is made once, and only read. */
static struct operations *shared_operations(void) {
    static struct context keeper;
    struct arena_guard guard;
    if (keeper.operations) return keeper.operations;
    keeper.arena = arena_create(NULL);
    if (!keeper.arena || arena_guarded(keeper.arena, &guard)) __builtin_trap();
    diagnostics_init(&keeper.diagnostics, keeper.arena);
    if (operations_create(keeper.arena, &keeper.diagnostics, &keeper.operations) != REGRAFT_OK) __builtin_trap();
    arena_unguard(keeper.arena, &guard);
    return keeper.operations;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
    struct context context = {.arena = arena_create(NULL), .operations = shared_operations()};
    struct arena_guard guard;
    if (!context.arena) return 0;
    if (!arena_guarded(context.arena, &guard)) {
        diagnostics_init(&context.diagnostics, context.arena);
        context.symbols = symbols_create(context.arena);
        read(&context, (struct text){(const char *)data, size});
        arena_unguard(context.arena, &guard);
    }
    arena_destroy(context.arena);
    return 0;
}

#endif
