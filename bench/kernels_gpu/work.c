#include "work.h"

#include <stdio.h>
#include <stdlib.h>

enum { LEAST_SETS = 12, MOST_SETS = 400, BLOCK_SIZE = 64, TABLE_ROWS = 65536 };
static const size_t sets_bytes = (size_t)400 << 20; /* several times the L2 */

const char *const operation_names[] = {"rope_latent_cache",  "rope_cache",  "norm_rope_cache",
                                       "latent_cache",       "cache",       "rms_norm",
                                       "fused_add_rms_norm", "silu_and_mul"};

static int is_latent(const struct shape *s) {
    return s->operation == ROPE_LATENT_CACHE || s->operation == LATENT_CACHE;
}
static int is_row(const struct shape *s) { return s->operation >= RMS_NORM; }
static int rotates(const struct shape *s) { return s->operation <= NORM_ROPE_CACHE; }

static int64_t row_of(const struct shape *s) {
    return is_latent(s) ? s->rank + s->head_size : (int64_t)s->key_heads * s->head_size;
}

double bytes_of(const struct shape *s) {
    static const int passes[] = {[RMS_NORM] = 2, [FUSED_ADD_RMS_NORM] = 4, [SILU_AND_MUL] = 3};
    if (is_row(s)) return 2.0 * passes[s->operation] * s->head_size * s->tokens;
    double cached = s->fp8 ? 1 : 2, beside = rotates(s) ? s->head_size * 2.0 + 16 : 8;
    double query = rotates(s) ? 2.0 * 2 * s->heads * s->head_size : 0;
    double key = is_latent(s) ? (s->rank + s->head_size) * (2.0 + cached)
                              : s->key_heads * s->head_size * (2.0 + cached) * 2; /* key and value */
    return s->tokens * (query + key + beside);
}

/* ---- buffers ---- */

uint64_t allocate(const struct cuda *cuda, size_t size) {
    uint64_t address;
    CUDA(cuda->allocate(&address, size));
    return address;
}

static uint64_t random_state = 88172645463325252u;
static uint64_t random_number(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

void fill(const struct cuda *cuda, uint64_t to, size_t size) {
    size_t piece = (size_t)4 << 20, done = size < piece ? size : piece;
    uint16_t *values = malloc(piece);
    for (size_t i = 0; i < piece / 2; i++)
        values[i] = (uint16_t)((random_number() & 0x80ff) | (0x3e00 + (random_number() & 0x180)));
    CUDA(cuda->to_device(to, values, done));
    for (size_t more; done < size; done += more) {
        more = size - done < done ? size - done : done;
        CUDA(cuda->copy(to + done, to, more, cuda->stream));
    }
    CUDA(cuda->stream_wait(cuda->stream));
    free(values);
}

static uint64_t address(const struct sets *sets, enum array array, int set) {
    return sets->at[array] + (size_t)set * sets->stride[array];
}

static void fill_integers(const struct cuda *cuda, const struct sets *sets) {
    size_t count = (size_t)sets->shape.tokens;
    int64_t *numbers = malloc(count * sizeof *numbers), *order = malloc((size_t)sets->cache_rows * sizeof *order);
    for (int64_t i = 0; i < sets->cache_rows; i++) order[i] = i;
    int64_t used = 0;
    for (int set = 0; set < sets->count; set++) {
        for (size_t i = 0; i < count; i++) numbers[i] = (int64_t)(random_number() >> 8) % TABLE_ROWS;
        CUDA(cuda->to_device(address(sets, POSITIONS, set), numbers, count * 8));
        for (size_t i = 0; i < count; i++) {
            if (used == sets->cache_rows) used = 0;
            int64_t other = used + (int64_t)(random_number() >> 8) % (sets->cache_rows - used);
            if (sets->shape.ordered) other = used;
            int64_t row = order[other];
            order[other] = order[used], order[used++] = row;
            numbers[i] = row;
        }
        CUDA(cuda->to_device(address(sets, SLOTS, set), numbers, count * 8));
    }
    free(numbers), free(order);
}

static size_t aligned(size_t size) { return (size + 255) / 256 * 256; }

/* Bytes of a set's arrays. Norms and activation: the input is QUERY, the second buffer VALUE. */
static void array_sizes(const struct shape *s, size_t sizes[ARRAYS]) {
    size_t tokens = (size_t)s->tokens, row = (size_t)s->head_size * 2;
    sizes[QUERY] = tokens * (size_t)(is_row(s) ? 1 + (s->operation == SILU_AND_MUL) : s->heads) * row;
    sizes[KEY] = is_row(s) ? 0 : tokens * (size_t)s->key_heads * row;
    sizes[VALUE] = is_row(s) ? tokens * row : tokens * (size_t)(is_latent(s) ? s->rank * 2 : s->key_heads * (int)row);
    sizes[POSITIONS] = sizes[SLOTS] = tokens * 8;
    for (int i = 0; i < ARRAYS; i++) sizes[i] = aligned(sizes[i]);
}

static void place_arrays(struct sets *sets, const size_t sizes[ARRAYS]) {
    size_t offset = 0;
    for (int i = 0; i < ARRAYS; i++) {
        sets->at[i] = sets->memory + (sets->shape.apart ? offset * (size_t)sets->count : offset);
        sets->stride[i] = sets->shape.apart ? sizes[i] : sets->set_size;
        offset += sizes[i];
    }
}

struct sets make_sets(const struct cuda *cuda, const struct shape *s) {
    struct sets sets = {.shape = *s};
    size_t sizes[ARRAYS];
    array_sizes(s, sizes);
    for (int i = 0; i < ARRAYS; i++) sets.set_size += sizes[i];
    size_t fit = sets_bytes / sets.set_size;
    sets.count = fit < LEAST_SETS ? LEAST_SETS : fit > MOST_SETS ? MOST_SETS : (int)fit;
    int64_t rows = (int64_t)s->tokens * sets.count;
    sets.cache_rows = (rows > 262144 ? 262144 : rows < 16384 ? 16384 : rows) / BLOCK_SIZE * BLOCK_SIZE;
    /* Room for a copy of as many bytes, which reads half of them: an input and an output of a launch are not of one size. */
    sets.memory = allocate(cuda, sets.set_size * (size_t)(sets.count + 1));
    sets.copies = allocate(cuda, sets.set_size * (size_t)(sets.count + 1));
    place_arrays(&sets, sizes);
    size_t cache_size = is_row(s) ? 256 : (size_t)sets.cache_rows * (size_t)row_of(s) * (s->fp8 ? 1 : 2);
    sets.cache = allocate(cuda, cache_size);
    sets.value_cache = is_latent(s) ? 0 : allocate(cuda, cache_size);
    sets.table = allocate(cuda, (size_t)TABLE_ROWS * (size_t)s->head_size * 2);
    sets.scale = allocate(cuda, 256);
    float scale = 0.3f; /* no power of two, which is divided by more easily */
    CUDA(cuda->to_device(sets.scale, &scale, sizeof scale));
    fill(cuda, sets.memory, sets.set_size * (size_t)sets.count);
    fill(cuda, sets.table, (size_t)TABLE_ROWS * (size_t)s->head_size * 2);
    fill_integers(cuda, &sets);
    return sets;
}

void free_sets(const struct cuda *cuda, struct sets *sets) {
    cuda->release(sets->memory), cuda->release(sets->copies), cuda->release(sets->cache), cuda->release(sets->table),
        cuda->release(sets->scale);
    if (sets->value_cache) cuda->release(sets->value_cache);
}

/* ---- calls ---- */

static regraft_heads heads_of(const struct sets *sets, enum array array, int set, int64_t heads, int64_t size) {
    return (regraft_heads){cuda_pointer(address(sets, array, set)), heads, heads * size, size};
}

static regraft_rotation rotation_of(const struct sets *sets, int set) {
    return (regraft_rotation){.positions = cuda_pointer(address(sets, POSITIONS, set)),
                              .table = cuda_pointer(sets->table),
                              .table_type = REGRAFT_BF16,
                              .table_rows = TABLE_ROWS,
                              .table_stride = sets->shape.head_size,
                              .width = sets->shape.head_size,
                              .interleaved = is_latent(&sets->shape)};
}

static regraft_cache cache_of(const struct sets *sets, uint64_t data) {
    int64_t row = row_of(&sets->shape);
    return (regraft_cache){.data = cuda_pointer(data),
                           .type = sets->shape.fp8 ? REGRAFT_FP8_E4M3 : REGRAFT_BF16,
                           .blocks = sets->cache_rows / BLOCK_SIZE,
                           .block_size = BLOCK_SIZE,
                           .block_stride = row * BLOCK_SIZE,
                           .row_stride = row,
                           .head_stride = sets->shape.head_size,
                           .scale = sets->shape.fp8 ? cuda_pointer(sets->scale) : NULL};
}

static regraft_slots slots_of(const struct sets *sets, int set) {
    return (regraft_slots){cuda_pointer(address(sets, SLOTS, set)), sets->shape.tokens};
}

static regraft_status call_latent(regraft_gpu *gpu, const struct sets *sets, int set,
                                  const regraft_gpu_launch *launch) {
    const struct shape *s = &sets->shape;
    if (s->operation == LATENT_CACHE)
        return regraft_gpu_latent_cache(
            gpu,
            &(regraft_latent_cache_arguments){.tokens = s->tokens,
                                              .head_size = s->head_size,
                                              .rank = s->rank,
                                              .key_pe = heads_of(sets, KEY, set, 1, s->head_size),
                                              .kv_c = heads_of(sets, VALUE, set, 1, s->rank),
                                              .slots = slots_of(sets, set),
                                              .cache = cache_of(sets, sets->cache)},
            launch);
    return regraft_gpu_rope_latent_cache(
        gpu,
        &(regraft_rope_latent_cache_arguments){.tokens = s->tokens,
                                               .head_size = s->head_size,
                                               .rank = s->rank,
                                               .rotation = rotation_of(sets, set),
                                               .query = heads_of(sets, QUERY, set, s->heads, s->head_size),
                                               .key_pe = heads_of(sets, KEY, set, 1, s->head_size),
                                               .kv_c = heads_of(sets, VALUE, set, 1, s->rank),
                                               .key_result = REGRAFT_KEY_CACHE_ONLY,
                                               .slots = slots_of(sets, set),
                                               .cache = cache_of(sets, sets->cache)},
        launch);
}

static regraft_status call_grouped(regraft_gpu *gpu, const struct sets *sets, int set,
                                   const regraft_gpu_launch *launch) {
    const struct shape *s = &sets->shape;
    regraft_heads key = heads_of(sets, KEY, set, s->key_heads, s->head_size);
    regraft_heads value = heads_of(sets, VALUE, set, s->key_heads, s->head_size);
    if (s->operation == CACHE)
        return regraft_gpu_cache(gpu,
                                 &(regraft_cache_arguments){.tokens = s->tokens,
                                                            .head_size = s->head_size,
                                                            .key = key,
                                                            .value = value,
                                                            .slots = slots_of(sets, set),
                                                            .key_cache = cache_of(sets, sets->cache),
                                                            .value_cache = cache_of(sets, sets->value_cache)},
                                 launch);
    regraft_rope_cache_arguments a = {.tokens = s->tokens,
                                      .head_size = s->head_size,
                                      .rotation = rotation_of(sets, set),
                                      .query = heads_of(sets, QUERY, set, s->heads, s->head_size),
                                      .key = key,
                                      .value = value,
                                      .key_result = REGRAFT_KEY_CACHE_ONLY,
                                      .slots = slots_of(sets, set),
                                      .key_cache = cache_of(sets, sets->cache),
                                      .value_cache = cache_of(sets, sets->value_cache)};
    if (s->operation == ROPE_CACHE) return regraft_gpu_rope_cache(gpu, &a, launch);
    a.query_weight = cuda_pointer(sets->table), a.key_weight = cuda_pointer(sets->table + (size_t)s->head_size * 2);
    a.epsilon = 1e-6f;
    return regraft_gpu_norm_rope_cache(gpu, &a, launch);
}

static regraft_status call_rows(regraft_gpu *gpu, const struct sets *sets, int set, const regraft_gpu_launch *launch) {
    const struct shape *s = &sets->shape;
    int64_t size = s->head_size;
    const void *weight = cuda_pointer(sets->table + (size_t)set * (size_t)size * 2); /* each layer has its own */
    regraft_heads input = heads_of(sets, QUERY, set, 1, size), other = heads_of(sets, VALUE, set, 1, size);
    if (s->operation == RMS_NORM)
        return regraft_gpu_rms_norm(
            gpu, &(regraft_rms_norm_arguments){s->tokens, size, REGRAFT_BF16, input, other, weight, 1e-6f}, launch);
    if (s->operation == FUSED_ADD_RMS_NORM)
        return regraft_gpu_fused_add_rms_norm(
            gpu, &(regraft_fused_add_rms_norm_arguments){s->tokens, size, REGRAFT_BF16, input, other, weight, 1e-6f},
            launch);
    return regraft_gpu_silu_and_mul(gpu,
                                    &(regraft_silu_and_mul_arguments){s->tokens, size, REGRAFT_BF16,
                                                                      heads_of(sets, QUERY, set, 1, 2 * size), other},
                                    launch);
}

void call(regraft_gpu *gpu, const struct sets *sets, int set, const regraft_gpu_launch *launch) {
    regraft_status status = is_row(&sets->shape)      ? call_rows(gpu, sets, set, launch)
                            : is_latent(&sets->shape) ? call_latent(gpu, sets, set, launch)
                                                      : call_grouped(gpu, sets, set, launch);
    if (status == REGRAFT_OK) return;
    fprintf(stderr, "%s\n", regraft_gpu_message(gpu));
    exit(1);
}
