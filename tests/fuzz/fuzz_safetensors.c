/* Any bytes as a safetensors file: an error, or tensors of which every element can be read. */
#include "interp/bindings.h"

static void touch(const struct tensor_set *set) {
    for (size_t i = 0; i < set->items.count; i++) {
        const struct tensor *tensor = &set->items.items[i]->tensor;
        if (!tensor_fits(tensor)) __builtin_trap();
        for (struct walk walk = walk_start(1, &tensor); walk.left; walk_next(&walk)) {
            volatile double value = tensor_real(tensor, walk.position[0]);
            (void)value;
        }
    }
}

static void read(struct arena *arena, const unsigned char *data, size_t size) {
    struct diagnostics diagnostics;
    struct tensor_set set;
    struct bindings bindings;
    diagnostics_init(&diagnostics, arena);
    if (safetensors_read(arena, &diagnostics, "fuzz", data, size, &set) != REGRAFT_OK) return;
    touch(&set);
    (void)bindings_from_set(&bindings, &diagnostics, "fuzz", &set);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
    struct arena *arena = arena_create(NULL);
    struct arena_guard guard;
    if (!arena) return 0;
    if (!arena_guarded(arena, &guard)) {
        read(arena, data, size);
        arena_unguard(arena, &guard);
    }
    arena_destroy(arena);
    return 0;
}
