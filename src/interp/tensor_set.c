#include "interp/tensor_set.h"

void tensor_set_init(struct tensor_set *set, struct arena *arena) {
    *set = (struct tensor_set){.arena = arena, .index = map_create(arena)};
}

void tensor_set_put(struct tensor_set *set, struct text name, const struct tensor *tensor) {
    struct named_tensor **slot = (struct named_tensor **)map_slot_text(set->index, name);
    if (!*slot) {
        *slot = arena_new(set->arena, struct named_tensor);
        (*slot)->name = text_copy(set->arena, name);
        vector_push(set->arena, &set->items, *slot);
    }
    (*slot)->tensor = *tensor;
}

const struct tensor *tensor_set_find(const struct tensor_set *set, struct text name) {
    const struct named_tensor *item = map_get_text(set->index, name);
    return item ? &item->tensor : NULL;
}

struct text tensor_set_metadata(const struct tensor_set *set, const char *name) {
    for (size_t i = 0; i < set->metadata.count; i++)
        if (text_is(set->metadata.items[i].name, name)) return set->metadata.items[i].value;
    return TEXT("");
}
