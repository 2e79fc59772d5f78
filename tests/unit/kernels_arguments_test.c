/* What the kernels reject, with which words, and that nothing is written then; and what they must not reject. */
#include "common/check.h"
#include "kernels_support.h"

enum { tokens = 4, size = 8, query_heads = 2, key_heads = 1, row = (query_heads + 2 * key_heads) * size, slots = 16 };

static uint16_t qkv[tokens * row + 64], keys[slots * size], values[slots * size], table[10 * size], other[tokens * row];
static int64_t positions[tokens], slot_mapping[tokens];

static regraft_rope_cache_arguments legal(void) {
    for (int i = 0; i < tokens; i++) positions[i] = 9 - i, slot_mapping[i] = 15 - i;
    memset(qkv, 0, sizeof qkv);
    memset(keys, 0x55, sizeof keys);
    memset(values, 0x55, sizeof values);
    regraft_cache cache = {keys, REGRAFT_BF16, 4, 4, 4 * size, size, size, NULL}, second = cache;
    second.data = values;
    return (regraft_rope_cache_arguments){
        .tokens = tokens,
        .head_size = size,
        .type = REGRAFT_BF16,
        .rotation = {positions, table, REGRAFT_BF16, 10, size, size, 0, 0, 0},
        .query = {qkv, query_heads, row, size},
        .key = {qkv + query_heads * size, key_heads, row, size},
        .value = {qkv + (query_heads + key_heads) * size, key_heads, row, size},
        .slots = {slot_mapping, tokens},
        .key_cache = cache,
        .value_cache = second,
    };
}

static void assert_untouched(void) {
    for (int i = 0; i < slots * size; i++) assert_true(keys[i] == 0x5555 && values[i] == 0x5555);
    for (size_t i = 0; i < sizeof qkv / sizeof *qkv; i++) assert_int_equal(qkv[i], 0);
}

static void rejected(const regraft_rope_cache_arguments *arguments, const char *message) {
    regraft_cpu cpu = REGRAFT_CPU_INIT;
    assert_int_equal(regraft_cpu_rope_cache(&cpu, arguments), REGRAFT_REJECTED);
    assert_string_equal(cpu.message, message);
    assert_int_equal(regraft_cpu_rope_cache(NULL, arguments), REGRAFT_REJECTED); /* nowhere to leave a message */
    assert_untouched();
}

static void accepted(const regraft_rope_cache_arguments *arguments) {
    regraft_cpu cpu = REGRAFT_CPU_INIT;
    if (regraft_cpu_rope_cache(&cpu, arguments) != REGRAFT_OK) fail_msg("%s", cpu.message);
}

/* Changes the legal arguments, expects a message. */
#define REJECTED(change, message)                                                                                      \
    do {                                                                                                               \
        regraft_rope_cache_arguments a = legal();                                                                      \
        change;                                                                                                        \
        rejected(&a, message);                                                                                         \
    } while (0)
#define ACCEPTED(change)                                                                                               \
    do {                                                                                                               \
        regraft_rope_cache_arguments a = legal();                                                                      \
        change;                                                                                                        \
        accepted(&a);                                                                                                  \
    } while (0)

static void test_sizes(void **state) {
    (void)state;
    ACCEPTED((void)a);
    ACCEPTED(a.tokens = a.slots.count = 0);
    ACCEPTED(a.slots.count = 2);
    ACCEPTED(a.rotation.width = 4; a.rotation.offset = 4);
    REJECTED(a.tokens = -1, "tokens: -1, expected 0 or more");
    REJECTED(a.head_size = 0, "head_size: 0, expected 1 or more");
    REJECTED(a.value_size = -3, "value_size: -3, expected 1 or more");
    REJECTED(a.rotation.width = 3, "rotation.width: 3, expected an even number of 2 or more");
    REJECTED(a.rotation.width = 0, "rotation.width: 0, expected an even number of 2 or more");
    REJECTED(a.rotation.offset = 2, "rotation: elements [2, 2 + 8) do not lie in a head of 8");
    REJECTED(a.rotation.offset = -2, "rotation: elements [-2, -2 + 8) do not lie in a head of 8");
    REJECTED(a.rotation.offset = INT64_MAX, "rotation: elements [9223372036854775807, 9223372036854775807 + 8) do not "
                                            "lie in a head of 8");
    REJECTED(a.rotation.table_rows = 0, "rotation.table_rows: 0, expected 1 or more");
    REJECTED(a.query.heads = 0, "query: 0 heads, expected at least 1");
    REJECTED(a.slots.count = 5, "slots.count: 5, expected at most 4, the tokens");
    REJECTED(a.key_cache.block_size = 0, "key_cache: 4 blocks of 0 rows, expected 0 or more blocks of at least 1");
    REJECTED(a.value_cache.blocks = 3, "key_cache has 4 blocks of 4, value_cache 3 of 4: expected equal numbers");
    REJECTED(a.query.token_stride = INT64_MAX / 2, "query: sizes and strides are too large for 64 bits");
    REJECTED(a.query.token_stride = -row, "query: stride -32 is negative");
    REJECTED(a.head_size = INT64_MAX / 2 - 1, "query: sizes and strides are too large for 64 bits");
}

static void test_types(void **state) {
    (void)state;
    static const float scale = 2;
    ACCEPTED(a.key_cache.type = a.value_cache.type = REGRAFT_FP8_E4M3; a.key_cache.scale = &scale);
    REJECTED(a.type = REGRAFT_FP8_E4M3, "type: fp8_e4m3, expected bf16, f16 or f32");
    REJECTED(a.type = (regraft_type)9, "type: unknown, expected bf16, f16 or f32");
    REJECTED(a.rotation.table_type = REGRAFT_F16, "rotation.table_type: f16, expected bf16 or f32");
    REJECTED(a.key_cache.type = REGRAFT_F16, "key_cache.type: f16, expected bf16 or fp8_e4m3");
    REJECTED(a.key_result = (regraft_key_result)7, "key_result: 7, expected one of regraft_key_result");
    REJECTED(a.query_weight = table, "query_weight, key_weight: rope_cache norms nothing, norm_rope_cache does");
}

static void test_indices(void **state) {
    (void)state;
    ACCEPTED(slot_mapping[1] = -7);
    ACCEPTED(slot_mapping[3] = 99; a.slots.count = 3); /* not one of the slots */
    REJECTED(positions[2] = 10, "rotation.positions[2]: 10, expected 0 or more, below 10");
    REJECTED(positions[0] = -1, "rotation.positions[0]: -1, expected 0 or more, below 10");
    REJECTED(slot_mapping[3] = 16, "slots.slots[3]: 16, expected below 16: 4 blocks of 4");
}

static void test_pointers(void **state) {
    (void)state;
    REJECTED(a.query.data = NULL, "query: NULL, expected a tensor");
    REJECTED(a.slots.slots = NULL, "slots.slots: NULL, expected a tensor");
    REJECTED(a.key_cache.data = NULL, "key_cache: NULL, expected a tensor");
    REJECTED(a.key_result = REGRAFT_KEY_OUT, "key_out: 0 heads, expected 1 as key has");
    ACCEPTED(a.query.data = (char *)a.query.data + 2 * row * 2 - 2 * row * 2); /* where it was */

    regraft_rope_cache_arguments a = legal();
    regraft_cpu cpu = REGRAFT_CPU_INIT;
    a.query.data = (char *)a.query.data + 1;
    assert_int_equal(regraft_cpu_rope_cache(&cpu, &a), REGRAFT_REJECTED);
    assert_non_null(strstr(cpu.message, "is not a multiple of the element's 2 bytes"));
    assert_untouched();
}

static void test_overlap(void **state) {
    (void)state;
    regraft_heads out = {other, query_heads, query_heads * size, size};
    ACCEPTED(a.query_out = out);
    ACCEPTED(a.query_out = a.query); /* in place, said so */
    ACCEPTED(a.key_result = REGRAFT_KEY_OUT; a.key_out = a.key);
    ACCEPTED(a.value_cache.data = keys + 4 * size; /* blocks of one buffer, by turns */
             a.key_cache.blocks = a.value_cache.blocks = 2;
             a.key_cache.block_stride = a.value_cache.block_stride = 8 * size;
             for (int i = 0; i < tokens; i++) slot_mapping[i] = i);
    ACCEPTED(a.value = a.key; a.key_result = REGRAFT_KEY_CACHE_ONLY); /* both are only read */
    ACCEPTED(a.value.token_stride = 0);                               /* one row for all tokens, only read */
    REJECTED(a.query_out = a.query;
             a.query_out.data = qkv + 1,
             "query and query_out share memory, or cannot be shown to be apart; query_out is written");
    REJECTED(a.query.heads = 3, "query and key share memory, or cannot be shown to be apart; query is written");
    REJECTED(a.value = a.key, "key and value share memory, or cannot be shown to be apart; key is written");
    REJECTED(a.value_cache.data = keys,
             "key_cache and value_cache share memory, or cannot be shown to be apart; key_cache is written");
    REJECTED(a.query.token_stride = size, "query: its strides make elements of it overlap, but it is written");
    REJECTED(a.key_cache.row_stride = size - 1,
             "key_cache: its strides make elements of it overlap, but it is written");
    REJECTED(a.rotation.table = qkv + row - 8,
             "rotation.table and query share memory, or cannot be shown to be apart; query is written");
}

static void test_form_and_threads(void **state) {
    (void)state;
    regraft_rope_cache_arguments a = legal();
    regraft_cpu cpu = REGRAFT_CPU_INIT;
    cpu.threads = -1;
    assert_int_equal(regraft_cpu_rope_cache(&cpu, &a), REGRAFT_REJECTED);
    assert_string_equal(cpu.message, "threads: -1, expected 0 (automatic) or more");
    cpu.threads = 0;
    cpu.form = (regraft_cpu_form)17;
    assert_int_equal(regraft_cpu_rope_cache(&cpu, &a), REGRAFT_REJECTED);
    assert_string_equal(cpu.message, "form: 17, expected one of regraft_cpu_form");
    for (regraft_cpu_form form = REGRAFT_CPU_PORTABLE; form <= REGRAFT_CPU_AVX512_BF16; form++) {
        cpu.form = form;
        assert_int_equal(regraft_cpu_rope_cache(&cpu, &a), regraft_cpu_has(form) ? REGRAFT_OK : REGRAFT_UNSUPPORTED);
        if (!regraft_cpu_has(form)) assert_non_null(strstr(cpu.message, regraft_cpu_form_name(form)));
    }
    assert_true(regraft_cpu_has(regraft_cpu_best()));
}

static void test_large_heads(void **state) {
    (void)state;
    static uint16_t wide[2 * 4098], cosines[2 * 4098];
    int64_t position = 0;
    regraft_cpu cpu = REGRAFT_CPU_INIT;
    regraft_rope_arguments rope = {.tokens = 1,
                                   .head_size = 4098,
                                   .type = REGRAFT_BF16,
                                   .rotation = {&position, cosines, REGRAFT_BF16, 1, 8, 8, 0, 0, 0},
                                   .query = {wide, 1, 0, 0}};
    assert_int_equal(regraft_cpu_rope(&cpu, &rope), REGRAFT_UNSUPPORTED);
    assert_string_equal(cpu.message, "head_size: 4098, this version rotates heads of at most 4096");
    rope.head_size = 4096;
    assert_int_equal(regraft_cpu_rope(&cpu, &rope), REGRAFT_OK);
}

static void test_other_operations(void **state) {
    (void)state;
    regraft_cpu cpu = REGRAFT_CPU_INIT;
    regraft_heads one = {qkv, 1, row, 0}, two = {other, 1, row, 0}, three = {other, 2, row, size};
    regraft_rms_norm_arguments norm = {tokens, size, REGRAFT_BF16, one, three, NULL, 1e-6f};
    assert_int_equal(regraft_cpu_rms_norm(&cpu, &norm), REGRAFT_REJECTED);
    assert_string_equal(cpu.message, "out: 2 heads, expected 1 as input has");
    norm.out = one;
    assert_int_equal(regraft_cpu_rms_norm(&cpu, &norm), REGRAFT_OK);
    norm.out.data = qkv + 4;
    assert_int_equal(regraft_cpu_rms_norm(&cpu, &norm), REGRAFT_REJECTED);
    regraft_fused_add_rms_norm_arguments add = {tokens, size, REGRAFT_BF16, one, one, NULL, 1e-6f};
    assert_int_equal(regraft_cpu_fused_add_rms_norm(&cpu, &add), REGRAFT_REJECTED);
    assert_string_equal(cpu.message,
                        "input and residual share memory, or cannot be shown to be apart; input is written");
    regraft_silu_and_mul_arguments silu = {tokens, size, REGRAFT_BF16, three, two};
    assert_int_equal(regraft_cpu_silu_and_mul(&cpu, &silu), REGRAFT_REJECTED);
    assert_string_equal(cpu.message, "input: 2 heads, expected 1");
    regraft_latent_cache_arguments latent = {.tokens = tokens,
                                             .head_size = 4,
                                             .rank = 4,
                                             .type = REGRAFT_BF16,
                                             .key_pe = three,
                                             .kv_c = one,
                                             .slots = {slot_mapping, tokens}};
    assert_int_equal(regraft_cpu_latent_cache(&cpu, &latent), REGRAFT_REJECTED);
    regraft_rope_arguments rope = {.tokens = 1, .head_size = size, .type = REGRAFT_BF16, .query = one, .key_out = two};
    rope.rotation = (regraft_rotation){positions, table, REGRAFT_BF16, 10, size, size, 0, 0, 0};
    assert_int_equal(regraft_cpu_rope(&cpu, &rope), REGRAFT_REJECTED);
    assert_string_equal(cpu.message, "key_out: given without a key");
}

/* ---- overlap of random strided tensors, against all of their bytes ---- */

static struct box random_box(struct world *dice) {
    struct box box = {.start = 1000 + (uintptr_t)random_below(dice, 60), .piece = 1 + random_below(dice, 3)};
    for (int i = 0; i < box_dims; i++) {
        box.sizes[i] = random_below(dice, 3) ? 1 : 1 + random_below(dice, 4);
        box.strides[i] = random_below(dice, 24);
    }
    return box;
}

/* Counts how often each byte belongs to the tensor. */
static void mark(const struct box *box, int *bytes) {
    for (int64_t i = 0; i < box->sizes[0] * box->sizes[1] * box->sizes[2] * box->sizes[3]; i++) {
        int64_t at = (int64_t)box->start - 1000, rest = i;
        for (int dim = 0; dim < box_dims; dim++) {
            at += rest % box->sizes[dim] * box->strides[dim];
            rest /= box->sizes[dim];
        }
        for (int64_t byte = 0; byte < box->piece; byte++) bytes[at + byte]++;
    }
}

static void test_overlap_by_counting(void **state) {
    (void)state;
    struct world dice;
    int apart = 0, decided = 0;
    world_start(&dice, 31);
    for (int trial = 0; trial < 200000; trial++) {
        int a_bytes[512] = {0}, b_bytes[512] = {0};
        struct box a = random_box(&dice), b = random_box(&dice);
        bool shared = false, twice = false;
        mark(&a, a_bytes);
        mark(&b, b_bytes);
        for (int i = 0; i < 512; i++) {
            shared = shared || (a_bytes[i] && b_bytes[i]);
            twice = twice || a_bytes[i] > 1;
        }
        if (twice) assert_true(box_overlaps_itself(&a));
        if (shared) assert_false(boxes_apart(&a, &b));
        if (!shared) apart++;
        if (boxes_apart(&a, &b)) decided++;
    }
    world_end(&dice);
    assert_true(decided > apart / 2); /* most, for tensors that make no sense at all; slices are decided above */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_indices),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_form_and_threads),
        cmocka_unit_test(test_large_heads),
        cmocka_unit_test(test_other_operations),
        cmocka_unit_test(test_overlap_by_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
