#include "base/vector.h"

#include <stdint.h>

void *vector_grow(struct arena *arena, void *items, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity) return items;
    if (count > SIZE_MAX / 4 / size) arena_exhausted(arena);
    *capacity = count ? count * 2 : 8;
    void *grown = arena_allocate(arena, *capacity * size);
    if (count) memcpy(grown, items, count * size);
    return grown;
}
