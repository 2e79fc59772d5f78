#include "base/vector.h"

#include <stdint.h>

enum { most_first = 512 }; /* bytes that a new vector of several items takes */

void *vector_grow(struct arena *arena, void *items, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity) return items;
    if (count > SIZE_MAX / 4 / size) arena_exhausted(arena);
    *capacity = count ? count * 2 : size < most_first / 8 ? 8 : 1;
    void *grown = arena_allocate(arena, *capacity * size);
    if (count) memcpy(grown, items, count * size);
    return grown;
}
