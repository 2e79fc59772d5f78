/* The arena: blocks that double in size up to a limit, objects cut from the newest one. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

enum { first_block = 16 * 1024, largest_block = 1024 * 1024 };

struct block {
    struct block *previous;
    size_t size; /* of the whole block, this header included */
    size_t used;
};

struct deferred {
    struct deferred *next;
    void (*release)(void *object);
    void *object;
};

struct arena {
    regraft_allocator allocator;
    struct arena *parent; /* NULL for the root */
    struct arena *children, *next_sibling, **link;
    struct block *block;
    struct deferred *deferred;
    struct arena_guard *guard; /* of the root only */
    struct block *spare;       /* of the root only: blocks that children gave back, for the next ones */
};

static void *default_allocate(void *user, size_t size) {
    (void)user;
    return malloc(size);
}

static void default_release(void *user, void *memory, size_t size) {
    (void)user;
    (void)size;
    free(memory);
}

static size_t aligned(size_t size) {
    const size_t step = alignof(max_align_t);
    return (size + step - 1) / step * step;
}

struct arena *arena_create(const regraft_allocator *allocator) {
    static const regraft_allocator standard = {default_allocate, default_release, NULL};
    const regraft_allocator *source = allocator ? allocator : &standard;
    struct arena *arena = source->allocate(source->user, sizeof *arena);
    if (!arena) return NULL;
    *arena = (struct arena){.allocator = *source};
    return arena;
}

struct arena *arena_child(struct arena *parent) {
    struct arena *child = parent->allocator.allocate(parent->allocator.user, sizeof *child);
    if (!child) arena_exhausted(parent);
    *child = (struct arena){.allocator = parent->allocator, .parent = parent};
    child->next_sibling = parent->children;
    if (child->next_sibling) child->next_sibling->link = &child->next_sibling;
    child->link = &parent->children;
    parent->children = child;
    return child;
}

static struct arena *root_of(struct arena *arena) {
    while (arena->parent) arena = arena->parent;
    return arena;
}

static void release_blocks(struct arena *arena, struct block *block) {
    for (struct block *previous; block; block = previous) {
        previous = block->previous;
        arena->allocator.release(arena->allocator.user, block, block->size);
    }
}

/* Memory that was just used is warm: the next child gets it first. */
static void keep_blocks(struct arena *root, struct block *block) {
    for (struct block *previous; block; block = previous) {
        previous = block->previous;
        block->previous = root->spare;
        root->spare = block;
    }
}

void arena_destroy(struct arena *arena) {
    if (!arena) return;
    while (arena->children) arena_destroy(arena->children);
    for (struct deferred *item = arena->deferred; item; item = item->next) item->release(item->object);
    if (arena->parent) {
        keep_blocks(root_of(arena), arena->block);
    } else {
        release_blocks(arena, arena->block);
        release_blocks(arena, arena->spare);
    }
    if (arena->parent) {
        *arena->link = arena->next_sibling;
        if (arena->next_sibling) arena->next_sibling->link = arena->link;
    }
    arena->allocator.release(arena->allocator.user, arena, sizeof *arena);
}

void arena_exhausted(struct arena *arena) {
    struct arena *root = root_of(arena);
    struct arena_guard *guard = root->guard;
    if (!guard) abort(); /* an internal call without a public entry point above it */
    root->guard = guard->outer;
    longjmp(guard->target, 1);
}

void arena_guard_enter(struct arena *arena, struct arena_guard *guard) {
    struct arena *root = root_of(arena);
    guard->outer = root->guard;
    root->guard = guard;
}

void arena_unguard(struct arena *arena, struct arena_guard *guard) { root_of(arena)->guard = guard->outer; }

static size_t next_block_size(const struct arena *arena, size_t need) {
    size_t size = arena->block ? arena->block->size * 2 : first_block;
    if (size > largest_block) size = largest_block;
    return size < need ? need : size;
}

/* The first spare block of at least `size` bytes, taken out of the list; NULL when there is none. */
static struct block *take_spare(struct arena *root, size_t size) {
    for (struct block **link = &root->spare; *link; link = &(*link)->previous) {
        struct block *block = *link;
        if (block->size < size) continue;
        *link = block->previous;
        return block;
    }
    return NULL;
}

static void *allocate_from_new_block(struct arena *arena, size_t size) {
    const size_t header = aligned(sizeof(struct block));
    if (size > SIZE_MAX - header) arena_exhausted(arena);
    size_t total = next_block_size(arena, header + size);
    struct block *block = take_spare(root_of(arena), total);
    if (block)
        total = block->size;
    else
        block = arena->allocator.allocate(arena->allocator.user, total);
    if (!block) arena_exhausted(arena);
    *block = (struct block){.previous = arena->block, .size = total, .used = header + size};
    arena->block = block;
    return (char *)block + header;
}

void *arena_allocate(struct arena *arena, size_t size) {
    if (size > SIZE_MAX / 2) arena_exhausted(arena);
    size = aligned(size ? size : 1);
    struct block *block = arena->block;
    if (!block || block->size - block->used < size) return allocate_from_new_block(arena, size);
    void *memory = (char *)block + block->used;
    block->used += size;
    return memory;
}

void *arena_zeroed(struct arena *arena, size_t count, size_t size) {
    if (size && count > SIZE_MAX / size) arena_exhausted(arena);
    return memset(arena_allocate(arena, count * size), 0, count * size);
}

void *arena_copy(struct arena *arena, const void *bytes, size_t size) {
    void *copy = arena_allocate(arena, size);
    return size ? memcpy(copy, bytes, size) : copy;
}

void arena_defer(struct arena *arena, void (*release)(void *object), void *object) {
    struct deferred *item = arena_new(arena, struct deferred);
    *item = (struct deferred){.next = arena->deferred, .release = release, .object = object};
    arena->deferred = item;
}
