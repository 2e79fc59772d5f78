/* Checks of the arguments that CPU and GPU kernels share. */
#include "common/check.h"

#include <stdarg.h>
#include <stdio.h>

regraft_status check_fail(struct check *check, regraft_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (check->message && check->message_size) vsnprintf(check->message, check->message_size, format, arguments);
    va_end(arguments);
    return status;
}

#define REJECT(check, ...) return check_fail(check, REGRAFT_REJECTED, __VA_ARGS__)

size_t type_size(regraft_type type) { return type == REGRAFT_F32 ? 4 : type == REGRAFT_FP8_E4M3 ? 1 : 2; }

static const char *type_name(regraft_type type) {
    static const char *const names[] = {"bf16", "f16", "f32", "fp8_e4m3"};
    return (unsigned)type < sizeof names / sizeof *names ? names[type] : "unknown";
}

/* ---- tensors ---- */

static int is_aligned(uintptr_t address, size_t alignment) { return address % alignment == 0; }

/* Takes a tensor in for the comparison of all with all. Sizes and strides in elements; `size` is the last dimension. */
static regraft_status add_box(struct check *check, const char *name, const void *data, size_t element, int64_t size,
                              const int64_t *sizes, const int64_t *strides, int written) {
    struct box box = {.name = name, .start = (uintptr_t)data, .written = written};
    int64_t extent;
    int fits = !__builtin_mul_overflow(size, (int64_t)element, &box.piece);
    for (int i = 0; i < box_dims; i++) {
        box.sizes[i] = sizes[i];
        if (sizes[i] < 0) REJECT(check, "%s: size %lld is negative", name, (long long)sizes[i]);
        if (sizes[i] <= 1) continue;
        if (strides[i] < 0) REJECT(check, "%s: stride %lld is negative", name, (long long)strides[i]);
        fits = fits && !__builtin_mul_overflow(strides[i], (int64_t)element, &box.strides[i]);
    }
    if (!fits || !box_extent(&box, &extent)) REJECT(check, "%s: sizes and strides are too large for 64 bits", name);
    if (written && extent && box_overlaps_itself(&box))
        REJECT(check, "%s: its strides make elements of it overlap, but it is written", name);
    if (check->without_pointers || extent == 0) return REGRAFT_OK;
    if (!data) REJECT(check, "%s: NULL, expected a tensor", name);
    if (!is_aligned(box.start, element))
        REJECT(check, "%s: address %p is not a multiple of the element's %zu bytes", name, data, element);
    if (box.start > UINTPTR_MAX - (uintptr_t)extent) REJECT(check, "%s: ends behind the last address", name);
    box.end = box.start + (uintptr_t)extent;
    check->boxes[check->box_count++] = box;
    return REGRAFT_OK;
}

static regraft_status add_list(struct check *check, const char *name, const void *data, size_t element, int64_t count) {
    const int64_t sizes[box_dims] = {1, 1, 1, 1}, none[box_dims] = {1, 1, 1, 0};
    return add_box(check, name, data, element, count, count ? sizes : none, sizes, 0);
}

static regraft_status add_heads(struct check *check, const char *name, const regraft_heads *heads, regraft_type type,
                                int64_t tokens, int64_t size, int written) {
    const int64_t sizes[box_dims] = {1, 1, tokens, heads->heads};
    const int64_t strides[box_dims] = {0, 0, heads->token_stride, heads->head_stride};
    if (heads->heads < 1) REJECT(check, "%s: %lld heads, expected at least 1", name, (long long)heads->heads);
    return add_box(check, name, heads->data, type_size(type), size, sizes, strides, written);
}

static regraft_status check_one_head(struct check *check, const char *name, const regraft_heads *heads) {
    if (heads->heads == 1) return REGRAFT_OK;
    REJECT(check, "%s: %lld heads, expected 1", name, (long long)heads->heads);
}

/* Every tensor that is written is apart from all others; an output may be its own input. */
static regraft_status check_apart(struct check *check, const char *const (*may_be_equal)[2], size_t pairs) {
    for (size_t i = 0; i < check->box_count; i++)
        for (size_t j = i + 1; j < check->box_count; j++) {
            const struct box *a = &check->boxes[i], *b = &check->boxes[j];
            if (a->end <= b->start || b->end <= a->start || (!a->written && !b->written)) continue;
            int allowed = boxes_apart(a, b);
            for (size_t pair = 0; !allowed && pair < pairs; pair++)
                allowed = a->name == may_be_equal[pair][0] && b->name == may_be_equal[pair][1] && boxes_equal(a, b);
            if (!allowed)
                REJECT(check, "%s and %s share memory, or cannot be shown to be apart; %s is written", a->name, b->name,
                       a->written ? a->name : b->name);
        }
    return REGRAFT_OK;
}

/* ---- what several operations have ---- */

static regraft_status check_sizes(struct check *check, int64_t tokens, const char *name, int64_t size,
                                  regraft_type type) {
    if (tokens < 0) REJECT(check, "tokens: %lld, expected 0 or more", (long long)tokens);
    if (size < 1) REJECT(check, "%s: %lld, expected 1 or more", name, (long long)size);
    if (type != REGRAFT_BF16 && type != REGRAFT_F16 && type != REGRAFT_F32)
        REJECT(check, "type: %s, expected bf16, f16 or f32", type_name(type));
    return REGRAFT_OK;
}

static regraft_status check_rotation(struct check *check, const regraft_rotation *rotation, int64_t tokens,
                                     int64_t head_size, regraft_type type) {
    const int64_t sizes[box_dims] = {1, 1, 1, rotation->table_rows},
                  strides[box_dims] = {0, 0, 0, rotation->table_stride};
    if (rotation->width < 2 || rotation->width % 2)
        REJECT(check, "rotation.width: %lld, expected an even number of 2 or more", (long long)rotation->width);
    if (rotation->offset < 0 || rotation->offset > head_size || rotation->width > head_size - rotation->offset)
        REJECT(check, "rotation: elements [%lld, %lld + %lld) do not lie in a head of %lld",
               (long long)rotation->offset, (long long)rotation->offset, (long long)rotation->width,
               (long long)head_size);
    if (rotation->table_type != type && rotation->table_type != REGRAFT_F32)
        REJECT(check, "rotation.table_type: %s, expected %s or f32", type_name(rotation->table_type), type_name(type));
    if (tokens && rotation->table_rows < 1)
        REJECT(check, "rotation.table_rows: %lld, expected 1 or more", (long long)rotation->table_rows);
    CHECK(add_list(check, "rotation.positions", rotation->positions, sizeof(int64_t), tokens));
    return add_box(check, "rotation.table", rotation->table, type_size(rotation->table_type), rotation->width, sizes,
                   strides, 0);
}

static regraft_status check_slots(struct check *check, const regraft_slots *slots, int64_t tokens) {
    if (slots->count < 0 || slots->count > tokens)
        REJECT(check, "slots.count: %lld, expected at most %lld, the tokens", (long long)slots->count,
               (long long)tokens);
    return add_list(check, "slots.slots", slots->slots, sizeof(int64_t), slots->count);
}

/* The name is that of the argument, that of its scale stands behind it. */
static regraft_status check_paged(struct check *check, const char *const names[2], const regraft_cache *cache,
                                  regraft_type type, int64_t heads, int64_t size) {
    const int64_t sizes[box_dims] = {cache->blocks, cache->block_size, heads, 1};
    const int64_t strides[box_dims] = {cache->block_stride, cache->row_stride, cache->head_stride, 0};
    if (cache->type != type && cache->type != REGRAFT_FP8_E4M3)
        REJECT(check, "%s.type: %s, expected %s or fp8_e4m3", names[0], type_name(cache->type), type_name(type));
    if (cache->blocks < 0 || cache->block_size < 1 || cache->blocks > INT64_MAX / cache->block_size)
        REJECT(check, "%s: %lld blocks of %lld rows, expected 0 or more blocks of at least 1", names[0],
               (long long)cache->blocks, (long long)cache->block_size);
    if (cache->type == REGRAFT_FP8_E4M3 && cache->scale)
        CHECK(add_list(check, names[1], cache->scale, sizeof(float), 1));
    return add_box(check, names[0], cache->data, type_size(cache->type), size, sizes, strides, 1);
}

static const char *const key_cache_names[] = {"key_cache", "key_cache.scale"};
static const char *const value_cache_names[] = {"value_cache", "value_cache.scale"};
static const char *const latent_cache_names[] = {"cache", "cache.scale"};

static regraft_status check_pair_of_caches(struct check *check, const regraft_cache *keys, const regraft_cache *values,
                                           regraft_type type, const regraft_heads *key, int64_t head_size,
                                           const regraft_heads *value, int64_t value_size) {
    CHECK(check_paged(check, key_cache_names, keys, type, key->heads, head_size));
    CHECK(check_paged(check, value_cache_names, values, type, value->heads, value_size));
    if (keys->blocks != values->blocks || keys->block_size != values->block_size)
        REJECT(check, "key_cache has %lld blocks of %lld, value_cache %lld of %lld: expected equal numbers",
               (long long)keys->blocks, (long long)keys->block_size, (long long)values->blocks,
               (long long)values->block_size);
    return REGRAFT_OK;
}

/* ---- rotated tensors and their results ---- */

static const char query_name[] = "query", query_out_name[] = "query_out", key_name[] = "key",
                  key_out_name[] = "key_out", key_pe_name[] = "key_pe", key_pe_out_name[] = "key_pe_out",
                  input_name[] = "input", out_name[] = "out";
static const char *const same_rotated[][2] = {
    {query_name, query_out_name}, {key_name, key_out_name}, {key_pe_name, key_pe_out_name}};
enum { same_rotated_count = sizeof same_rotated / sizeof *same_rotated };

/* A tensor and, when there is one, the output that it goes to. */
struct rotated {
    const char *name, *out_name;
    const regraft_heads *in, *out;
    int in_written, out_written;
};

static regraft_status check_rotated(struct check *check, const struct rotated *rotated, int64_t tokens, int64_t size,
                                    regraft_type type) {
    CHECK(add_heads(check, rotated->name, rotated->in, type, tokens, size, rotated->in_written));
    if (!rotated->out_written) return REGRAFT_OK;
    if (rotated->out->heads != rotated->in->heads)
        REJECT(check, "%s: %lld heads, expected %lld as %s has", rotated->out_name, (long long)rotated->out->heads,
               (long long)rotated->in->heads, rotated->name);
    return add_heads(check, rotated->out_name, rotated->out, type, tokens, size, 1);
}

static struct rotated rotated_query(const regraft_heads *query, const regraft_heads *out) {
    return (struct rotated){query_name, query_out_name, query, out, !out->data, out->data != NULL};
}

static regraft_status check_key_result(struct check *check, regraft_key_result result) {
    if ((unsigned)result <= REGRAFT_KEY_CACHE_ONLY) return REGRAFT_OK;
    REJECT(check, "key_result: %d, expected one of regraft_key_result", (int)result);
}

static struct rotated rotated_key(int latent, const regraft_heads *key, const regraft_heads *out,
                                  regraft_key_result result) {
    return (struct rotated){latent ? key_pe_name : key_name,
                            latent ? key_pe_out_name : key_out_name,
                            key,
                            out,
                            result == REGRAFT_KEY_IN_PLACE,
                            result == REGRAFT_KEY_OUT};
}

/* ---- operations ---- */

regraft_status check_rope(struct check *check, const regraft_rope_arguments *arguments) {
    const regraft_heads *key = &arguments->key;
    struct rotated query_part = rotated_query(&arguments->query, &arguments->query_out);
    int has_key_out = arguments->key_out.data != NULL;
    struct rotated key_part =
        rotated_key(0, key, &arguments->key_out, has_key_out ? REGRAFT_KEY_OUT : REGRAFT_KEY_IN_PLACE);
    CHECK(check_sizes(check, arguments->tokens, "head_size", arguments->head_size, arguments->type));
    CHECK(check_rotation(check, &arguments->rotation, arguments->tokens, arguments->head_size, arguments->type));
    CHECK(check_rotated(check, &query_part, arguments->tokens, arguments->head_size, arguments->type));
    if (key->data) CHECK(check_rotated(check, &key_part, arguments->tokens, arguments->head_size, arguments->type));
    if (!key->data && has_key_out) REJECT(check, "key_out: given without a key");
    return check_apart(check, same_rotated, same_rotated_count);
}

static regraft_status check_weights(struct check *check, const regraft_rope_cache_arguments *arguments, int norm) {
    if (!norm && (arguments->query_weight || arguments->key_weight))
        REJECT(check, "query_weight, key_weight: rope_cache norms nothing, norm_rope_cache does");
    if (!norm) return REGRAFT_OK;
    CHECK(add_list(check, "query_weight", arguments->query_weight, type_size(arguments->type), arguments->head_size));
    return add_list(check, "key_weight", arguments->key_weight, type_size(arguments->type), arguments->head_size);
}

regraft_status check_rope_cache(struct check *check, const regraft_rope_cache_arguments *arguments, int norm) {
    int64_t tokens = arguments->tokens, size = arguments->head_size, value_size = arguments->value_size;
    struct rotated query = rotated_query(&arguments->query, &arguments->query_out);
    struct rotated key = rotated_key(0, &arguments->key, &arguments->key_out, arguments->key_result);
    int no_caches = !arguments->key_cache.data && !arguments->value_cache.data && arguments->slots.count == 0;
    if (value_size == 0) value_size = size;
    CHECK(check_sizes(check, tokens, "head_size", size, arguments->type));
    CHECK(check_sizes(check, tokens, "value_size", value_size, arguments->type));
    CHECK(check_rotation(check, &arguments->rotation, tokens, size, arguments->type));
    CHECK(check_key_result(check, arguments->key_result));
    CHECK(check_rotated(check, &query, tokens, size, arguments->type));
    CHECK(check_rotated(check, &key, tokens, size, arguments->type));
    CHECK(check_weights(check, arguments, norm));
    if (!no_caches) {
        CHECK(add_heads(check, "value", &arguments->value, arguments->type, tokens, value_size, 0));
        CHECK(check_slots(check, &arguments->slots, tokens));
        CHECK(check_pair_of_caches(check, &arguments->key_cache, &arguments->value_cache, arguments->type,
                                   &arguments->key, size, &arguments->value, value_size));
    }
    return check_apart(check, same_rotated, same_rotated_count);
}

static regraft_status check_latent(struct check *check, int64_t tokens, int64_t head_size, int64_t rank,
                                   regraft_type type, const regraft_heads *key_pe, const regraft_heads *kv_c,
                                   const regraft_slots *slots, const regraft_cache *cache) {
    CHECK(check_sizes(check, tokens, "rank", rank, type));
    CHECK(check_one_head(check, "key_pe", key_pe));
    CHECK(check_one_head(check, "kv_c", kv_c));
    CHECK(add_heads(check, "kv_c", kv_c, type, tokens, rank, 0));
    CHECK(check_slots(check, slots, tokens));
    if (head_size > INT64_MAX - rank) REJECT(check, "rank and head_size are too large");
    return check_paged(check, latent_cache_names, cache, type, 1, rank + head_size);
}

regraft_status check_rope_latent_cache(struct check *check, const regraft_rope_latent_cache_arguments *arguments) {
    int64_t tokens = arguments->tokens, size = arguments->head_size;
    struct rotated query = rotated_query(&arguments->query, &arguments->query_out);
    struct rotated key = rotated_key(1, &arguments->key_pe, &arguments->key_pe_out, arguments->key_result);
    CHECK(check_sizes(check, tokens, "head_size", size, arguments->type));
    CHECK(check_rotation(check, &arguments->rotation, tokens, size, arguments->type));
    CHECK(check_key_result(check, arguments->key_result));
    CHECK(check_rotated(check, &query, tokens, size, arguments->type));
    CHECK(check_rotated(check, &key, tokens, size, arguments->type));
    CHECK(check_latent(check, tokens, size, arguments->rank, arguments->type, &arguments->key_pe, &arguments->kv_c,
                       &arguments->slots, &arguments->cache));
    return check_apart(check, same_rotated, same_rotated_count);
}

regraft_status check_cache(struct check *check, const regraft_cache_arguments *arguments) {
    int64_t tokens = arguments->tokens, size = arguments->head_size, value_size = arguments->value_size;
    if (value_size == 0) value_size = size;
    CHECK(check_sizes(check, tokens, "head_size", size, arguments->type));
    CHECK(check_sizes(check, tokens, "value_size", value_size, arguments->type));
    CHECK(add_heads(check, key_name, &arguments->key, arguments->type, tokens, size, 0));
    CHECK(add_heads(check, "value", &arguments->value, arguments->type, tokens, value_size, 0));
    CHECK(check_slots(check, &arguments->slots, tokens));
    CHECK(check_pair_of_caches(check, &arguments->key_cache, &arguments->value_cache, arguments->type, &arguments->key,
                               size, &arguments->value, value_size));
    return check_apart(check, NULL, 0);
}

regraft_status check_latent_cache(struct check *check, const regraft_latent_cache_arguments *arguments) {
    CHECK(check_sizes(check, arguments->tokens, "head_size", arguments->head_size, arguments->type));
    CHECK(
        add_heads(check, key_pe_name, &arguments->key_pe, arguments->type, arguments->tokens, arguments->head_size, 0));
    CHECK(check_latent(check, arguments->tokens, arguments->head_size, arguments->rank, arguments->type,
                       &arguments->key_pe, &arguments->kv_c, &arguments->slots, &arguments->cache));
    return check_apart(check, NULL, 0);
}

static regraft_status check_norm_weight(struct check *check, const void *weight, regraft_type type, int64_t size) {
    return weight ? add_list(check, "weight", weight, type_size(type), size) : REGRAFT_OK;
}

regraft_status check_rms_norm(struct check *check, const regraft_rms_norm_arguments *arguments) {
    static const char *const same[][2] = {{input_name, out_name}};
    CHECK(check_sizes(check, arguments->tokens, "size", arguments->size, arguments->type));
    CHECK(add_heads(check, input_name, &arguments->input, arguments->type, arguments->tokens, arguments->size, 0));
    CHECK(add_heads(check, out_name, &arguments->out, arguments->type, arguments->tokens, arguments->size, 1));
    if (arguments->input.heads != arguments->out.heads)
        REJECT(check, "out: %lld heads, expected %lld as input has", (long long)arguments->out.heads,
               (long long)arguments->input.heads);
    CHECK(check_norm_weight(check, arguments->weight, arguments->type, arguments->size));
    return check_apart(check, same, 1);
}

regraft_status check_fused_add_rms_norm(struct check *check, const regraft_fused_add_rms_norm_arguments *arguments) {
    CHECK(check_sizes(check, arguments->tokens, "size", arguments->size, arguments->type));
    CHECK(add_heads(check, input_name, &arguments->input, arguments->type, arguments->tokens, arguments->size, 1));
    CHECK(add_heads(check, "residual", &arguments->residual, arguments->type, arguments->tokens, arguments->size, 1));
    if (arguments->input.heads != arguments->residual.heads)
        REJECT(check, "residual: %lld heads, expected %lld as input has", (long long)arguments->residual.heads,
               (long long)arguments->input.heads);
    CHECK(check_norm_weight(check, arguments->weight, arguments->type, arguments->size));
    return check_apart(check, NULL, 0);
}

regraft_status check_silu_and_mul(struct check *check, const regraft_silu_and_mul_arguments *arguments) {
    CHECK(check_sizes(check, arguments->tokens, "size", arguments->size, arguments->type));
    if (arguments->size > INT64_MAX / 2) REJECT(check, "size: %lld is too large", (long long)arguments->size);
    CHECK(check_one_head(check, "input", &arguments->input));
    CHECK(check_one_head(check, "out", &arguments->out));
    CHECK(add_heads(check, input_name, &arguments->input, arguments->type, arguments->tokens, 2 * arguments->size, 0));
    CHECK(add_heads(check, out_name, &arguments->out, arguments->type, arguments->tokens, arguments->size, 1));
    return check_apart(check, NULL, 0);
}
