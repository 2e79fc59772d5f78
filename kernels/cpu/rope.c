/* The operations that rotate or write caches, as token work. */
#include "cpu/tokens.h"

static struct rotated_heads rotated(const regraft_heads *in, const regraft_heads *out, const void *weight) {
    return (struct rotated_heads){.in = *in, .out = out->data ? *out : *in, .weight = weight};
}

static struct rotated_heads rotated_key(const regraft_heads *in, const regraft_heads *out, regraft_key_result result,
                                        const void *weight) {
    struct rotated_heads key = {.in = *in, .out = *in, .weight = weight};
    if (result == REGRAFT_KEY_OUT) key.out = *out;
    key.to_cache_only = result == REGRAFT_KEY_CACHE_ONLY;
    return key;
}

static struct cache_store store(const regraft_heads *from, int64_t size, int64_t column, const regraft_cache *cache) {
    float scale = cache->type == REGRAFT_FP8_E4M3 && cache->scale ? *cache->scale : 1;
    return (struct cache_store){*from, size, column, cache, scale};
}

regraft_status regraft_cpu_rope(regraft_cpu *cpu, const regraft_rope_arguments *arguments) {
    struct setup setup;
    CHECK(setup_start(&setup, cpu));
    CHECK(check_rope(&setup.check, arguments));
    struct token_work work = {
        .tokens = arguments->tokens,
        .head_size = arguments->head_size,
        .type = arguments->type,
        .rotation = &arguments->rotation,
        .rotated = {rotated(&arguments->query, &arguments->query_out, NULL),
                    rotated(&arguments->key, &arguments->key_out, NULL)},
        .rotated_count = arguments->key.data ? 2 : 1,
    };
    return tokens_run(&setup, &work);
}

static regraft_status rope_cache(regraft_cpu *cpu, const regraft_rope_cache_arguments *arguments, int norm) {
    struct setup setup;
    CHECK(setup_start(&setup, cpu));
    CHECK(check_rope_cache(&setup.check, arguments, norm));
    int64_t value_size = arguments->value_size ? arguments->value_size : arguments->head_size;
    struct rotated_heads query = rotated(&arguments->query, &arguments->query_out, arguments->query_weight);
    struct rotated_heads key =
        rotated_key(&arguments->key, &arguments->key_out, arguments->key_result, arguments->key_weight);
    struct token_work work = {
        .tokens = arguments->tokens,
        .head_size = arguments->head_size,
        .type = arguments->type,
        .rotation = &arguments->rotation,
        .rotated = {query, key},
        .rotated_count = 2,
        .epsilon = arguments->epsilon,
        .slots = arguments->slots,
        .stores = {store(&key.out, arguments->head_size, 0, &arguments->key_cache),
                   store(&arguments->value, value_size, 0, &arguments->value_cache)},
        .store_count = arguments->slots.count ? 2 : 0,
    };
    return tokens_run(&setup, &work);
}

regraft_status regraft_cpu_rope_cache(regraft_cpu *cpu, const regraft_rope_cache_arguments *arguments) {
    return rope_cache(cpu, arguments, 0);
}

regraft_status regraft_cpu_norm_rope_cache(regraft_cpu *cpu, const regraft_rope_cache_arguments *arguments) {
    return rope_cache(cpu, arguments, 1);
}

regraft_status regraft_cpu_rope_latent_cache(regraft_cpu *cpu, const regraft_rope_latent_cache_arguments *arguments) {
    struct setup setup;
    CHECK(setup_start(&setup, cpu));
    CHECK(check_rope_latent_cache(&setup.check, arguments));
    struct rotated_heads key = rotated_key(&arguments->key_pe, &arguments->key_pe_out, arguments->key_result, NULL);
    struct token_work work = {
        .tokens = arguments->tokens,
        .head_size = arguments->head_size,
        .type = arguments->type,
        .rotation = &arguments->rotation,
        .rotated = {rotated(&arguments->query, &arguments->query_out, NULL), key},
        .rotated_count = 2,
        .slots = arguments->slots,
        .stores = {store(&key.out, arguments->head_size, arguments->rank, &arguments->cache),
                   store(&arguments->kv_c, arguments->rank, 0, &arguments->cache)},
        .store_count = 2,
    };
    return tokens_run(&setup, &work);
}

regraft_status regraft_cpu_cache(regraft_cpu *cpu, const regraft_cache_arguments *arguments) {
    struct setup setup;
    CHECK(setup_start(&setup, cpu));
    CHECK(check_cache(&setup.check, arguments));
    int64_t value_size = arguments->value_size ? arguments->value_size : arguments->head_size;
    struct token_work work = {
        .tokens = arguments->slots.count,
        .type = arguments->type,
        .slots = arguments->slots,
        .stores = {store(&arguments->key, arguments->head_size, 0, &arguments->key_cache),
                   store(&arguments->value, value_size, 0, &arguments->value_cache)},
        .store_count = 2,
    };
    return tokens_run(&setup, &work);
}

regraft_status regraft_cpu_latent_cache(regraft_cpu *cpu, const regraft_latent_cache_arguments *arguments) {
    struct setup setup;
    CHECK(setup_start(&setup, cpu));
    CHECK(check_latent_cache(&setup.check, arguments));
    struct token_work work = {
        .tokens = arguments->slots.count,
        .type = arguments->type,
        .slots = arguments->slots,
        .stores = {store(&arguments->key_pe, arguments->head_size, arguments->rank, &arguments->cache),
                   store(&arguments->kv_c, arguments->rank, 0, &arguments->cache)},
        .store_count = 2,
    };
    return tokens_run(&setup, &work);
}
