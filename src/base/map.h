/* A map from byte strings to pointers, in an arena. Iteration follows insertion, so results never depend on hashes. */
#ifndef REGRAFT_BASE_MAP_H
#define REGRAFT_BASE_MAP_H

#include "base/text.h"

struct map;
struct map *map_create(struct arena *arena);
/* NULL when the key is absent. */
void *map_get(const struct map *map, const void *key, size_t length);
/* Where the value of the key is kept; NULL is stored there first when the key is new. The key's bytes are copied. */
void **map_slot(struct map *map, const void *key, size_t length);
static inline void *map_get_text(const struct map *map, struct text key) { return map_get(map, key.data, key.length); }
static inline void **map_slot_text(struct map *map, struct text key) { return map_slot(map, key.data, key.length); }

#endif
