/* Rotary embeddings and cache writes: from the arguments of the public functions to the kernel of device/rope.h. */
#include "gpu/device/parameters.h"
#include "gpu/gpu.h"
#include "gpu/run.h"

#include <string.h>

/* What all these operations are: heads of query, key and value; any may be absent (data NULL). A latent cache is a key cache
 * and a value cache on one buffer. */
struct rope_work {
    int64_t tokens, head_size, value_size;
    regraft_type type;
    const regraft_rotation *rotation; /* NULL: nothing is rotated */
    regraft_heads query, query_out, key, key_out, value;
    regraft_key_result key_result;
    regraft_slots slots;
    regraft_cache key_cache, value_cache;
    int latent; /* they are parts of one cache */
    const void *query_weight, *key_weight;
    float epsilon;
};

static int is_power_of_two(int64_t value) { return value > 0 && (value & (value - 1)) == 0; }

static void fit_tensor(struct chunk *chunk, const regraft_heads *tensor, int element_size) {
    if (!tensor->data) return;
    chunk_bytes(chunk, element_size, (long long)(uintptr_t)tensor->data);
    chunk_bytes(chunk, element_size, tensor->token_stride * element_size);
    if (tensor->heads > 1) chunk_bytes(chunk, element_size, tensor->head_stride * element_size);
}

static void fit_cache(struct chunk *chunk, const regraft_cache *cache, int64_t heads) {
    if (!cache->data) return;
    int size = (int)type_size(cache->type);
    chunk_bytes(chunk, size, (long long)(uintptr_t)cache->data);
    chunk_bytes(chunk, size, cache->block_stride * size);
    chunk_bytes(chunk, size, cache->row_stride * size);
    if (heads > 1) chunk_bytes(chunk, size, cache->head_stride * size);
}

/* A chunk's cosines: as many as it has pairs in the half style, half of its elements when interleaved. */
static int table_fits(int vector, const regraft_rotation *rotation) {
    int size = (int)type_size(rotation->table_type), count = rotation->interleaved && vector > 1 ? vector / 2 : vector;
    int wide = count * size < 16 ? count * size : 16;
    return (uintptr_t)rotation->table % (unsigned)wide == 0 && rotation->table_stride * size % wide == 0 &&
           rotation->width / 2 * size % wide == 0;
}

/* The elements of a chunk: as wide as everything allows, but narrow enough that one head fills a warp's lanes. */
static int choose_vector(const struct rope_work *work, const regraft_heads *in, const regraft_heads *out,
                         const regraft_cache *cache, int64_t size, int rotates) {
    const regraft_rotation *rotation = rotates ? work->rotation : NULL;
    int element_size = (int)type_size(work->type);
    struct chunk chunk = chunk_of_type(element_size);
    int whole = cache->data || out->data || work->query_weight, turned = rotation ? (int)rotation->width : 0;
    fit_tensor(&chunk, in, element_size);
    fit_tensor(&chunk, out, element_size);
    fit_cache(&chunk, cache, in->heads);
    if (work->query_weight) {
        chunk_bytes(&chunk, element_size, (long long)(uintptr_t)work->query_weight);
        chunk_bytes(&chunk, element_size, (long long)(uintptr_t)work->key_weight);
    }
    if (rotation) {
        chunk_count(&chunk, rotation->width / 2);
        chunk_count(&chunk, rotation->offset);
        while (chunk.vector > 1 && !table_fits(chunk.vector, rotation)) chunk.vector /= 2;
    }
    if (whole) chunk_count(&chunk, size - turned);
    int interleaved = rotation && rotation->interleaved, narrowest = interleaved ? 2 : 1;
    struct segment_shape shape = {(int)in->heads, (int)size, chunk.vector, turned, interleaved, whole, 2};
    while (shape.vector > narrowest && shape.heads * segment_steps(shape).lanes < 32) shape.vector /= 2;
    return shape.vector;
}

static int cache_type(const regraft_cache *cache) { return cache->data ? (int)cache->type : -1; }

static void specialise_rotation(struct specialisation *s, const regraft_rotation *rotation) {
    s->TABLE_TYPE = (int)rotation->table_type;
    s->ROTARY_WIDTH = (int)rotation->width;
    s->ROTARY_OFFSET = (int)rotation->offset;
    s->INTERLEAVED = rotation->interleaved != 0;
    s->INVERSE = rotation->inverse != 0;
}

/* How a row is found (BLOCKS in rope.h): 2, all rows are equally far apart; 1, by shifts; 0, by a division. */
static int blocks_of(const regraft_cache *cache) {
    if (!cache->data || cache->block_stride == cache->block_size * cache->row_stride) return 2;
    return is_power_of_two(cache->block_size);
}

/* What key and value cache share (ONE_CACHE in rope.h): 2, rows and scale, as parts of one latent cache; 1, where rows are; 0,
 * nothing. Not by their addresses: a kernel made ready serves any. */
static int shared_by(const struct rope_work *work) {
    const regraft_cache *a = &work->key_cache, *b = &work->value_cache;
    if (!a->data || !b->data) return 0;
    if (work->latent) return 2;
    return a->block_size == b->block_size && a->block_stride == b->block_stride && a->row_stride == b->row_stride;
}

/* A value of one head as two heads of half its size, one chunk a lane each: so that two warps share it where a chunk takes long
 * (fp8). parameters_of has their strides. */
static void halve(struct specialisation *s) {
    if (s->VALUE_SIZE % (2 * 32 * s->VALUE_VECTOR) != 0) return;
    s->VALUE_CHUNKS = 1;
    s->VALUE_HEADS = 2;
    s->VALUE_SIZE /= 2;
}

static struct specialisation specialise(const struct rope_work *work, const struct gpu_trial *trial) {
    static const regraft_cache no_cache;
    static const regraft_heads no_heads;
    struct specialisation s = {.OPERATION_ROPE = 1, .ELEMENT = (int)work->type, .VALUE_CHUNKS = 2};
    s.BLOCK_THREADS = trial->threads ? trial->threads : GPU_THREADS;
    if (work->rotation) specialise_rotation(&s, work->rotation);
    s.HEAD_SIZE = (int)work->head_size;
    s.VALUE_SIZE = (int)work->value_size;
    s.NORMED_HEADS = work->query_weight != NULL;
    s.QUERY_HEADS = work->query.data ? (int)work->query.heads : 0;
    s.QUERY_OUT = work->query_out.data != NULL;
    s.QUERY_VECTOR = choose_vector(work, &work->query, &work->query_out, &no_cache, work->head_size, 1);
    s.KEY_HEADS = work->key.data ? (int)work->key.heads : 0;
    s.KEY_RESULT = (int)work->key_result;
    s.KEY_CACHE = cache_type(&work->key_cache);
    s.KEY_VECTOR = choose_vector(work, &work->key, &work->key_out, &work->key_cache, work->head_size, 1);
    s.VALUE_HEADS = work->value.data && work->value_cache.data ? (int)work->value.heads : 0;
    s.VALUE_CACHE = cache_type(&work->value_cache);
    s.VALUE_VECTOR = choose_vector(work, &work->value, &no_heads, &work->value_cache, work->value_size, 0);
    if (work->value.heads == 1 && (trial->chunks ? trial->chunks == 1 : s.VALUE_CACHE == REGRAFT_FP8_E4M3)) halve(&s);
    s.ONE_CACHE = shared_by(work);
    s.BLOCKS = blocks_of(&work->key_cache) < blocks_of(&work->value_cache) ? blocks_of(&work->key_cache)
                                                                           : blocks_of(&work->value_cache);
    return s;
}

static tensor_parameters tensor_of(const regraft_heads *tensor) {
    return (tensor_parameters){tensor->data, tensor->token_stride, tensor->head_stride};
}

static cache_parameters cache_of(const regraft_cache *cache) {
    cache_parameters result = {.data = cache->data,
                               .row_stride = cache->row_stride,
                               .block_stride = cache->block_stride,
                               .head_stride = cache->head_stride,
                               .scale = cache->scale,
                               .block_size = cache->block_size};
    while (cache->block_size >> result.block_shift > 1) result.block_shift++;
    return result;
}

static parameters parameters_of(const struct rope_work *work, const struct specialisation *s) {
    parameters p = {.query = tensor_of(&work->query),
                    .query_out = tensor_of(&work->query_out),
                    .key = tensor_of(&work->key),
                    .key_out = tensor_of(&work->key_out),
                    .value = tensor_of(&work->value),
                    .key_cache = cache_of(&work->key_cache),
                    .value_cache = cache_of(&work->value_cache),
                    .slots = work->slots.slots,
                    .slot_count = work->slots.count,
                    .query_weight = work->query_weight,
                    .key_weight = work->key_weight,
                    .tokens = (uint32)work->tokens,
                    .epsilon = work->epsilon};
    if (work->rotation) {
        p.positions = work->rotation->positions;
        p.table = work->rotation->table;
        p.table_stride = work->rotation->table_stride;
    }
    if (s->VALUE_CHUNKS == 1) p.value.head_stride = p.value_cache.head_stride = s->VALUE_SIZE;
    return p;
}

/* The warps of a token, as rope() in device/rope.h counts them, with 1, 2 or 4 steps each. */
static int warps_of_token(const struct specialisation *s, int steps) {
    int key_steps = steps / 2 > 1 ? steps / 2 : 1, normed = s->NORMED_HEADS,
        key_whole = normed || s->KEY_RESULT == REGRAFT_KEY_OUT || s->KEY_CACHE >= 0;
    int query = segment_steps((struct segment_shape){s->QUERY_HEADS, s->HEAD_SIZE, s->QUERY_VECTOR, s->ROTARY_WIDTH,
                                                     s->INTERLEAVED, normed || s->QUERY_OUT, 2})
                    .steps;
    int key = segment_steps((struct segment_shape){s->KEY_HEADS, s->HEAD_SIZE, s->KEY_VECTOR, s->ROTARY_WIDTH,
                                                   s->INTERLEAVED, key_whole, 2})
                  .steps;
    int value =
        segment_steps((struct segment_shape){s->VALUE_HEADS, s->VALUE_SIZE, s->VALUE_VECTOR, 0, 0, 1, s->VALUE_CHUNKS})
            .steps;
    return divide_up(query, steps) + divide_up(key > value ? key : value, key_steps);
}

/* A warp has two loads of 16 bytes for each lane in flight: in the half style a unit is two chunks, interleaved two steps are.
 * While all warps run at once, one step each is faster: more multiprocessors at work, fewer instructions one after another; but
 * not beside the warps of other launches. */
static int choose_steps(const regraft_gpu *gpu, const struct specialisation *s, int64_t tokens) {
    if (gpu->trial.steps) return gpu->trial.steps;
    if (!s->INTERLEAVED) return 1;
    int at_once = tokens * warps_of_token(s, 1) <= gpu->multiprocessors * (int64_t)GPU_WARPS_AT_ONCE;
    return at_once && !s->OVERLAP ? 1 : 2;
}

static struct gpu_grid choose(const regraft_gpu *gpu, const struct gpu_kernel *kernel, void *launched) {
    const parameters *p = launched;
    const struct specialisation *s = &kernel->specialisation;
    int steps = choose_steps(gpu, s, p->tokens), of_token = warps_of_token(s, steps);
    int64_t warps = (int64_t)p->tokens * of_token, of_block = s->BLOCK_THREADS / 32;
    return (struct gpu_grid){(unsigned)((warps + of_block - 1) / of_block), (unsigned)s->BLOCK_THREADS, steps / 2};
}

static regraft_status check_limits(regraft_gpu *gpu, const struct rope_work *work) {
    CHECK(gpu_check_limit(gpu, "head_size", work->head_size, GPU_MOST_HEAD_SIZE));
    CHECK(gpu_check_limit(gpu, "value_size or rank", work->value_size, GPU_MOST_HEAD_SIZE));
    CHECK(gpu_check_limit(gpu, "heads of query", work->query.heads, GPU_MOST_HEADS));
    CHECK(gpu_check_limit(gpu, "heads of key", work->key.heads, GPU_MOST_HEADS));
    CHECK(gpu_check_limit(gpu, "heads of value", work->value.heads, GPU_MOST_HEADS));
    return gpu_check_limit(gpu, "tokens", work->tokens, INT32_MAX / (GPU_MOST_HEADS / 8));
}

static regraft_status run(regraft_gpu *gpu, const struct rope_work *work, const regraft_gpu_launch *launch) {
    CHECK(check_limits(gpu, work));
    struct specialisation specialisation = specialise(work, &gpu->trial);
    parameters p = parameters_of(work, &specialisation);
    return gpu_run(gpu, &specialisation, choose, launch, work->tokens, &p);
}

regraft_status regraft_gpu_rope(regraft_gpu *gpu, const regraft_rope_arguments *arguments,
                                const regraft_gpu_launch *launch) {
    struct check check = gpu_checks(gpu, launch);
    CHECK(check_rope(&check, arguments));
    return run(gpu,
               &(struct rope_work){.tokens = arguments->tokens,
                                   .head_size = arguments->head_size,
                                   .value_size = 1,
                                   .type = arguments->type,
                                   .rotation = &arguments->rotation,
                                   .query = arguments->query,
                                   .query_out = arguments->query_out,
                                   .key = arguments->key,
                                   .key_out = arguments->key_out,
                                   .key_result = arguments->key_out.data ? REGRAFT_KEY_OUT : REGRAFT_KEY_IN_PLACE},
               launch);
}

static struct rope_work rope_cache_work(const regraft_rope_cache_arguments *arguments) {
    return (struct rope_work){.tokens = arguments->tokens,
                              .head_size = arguments->head_size,
                              .value_size = arguments->value_size ? arguments->value_size : arguments->head_size,
                              .type = arguments->type,
                              .rotation = &arguments->rotation,
                              .query = arguments->query,
                              .query_out = arguments->query_out,
                              .key = arguments->key,
                              .key_out =
                                  arguments->key_result == REGRAFT_KEY_OUT ? arguments->key_out : (regraft_heads){0},
                              .key_result = arguments->key_result,
                              .value = arguments->value,
                              .slots = arguments->slots,
                              .key_cache = arguments->key_cache,
                              .value_cache = arguments->value_cache};
}

regraft_status regraft_gpu_rope_cache(regraft_gpu *gpu, const regraft_rope_cache_arguments *arguments,
                                      const regraft_gpu_launch *launch) {
    struct check check = gpu_checks(gpu, launch);
    CHECK(check_rope_cache(&check, arguments, 0));
    struct rope_work work = rope_cache_work(arguments);
    return run(gpu, &work, launch);
}

regraft_status regraft_gpu_norm_rope_cache(regraft_gpu *gpu, const regraft_rope_cache_arguments *arguments,
                                           const regraft_gpu_launch *launch) {
    struct check check = gpu_checks(gpu, launch);
    CHECK(check_rope_cache(&check, arguments, 1));
    struct rope_work work = rope_cache_work(arguments);
    work.query_weight = arguments->query_weight;
    work.key_weight = arguments->key_weight;
    work.epsilon = arguments->epsilon;
    return run(gpu, &work, launch);
}

/* The column `column` of a latent cache. */
static regraft_cache cache_from(regraft_cache cache, int64_t column) {
    cache.data = (char *)cache.data + column * (int64_t)type_size(cache.type);
    return cache;
}

regraft_status regraft_gpu_rope_latent_cache(regraft_gpu *gpu, const regraft_rope_latent_cache_arguments *arguments,
                                             const regraft_gpu_launch *launch) {
    struct check check = gpu_checks(gpu, launch);
    CHECK(check_rope_latent_cache(&check, arguments));
    return run(gpu,
               &(struct rope_work){.tokens = arguments->tokens,
                                   .head_size = arguments->head_size,
                                   .value_size = arguments->rank,
                                   .type = arguments->type,
                                   .rotation = &arguments->rotation,
                                   .query = arguments->query,
                                   .query_out = arguments->query_out,
                                   .key = arguments->key_pe,
                                   .key_out = arguments->key_result == REGRAFT_KEY_OUT ? arguments->key_pe_out
                                                                                       : (regraft_heads){0},
                                   .key_result = arguments->key_result,
                                   .value = arguments->kv_c,
                                   .slots = arguments->slots,
                                   .key_cache = cache_from(arguments->cache, arguments->rank),
                                   .value_cache = arguments->cache,
                                   .latent = 1},
               launch);
}

regraft_status regraft_gpu_cache(regraft_gpu *gpu, const regraft_cache_arguments *arguments,
                                 const regraft_gpu_launch *launch) {
    struct check check = gpu_checks(gpu, launch);
    CHECK(check_cache(&check, arguments));
    return run(gpu,
               &(struct rope_work){.tokens = arguments->tokens,
                                   .head_size = arguments->head_size,
                                   .value_size = arguments->value_size ? arguments->value_size : arguments->head_size,
                                   .type = arguments->type,
                                   .key = arguments->key,
                                   .key_result = REGRAFT_KEY_CACHE_ONLY,
                                   .value = arguments->value,
                                   .slots = arguments->slots,
                                   .key_cache = arguments->key_cache,
                                   .value_cache = arguments->value_cache},
               launch);
}

regraft_status regraft_gpu_latent_cache(regraft_gpu *gpu, const regraft_latent_cache_arguments *arguments,
                                        const regraft_gpu_launch *launch) {
    struct check check = gpu_checks(gpu, launch);
    CHECK(check_latent_cache(&check, arguments));
    return run(gpu,
               &(struct rope_work){.tokens = arguments->tokens,
                                   .head_size = arguments->head_size,
                                   .value_size = arguments->rank,
                                   .type = arguments->type,
                                   .key = arguments->key_pe,
                                   .key_result = REGRAFT_KEY_CACHE_ONLY,
                                   .value = arguments->kv_c,
                                   .slots = arguments->slots,
                                   .key_cache = cache_from(arguments->cache, arguments->rank),
                                   .value_cache = arguments->cache,
                                   .latent = 1},
               launch);
}
