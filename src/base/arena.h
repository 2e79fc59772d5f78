/* Memory of one compilation: an arena over the caller's allocator.
 *
 * Nothing is freed one by one; the arena goes as a whole. When the allocator returns NULL the arena unwinds to the
 * innermost public entry point (arena_guard), which returns REGRAFT_NO_MEMORY. So no code between has to look at
 * failed allocations, and every one of them is still a clean error (docs/memory.md, "Out of memory"). */
#ifndef REGRAFT_BASE_ARENA_H
#define REGRAFT_BASE_ARENA_H

#include <setjmp.h>
#include <stddef.h>
#include <string.h>

#include "regraft/regraft.h"

struct arena;

/* NULL when the very first block cannot be had. */
struct arena *arena_create(const regraft_allocator *allocator);
void arena_destroy(struct arena *arena);

/* A part of `parent` that can be dropped early: scratch memory of one pass. It dies with its parent at the latest. */
struct arena *arena_child(struct arena *parent);

/* `size` bytes, aligned for any type; not cleared. Never NULL. */
void *arena_allocate(struct arena *arena, size_t size);
/* `count * size` bytes, cleared; unwinds when the product overflows. */
void *arena_zeroed(struct arena *arena, size_t count, size_t size);
void *arena_copy(struct arena *arena, const void *bytes, size_t size);

/* Runs `release(object)` when the arena goes: for what a library allocated outside of it. */
void arena_defer(struct arena *arena, void (*release)(void *object), void *object);

/* Gives up as if an allocation had failed: for libraries that report their own lack of memory. */
_Noreturn void arena_exhausted(struct arena *arena);

#define arena_new(arena, type)          ((type *)arena_zeroed((arena), 1, sizeof(type)))
#define arena_array(arena, type, count) ((type *)arena_zeroed((arena), (count), sizeof(type)))

/* Public entry points nest; each sets its own guard and restores the outer one before it returns:
 *
 *     struct arena_guard guard;
 *     if (arena_guarded(arena, &guard)) return REGRAFT_NO_MEMORY;
 *     ...
 *     arena_unguard(arena, &guard);
 */
struct arena_guard {
    jmp_buf target;
    struct arena_guard *outer;
};
void arena_guard_enter(struct arena *arena, struct arena_guard *guard);
void arena_unguard(struct arena *arena, struct arena_guard *guard);
#define arena_guarded(arena, guard) (arena_guard_enter((arena), (guard)), setjmp((guard)->target) != 0)

#endif
