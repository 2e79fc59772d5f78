/* The ways: our fused kernel, our kernels apart, and a plain loop as one writes it down. */
#include "arms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __x86_64__
#include <emmintrin.h>
#endif

static int is_fp8(const struct shape *shape) { return shape->cache.type == REGRAFT_FP8_E4M3; }

int64_t token_bytes(const struct shape *shape) {
    int64_t query = 2 * shape->query_heads * shape->rotary * 2, key = 2 * shape->key_heads * shape->rotary * 2;
    int64_t beside = shape->rotary * 4 + 8 + 8; /* cosines and sines, position, slot */
    int64_t cached = shape->rank ? shape->rank + shape->rotary : 2 * shape->key_heads * shape->head_size;
    int64_t values = shape->rank ? shape->rank : shape->key_heads * shape->head_size;
    return query + key + 2 * values + beside + cached * (is_fp8(shape) ? 1 : 2);
}

static regraft_cache cache_of(const struct tensors *tensors, void *data, int64_t row) {
    static const float scale = 0.5f;
    regraft_cache cache = tensors->shape.cache;
    cache.data = data;
    cache.blocks = tensors->rows / block_size;
    cache.block_size = block_size;
    cache.block_stride = block_size * row;
    cache.row_stride = row;
    cache.head_stride = tensors->shape.head_size;
    cache.scale = &scale;
    return cache;
}

static regraft_rotation rotation_of(const struct tensors *tensors, int64_t first) {
    const struct shape *shape = &tensors->shape;
    return (regraft_rotation){tensors->positions + first,
                              tensors->table,
                              REGRAFT_F32,
                              tensors->table_rows,
                              shape->rotary,
                              shape->rotary,
                              0,
                              shape->interleaved,
                              0};
}

static regraft_rope_cache_arguments grouped_arguments(const struct tensors *tensors, int64_t first, int64_t count) {
    const struct shape *shape = &tensors->shape;
    uint16_t *query = tensors->inputs + first * tensors->row;
    uint16_t *key = query + shape->query_heads * shape->head_size, *value = key + shape->key_heads * shape->head_size;
    int64_t row = shape->key_heads * shape->head_size;
    return (regraft_rope_cache_arguments){
        .tokens = count,
        .head_size = shape->head_size,
        .type = REGRAFT_BF16,
        .rotation = rotation_of(tensors, first),
        .query = {query, shape->query_heads, tensors->row, shape->head_size},
        .key = {key, shape->key_heads, tensors->row, shape->head_size},
        .value = {value, shape->key_heads, tensors->row, shape->head_size},
        .slots = {tensors->slots + first, count},
        .key_cache = cache_of(tensors, tensors->key_cache, row),
        .value_cache = cache_of(tensors, tensors->value_cache, row),
    };
}

/* q_pe is the end of heads of head_size; kv_c and k_pe lie in one row. */
static regraft_rope_latent_cache_arguments latent_arguments(const struct tensors *tensors, int64_t first,
                                                            int64_t count) {
    const struct shape *shape = &tensors->shape;
    uint16_t *query = tensors->inputs + first * tensors->row + shape->head_size - shape->rotary;
    int64_t row = shape->rank + shape->rotary;
    uint16_t *latent = tensors->latents + first * row;
    return (regraft_rope_latent_cache_arguments){
        .tokens = count,
        .head_size = shape->rotary,
        .rank = shape->rank,
        .type = REGRAFT_BF16,
        .rotation = rotation_of(tensors, first),
        .query = {query, shape->query_heads, tensors->row, shape->head_size},
        .key_pe = {latent + shape->rank, 1, row, 0},
        .kv_c = {latent, 1, row, 0},
        .slots = {tensors->slots + first, count},
        .cache = cache_of(tensors, tensors->key_cache, row),
    };
}

/* ---- ours ---- */

static void expect(regraft_status status, const regraft_cpu *cpu) {
    if (status == REGRAFT_OK) return;
    fprintf(stderr, "bench: %s\n", cpu->message);
    exit(1);
}

/* REGRAFT_BENCH_FORM and REGRAFT_BENCH_STREAMING: how ours run. */
static regraft_cpu chosen(void) {
    regraft_cpu cpu = REGRAFT_CPU_INIT;
    const char *form = getenv("REGRAFT_BENCH_FORM"), *streaming = getenv("REGRAFT_BENCH_STREAMING");
    if (form) cpu.form = (regraft_cpu_form)atoi(form);
    if (streaming) cpu.streaming = atoi(streaming);
    return cpu;
}

void arm_fused(const struct tensors *tensors, int64_t first, int64_t count) {
    regraft_cpu cpu = chosen();
    if (tensors->shape.rank) {
        regraft_rope_latent_cache_arguments arguments = latent_arguments(tensors, first, count);
        expect(regraft_cpu_rope_latent_cache(&cpu, &arguments), &cpu);
    } else {
        regraft_rope_cache_arguments arguments = grouped_arguments(tensors, first, count);
        expect(regraft_cpu_rope_cache(&cpu, &arguments), &cpu);
    }
}

void arm_unfused(const struct tensors *tensors, int64_t first, int64_t count) {
    regraft_cpu cpu = chosen();
    if (tensors->shape.rank) {
        regraft_rope_latent_cache_arguments all = latent_arguments(tensors, first, count);
        regraft_rope_arguments rope = {.tokens = count,
                                       .head_size = all.head_size,
                                       .type = all.type,
                                       .rotation = all.rotation,
                                       .query = all.query,
                                       .key = all.key_pe};
        regraft_latent_cache_arguments write = {count,      all.head_size, all.rank,  all.type,
                                                all.key_pe, all.kv_c,      all.slots, all.cache};
        expect(regraft_cpu_rope(&cpu, &rope), &cpu);
        expect(regraft_cpu_latent_cache(&cpu, &write), &cpu);
    } else {
        regraft_rope_cache_arguments all = grouped_arguments(tensors, first, count);
        regraft_rope_arguments rope = {.tokens = count,
                                       .head_size = all.head_size,
                                       .type = all.type,
                                       .rotation = all.rotation,
                                       .query = all.query,
                                       .key = all.key};
        regraft_cache_arguments write = {count,         all.head_size,  0, all.type, all.key, all.value, all.slots,
                                         all.key_cache, all.value_cache};
        expect(regraft_cpu_rope(&cpu, &rope), &cpu);
        expect(regraft_cpu_cache(&cpu, &write), &cpu);
    }
}

/* ---- the same addresses without arithmetic ---- */

/* Bytes that are read and written where they are; the compiler may not know that nothing changes. */
static void touch(char *start, int64_t size, int64_t *zero) {
    for (int64_t i = 0; i < size; i += 8) {
        int64_t value;
        memcpy(&value, start + i, sizeof value);
        value ^= *zero;
        memcpy(start + i, &value, sizeof value);
    }
}

static void touch_heads(const regraft_heads *heads, int64_t token, int64_t size, int64_t *zero) {
    char *row = (char *)heads->data + token * heads->token_stride * 2, *next = row + heads->token_stride * 2;
    for (int64_t head = 0; head < heads->heads; head++) {
        for (int64_t at = 0; at < size * 2; at += 64) __builtin_prefetch(next + head * heads->head_stride * 2 + at);
        touch(row + head * heads->head_stride * 2, size * 2, zero);
    }
}

static void stream(char *to, const char *from, int64_t size) {
#ifdef __x86_64__
    for (int64_t i = 0; i < size; i += 16)
        _mm_stream_si128((__m128i *)(void *)(to + i), _mm_loadu_si128((const __m128i *)(const void *)(from + i)));
#else
    memcpy(to, from, (size_t)size);
#endif
}

static char *row_of(const regraft_cache *cache, int64_t slot, int64_t size) {
    int64_t at = slot / cache->block_size * cache->block_stride + slot % cache->block_size * cache->row_stride;
    return (char *)cache->data + at * size;
}

static void floor_token(const struct tensors *tensors, const regraft_rope_cache_arguments *grouped,
                        const regraft_rope_latent_cache_arguments *latent, int64_t token, int64_t *zero) {
    const struct shape *shape = &tensors->shape;
    const regraft_rotation *rotation = shape->rank ? &latent->rotation : &grouped->rotation;
    const float *row = (const float *)rotation->table + rotation->positions[token] * rotation->table_stride;
    int64_t slot = (shape->rank ? latent->slots : grouped->slots).slots[token], size = is_fp8(shape) ? 1 : 2;
    for (int64_t i = 0; i < shape->rotary; i += 16) *zero |= row[i] > 1e30f;
    touch_heads(shape->rank ? &latent->query : &grouped->query, token, shape->rotary, zero);
    touch_heads(shape->rank ? &latent->key_pe : &grouped->key, token, shape->rotary, zero);
    if (shape->rank) {
        const char *from = (const char *)latent->kv_c.data + token * latent->kv_c.token_stride * 2;
        stream(row_of(&latent->cache, slot, size), from, (shape->rank + shape->rotary) * size);
        for (int64_t i = 0; i < shape->rank * 2; i += 64) *zero |= from[i] == 99;
    } else {
        int64_t width = shape->key_heads * shape->head_size;
        const char *key = (const char *)grouped->key.data + token * grouped->key.token_stride * 2;
        const char *value = (const char *)grouped->value.data + token * grouped->value.token_stride * 2;
        stream(row_of(&grouped->key_cache, slot, size), key, width * size);
        stream(row_of(&grouped->value_cache, slot, size), value, width * size);
        for (int64_t i = 0; i < width * 2; i += 64) *zero |= value[i] == 99;
    }
}

void arm_floor(const struct tensors *tensors, int64_t first, int64_t count) {
    regraft_rope_cache_arguments grouped = grouped_arguments(tensors, first, count);
    regraft_rope_latent_cache_arguments latent = latent_arguments(tensors, first, count);
#pragma omp parallel if (count >= 32)
    {
        int64_t zero = 0;
#pragma omp for schedule(static)
        for (int64_t token = 0; token < count; token++) floor_token(tensors, &grouped, &latent, token, &zero);
    }
}

/* ---- a plain loop ---- */

static float widen(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static uint16_t narrow(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void rotate_plainly(uint16_t *x, const float *row, int64_t width, int interleaved) {
    int64_t half = width / 2;
    for (int64_t i = 0; i < half; i++) {
        int64_t first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + half;
        float a = widen(x[first]), b = widen(x[second]);
        x[first] = narrow(a * row[i] - b * row[half + i]);
        x[second] = narrow(b * row[i] + a * row[half + i]);
    }
}

static void rotate_heads_plainly(const regraft_heads *heads, int64_t token, const regraft_rotation *rotation) {
    const float *row = (const float *)rotation->table + rotation->positions[token] * rotation->table_stride;
    uint16_t *x = (uint16_t *)heads->data + token * heads->token_stride;
    for (int64_t head = 0; head < heads->heads; head++)
        rotate_plainly(x + head * heads->head_stride, row, rotation->width, rotation->interleaved);
}

static uint8_t narrow_fp8(float value) {
    float magnitude = value < 0 ? -value : value;
    uint32_t bits, sign = value < 0 ? 0x80 : 0;
    if (magnitude > 448) magnitude = 448;
    if (magnitude < 0x1p-6f) return (uint8_t)(sign | (uint32_t)(magnitude * 512 + 0.5f));
    memcpy(&bits, &magnitude, sizeof bits);
    return (uint8_t)(sign | (((bits + 0x7ffff + (bits >> 20 & 1)) >> 20) - 960));
}

static void write_plainly(const regraft_cache *cache, int64_t slot, int64_t column, const uint16_t *from,
                          int64_t count) {
    int64_t at = slot / cache->block_size * cache->block_stride + slot % cache->block_size * cache->row_stride + column;
    if (cache->type == REGRAFT_BF16)
        memcpy((uint16_t *)cache->data + at, from, (size_t)count * sizeof *from);
    else
        for (int64_t i = 0; i < count; i++)
            ((uint8_t *)cache->data)[at + i] = narrow_fp8(widen(from[i]) / *cache->scale);
}

void arm_plain(const struct tensors *tensors, int64_t first, int64_t count) {
    regraft_rope_cache_arguments grouped = grouped_arguments(tensors, first, count);
    regraft_rope_latent_cache_arguments latent = latent_arguments(tensors, first, count);
    const struct shape *shape = &tensors->shape;
#pragma omp parallel for if (count >= 32) schedule(static)
    for (int64_t token = 0; token < count; token++) {
        int64_t slot = tensors->slots[first + token];
        if (shape->rank) {
            const uint16_t *row = (const uint16_t *)latent.kv_c.data + token * latent.kv_c.token_stride;
            rotate_heads_plainly(&latent.query, token, &latent.rotation);
            rotate_heads_plainly(&latent.key_pe, token, &latent.rotation);
            write_plainly(&latent.cache, slot, 0, row, shape->rank + shape->rotary);
        } else {
            int64_t width = shape->key_heads * shape->head_size;
            const uint16_t *key = (const uint16_t *)grouped.key.data + token * grouped.key.token_stride;
            const uint16_t *value = (const uint16_t *)grouped.value.data + token * grouped.value.token_stride;
            rotate_heads_plainly(&grouped.query, token, &grouped.rotation);
            rotate_heads_plainly(&grouped.key, token, &grouped.rotation);
            write_plainly(&grouped.key_cache, slot, 0, key, width);
            write_plainly(&grouped.value_cache, slot, 0, value, width);
        }
    }
}
