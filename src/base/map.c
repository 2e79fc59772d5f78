/* The map: uthash over an arena. */
#include "base/map.h"

/* uthash allocates its tables through these; every function below that can allocate has a parameter `map`. */
#define uthash_malloc(size)       arena_allocate(map->arena, (size))
#define uthash_free(memory, size) ((void)(memory))
#define uthash_fatal(message)     arena_exhausted(map->arena)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wimplicit-fallthrough"
#include <uthash.h>

struct entry {
    void *value;
    UT_hash_handle hh;
};

struct map {
    struct arena *arena;
    struct entry *entries;
};

struct map *map_create(struct arena *arena) {
    struct map *map = arena_new(arena, struct map);
    map->arena = arena;
    return map;
}

void *map_get(const struct map *map, const void *key, size_t length) {
    struct entry *found;
    HASH_FIND(hh, map->entries, key, length, found);
    return found ? found->value : NULL;
}

void **map_slot(struct map *map, const void *key, size_t length) {
    struct entry *found;
    unsigned hash;
    HASH_VALUE(key, length, hash);
    HASH_FIND_BYHASHVALUE(hh, map->entries, key, length, hash, found);
    if (!found) {
        found = arena_new(map->arena, struct entry);
        const void *copy = arena_copy(map->arena, key, length);
        HASH_ADD_KEYPTR_BYHASHVALUE(hh, map->entries, copy, length, hash, found);
    }
    return &found->value;
}

#pragma GCC diagnostic pop
