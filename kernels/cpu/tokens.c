/* Rotation and cache write, token by token. */
#include "cpu/tokens.h"

#include <string.h>

/* Chosen by measurement: docs/kernels.md. */
static const int64_t tokens_ahead = 2;              /* whose rows are fetched */
static const int64_t bytes_for_streaming = 1 << 20; /* to the caches; below, what is written is read again soon */

struct run {
    const struct token_work *work;
    const struct form *form;
    const struct typed_rows *rows;
    size_t element; /* bytes */
    int streaming;
};

static char *element_at(const struct run *run, const void *data, int64_t index) {
    return (char *)(uintptr_t)data + index * (int64_t)run->element;
}

/* ---- addresses ---- */

/* Where a token's row of a cache starts, at the store's column. */
static char *cache_row(const struct cache_store *store, int64_t slot) {
    const regraft_cache *cache = store->cache;
    int64_t row = slot / cache->block_size * cache->block_stride + slot % cache->block_size * cache->row_stride;
    return (char *)cache->data + (row + store->column) * (int64_t)type_size(cache->type);
}

static int64_t slot_of(const struct token_work *work, int64_t token) {
    return token < work->slots.count ? work->slots.slots[token] : -1;
}

static const char *table_row(const struct token_work *work, int64_t token) {
    const regraft_rotation *rotation = work->rotation;
    int64_t row = rotation->positions[token] * rotation->table_stride;
    return (const char *)rotation->table + row * (int64_t)type_size(rotation->table_type);
}

/* ---- prefetch ---- */

enum { line = 64 };

static void prefetch_read(const char *start, int64_t size) {
    for (int64_t at = 0; at < size; at += line) __builtin_prefetch(start + at, 0);
}

static void prefetch_write(const char *start, int64_t size) {
    for (int64_t at = 0; at < size; at += line) __builtin_prefetch(start + at, 1);
}

/* The rows of one token that nothing foresees: of the table and of the caches. Where these are written around the processor's
 * caches, only their pages have to be known. */
static void prefetch_token(const struct run *run, int64_t token) {
    const struct token_work *work = run->work;
    int64_t slot = slot_of(work, token);
    if (work->rotation)
        prefetch_read(table_row(work, token), work->rotation->width * (int64_t)type_size(work->rotation->table_type));
    if (slot < 0) return;
    for (size_t i = 0; i < work->store_count; i++) {
        const struct cache_store *store = &work->stores[i];
        int64_t size = run->streaming ? 1 : store->size * (int64_t)type_size(store->cache->type);
        const char *row = cache_row(store, slot);
        int64_t stride = store->cache->head_stride * (int64_t)type_size(store->cache->type);
        for (int64_t head = 0; head < store->from.heads; head++) prefetch_write(row + head * stride, size);
    }
}

/* The row of a token that comes later; NULL behind the last. */
static const char *row_ahead(const struct run *run, const regraft_heads *heads, int64_t token) {
    token += tokens_ahead;
    return token < run->work->tokens ? element_at(run, heads->data, token * heads->token_stride) : NULL;
}

/* ---- rotation ---- */

/* The parts of heads beside the rotation, to an output of its own. */
static void copy_rest(const struct run *run, const struct rows *rows) {
    const regraft_rotation *rotation = run->work->rotation;
    size_t before = (size_t)rotation->offset * run->element;
    size_t behind = (size_t)(run->work->head_size - rotation->offset - rotation->width) * run->element;
    int64_t end = rotation->offset + rotation->width;
    for (int64_t head = 0; before + behind && head < rows->heads; head++) {
        const char *in = element_at(run, rows->in, head * rows->in_stride);
        char *out = element_at(run, rows->out, head * rows->out_stride);
        memcpy(out, in, before);
        memcpy(element_at(run, out, end), element_at(run, in, end), behind);
    }
}

/* Whole heads of one token, from `in` to `out`: norm, then rotation, each rounded to the type. */
static void rotate_heads(const struct run *run, const struct turn *turn, const void *weight, struct rows rows) {
    if (weight) {
        struct norm_rows norm = {
            .rows = rows, .weight = weight, .size = run->work->head_size, .epsilon = run->work->epsilon};
        run->rows->norm(&norm);
        rows = (struct rows){rows.out, rows.out, rows.heads, rows.out_stride, rows.out_stride, {NULL, 0}};
    } else if (rows.in != rows.out) {
        copy_rest(run, &rows);
    }
    rows.in = element_at(run, rows.in, run->work->rotation->offset);
    rows.out = element_at(run, rows.out, run->work->rotation->offset);
    run->rows->rotate(turn, &rows);
}

static struct rows token_rows(const struct run *run, const struct rotated_heads *rotated, int64_t token) {
    const regraft_heads *in = &rotated->in, *out = &rotated->out;
    struct ahead ahead = {row_ahead(run, in, token), (run->work->head_size * (int64_t)run->element + line - 1) / line};
    return (struct rows){element_at(run, in->data, token * in->token_stride),
                         element_at(run, out->data, token * out->token_stride),
                         in->heads,
                         in->head_stride,
                         out->head_stride,
                         ahead};
}

/* ---- cache ---- */

static void copy(void *out, const void *in, size_t size, const void *ahead) {
    if (ahead) prefetch_read(ahead, (int64_t)size);
    memcpy(out, in, size);
}

static void write_piece(const struct run *run, const struct cache_store *store, char *to, const char *from,
                        int64_t count, const char *ahead) {
    if (store->cache->type == REGRAFT_FP8_E4M3)
        run->rows->quantize(to, from, count, store->scale, run->streaming, ahead);
    else
        (run->streaming ? run->form->stream : copy)(to, from, (size_t)count * run->element, ahead);
}

/* Heads that lie side by side on both sides are one piece. */
static void write_row(const struct run *run, const struct cache_store *store, int64_t token, char *to, int fetch) {
    const char *from = element_at(run, store->from.data, token * store->from.token_stride);
    const char *ahead = fetch ? row_ahead(run, &store->from, token) : NULL;
    int64_t heads = store->from.heads, size = store->size, head_stride = store->cache->head_stride;
    if (heads == 1 || (store->from.head_stride == size && head_stride == size)) {
        write_piece(run, store, to, from, heads * size, ahead);
        return;
    }
    for (int64_t head = 0; head < heads; head++)
        write_piece(run, store, to + head * head_stride * (int64_t)type_size(store->cache->type),
                    element_at(run, from, head * store->from.head_stride), size,
                    ahead ? element_at(run, ahead, head * store->from.head_stride) : NULL);
}

/* Heads that are rotated on their way to the cache, by way of a buffer that stays in the first cache. */
static void write_rotated(const struct run *run, const struct turn *turn, const struct cache_store *store,
                          const struct rotated_heads *key, int64_t token, char *to) {
    _Alignas(64) float buffer[largest_head];
    struct rows rows = token_rows(run, key, token);
    int64_t to_stride = store->cache->head_stride * (int64_t)type_size(store->cache->type);
    for (int64_t head = 0; head < key->in.heads; head++) {
        struct rows one = {element_at(run, rows.in, head * rows.in_stride), buffer, 1, 0, 0, {NULL, 0}};
        rotate_heads(run, turn, key->weight, one);
        write_piece(run, store, to + head * to_stride, (const char *)buffer, run->work->head_size, NULL);
    }
}

static void write_token(const struct run *run, const struct turn *turn, int64_t token, int64_t slot) {
    const struct token_work *work = run->work;
    for (size_t i = 0; i < work->store_count; i++) {
        const struct cache_store *store = &work->stores[i];
        char *to = cache_row(store, slot);
        if (i == 0 && work->rotated_count == 2 && work->rotated[1].to_cache_only)
            write_rotated(run, turn, store, &work->rotated[1], token, to);
        else
            write_row(run, store, token, to, i > 0 || work->rotated_count == 0);
    }
}

/* ---- tokens ---- */

static void run_token(const struct run *run, struct turn *turn, int64_t token) {
    const struct token_work *work = run->work;
    int64_t slot = slot_of(work, token);
    if (work->rotation) {
        int from_f32 = work->rotation->table_type == REGRAFT_F32;
        (from_f32 ? run->rows->load_turn_from_f32 : run->rows->load_turn)(turn, table_row(work, token),
                                                                          work->rotation->inverse);
    }
    for (size_t i = 0; i < work->rotated_count; i++)
        if (!work->rotated[i].to_cache_only)
            rotate_heads(run, turn, work->rotated[i].weight, token_rows(run, &work->rotated[i], token));
    if (slot >= 0) write_token(run, turn, token, slot);
}

static void run_range(const void *user, int64_t first, int64_t last) {
    const struct run *run = user;
    struct turn turn;
    if (run->work->rotation) {
        turn.pairs = run->work->rotation->width / 2;
        turn.interleaved = run->work->rotation->interleaved != 0;
    }
    for (int64_t token = first; token < last && token < first + tokens_ahead; token++) prefetch_token(run, token);
    for (int64_t token = first; token < last; token++) {
        if (token + tokens_ahead < last) prefetch_token(run, token + tokens_ahead);
        run_token(run, &turn, token);
    }
    if (run->streaming) run->form->fence();
}

/* What one token reads and writes beside the caches, and in the caches. */
static void token_bytes(const struct token_work *work, int64_t *beside, int64_t *cached) {
    int64_t element = (int64_t)type_size(work->type);
    *beside = *cached = 0;
    for (size_t i = 0; i < work->rotated_count; i++)
        *beside += 2 * work->rotated[i].in.heads * work->head_size * element;
    for (size_t i = 0; i < work->store_count; i++) {
        int64_t elements = work->stores[i].from.heads * work->stores[i].size;
        *beside += elements * element;
        *cached += elements * (int64_t)type_size(work->stores[i].cache->type);
    }
}

/* ---- entry ---- */

static regraft_status check_positions(struct check *check, const struct token_work *work) {
    const regraft_rotation *rotation = work->rotation;
    for (int64_t token = 0; rotation && token < work->tokens; token++)
        if (rotation->positions[token] < 0 || rotation->positions[token] >= rotation->table_rows)
            return check_fail(check, REGRAFT_REJECTED, "rotation.positions[%lld]: %lld, expected 0 or more, below %lld",
                              (long long)token, (long long)rotation->positions[token], (long long)rotation->table_rows);
    return REGRAFT_OK;
}

static regraft_status check_slots_in_range(struct check *check, const struct token_work *work) {
    if (work->store_count == 0) return REGRAFT_OK;
    const regraft_cache *cache = work->stores[0].cache;
    int64_t rows = cache->blocks * cache->block_size;
    for (int64_t token = 0; token < work->slots.count; token++)
        if (work->slots.slots[token] >= rows)
            return check_fail(check, REGRAFT_REJECTED,
                              "slots.slots[%lld]: %lld, expected below %lld: %lld blocks of %lld", (long long)token,
                              (long long)work->slots.slots[token], (long long)rows, (long long)cache->blocks,
                              (long long)cache->block_size);
    return REGRAFT_OK;
}

static regraft_status check_buffers(struct check *check, const struct token_work *work) {
    if (!work->rotation || work->head_size <= largest_head) return REGRAFT_OK;
    return check_fail(check, REGRAFT_UNSUPPORTED, "head_size: %lld, this version rotates heads of at most %d",
                      (long long)work->head_size, (int)largest_head);
}

regraft_status tokens_run(struct setup *setup, const struct token_work *work) {
    int64_t beside, cached;
    CHECK(check_buffers(&setup->check, work));
    CHECK(check_positions(&setup->check, work));
    CHECK(check_slots_in_range(&setup->check, work));
    token_bytes(work, &beside, &cached);
    struct run run = {work, setup->form, &setup->form->types[work->type], type_size(work->type), setup->streaming > 0};
    if (setup->streaming == 0) run.streaming = cached * work->slots.count >= bytes_for_streaming;
    parallel_run(setup->threads, work->tokens, beside * work->tokens + cached * work->slots.count, run_range, &run);
    return REGRAFT_OK;
}
