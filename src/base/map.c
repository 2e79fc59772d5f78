/* The map: uthash over an arena. */
#include "base/map.h"

/* Keys are mostly pointers and numbers, so words at once: uthash's own function goes by bytes. */
static unsigned hash_of(const void *key, size_t length) {
    const uint64_t factor = 0x9e3779b97f4a7c15u; /* 2^64 divided by the golden ratio, made odd */
    const char *at = key;
    uint64_t hash = length;
    for (size_t rest = length; rest; at += sizeof(uint64_t)) {
        size_t size = rest < sizeof(uint64_t) ? rest : sizeof(uint64_t);
        uint64_t word = 0;
        memcpy(&word, at, size);
        hash = (hash ^ word) * factor;
        hash ^= hash >> 32;
        rest -= size;
    }
    return (unsigned)((hash * factor) >> 32);
}

#define HASH_FUNCTION(key, length, hash) ((hash) = hash_of((key), (length)))
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
