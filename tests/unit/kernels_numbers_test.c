/* Rounding of the CPU kernels over all of f32, and norms and the gated activation against the reference interpreter. */
#include "kernels_support.h"

/* ---- rounding ---- */

enum { head = 4096 };

/* Numbers of every exponent, what lies around each possible tie, and what is no number. */
static uint32_t sample(struct world *dice, int64_t index) {
    uint32_t bits = (uint32_t)random_bits(dice);
    switch (index % 4) {
    case 0:
        return bits;
    case 1: /* ties of bf16 and their neighbours */
        return (bits & 0xffff0000) + 0x8000 + (uint32_t)(index / 4 % 3) - 1;
    case 2: /* of f16 */
        return (bits & 0xffffe000) + 0x1000 + (uint32_t)(index / 4 % 3) - 1;
    default: /* of e4m3, around the range where that has numbers */
        return (bits & 0x80000000) |
               (((112 + bits % 28) << 23) + ((bits >> 8 & 15) << 19) + (uint32_t)(index / 4 % 3) - 1);
    }
}

static bool same_number(regraft_type type, const void *found, const void *expected) {
    double a = element_load_real(dtype_of(type), found), b = element_load_real(dtype_of(type), expected);
    return (isnan(a) && isnan(b)) || memcmp(found, expected, element_bytes(type)) == 0;
}

/* With x = 1, y = 0 a rotation gives the cosine and the sine themselves: any f32 from the table, rounded. */
static void round_table(regraft_cpu_form form, regraft_type type, const float *table, int64_t rows) {
    static unsigned char query[head * 4];
    regraft_cpu cpu = REGRAFT_CPU_INIT;
    cpu.form = form;
    for (int64_t row = 0; row < rows; row++) {
        regraft_rope_arguments rope = {
            .tokens = 1,
            .head_size = head,
            .type = type,
            .rotation = {&row, table, REGRAFT_F32, rows, head, head, 0, 0, 0},
            .query = {query, 1, 0, 0},
        };
        for (int64_t i = 0; i < head; i++)
            element_store_real(dtype_of(type), query + (size_t)i * element_bytes(type), i < head / 2);
        assert_int_equal(regraft_cpu_rope(&cpu, &rope), REGRAFT_OK);
        for (int64_t i = 0; i < head; i++) {
            unsigned char expected[4];
            float value = table[row * head + i] + 0.0f; /* x * cos - y * sin: -0 - 0 * sin, +0 or -0 */
            if (i < head / 2) value = 1 * table[row * head + i] - 0 * table[row * head + head / 2 + i];
            if (i >= head / 2) value = 0 * table[row * head + i - head / 2] + 1 * table[row * head + i];
            element_store_real(dtype_of(type), expected, (double)value);
            if (!same_number(type, query + (size_t)i * element_bytes(type), expected))
                fail_msg("form %s, type %d: %a is not rounded as the reference does", regraft_cpu_form_name(form),
                         (int)type, (double)table[row * head + i]);
        }
    }
}

static void test_rounding(void **state) {
    (void)state;
    enum { rows = 64 };
    static float table[rows * head];
    regraft_cpu_form forms[4];
    struct world dice;
    world_start(&dice, 5);
    for (int64_t i = 0; i < rows * head; i++) {
        uint32_t bits = sample(&dice, i);
        memcpy(&table[i], &bits, sizeof bits);
    }
    for (size_t form = list_forms(forms); form-- > 0;)
        for (int type = 0; type < 2; type++) round_table(forms[form], (regraft_type)type, table, rows);
    world_end(&dice);
}

/* f32 rows to an fp8 cache, divided by a scale: every sample, to the bit, NaN too. */
static void test_fp8(void **state) {
    (void)state;
    enum { size = 60001 };
    static float row[size + 1];
    static unsigned char cache[2 * size + 64];
    static const float scales[] = {1, 0.37f, 0x1p-9f, 3e30f};
    regraft_cpu_form forms[4];
    struct world dice;
    int64_t slot = 0;
    world_start(&dice, 6);
    for (int64_t i = 0; i < size; i++) {
        uint32_t bits = sample(&dice, i);
        memcpy(&row[i], &bits, sizeof bits);
    }
    for (size_t form = list_forms(forms); form-- > 0;)
        for (int scale = 0; scale < 4; scale++)
            for (int streaming = -1; streaming < 2; streaming++) {
                regraft_cpu cpu = REGRAFT_CPU_INIT;
                regraft_cache paged = {cache + 5 * scale, REGRAFT_FP8_E4M3, 1, 1, 0, 0, 0, &scales[scale]};
                regraft_latent_cache_arguments write = {
                    1, 1, size - 1, REGRAFT_F32, {row + size - 1, 1, 0, 0}, {row, 1, 0, 0}, {&slot, 1}, paged};
                cpu.form = forms[form];
                cpu.streaming = streaming;
                assert_int_equal(regraft_cpu_latent_cache(&cpu, &write), REGRAFT_OK);
                for (int64_t i = 0; i < size; i++) {
                    double value = (double)(float)((double)row[i] / (double)scales[scale]);
                    value = value > 448 ? 448 : value < -448 ? -448 : value;
                    unsigned expected = element_encode(dtype_f8e4m3fn, value);
                    if (cache[5 * scale + i] != expected)
                        fail_msg("form %s: %a / %a is %#x, expected %#x", regraft_cpu_form_name(forms[form]),
                                 (double)row[i], (double)scales[scale], cache[5 * scale + i], expected);
                }
            }
    world_end(&dice);
}

/* What has the cache's type is moved, whatever its bits mean. */
static void test_moved_bits(void **state) {
    (void)state;
    enum { size = 1001 };
    static unsigned char row[4 * size], cache[4 * size];
    regraft_cpu_form forms[4];
    struct world dice;
    int64_t slot = 0;
    world_start(&dice, 7);
    for (size_t i = 0; i < sizeof row; i++) row[i] = (unsigned char)random_bits(&dice);
    for (size_t form = list_forms(forms); form-- > 0;)
        for (int type = 0; type < 3; type++) {
            regraft_cpu cpu = REGRAFT_CPU_INIT;
            regraft_cache paged = {cache, (regraft_type)type, 1, 1, 0, 0, 0, NULL};
            size_t last = (size - 1) * element_bytes((regraft_type)type);
            regraft_latent_cache_arguments write = {
                1, 1, size - 1, (regraft_type)type, {row + last, 1, 0, 0}, {row, 1, 0, 0}, {&slot, 1}, paged};
            cpu.form = forms[form];
            memset(cache, 0, sizeof cache);
            assert_int_equal(regraft_cpu_latent_cache(&cpu, &write), REGRAFT_OK);
            assert_memory_equal(cache, row, size * element_bytes((regraft_type)type));
        }
    world_end(&dice);
}

/* ---- norms and activation ---- */

/* Units in the last place by which a value may differ from the reference: one for the rounding before the weight moved, carried
 * on by the weight, one for its own; f32 is its own arithmetic. */
static void assert_near(regraft_type type, double found, double expected, int64_t units, const char *what) {
    static const int digits[] = {8, 11, 24}, smallest[] = {-133, -24, -149};
    int exponent;
    frexp(expected, &exponent);
    int unit = exponent - digits[type] < smallest[type] ? smallest[type] : exponent - digits[type];
    if (!(fabs(found - expected) <= (double)units * ldexp(1, unit)))
        fail_msg("%s: %a, expected %a, within %lld units of 2^%d", what, found, expected, (long long)units, unit);
}

struct rows_case {
    regraft_type type;
    int64_t tokens, heads, size, token_stride, head_stride;
    size_t misalignment;
    bool in_place, weighted;
};

static struct rows_case rows_case(struct world *dice, int64_t index) {
    static const int64_t sizes[] = {1, 7, 16, 63, 64, 128, 200, 1024, 5120}, tokens[] = {0, 1, 2, 7, 64, 1000};
    struct rows_case c = {.type = (regraft_type)(index % 3), .tokens = tokens[index / 3 % 6]};
    c.size = sizes[random_below(dice, c.tokens > 64 ? 4 : 9)];
    c.heads = c.size > 200 ? 1 : 1 + random_below(dice, 3);
    c.head_stride = c.size + random_below(dice, 2) * 3;
    c.token_stride = c.heads * c.head_stride + random_below(dice, 2) * 5;
    c.misalignment = (size_t)random_below(dice, 3);
    c.in_place = random_below(dice, 2) != 0;
    c.weighted = random_below(dice, 5) != 0;
    return c;
}

static struct region *rows_region(struct world *world, const struct rows_case *c, regraft_heads *heads) {
    world->misalignment = c->misalignment * element_bytes(c->type);
    struct region *region = new_region(world, (size_t)(c->tokens * c->token_stride + c->size) * element_bytes(c->type));
    unsigned char *at = initial_data(region);
    size_t size = element_bytes(c->type), count = (region->size - 2 * canary_bytes) / size;
    for (size_t i = 0; i < count; i++) element_store_real(dtype_of(c->type), at + i * size, random_real(world, 3));
    *heads = (regraft_heads){actual_data(region), c->heads, c->token_stride, c->head_stride};
    return region;
}

static struct tensor rows_tensor(struct region *region, const struct rows_case *c, const regraft_heads *heads) {
    return heads_tensor(region, c->type, heads, c->tokens, c->size);
}

static struct region *weight_region(struct world *world, const struct rows_case *c) {
    struct rows_case weight = {
        .type = c->type, .tokens = 1, .heads = 1, .size = c->size, .misalignment = c->misalignment};
    regraft_heads unused;
    return rows_region(world, &weight, &unused);
}

/* Within rounding of the reference where tensors were written, and equal bytes beside them. */
static void assert_rows_near(const struct world *world, struct region *region, const struct rows_case *c,
                             const regraft_heads *heads, int64_t units) {
    struct tensor expected = rows_tensor(region, c, heads);
    struct storage found = {actual_data(region), region->reference.size};
    for (struct walk walk = walk_start(1, (const struct tensor *[]){&expected}); walk.left; walk_next(&walk)) {
        unsigned char *at = found.bytes + (size_t)walk.position[0] * element_bytes(c->type);
        assert_near(c->type, element_load_real(expected.dtype, at), tensor_real(&expected, walk.position[0]), units,
                    "row");
        memcpy(at, tensor_at(&expected, walk.position[0]), element_bytes(c->type));
    }
    size_t byte;
    assert_int_equal(world_difference(world, &byte), -1);
}

static void reference_norm(struct world *world, const struct rows_case *c, struct tensor input, struct region *weight,
                           double epsilon, struct tensor out) {
    struct call call = {.arena = world->arena, .scratch = world->arena};
    struct shape shape = {1, {c->size}};
    struct tensor ones = tensor_create(world->arena, dtype_of(c->type), &shape, NULL), given = ones;
    for (int64_t i = 0; i < c->size; i++) tensor_set_real(&ones, i, 1);
    given.storage = &weight->reference;
    assert_int_equal(rms_norm(&call, &input, c->weighted ? &given : &ones, epsilon, &out), REGRAFT_OK);
}

static const float epsilon = 1e-6f;

static void test_rms_norm(void **state) {
    (void)state;
    regraft_cpu_form forms[4];
    struct world dice, world;
    world_start(&dice, 11);
    for (int64_t index = 0; index < 150; index++) {
        struct rows_case c = rows_case(&dice, index);
        regraft_heads input, out;
        world_start(&world, (uint64_t)index);
        struct region *in = rows_region(&world, &c, &input), *result = in, *weight = weight_region(&world, &c);
        out = input;
        if (!c.in_place) result = rows_region(&world, &c, &out);
        regraft_rms_norm_arguments arguments = {
            c.tokens, c.size, c.type, input, out, c.weighted ? actual_data(weight) : NULL, epsilon};
        unsigned char *portable = NULL;
        for (size_t form = 0, count = list_forms(forms); form < count; form++) {
            regraft_cpu cpu = REGRAFT_CPU_INIT;
            cpu.form = forms[form];
            cpu.threads = 1 + (int)(index % 2);
            world_reset(&world, true);
            reference_norm(&world, &c, rows_tensor(in, &c, &input), weight, (double)epsilon,
                           rows_tensor(result, &c, &out));
            if (regraft_cpu_rms_norm(&cpu, &arguments) != REGRAFT_OK) fail_msg("%s", cpu.message);
            if (portable) assert_memory_equal(portable, result->actual, result->size); /* all forms: the same bits */
            if (!portable) portable = arena_copy(world.arena, result->actual, result->size);
            assert_rows_near(&world, result, &c, &out, c.type == REGRAFT_F32 ? 8 : 3);
        }
        world_end(&world);
    }
    world_end(&dice);
}

static void reference_add(struct tensor input, struct tensor residual) {
    for (struct walk walk = walk_start(2, (const struct tensor *[]){&input, &residual}); walk.left; walk_next(&walk))
        tensor_set_real(&residual, walk.position[1],
                        tensor_real(&input, walk.position[0]) + tensor_real(&residual, walk.position[1]));
}

static void test_fused_add_rms_norm(void **state) {
    (void)state;
    regraft_cpu_form forms[4];
    struct world dice, world;
    world_start(&dice, 12);
    for (int64_t index = 0; index < 150; index++) {
        struct rows_case c = rows_case(&dice, index);
        regraft_heads input, residual;
        world_start(&world, (uint64_t)index);
        struct region *in = rows_region(&world, &c, &input), *sum = rows_region(&world, &c, &residual);
        struct region *weight = weight_region(&world, &c);
        regraft_fused_add_rms_norm_arguments arguments = {
            c.tokens, c.size, c.type, input, residual, c.weighted ? actual_data(weight) : NULL, epsilon};
        for (size_t form = 0, count = list_forms(forms); form < count; form++) {
            regraft_cpu cpu = REGRAFT_CPU_INIT;
            cpu.form = forms[form];
            world_reset(&world, true);
            reference_add(rows_tensor(in, &c, &input), rows_tensor(sum, &c, &residual));
            reference_norm(&world, &c, rows_tensor(sum, &c, &residual), weight, (double)epsilon,
                           rows_tensor(in, &c, &input));
            if (regraft_cpu_fused_add_rms_norm(&cpu, &arguments) != REGRAFT_OK) fail_msg("%s", cpu.message);
            assert_rows_near(&world, in, &c, &input, c.type == REGRAFT_F32 ? 8 : 3); /* the residual: equal bits */
        }
        world_end(&world);
    }
    world_end(&dice);
}

static void reference_silu(struct tensor in, struct tensor out) {
    int64_t size = out.shape.sizes[2];
    for (int64_t token = 0; token < out.shape.sizes[0]; token++)
        for (int64_t i = 0; i < size; i++) {
            double gate = tensor_real(&in, in.offset + token * in.strides[0] + i);
            double up = tensor_real(&in, in.offset + token * in.strides[0] + size + i);
            unsigned char rounded[4];
            element_store_real(in.dtype, rounded, gate / (1 + exp(-gate)));
            tensor_set_real(&out, out.offset + token * out.strides[0] + i, element_load_real(in.dtype, rounded) * up);
        }
}

static void test_silu_and_mul(void **state) {
    (void)state;
    regraft_cpu_form forms[4];
    struct world dice, world;
    world_start(&dice, 13);
    for (int64_t index = 0; index < 100; index++) {
        struct rows_case c = rows_case(&dice, index), wide;
        regraft_heads input, out;
        c.heads = 1;
        wide = c;
        wide.size = 2 * c.size;
        wide.token_stride = 2 * c.token_stride;
        world_start(&world, (uint64_t)index);
        struct region *in = rows_region(&world, &wide, &input), *result = rows_region(&world, &c, &out);
        for (int64_t i = 0; i < wide.size && c.tokens; i++) /* the first token: all of the range */
            element_store_real(dtype_of(c.type), (char *)initial_data(in) + (size_t)i * element_bytes(c.type),
                               random_real(&world, 80));
        regraft_silu_and_mul_arguments arguments = {c.tokens, c.size, c.type, input, out};
        unsigned char *portable = NULL;
        for (size_t form = 0, count = list_forms(forms); form < count; form++) {
            regraft_cpu cpu = REGRAFT_CPU_INIT;
            cpu.form = forms[form];
            world_reset(&world, true);
            reference_silu(rows_tensor(in, &wide, &input), rows_tensor(result, &c, &out));
            if (regraft_cpu_silu_and_mul(&cpu, &arguments) != REGRAFT_OK) fail_msg("%s", cpu.message);
            if (portable) assert_memory_equal(portable, result->actual, result->size);
            if (!portable) portable = arena_copy(world.arena, result->actual, result->size);
            assert_rows_near(&world, result, &c, &out, c.type == REGRAFT_F32 ? 8 : 3);
        }
        world_end(&world);
    }
    world_end(&dice);
}

/* Far from 0 nothing overflows into a NaN, and a NaN stays one. */
static void test_silu_extremes(void **state) {
    (void)state;
    static const float gates[] = {-INFINITY, -1e30f, -200, -90, 90, 200, 1e30f, NAN};
    regraft_cpu_form forms[4];
    for (size_t form = list_forms(forms); form-- > 0;) {
        float input[16], out[8];
        regraft_cpu cpu = REGRAFT_CPU_INIT;
        regraft_silu_and_mul_arguments arguments = {1, 8, REGRAFT_F32, {input, 1, 0, 0}, {out, 1, 0, 0}};
        cpu.form = forms[form];
        for (int i = 0; i < 8; i++) input[i] = gates[i], input[8 + i] = 1;
        assert_int_equal(regraft_cpu_silu_and_mul(&cpu, &arguments), REGRAFT_OK);
        for (int i = 1; i < 4; i++) assert_true(fabsf(out[i]) < 1e-6f);
        for (int i = 4; i < 7; i++) assert_true(out[i] == gates[i]);
        assert_true(isnan(out[0]) && isnan(out[7])); /* -inf / inf, as the formula says */
    }
}

/* ---- the norm of heads, rotation and cache write: the chain of its parts, to the bit ---- */

struct chain_case {
    regraft_type type;
    int64_t tokens;
    regraft_key_result key_result;
    int query_out;
};

static void run_chain(regraft_cpu *cpu, const regraft_rope_cache_arguments *all) {
    regraft_rope_cache_arguments rest = *all;
    regraft_rms_norm_arguments query = {all->tokens, all->head_size,    all->type,   all->query,
                                        all->query,  all->query_weight, all->epsilon};
    regraft_rms_norm_arguments key = {all->tokens, all->head_size,  all->type,   all->key,
                                      all->key,    all->key_weight, all->epsilon};
    rest.query_weight = rest.key_weight = NULL;
    assert_int_equal(regraft_cpu_rms_norm(cpu, &query), REGRAFT_OK);
    assert_int_equal(regraft_cpu_rms_norm(cpu, &key), REGRAFT_OK);
    assert_int_equal(regraft_cpu_rope_cache(cpu, &rest), REGRAFT_OK);
}

static void try_chain(struct world *world, const struct chain_case *c) {
    enum { size = 96, width = 40, rows = 30, block = 16 };
    const struct rows_case q = {c->type, c->tokens, 3, size, 3 * size + 4, size, 1, false, true};
    const struct rows_case k = {c->type, c->tokens, 2, size, 2 * size + 4, size, 1, false, true};
    const struct rows_case weight = {c->type, 1, 1, size, size, size, 1, false, true};
    regraft_heads query, key, value, query_out, key_out, query_weight, key_weight, key_cache, value_cache, table;
    const struct rows_case cache = {c->type, c->tokens + block, 2, size, 2 * size, size, 0, false, true};
    const struct rows_case cosines = {c->type, rows, 1, width, width, width, 0, false, true};
    struct region *in[] = {rows_region(world, &q, &query), rows_region(world, &k, &key)};
    rows_region(world, &k, &value);
    rows_region(world, &q, &query_out);
    rows_region(world, &k, &key_out);
    rows_region(world, &weight, &query_weight);
    rows_region(world, &weight, &key_weight);
    rows_region(world, &cache, &key_cache);
    rows_region(world, &cache, &value_cache);
    rows_region(world, &cosines, &table);
    int64_t *lists = arena_array(world->arena, int64_t, (size_t)c->tokens * 2 + 1);
    for (int64_t i = 0; i < c->tokens; i++) lists[i] = i * 7 % rows, lists[c->tokens + i] = i % 5 ? i : -1;
    regraft_cache keys = {key_cache.data, c->type, c->tokens / block + 1, block, block * 2 * size, 2 * size,
                          size,           NULL};
    regraft_cache values = keys;
    values.data = value_cache.data;
    regraft_rope_cache_arguments all = {.tokens = c->tokens,
                                        .head_size = size,
                                        .type = c->type,
                                        .rotation = {lists, table.data, c->type, rows, width, width, 8, 0, 0},
                                        .query = query,
                                        .key = key,
                                        .value = value,
                                        .key_result = c->key_result,
                                        .key_out = key_out,
                                        .slots = {lists + c->tokens, c->tokens},
                                        .key_cache = keys,
                                        .value_cache = values,
                                        .query_weight = query_weight.data,
                                        .key_weight = key_weight.data,
                                        .epsilon = epsilon};
    if (c->query_out) all.query_out = query_out;
    regraft_cpu cpu = REGRAFT_CPU_INIT;
    regraft_cpu_form forms[4];
    for (size_t form = list_forms(forms); form-- > 0;) {
        cpu.form = forms[form];
        world_reset(world, true);
        run_chain(&cpu, &all);
        for (size_t i = 0; i < world->count; i++)
            memcpy(world->regions[i].expected, world->regions[i].actual, world->regions[i].size);
        world_reset(world, false);
        if (regraft_cpu_norm_rope_cache(&cpu, &all) != REGRAFT_OK) fail_msg("%s", cpu.message);
        for (int i = 0; i < 2; i++) /* the chain normed its inputs in place: where ours stay, that is not compared */
            if (i == 0 ? c->query_out : c->key_result != REGRAFT_KEY_IN_PLACE) {
                assert_memory_equal(in[i]->actual, in[i]->initial, in[i]->size);
                memcpy(in[i]->expected, in[i]->actual, in[i]->size);
            }
        size_t byte;
        assert_int_equal(world_difference(world, &byte), -1);
    }
}

static void test_norm_rope_cache(void **state) {
    (void)state;
    static const int64_t tokens[] = {0, 1, 2, 7, 64, 1000};
    for (int64_t i = 0; i < 3 * 6 * 3 * 2; i++) {
        struct world world;
        struct chain_case c = {(regraft_type)(i % 3), tokens[i / 3 % 6], (regraft_key_result)(i / 18 % 3), i / 54 != 0};
        world_start(&world, (uint64_t)i);
        try_chain(&world, &c);
        world_end(&world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding),           cmocka_unit_test(test_fp8),
        cmocka_unit_test(test_moved_bits),         cmocka_unit_test(test_rms_norm),
        cmocka_unit_test(test_fused_add_rms_norm), cmocka_unit_test(test_silu_and_mul),
        cmocka_unit_test(test_silu_extremes),      cmocka_unit_test(test_norm_rope_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
