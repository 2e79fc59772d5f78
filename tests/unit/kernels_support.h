/* What the tests of the kernels share: regions of memory with canaries, each three times: as it was, for the kernel, for the
 * reference interpreter. After a call the last two have to agree byte for byte, gaps and canaries included. */
#ifndef REGRAFT_TESTS_KERNELS_SUPPORT_H
#define REGRAFT_TESTS_KERNELS_SUPPORT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "interp/cache.h"
#include "interp/norm.h"
#include "regraft/kernels.h"

/* behind: it defines a macro fail */
#include <cmocka.h>

enum { canary_bytes = 192, most_regions = 12 };

/* Bytes [canary | tensors | canary]. The three start at the same distance from a multiple of 64. */
struct region {
    unsigned char *initial, *actual, *expected;
    size_t size; /* with canaries */
    struct storage reference;
};

struct world {
    struct arena *arena;
    uint64_t random;
    struct region regions[most_regions];
    size_t count;
    size_t misalignment; /* bytes: where tensors start behind a multiple of 64 */
};

static inline uint64_t random_bits(struct world *world) {
    world->random = world->random * 6364136223846793005u + 1442695040888963407u;
    return world->random >> 33 ^ world->random << 20;
}
static inline int64_t random_below(struct world *world, int64_t limit) {
    return (int64_t)(random_bits(world) % (uint64_t)limit);
}
static inline double random_real(struct world *world, double limit) {
    return ((double)(random_bits(world) % 2000001) / 1e6 - 1) * limit;
}

static inline enum dtype dtype_of(regraft_type type) {
    static const enum dtype dtypes[] = {dtype_bf16, dtype_f16, dtype_f32, dtype_f8e4m3fn};
    return dtypes[type];
}
static inline size_t element_bytes(regraft_type type) { return dtype_size(dtype_of(type)); }

static inline void world_start(struct world *world, uint64_t seed) {
    *world = (struct world){.arena = arena_create(NULL), .random = seed * 2654435761u + 1};
}
static inline void world_end(struct world *world) { arena_destroy(world->arena); }

static inline unsigned char *aligned_copy(struct world *world, size_t size, size_t misalignment) {
    unsigned char *bytes = arena_allocate(world->arena, size + 128);
    return bytes + (64 - (uintptr_t)bytes % 64) % 64 + misalignment;
}

/* Memory for `bytes` bytes of tensors; what it holds is random. Points at the kernel's. */
static inline struct region *new_region(struct world *world, size_t bytes) {
    assert_true(world->count < most_regions);
    struct region *region = &world->regions[world->count++];
    region->size = bytes + 2 * canary_bytes;
    region->initial = aligned_copy(world, region->size, world->misalignment);
    region->actual = aligned_copy(world, region->size, world->misalignment);
    region->expected = aligned_copy(world, region->size, world->misalignment);
    for (size_t i = 0; i < region->size; i++) region->initial[i] = (unsigned char)random_bits(world);
    region->reference = (struct storage){region->expected + canary_bytes, bytes};
    return region;
}
static inline void *initial_data(const struct region *region) { return region->initial + canary_bytes; }
static inline void *actual_data(const struct region *region) { return region->actual + canary_bytes; }

/* All as it was at first. */
static inline void world_reset(struct world *world, bool reference) {
    for (size_t i = 0; i < world->count; i++) {
        memcpy(world->regions[i].actual, world->regions[i].initial, world->regions[i].size);
        if (reference) memcpy(world->regions[i].expected, world->regions[i].initial, world->regions[i].size);
    }
}

/* -1: all regions are equal; else the first that differs. */
static inline int world_difference(const struct world *world, size_t *byte) {
    for (size_t i = 0; i < world->count; i++)
        for (*byte = 0; *byte < world->regions[i].size; ++*byte)
            if (world->regions[i].actual[*byte] != world->regions[i].expected[*byte]) return (int)i;
    return -1;
}

/* A number that tests arithmetic: most of them ordinary, some tiny (subnormals too) or large. Never infinite. */
static inline double random_number(struct world *world, regraft_type type) {
    if (random_below(world, 8)) return random_real(world, 4);
    double magnitude = ldexp(1 + fabs(random_real(world, 1)), (int)random_below(world, type == REGRAFT_F16 ? 40 : 180) -
                                                                  (type == REGRAFT_F16 ? 25 : 150));
    return random_below(world, 2) ? magnitude : -magnitude;
}

static inline void fill_numbers(struct world *world, const struct region *region, regraft_type type) {
    unsigned char *at = initial_data(region);
    size_t size = element_bytes(type), count = (region->size - 2 * canary_bytes) / size;
    for (size_t i = 0; i < count; i++) element_store_real(dtype_of(type), at + i * size, random_number(world, type));
}

/* The reference's view of [tokens, heads, size] in a region. */
static inline struct tensor heads_tensor(struct region *region, regraft_type type, const regraft_heads *heads,
                                         int64_t tokens, int64_t size) {
    int64_t distance = (const unsigned char *)heads->data - (const unsigned char *)actual_data(region);
    return (struct tensor){.dtype = dtype_of(type),
                           .shape = {3, {tokens, heads->heads, size}},
                           .strides = {heads->token_stride, heads->head_stride, 1},
                           .offset = distance / (int64_t)element_bytes(type),
                           .storage = &region->reference};
}

static inline struct tensor cache_tensor(struct region *region, const regraft_cache *cache, int64_t heads,
                                         int64_t size) {
    int64_t distance = (const unsigned char *)cache->data - (const unsigned char *)actual_data(region);
    return (struct tensor){.dtype = dtype_of(cache->type),
                           .shape = {4, {cache->blocks, cache->block_size, heads, size}},
                           .strides = {cache->block_stride, cache->row_stride, cache->head_stride, 1},
                           .offset = distance / (int64_t)element_bytes(cache->type),
                           .storage = &region->reference};
}

static inline struct tensor list_tensor(struct region *region, enum dtype dtype, int64_t rows, int64_t columns,
                                        int64_t stride) {
    struct tensor tensor = {.dtype = dtype, .shape = {2, {rows, columns}}, .strides = {stride, 1}};
    tensor.storage = &region->reference;
    if (columns == 0) tensor.shape.rank = 1, tensor.strides[0] = 1;
    return tensor;
}

/* The forms that this machine can run, portable first. */
static inline size_t list_forms(regraft_cpu_form *forms) {
    size_t count = 0;
    for (regraft_cpu_form form = REGRAFT_CPU_PORTABLE; form <= REGRAFT_CPU_AVX512_BF16; form++)
        if (regraft_cpu_has(form)) forms[count++] = form;
    return count;
}

#endif
