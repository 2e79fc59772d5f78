/* Growable arrays in an arena: `VECTOR(type) items = {0}; vector_push(arena, &items, item);`. */
#ifndef REGRAFT_BASE_VECTOR_H
#define REGRAFT_BASE_VECTOR_H

#include "base/arena.h"

#define VECTOR(type)                                                                                                   \
    struct {                                                                                                           \
        type *items;                                                                                                   \
        size_t count, capacity;                                                                                        \
    }

/* Makes room for one more item of `size` bytes and returns the (possibly moved) items. */
void *vector_grow(struct arena *arena, void *items, size_t count, size_t *capacity, size_t size);

#define vector_push(arena, vector, ...)                                                                                \
    ((vector)->items =                                                                                                 \
         vector_grow((arena), (vector)->items, (vector)->count, &(vector)->capacity, sizeof *(vector)->items),         \
     (void)((vector)->items[(vector)->count++] = (__VA_ARGS__)))

#endif
