/* Rotation and cache writes on the CPU, every form, against the reference interpreter: the same bytes everywhere. */
#include "kernels_support.h"

/* Where query, key and value lie. */
enum arrangement { separate, packed, padded, heads_first, arrangement_count };
/* Where blocks, rows and heads of the caches lie. */
enum paging { rows_of_heads, heads_of_rows, both_in_one, spread, paging_count };
enum slot_kind { slots_shuffled, slots_missing, slots_short, slots_repeated, slots_none, slot_kind_count };

struct settings {
    regraft_type type, table_type, cache_type;
    int interleaved, inverse, latent;
    int64_t tokens, head_size, width, offset, value_size, query_heads, key_heads, block_size;
    enum arrangement layout;
    enum paging paging;
    enum slot_kind slots;
    regraft_key_result key_result;
    int query_out;       /* 1: an output of its own; 2: the query itself */
    size_t misalignment; /* elements */
};

struct instance {
    struct world world;
    struct settings settings;
    regraft_rope_cache_arguments grouped;
    regraft_rope_latent_cache_arguments latent;
    struct region *query, *key, *value, *query_out, *key_out, *positions, *table, *slots, *key_cache, *value_cache,
        *scales;
};

/* ---- building ---- */

static int64_t room(const struct settings *settings, int64_t elements) {
    return (elements + 1) * (int64_t)element_bytes(settings->type);
}

static regraft_heads heads_in(const struct settings *settings, struct region *region, int64_t start, int64_t heads,
                              int64_t token_stride, int64_t head_stride) {
    return (regraft_heads){(char *)actual_data(region) + start * (int64_t)element_bytes(settings->type), heads,
                           token_stride, head_stride};
}

static struct region *number_region(struct instance *instance, int64_t elements) {
    struct region *region = new_region(&instance->world, (size_t)room(&instance->settings, elements));
    fill_numbers(&instance->world, region, instance->settings.type);
    return region;
}

/* One tensor in a region of its own, in the layout of the case (`packed` has its own way). */
static struct region *place_alone(struct instance *instance, regraft_heads *heads, int64_t count, int64_t size) {
    const struct settings *settings = &instance->settings;
    int64_t head_stride = settings->layout == padded ? size + 3 : size, token_stride = count * head_stride;
    if (settings->layout == padded) token_stride += 5;
    if (settings->layout == heads_first) head_stride = (settings->tokens + 1) * size, token_stride = size;
    struct region *region = number_region(instance, settings->tokens * token_stride + count * head_stride + size);
    *heads = heads_in(settings, region, 0, count, token_stride, head_stride);
    return region;
}

static void place_inputs(struct instance *instance, regraft_heads *query, regraft_heads *key, regraft_heads *value) {
    const struct settings *s = &instance->settings;
    int64_t query_size = s->query_heads * s->head_size, key_size = s->key_heads * s->head_size;
    int64_t values = s->key_heads * s->value_size, row = query_size + key_size + values + 8;
    if (s->layout != packed) {
        instance->query = place_alone(instance, query, s->query_heads, s->head_size);
        instance->key = place_alone(instance, key, s->key_heads, s->head_size);
        instance->value = place_alone(instance, value, s->key_heads, s->value_size);
        return;
    }
    instance->query = instance->key = instance->value = number_region(instance, s->tokens * row);
    *query = heads_in(s, instance->query, 0, s->query_heads, row, s->head_size);
    *value = heads_in(s, instance->query, query_size, s->key_heads, row, s->value_size);
    *key = heads_in(s, instance->query, query_size + values, s->key_heads, row, s->head_size);
}

static void place_rotation(struct instance *instance, regraft_rotation *rotation) {
    const struct settings *s = &instance->settings;
    int64_t rows = 50, stride = s->width + (s->layout == padded ? 2 : 0);
    instance->world.misalignment = 0;
    instance->positions = new_region(&instance->world, (size_t)s->tokens * sizeof(int64_t));
    int64_t *positions = initial_data(instance->positions);
    for (int64_t i = 0; i < s->tokens; i++) positions[i] = random_below(&instance->world, rows);
    instance->world.misalignment = s->misalignment * element_bytes(s->table_type);
    instance->table = new_region(&instance->world, (size_t)(rows * stride) * element_bytes(s->table_type));
    for (int64_t i = 0; i < rows * stride; i++)
        element_store_real(dtype_of(s->table_type),
                           (char *)initial_data(instance->table) + (size_t)i * element_bytes(s->table_type),
                           random_real(&instance->world, 1.3));
    *rotation = (regraft_rotation){actual_data(instance->positions),
                                   actual_data(instance->table),
                                   s->table_type,
                                   rows,
                                   stride,
                                   s->width,
                                   s->offset,
                                   s->interleaved,
                                   s->inverse};
}

/* Different rows for all tokens, in no order, with what the kind asks for. */
static void place_slots(struct instance *instance, regraft_slots *slots, int64_t rows) {
    const struct settings *s = &instance->settings;
    int64_t count = s->slots == slots_none ? 0 : s->slots == slots_short ? s->tokens / 2 : s->tokens;
    instance->world.misalignment = 0;
    instance->slots = new_region(&instance->world, (size_t)count * sizeof(int64_t));
    int64_t *list = initial_data(instance->slots), step = 7;
    while (rows % step == 0) step += 2;
    for (int64_t i = 0; i < count; i++) {
        list[i] = i * step % rows;
        if (s->slots == slots_missing && random_below(&instance->world, 3) == 0)
            list[i] = -1 - random_below(&instance->world, 2);
        if (s->slots == slots_repeated && i > 0 && random_below(&instance->world, 2)) list[i] = list[i - 1];
    }
    *slots = (regraft_slots){actual_data(instance->slots), count};
}

static struct region *cache_region(struct instance *instance, regraft_cache *cache, int64_t elements) {
    instance->world.misalignment = instance->settings.misalignment * element_bytes(cache->type);
    struct region *region = new_region(&instance->world, (size_t)elements * element_bytes(cache->type));
    cache->data = actual_data(region);
    return region;
}

static void page(const struct settings *s, regraft_cache *cache, int64_t blocks, int64_t heads, int64_t size) {
    int64_t gap = s->paging == spread ? 3 : 0;
    cache->type = s->cache_type;
    cache->blocks = blocks;
    cache->block_size = s->block_size;
    cache->head_stride = s->paging == heads_of_rows ? s->block_size * size : size + gap;
    cache->row_stride = s->paging == heads_of_rows ? size : heads * cache->head_stride + gap;
    cache->block_stride = s->block_size * heads * size;
    if (gap) cache->block_stride = s->block_size * cache->row_stride + gap;
}

static void place_scales(struct instance *instance, regraft_cache *first, regraft_cache *second) {
    instance->world.misalignment = 0;
    instance->scales = new_region(&instance->world, 2 * sizeof(float));
    float *scales = initial_data(instance->scales);
    scales[0] = 0.37f;
    scales[1] = 1.0f / 512;
    first->scale = actual_data(instance->scales);
    if (second) second->scale = (float *)actual_data(instance->scales) + 1;
}

static void place_caches(struct instance *instance, regraft_cache *keys, regraft_cache *values, int64_t key_size,
                         int64_t value_size, int64_t heads) {
    const struct settings *s = &instance->settings;
    int64_t blocks = (s->tokens + s->block_size) / s->block_size + 1;
    page(s, keys, blocks, heads, key_size);
    if (values) page(s, values, blocks, heads, value_size);
    if (values && s->paging == both_in_one) { /* [blocks, 2, ...] */
        int64_t key_block = keys->block_stride;
        keys->block_stride = values->block_stride = key_block + values->block_stride;
        instance->key_cache = instance->value_cache = cache_region(instance, keys, blocks * keys->block_stride);
        values->data = (char *)keys->data + key_block * (int64_t)element_bytes(keys->type);
    } else {
        instance->key_cache = cache_region(instance, keys, blocks * keys->block_stride);
        if (values) instance->value_cache = cache_region(instance, values, blocks * values->block_stride);
    }
    place_scales(instance, keys, values);
}

static void place_results(struct instance *instance, const regraft_heads *query, const regraft_heads *key,
                          regraft_heads *query_out, regraft_heads *key_out) {
    const struct settings *s = &instance->settings;
    instance->world.misalignment = s->misalignment * element_bytes(s->type);
    if (s->query_out == 1) instance->query_out = place_alone(instance, query_out, query->heads, s->head_size);
    if (s->query_out == 2) instance->query_out = instance->query, *query_out = *query;
    if (s->key_result == REGRAFT_KEY_OUT) instance->key_out = place_alone(instance, key_out, key->heads, s->head_size);
}

static void build_grouped(struct instance *instance) {
    const struct settings *s = &instance->settings;
    regraft_rope_cache_arguments *a = &instance->grouped;
    *a = (regraft_rope_cache_arguments){.tokens = s->tokens,
                                        .head_size = s->head_size,
                                        .value_size = s->value_size == s->head_size ? 0 : s->value_size,
                                        .type = s->type,
                                        .key_result = s->key_result};
    place_inputs(instance, &a->query, &a->key, &a->value);
    place_results(instance, &a->query, &a->key, &a->query_out, &a->key_out);
    place_rotation(instance, &a->rotation);
    place_caches(instance, &a->key_cache, &a->value_cache, s->head_size, s->value_size, s->key_heads);
    place_slots(instance, &a->slots, a->key_cache.blocks * a->key_cache.block_size);
}

static void build_latent(struct instance *instance) {
    const struct settings *s = &instance->settings;
    regraft_rope_latent_cache_arguments *a = &instance->latent;
    *a = (regraft_rope_latent_cache_arguments){.tokens = s->tokens,
                                               .head_size = s->head_size,
                                               .rank = s->value_size,
                                               .type = s->type,
                                               .key_result = s->key_result};
    place_inputs(instance, &a->query, &a->key_pe, &a->kv_c);
    place_results(instance, &a->query, &a->key_pe, &a->query_out, &a->key_pe_out);
    place_rotation(instance, &a->rotation);
    place_caches(instance, &a->cache, NULL, s->value_size + s->head_size, 0, 1);
    place_slots(instance, &a->slots, a->cache.blocks * a->cache.block_size);
}

static void build(struct instance *instance, const struct settings *settings, uint64_t seed) {
    *instance = (struct instance){.settings = *settings};
    world_start(&instance->world, seed);
    instance->world.misalignment = settings->misalignment * element_bytes(settings->type);
    if (settings->latent)
        build_latent(instance);
    else
        build_grouped(instance);
    world_reset(&instance->world, true);
}

/* ---- the reference ---- */

static void expect(regraft_status status) { assert_int_equal(status, REGRAFT_OK); }

static struct tensor reference_rotated(struct instance *instance, struct call *call, const regraft_rotation *rotation,
                                       struct tensor in, const struct tensor *out) {
    const struct settings *s = &instance->settings;
    struct tensor positions = list_tensor(instance->positions, dtype_i64, s->tokens, 0, 1);
    struct tensor table = list_tensor(instance->table, dtype_of(s->table_type), rotation->table_rows, rotation->width,
                                      rotation->table_stride);
    struct rotation how = {
        &positions, &table, s->head_size, rotation->offset, !rotation->interleaved, rotation->inverse != 0};
    if (out) tensor_copy(call->scratch, out, &in);
    expect(rotate(call, &how, out ? out : &in));
    return out ? *out : in;
}

static struct tensor reference_key(struct instance *instance, struct call *call, const regraft_rotation *rotation,
                                   const regraft_heads *key, const regraft_heads *key_out) {
    const struct settings *s = &instance->settings;
    struct tensor in = heads_tensor(instance->key, s->type, key, s->tokens, s->head_size), out;
    if (s->key_result == REGRAFT_KEY_IN_PLACE) return reference_rotated(instance, call, rotation, in, NULL);
    if (s->key_result == REGRAFT_KEY_OUT)
        out = heads_tensor(instance->key_out, s->type, key_out, s->tokens, s->head_size);
    else
        out = tensor_convert(call->scratch, &in, in.dtype);
    return reference_rotated(instance, call, rotation, in, &out);
}

static void reference_query(struct instance *instance, struct call *call, const regraft_rotation *rotation,
                            const regraft_heads *query, const regraft_heads *query_out) {
    const struct settings *s = &instance->settings;
    struct tensor in = heads_tensor(instance->query, s->type, query, s->tokens, s->head_size), out;
    if (s->query_out == 1) out = heads_tensor(instance->query_out, s->type, query_out, s->tokens, s->head_size);
    reference_rotated(instance, call, rotation, in, s->query_out == 1 ? &out : NULL);
}

static void reference_write(struct instance *instance, struct call *call, struct region *region,
                            const regraft_cache *cache, const regraft_slots *slots, const struct tensor *rows,
                            int64_t heads, int64_t size, int64_t column) {
    struct tensor to = cache_tensor(region, cache, heads, size);
    struct tensor list = list_tensor(instance->slots, dtype_i64, slots->count, 0, 1);
    struct cache_format format = {cache->type == REGRAFT_FP8_E4M3, 1};
    const float *initial = initial_data(instance->scales);
    if (cache->scale && format.scaled)
        format.scale = (double)initial[cache->scale - (const float *)actual_data(instance->scales)];
    expect(cache_write(call, &to, &list, column, rows, &format));
}

static void reference_run(struct instance *instance, bool rotation) {
    const struct settings *s = &instance->settings;
    struct call call = {.arena = instance->world.arena, .scratch = instance->world.arena};
    const regraft_rope_cache_arguments *g = &instance->grouped;
    const regraft_rope_latent_cache_arguments *l = &instance->latent;
    const regraft_heads *query = s->latent ? &l->query : &g->query, *key = s->latent ? &l->key_pe : &g->key;
    const regraft_rotation *how = s->latent ? &l->rotation : &g->rotation;
    struct tensor rotated = heads_tensor(instance->key, s->type, key, s->tokens, s->head_size);
    if (rotation) {
        reference_query(instance, &call, how, query, s->latent ? &l->query_out : &g->query_out);
        rotated = reference_key(instance, &call, how, key, s->latent ? &l->key_pe_out : &g->key_out);
    }
    struct tensor value =
        heads_tensor(instance->value, s->type, s->latent ? &l->kv_c : &g->value, s->tokens, s->value_size);
    if (s->latent) {
        int64_t size = s->value_size + s->head_size;
        reference_write(instance, &call, instance->key_cache, &l->cache, &l->slots, &value, 1, size, 0);
        reference_write(instance, &call, instance->key_cache, &l->cache, &l->slots, &rotated, 1, size, s->value_size);
        return;
    }
    reference_write(instance, &call, instance->key_cache, &g->key_cache, &g->slots, &rotated, s->key_heads,
                    s->head_size, 0);
    reference_write(instance, &call, instance->value_cache, &g->value_cache, &g->slots, &value, s->key_heads,
                    s->value_size, 0);
}

/* ---- the kernels ---- */

static regraft_status kernel_run(regraft_cpu *cpu, const struct instance *instance, bool rotation) {
    const regraft_rope_cache_arguments *g = &instance->grouped;
    const regraft_rope_latent_cache_arguments *l = &instance->latent;
    if (rotation)
        return instance->settings.latent ? regraft_cpu_rope_latent_cache(cpu, l) : regraft_cpu_rope_cache(cpu, g);
    if (instance->settings.latent) {
        regraft_latent_cache_arguments arguments = {l->tokens, l->head_size, l->rank,  l->type,
                                                    l->key_pe, l->kv_c,      l->slots, l->cache};
        return regraft_cpu_latent_cache(cpu, &arguments);
    }
    regraft_cache_arguments arguments = {g->tokens, g->head_size, g->value_size, g->type,       g->key,
                                         g->value,  g->slots,     g->key_cache,  g->value_cache};
    return regraft_cpu_cache(cpu, &arguments);
}

static void compare(const struct instance *instance, const regraft_cpu *cpu, const char *what) {
    const struct settings *s = &instance->settings;
    size_t byte;
    int region = world_difference(&instance->world, &byte);
    if (region < 0) return;
    fail_msg(
        "%s, form %s, threads %d, streaming %d: region %d differs at byte %zu; type %d table %d cache %d latent %d "
        "interleaved %d inverse %d tokens %lld head %lld width %lld offset %lld value %lld heads %lld %lld block %lld "
        "layout %d paging %d slots %d key result %d query out %d misalignment %zu",
        what, regraft_cpu_form_name(cpu->form), cpu->threads, cpu->streaming, region, byte, s->type, s->table_type,
        s->cache_type, s->latent, s->interleaved, s->inverse, (long long)s->tokens, (long long)s->head_size,
        (long long)s->width, (long long)s->offset, (long long)s->value_size, (long long)s->query_heads,
        (long long)s->key_heads, (long long)s->block_size, (int)s->layout, (int)s->paging, (int)s->slots,
        (int)s->key_result, s->query_out, s->misalignment);
}

static void compare_all(struct instance *instance, bool rotation) {
    regraft_cpu_form forms[4];
    size_t count = list_forms(forms);
    for (size_t i = 0; i < count; i++)
        for (int way = 0; way < 3; way++) {
            regraft_cpu cpu = REGRAFT_CPU_INIT;
            cpu.form = forms[i];
            cpu.threads = way == 1 && instance->settings.slots != slots_repeated ? 3 : 1;
            cpu.streaming = way - 1;
            world_reset(&instance->world, false);
            if (kernel_run(&cpu, instance, rotation) != REGRAFT_OK) fail_msg("%s", cpu.message);
            compare(instance, &cpu, rotation ? "with rotation" : "cache write alone");
        }
}

static void try_settings(const struct settings *settings, uint64_t seed) {
    static struct instance instance;
    for (int rotation = 0; rotation < 2; rotation++) {
        build(&instance, settings, seed);
        reference_run(&instance, rotation != 0);
        compare_all(&instance, rotation != 0);
        world_end(&instance.world);
    }
}

/* ---- tests ---- */

static const struct settings usual = {
    .tokens = 7, .head_size = 64, .width = 64, .value_size = 64, .query_heads = 3, .key_heads = 2, .block_size = 16};

/* What the index says, digit by digit. */
static int64_t take(int64_t *index, int64_t count) {
    int64_t digit = *index % count;
    *index /= count;
    return digit;
}

static struct settings combination(int64_t index) {
    static const int64_t tokens[] = {0, 1, 2, 7, 64};
    struct settings s = usual;
    s.type = (regraft_type)take(&index, 3);
    s.table_type = take(&index, 2) ? REGRAFT_F32 : s.type;
    s.cache_type = take(&index, 2) ? REGRAFT_FP8_E4M3 : s.type;
    s.interleaved = (int)take(&index, 2);
    s.latent = (int)take(&index, 2);
    s.tokens = tokens[take(&index, 5)];
    s.key_result = (regraft_key_result)take(&index, 3);
    return s;
}
enum { combinations = 3 * 2 * 2 * 2 * 2 * 5 * 3 };

/* All of types, styles, token counts and results of the key; what else there is at random, differently each time. */
static void test_every_combination(void **state) {
    (void)state;
    static const int64_t heads[] = {64, 128, 80, 34, 96}, blocks[] = {1, 16, 33, 5};
    struct world dice;
    world_start(&dice, 99);
    for (int64_t i = 0; i < combinations; i++) {
        struct settings s = combination(i);
        s.head_size = heads[random_below(&dice, 5)];
        s.width = random_below(&dice, 2) ? s.head_size : 2 * (1 + random_below(&dice, s.head_size / 2));
        s.offset = random_below(&dice, 2) ? 0 : random_below(&dice, s.head_size - s.width + 1);
        s.value_size = s.latent ? 16 + random_below(&dice, 300) : random_below(&dice, 2) ? s.head_size : 48;
        s.query_heads = 1 + random_below(&dice, 4);
        s.key_heads = s.latent ? 1 : 1 + random_below(&dice, 3);
        s.block_size = blocks[random_below(&dice, 4)];
        s.layout = (enum arrangement)random_below(&dice, arrangement_count);
        s.paging = (enum paging)random_below(&dice, paging_count);
        s.slots = (enum slot_kind)random_below(&dice, slot_kind_count);
        s.inverse = random_below(&dice, 4) == 0;
        s.query_out = (int)random_below(&dice, 3);
        s.misalignment = (size_t)random_below(&dice, 3);
        if (s.latent && s.paging == heads_of_rows) s.paging = rows_of_heads;
        try_settings(&s, (uint64_t)i);
    }
    world_end(&dice);
}

static void test_every_layout(void **state) {
    (void)state;
    uint64_t seed = 5000;
    for (int latent = 0; latent < 2; latent++)
        for (int layout = 0; layout < arrangement_count; layout++)
            for (int paging = 0; paging < paging_count; paging++)
                for (int slots = 0; slots < slot_kind_count; slots++)
                    for (size_t misalignment = 0; misalignment < 2; misalignment++) {
                        struct settings s = usual;
                        s.latent = latent;
                        s.key_heads = latent ? 1 : 2;
                        s.value_size = latent ? 512 : 64;
                        s.layout = (enum arrangement)layout;
                        s.paging = latent && paging == heads_of_rows ? rows_of_heads : (enum paging)paging;
                        s.slots = (enum slot_kind)slots;
                        s.misalignment = misalignment;
                        try_settings(&s, seed++);
                    }
}

/* The sizes of real models, and enough tokens for streaming stores and threads to be chosen by the library. */
static void test_a_thousand_tokens(void **state) {
    (void)state;
    for (int type = 0; type < 3; type++)
        for (int latent = 0; latent < 2; latent++) {
            struct settings s = usual;
            s.type = s.table_type = (regraft_type)type;
            s.cache_type = type == REGRAFT_F16 ? REGRAFT_FP8_E4M3 : s.type;
            s.interleaved = s.latent = latent;
            s.tokens = 1000;
            s.head_size = s.width = latent ? 64 : 128;
            s.value_size = latent ? 512 : 128;
            s.query_heads = 2;
            s.key_heads = latent ? 1 : 2;
            s.layout = packed;
            s.slots = slots_missing;
            try_settings(&s, 7000 + (uint64_t)type);
        }
}

/* Rotation without a cache: a key or none, results in place or beside. */
static void test_rope_alone(void **state) {
    (void)state;
    static struct instance instance;
    for (int64_t i = 0; i < 3 * 2 * 2 * 5 * 2 * 2; i++) {
        int64_t index = i;
        struct settings s = combination(take(&index, 3) + 3 * (4 * take(&index, 2) / 2));
        s.interleaved = (int)take(&index, 2);
        s.tokens = (const int64_t[]){0, 1, 2, 7, 64}[take(&index, 5)];
        s.query_out = (int)take(&index, 2);
        s.key_result = take(&index, 2) ? REGRAFT_KEY_OUT : REGRAFT_KEY_IN_PLACE;
        s.width = 20;
        s.offset = 6;
        s.slots = slots_none;
        s.layout = (enum arrangement)(i % arrangement_count);
        s.latent = 0;
        s.key_heads = 2;
        s.value_size = 64;
        build(&instance, &s, (uint64_t)i);
        reference_run(&instance, true);
        regraft_cpu_form forms[4];
        for (size_t form = list_forms(forms); form-- > 0;) {
            const regraft_rope_cache_arguments *g = &instance.grouped;
            regraft_cpu cpu = REGRAFT_CPU_INIT;
            cpu.form = forms[form];
            regraft_rope_arguments rope = {g->tokens, g->head_size, g->type,      g->rotation,
                                           g->query,  g->key,       g->query_out, g->key_out};
            world_reset(&instance.world, false);
            if (regraft_cpu_rope(&cpu, &rope) != REGRAFT_OK) fail_msg("%s", cpu.message);
            compare(&instance, &cpu, "rope");
        }
        world_end(&instance.world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_combination),
        cmocka_unit_test(test_every_layout),
        cmocka_unit_test(test_a_thousand_tokens),
        cmocka_unit_test(test_rope_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
