#include "random_case.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "elements.h"

/* ---- chance ---- */

static uint64_t next(struct random_case *c) {
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return c->random;
}

static int64_t below(struct random_case *c, int64_t count) { return (int64_t)(next(c) >> 11) % count; }
#define ONE_OF(c, ...)                                                                                                 \
    ((const int64_t[]){__VA_ARGS__}[below((c), (int64_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))])

static void say(struct random_case *c, const char *format, ...) {
    va_list arguments;
    size_t used = strlen(c->text);
    va_start(arguments, format);
    vsnprintf(c->text + used, sizeof c->text - used, format, arguments);
    va_end(arguments);
}

/* ---- the arena ---- */

/* Room for `count` elements; now and then at an address that is only aligned to the element. */
static void *take(struct random_case *c, const char *name, regraft_type type, int64_t count, int written) {
    size_t element = element_size(type);
    size_t start = (c->size + 63) / 64 * 64 + 64 + (below(c, 4) == 0 ? element * (size_t)(1 + below(c, 3)) : 0);
    c->regions[c->region_count++] = (struct region){name, start, (size_t)count * element, type, written};
    c->size = start + (size_t)count * element;
    return (void *)(start + 1);
}

static int64_t *take_integers(struct random_case *c, int64_t count) {
    size_t start = (c->size + 7) / 8 * 8;
    c->size = start + (size_t)count * sizeof(int64_t);
    return (void *)(start + 1);
}

/* Values of about 1; in fp8 tensors random bytes stay. */
static void fill(struct random_case *c, const struct region *region) {
    if (region->type == REGRAFT_FP8_E4M3) return;
    for (size_t i = 0; i < region->size / element_size(region->type); i++)
        element_set(c->host + region->start, region->type, (int64_t)i, (float)(below(c, 20001) - 10000) / 4000.0f);
}

static void finish(struct random_case *c) {
    c->size += 256;
    c->host = malloc(c->size);
    for (size_t i = 0; i < c->size; i++) c->host[i] = (unsigned char)next(c);
    for (size_t i = 0; i < c->region_count; i++) fill(c, &c->regions[i]);
}

static void *host_of(const struct random_case *c, const void *offset) { return c->host + (uintptr_t)offset - 1; }

/* ---- tensors ---- */

/* [tokens, heads, size], dense or with gaps; gaps that are no multiple of 16 bytes now and then. */
static regraft_heads heads(struct random_case *c, const char *name, regraft_type type, int64_t tokens, int64_t count,
                           int64_t size, int written) {
    int64_t gap = ONE_OF(c, 0, 0, 0, 8, 16, 1), token_gap = ONE_OF(c, 0, 0, 64, 8, 3);
    regraft_heads result = {.heads = count, .head_stride = size + gap};
    result.token_stride = count * result.head_stride + token_gap;
    if (below(c, 4) == 0) { /* heads outside, tokens inside */
        result.token_stride = size + gap;
        result.head_stride = tokens * result.token_stride + token_gap;
    }
    result.data = take(c, name, type, tokens * count * (size + gap) + (tokens + count) * token_gap + 1, written);
    return result;
}

struct cache_shape {
    int64_t blocks, block_size;
    regraft_type type;
    int scaled;
};

static regraft_cache cache(struct random_case *c, const char *name, const struct cache_shape *shape,
                           int64_t heads_count, int64_t size) {
    int64_t gap = ONE_OF(c, 0, 0, 0, 16, 1), block_gap = ONE_OF(c, 0, 0, 64, 5);
    regraft_cache result = {.type = shape->type, .blocks = shape->blocks, .block_size = shape->block_size};
    result.head_stride = size + gap;
    result.row_stride = heads_count * result.head_stride;
    if (below(c, 3) == 0) { /* HND */
        result.row_stride = size + gap;
        result.head_stride = shape->block_size * result.row_stride;
    }
    result.block_stride = shape->block_size * heads_count * (size + gap) + block_gap;
    result.data = take(c, name, shape->type, shape->blocks * result.block_stride + 1, 1);
    if (shape->scaled) result.scale = take(c, "scale", REGRAFT_F32, 1, 0);
    return result;
}

static regraft_rotation rotation(struct random_case *c, regraft_type type, int64_t tokens, int64_t head_size) {
    regraft_rotation result = {.table_rows = 1 + below(c, 4000), .interleaved = (int)below(c, 2)};
    result.width = below(c, 2) ? head_size : head_size / 2 / 2 * 2;
    result.offset = result.width < head_size ? ONE_OF(c, 0, head_size - result.width, 1) : 0;
    if (result.width == 0) result.width = head_size, result.offset = 0;
    result.inverse = below(c, 5) == 0;
    result.table_type = below(c, 3) ? type : REGRAFT_F32;
    result.table_stride = result.width + ONE_OF(c, 0, 0, 8, 1);
    result.table = take(c, "table", result.table_type, result.table_rows * result.table_stride, 0);
    result.positions = take_integers(c, tokens);
    return result;
}

static regraft_slots slots(struct random_case *c, int64_t tokens) {
    regraft_slots result = {.count = below(c, 4) && tokens ? tokens : below(c, tokens + 1)};
    result.slots = take_integers(c, result.count);
    return result;
}

/* After the arena exists: positions; slots without repetition, some -1. */
static void fill_positions(struct random_case *c, const regraft_rotation *r, int64_t tokens) {
    for (int64_t i = 0; i < tokens; i++) {
        int64_t position = below(c, r->table_rows);
        memcpy((char *)host_of(c, r->positions) + i * 8, &position, 8);
    }
}

static void fill_slots(struct random_case *c, const regraft_slots *s, const struct cache_shape *shape) {
    int64_t rows = shape->blocks * shape->block_size, *order = malloc((size_t)rows * sizeof *order);
    for (int64_t i = 0; i < rows; i++) order[i] = i;
    for (int64_t i = 0; i < s->count; i++) {
        int64_t other = i + below(c, rows - i), slot = order[other];
        order[other] = order[i], order[i] = slot;
        if (below(c, 6) == 0) slot = -1;
        memcpy((char *)host_of(c, s->slots) + i * 8, &slot, 8);
    }
    free(order);
}

static void fill_scale(struct random_case *c, const regraft_cache *cache_written) {
    float scale = (float)(1 + below(c, 100)) / 64.0f;
    uint32_t any = (uint32_t)(below(c, 1 << 16) << 16 | below(c, 1 << 16)); /* also no number, zero, far from 1 */
    if (below(c, 4) == 0) memcpy(&scale, &any, sizeof scale);
    if (cache_written->scale) memcpy(host_of(c, cache_written->scale), &scale, sizeof scale);
}

/* ---- operations ---- */

static struct cache_shape cache_shape(struct random_case *c, regraft_type type, int64_t tokens) {
    struct cache_shape shape = {.block_size = ONE_OF(c, 1, 16, 64, 17), .type = type};
    shape.blocks = (tokens + 20) / shape.block_size + 2;
    if (below(c, 2)) shape.type = REGRAFT_FP8_E4M3, shape.scaled = below(c, 3) != 0;
    return shape;
}

/* At most $REGRAFT_TEST_TOKENS, where a machine is slow. */
static int64_t at_most(int64_t tokens) {
    const char *text = getenv("REGRAFT_TEST_TOKENS");
    return text && tokens > atoi(text) ? atoi(text) : tokens;
}
static int64_t some_tokens(struct random_case *c) { return at_most(ONE_OF(c, 0, 1, 2, 7, 64, 1000)); }

static void make_rope(struct random_case *c, regraft_type type) {
    regraft_rope_arguments *a = &c->arguments.rope;
    *a = (regraft_rope_arguments){
        .tokens = some_tokens(c), .head_size = ONE_OF(c, 64, 128, 80, 96, 256, 6, 2), .type = type};
    a->rotation = rotation(c, type, a->tokens, a->head_size);
    a->query = heads(c, "query", type, a->tokens, ONE_OF(c, 1, 8, 16, 5), a->head_size, 1);
    if (below(c, 2)) a->key = heads(c, "key", type, a->tokens, ONE_OF(c, 1, 2, 3), a->head_size, 1);
    if (below(c, 3) == 0) a->query_out = heads(c, "query_out", type, a->tokens, a->query.heads, a->head_size, 1);
    if (a->key.data && below(c, 2)) a->key_out = heads(c, "key_out", type, a->tokens, a->key.heads, a->head_size, 1);
    finish(c);
    fill_positions(c, &a->rotation, a->tokens);
    say(c, "%lld tokens, head %lld, rotary %lld at %lld%s, heads %lld and %lld", (long long)a->tokens,
        (long long)a->head_size, (long long)a->rotation.width, (long long)a->rotation.offset,
        a->rotation.interleaved ? " interleaved" : "", (long long)a->query.heads, (long long)a->key.heads);
}

static void make_rope_cache(struct random_case *c, regraft_type type, int norm) {
    regraft_rope_cache_arguments *a = &c->arguments.rope_cache;
    *a = (regraft_rope_cache_arguments){
        .tokens = some_tokens(c), .head_size = ONE_OF(c, 64, 128, 80, 256, 6), .type = type};
    a->value_size = ONE_OF(c, 0, 0, a->head_size, 48);
    int64_t value_size = a->value_size ? a->value_size : a->head_size;
    struct cache_shape shape = cache_shape(c, type, a->tokens);
    a->rotation = rotation(c, type, a->tokens, a->head_size);
    a->query = heads(c, "query", type, a->tokens, ONE_OF(c, 1, 8, 32, 5), a->head_size, 1);
    a->key = heads(c, "key", type, a->tokens, ONE_OF(c, 1, 2, 8, 3), a->head_size, 1);
    a->value = heads(c, "value", type, a->tokens, a->key.heads, value_size, 0);
    if (below(c, 3) == 0) a->query_out = heads(c, "query_out", type, a->tokens, a->query.heads, a->head_size, 1);
    a->key_result = (regraft_key_result)below(c, 3);
    if (a->key_result == REGRAFT_KEY_OUT)
        a->key_out = heads(c, "key_out", type, a->tokens, a->key.heads, a->head_size, 1);
    a->slots = slots(c, a->tokens);
    a->key_cache = cache(c, "key_cache", &shape, a->key.heads, a->head_size);
    a->value_cache = cache(c, "value_cache", &shape, a->key.heads, value_size);
    if (norm) {
        a->query_weight = take(c, "query_weight", type, a->head_size, 0);
        a->key_weight = take(c, "key_weight", type, a->head_size, 0);
        a->epsilon = 1e-5f;
    }
    finish(c);
    fill_positions(c, &a->rotation, a->tokens);
    fill_slots(c, &a->slots, &shape);
    fill_scale(c, &a->key_cache), fill_scale(c, &a->value_cache);
    say(c,
        "%lld tokens (%lld slots), head %lld, rotary %lld at %lld%s, value %lld, heads %lld and %lld, key result %d, "
        "%s cache, blocks of %lld",
        (long long)a->tokens, (long long)a->slots.count, (long long)a->head_size, (long long)a->rotation.width,
        (long long)a->rotation.offset, a->rotation.interleaved ? " interleaved" : "", (long long)value_size,
        (long long)a->query.heads, (long long)a->key.heads, (int)a->key_result,
        shape.type == REGRAFT_FP8_E4M3 ? "fp8" : "same", (long long)shape.block_size);
}

static void make_rope_latent_cache(struct random_case *c, regraft_type type) {
    regraft_rope_latent_cache_arguments *a = &c->arguments.rope_latent_cache;
    *a = (regraft_rope_latent_cache_arguments){
        .tokens = some_tokens(c), .head_size = ONE_OF(c, 64, 64, 32, 6), .rank = ONE_OF(c, 512, 256, 40), .type = type};
    struct cache_shape shape = cache_shape(c, type, a->tokens);
    a->rotation = rotation(c, type, a->tokens, a->head_size);
    a->query = heads(c, "query", type, a->tokens, ONE_OF(c, 1, 16, 128, 5), a->head_size, 1);
    a->key_pe = heads(c, "key_pe", type, a->tokens, 1, a->head_size, 1);
    a->kv_c = heads(c, "kv_c", type, a->tokens, 1, a->rank, 0);
    if (below(c, 3) == 0) a->query_out = heads(c, "query_out", type, a->tokens, a->query.heads, a->head_size, 1);
    a->key_result = (regraft_key_result)below(c, 3);
    if (a->key_result == REGRAFT_KEY_OUT) a->key_pe_out = heads(c, "key_pe_out", type, a->tokens, 1, a->head_size, 1);
    a->slots = slots(c, a->tokens);
    a->cache = cache(c, "cache", &shape, 1, a->rank + a->head_size);
    finish(c);
    fill_positions(c, &a->rotation, a->tokens);
    fill_slots(c, &a->slots, &shape);
    fill_scale(c, &a->cache);
    say(c,
        "%lld tokens (%lld slots), head %lld, rank %lld, rotary %lld at %lld%s, heads %lld, key result %d, %s cache, "
        "blocks of %lld",
        (long long)a->tokens, (long long)a->slots.count, (long long)a->head_size, (long long)a->rank,
        (long long)a->rotation.width, (long long)a->rotation.offset, a->rotation.interleaved ? " interleaved" : "",
        (long long)a->query.heads, (int)a->key_result, shape.type == REGRAFT_FP8_E4M3 ? "fp8" : "same",
        (long long)shape.block_size);
}

static void make_cache(struct random_case *c, regraft_type type) {
    regraft_cache_arguments *a = &c->arguments.cache;
    *a = (regraft_cache_arguments){.tokens = some_tokens(c), .head_size = ONE_OF(c, 64, 128, 80, 7), .type = type};
    a->value_size = ONE_OF(c, 0, 48);
    int64_t value_size = a->value_size ? a->value_size : a->head_size, count = ONE_OF(c, 1, 2, 8, 3);
    struct cache_shape shape = cache_shape(c, type, a->tokens);
    a->key = heads(c, "key", type, a->tokens, count, a->head_size, 0);
    a->value = heads(c, "value", type, a->tokens, count, value_size, 0);
    a->slots = slots(c, a->tokens);
    a->key_cache = cache(c, "key_cache", &shape, count, a->head_size);
    a->value_cache = cache(c, "value_cache", &shape, count, value_size);
    finish(c);
    fill_slots(c, &a->slots, &shape);
    fill_scale(c, &a->key_cache), fill_scale(c, &a->value_cache);
    say(c, "%lld tokens (%lld slots), head %lld", (long long)a->tokens, (long long)a->slots.count,
        (long long)a->head_size);
}

static void make_latent_cache(struct random_case *c, regraft_type type) {
    regraft_latent_cache_arguments *a = &c->arguments.latent_cache;
    *a = (regraft_latent_cache_arguments){
        .tokens = some_tokens(c), .head_size = ONE_OF(c, 64, 32, 5), .rank = ONE_OF(c, 512, 40), .type = type};
    struct cache_shape shape = cache_shape(c, type, a->tokens);
    a->key_pe = heads(c, "key_pe", type, a->tokens, 1, a->head_size, 0);
    a->kv_c = heads(c, "kv_c", type, a->tokens, 1, a->rank, 0);
    a->slots = slots(c, a->tokens);
    a->cache = cache(c, "cache", &shape, 1, a->rank + a->head_size);
    finish(c);
    fill_slots(c, &a->slots, &shape);
    fill_scale(c, &a->cache);
    say(c, "%lld tokens, head %lld, rank %lld", (long long)a->tokens, (long long)a->head_size, (long long)a->rank);
}

static int64_t row_size(struct random_case *c) { return ONE_OF(c, 4096, 7168, 512, 128, 100, 33, 1, 16384); }
static int64_t row_tokens(struct random_case *c) { return at_most(ONE_OF(c, 0, 1, 2, 7, 64, 200)); }

static void make_rms_norm(struct random_case *c, regraft_type type) {
    regraft_rms_norm_arguments *a = &c->arguments.rms_norm;
    *a = (regraft_rms_norm_arguments){.tokens = row_tokens(c), .size = row_size(c), .type = type, .epsilon = 1e-6f};
    a->input = heads(c, "input", type, a->tokens, ONE_OF(c, 1, 1, 4), a->size, 1);
    a->out = below(c, 3) ? heads(c, "out", type, a->tokens, a->input.heads, a->size, 1) : a->input;
    if (below(c, 4)) a->weight = take(c, "weight", type, a->size, 0);
    finish(c);
    say(c, "%lld tokens of %lld x %lld", (long long)a->tokens, (long long)a->input.heads, (long long)a->size);
}

static void make_fused_add_rms_norm(struct random_case *c, regraft_type type) {
    regraft_fused_add_rms_norm_arguments *a = &c->arguments.fused_add_rms_norm;
    *a = (regraft_fused_add_rms_norm_arguments){
        .tokens = row_tokens(c), .size = row_size(c), .type = type, .epsilon = 1e-6f};
    a->input = heads(c, "input", type, a->tokens, ONE_OF(c, 1, 1, 4), a->size, 1);
    a->residual = heads(c, "residual", type, a->tokens, a->input.heads, a->size, 1);
    if (below(c, 4)) a->weight = take(c, "weight", type, a->size, 0);
    finish(c);
    say(c, "%lld tokens of %lld x %lld", (long long)a->tokens, (long long)a->input.heads, (long long)a->size);
}

static void make_silu_and_mul(struct random_case *c, regraft_type type) {
    regraft_silu_and_mul_arguments *a = &c->arguments.silu_and_mul;
    *a = (regraft_silu_and_mul_arguments){.tokens = row_tokens(c), .size = row_size(c), .type = type};
    a->input = heads(c, "input", type, a->tokens, 1, 2 * a->size, 0);
    a->out = heads(c, "out", type, a->tokens, 1, a->size, 1);
    finish(c);
    say(c, "%lld tokens of %lld", (long long)a->tokens, (long long)a->size);
}

void random_case_make_operation(struct random_case *c, uint64_t seed, enum operation operation) {
    static const char *const names[] = {"rope",        "rope_cache",   "norm_rope_cache", "rope_latent_cache",
                                        "cache",       "latent_cache", "rms_norm",        "fused_add_rms_norm",
                                        "silu_and_mul"};
    static const char *const types[] = {"bf16", "f16", "f32"};
    *c = (struct random_case){.operation = operation, .random = (seed + 1) * 0x9e3779b97f4a7c15u};
    for (int i = 0; i < 8; i++) next(c);
    regraft_type type = (regraft_type)below(c, 3);
    say(c, "case %llu, %s, %s: ", (unsigned long long)seed, names[operation], types[type]);
    switch (operation) {
    case OPERATION_ROPE:
        make_rope(c, type);
        break;
    case OPERATION_ROPE_CACHE:
        make_rope_cache(c, type, 0);
        break;
    case OPERATION_NORM_ROPE_CACHE:
        make_rope_cache(c, type, 1);
        break;
    case OPERATION_ROPE_LATENT_CACHE:
        make_rope_latent_cache(c, type);
        break;
    case OPERATION_CACHE:
        make_cache(c, type);
        break;
    case OPERATION_LATENT_CACHE:
        make_latent_cache(c, type);
        break;
    case OPERATION_RMS_NORM:
        make_rms_norm(c, type);
        break;
    case OPERATION_FUSED_ADD_RMS_NORM:
        make_fused_add_rms_norm(c, type);
        break;
    default:
        make_silu_and_mul(c, type);
        break;
    }
}

void random_case_make(struct random_case *c, uint64_t seed) {
    static const enum operation more[] = {OPERATION_ROPE_CACHE, OPERATION_ROPE_LATENT_CACHE, OPERATION_ROPE};
    uint64_t which = seed % (OPERATION_COUNT + 3);
    random_case_make_operation(c, seed,
                               which < OPERATION_COUNT ? (enum operation)which : more[which - OPERATION_COUNT]);
}

void random_case_free(struct random_case *c) { free(c->host); }

/* ---- pointers ---- */

static void move(const void *field, unsigned char *base) {
    uintptr_t offset;
    memcpy(&offset, field, sizeof offset);
    unsigned char *address = offset ? base + offset - 1 : NULL;
    memcpy((void *)(uintptr_t)field, &address, sizeof address);
}
#define MOVE(field) move(&(field), base)

static void move_rotation(regraft_rotation *r, unsigned char *base) { MOVE(r->positions), MOVE(r->table); }
static void move_cache(regraft_cache *cache_moved, unsigned char *base) {
    MOVE(cache_moved->data), MOVE(cache_moved->scale);
}

void random_case_arguments(const struct random_case *c, unsigned char *base, union operation_arguments *a) {
    *a = c->arguments;
    switch (c->operation) {
    case OPERATION_ROPE:
        move_rotation(&a->rope.rotation, base);
        MOVE(a->rope.query.data), MOVE(a->rope.key.data), MOVE(a->rope.query_out.data), MOVE(a->rope.key_out.data);
        break;
    case OPERATION_ROPE_CACHE:
    case OPERATION_NORM_ROPE_CACHE:
        move_rotation(&a->rope_cache.rotation, base);
        MOVE(a->rope_cache.query.data), MOVE(a->rope_cache.key.data), MOVE(a->rope_cache.value.data);
        MOVE(a->rope_cache.query_out.data), MOVE(a->rope_cache.key_out.data), MOVE(a->rope_cache.slots.slots);
        MOVE(a->rope_cache.query_weight), MOVE(a->rope_cache.key_weight);
        move_cache(&a->rope_cache.key_cache, base), move_cache(&a->rope_cache.value_cache, base);
        break;
    case OPERATION_ROPE_LATENT_CACHE:
        move_rotation(&a->rope_latent_cache.rotation, base);
        MOVE(a->rope_latent_cache.query.data), MOVE(a->rope_latent_cache.key_pe.data);
        MOVE(a->rope_latent_cache.kv_c.data), MOVE(a->rope_latent_cache.query_out.data);
        MOVE(a->rope_latent_cache.key_pe_out.data), MOVE(a->rope_latent_cache.slots.slots);
        move_cache(&a->rope_latent_cache.cache, base);
        break;
    case OPERATION_CACHE:
        MOVE(a->cache.key.data), MOVE(a->cache.value.data), MOVE(a->cache.slots.slots);
        move_cache(&a->cache.key_cache, base), move_cache(&a->cache.value_cache, base);
        break;
    case OPERATION_LATENT_CACHE:
        MOVE(a->latent_cache.key_pe.data), MOVE(a->latent_cache.kv_c.data), MOVE(a->latent_cache.slots.slots);
        move_cache(&a->latent_cache.cache, base);
        break;
    case OPERATION_RMS_NORM:
        MOVE(a->rms_norm.input.data), MOVE(a->rms_norm.out.data), MOVE(a->rms_norm.weight);
        break;
    case OPERATION_FUSED_ADD_RMS_NORM:
        MOVE(a->fused_add_rms_norm.input.data), MOVE(a->fused_add_rms_norm.residual.data);
        MOVE(a->fused_add_rms_norm.weight);
        break;
    default:
        MOVE(a->silu_and_mul.input.data), MOVE(a->silu_and_mul.out.data);
        break;
    }
}

int random_case_is_inexact(const struct random_case *c) {
    return c->operation == OPERATION_NORM_ROPE_CACHE || c->operation >= OPERATION_RMS_NORM;
}

const char *random_case_text(const struct random_case *c) { return c->text; }

const char *random_case_where(const struct random_case *c, size_t at) {
    for (size_t i = 0; i < c->region_count; i++)
        if (at >= c->regions[i].start && at < c->regions[i].start + c->regions[i].size) return c->regions[i].name;
    return "between the tensors";
}
