#define _POSIX_C_SOURCE 200809L /* mkstemp */
/* The safetensors reader on good and on hostile files, and the writer. */
#include <stdlib.h>
#include <unistd.h>

#include "interp_support.h"
#include "interp/safetensors.h"

static regraft_status read_file_of(struct context *context, const char *header, size_t data_length,
                                   struct tensor_set *set) {
    size_t length = strlen(header);
    unsigned char *bytes = arena_zeroed(context->arena, 8 + length + data_length, 1);
    for (size_t i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data_length; i++) bytes[8 + length + i] = (unsigned char)i;
    return safetensors_read(context->arena, &context->diagnostics, "f.safetensors", bytes, 8 + length + data_length,
                            set);
}

static void assert_file_rejected(struct context *context, const char *header, size_t data_length, const char *part) {
    struct tensor_set set;
    diagnostics_clear(&context->diagnostics);
    assert_int_equal(read_file_of(context, header, data_length, &set), REGRAFT_REJECTED);
    if (!strstr(context->diagnostics.message, part))
        fail_msg("expected \"%s\" in: %s", part, context->diagnostics.message);
}

static void good_files(void **state) {
    struct context *context = context_of(state);
    struct tensor_set set;
    assert_int_equal(read_file_of(context, "{}", 0, &set), REGRAFT_OK);
    assert_int_equal(set.items.count, 0);
    assert_int_equal(
        read_file_of(context,
                     "{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"dtype\":\"U8\",\"shape\":[2,3],\"data_offsets\":[0,6]},"
                     "\"s\":{\"dtype\":\"I16\",\"shape\":[],\"data_offsets\":[6,8]},"
                     "\"e\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[8,8]}}   ",
                     8, &set),
        REGRAFT_OK);
    assert_string_equal(describe(context->arena, tensor_set_find(&set, TEXT("a"))), "u8[2, 3] 0 1 2 3 4 5");
    assert_string_equal(describe(context->arena, tensor_set_find(&set, TEXT("s"))), "i16[] 1798");
    assert_string_equal(describe(context->arena, tensor_set_find(&set, TEXT("e"))), "f32[0, 5]");
    assert_true(text_is(tensor_set_metadata(&set, "k"), "v"));
    assert_null(tensor_set_find(&set, TEXT("b")));
}

static void bad_lengths(void **state) {
    struct context *context = context_of(state);
    struct tensor_set set;
    const unsigned char huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'},
                        longer[] = {3, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    for (size_t length = 0; length < 8; length++)
        assert_int_equal(safetensors_read(context->arena, &context->diagnostics, "f", huge, length, &set),
                         REGRAFT_REJECTED);
    assert_int_equal(safetensors_read(context->arena, &context->diagnostics, "f", huge, sizeof huge, &set),
                     REGRAFT_REJECTED);
    assert_int_equal(safetensors_read(context->arena, &context->diagnostics, "f", longer, sizeof longer, &set),
                     REGRAFT_REJECTED);
}

static void bad_headers(void **state) {
    struct context *context = context_of(state);
    assert_file_rejected(context, "", 0, "byte 8: expected '{'");
    assert_file_rejected(context, " {}", 0, "expected '{'");
    assert_file_rejected(context, "{\"a\":", 0, "not JSON");
    assert_file_rejected(context, "{\"a\":{},\"a\":{}}", 0, "duplicate");
    assert_file_rejected(context, "{\"a\":3}", 0, "element type");
    assert_file_rejected(context, "{\"__metadata__\":{\"k\":1}}", 0, "must be a string");
    assert_file_rejected(context, "{\"a\":{\"dtype\":\"F99\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, "'F99'");
    assert_file_rejected(context, "{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]}}", 1, "from 0 on");
    assert_file_rejected(context, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1.5],\"data_offsets\":[0,1]}}", 1, "from 0 on");
    assert_file_rejected(
        context, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
        "dimensions");
}

#define ENTRY(name, shape, begin, end)                                                                                 \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"

static void bad_extents(void **state) {
    struct context *context = context_of(state);
    assert_file_rejected(context, "{" ENTRY("a", "4", "0", "4") "," ENTRY("b", "4", "2", "6") "}", 6,
                         "'b' overlaps 'a'");
    assert_file_rejected(context, "{" ENTRY("a", "4", "0", "4") "," ENTRY("b", "4", "5", "9") "}", 9,
                         "'b' leaves a hole after 'a'");
    assert_file_rejected(context, "{" ENTRY("a", "4", "0", "4") "," ENTRY("b", "4", "0", "4") "}", 4, "overlaps");
    assert_file_rejected(context, "{" ENTRY("a", "4", "0", "4") "}", 5, "belong to no tensor");
    assert_file_rejected(context, "{" ENTRY("a", "4", "0", "4") "}", 3, "does not lie within");
    assert_file_rejected(context, "{" ENTRY("a", "4", "-4", "0") "}", 4, "does not lie within");
    assert_file_rejected(context, "{" ENTRY("a", "4", "4", "0") "}", 4, "does not lie within");
    assert_file_rejected(context, "{" ENTRY("a", "3", "0", "4") "}", 4, "does not take the 4 bytes");
    assert_file_rejected(context, "{" ENTRY("a", "9223372036854775807,2", "0", "4") "}", 4,
                         "does not take the 4 bytes");
    assert_file_rejected(context, "{" ENTRY("a", "4294967296,4294967296", "0", "0") "}", 0,
                         "does not take the 0 bytes");
    assert_file_rejected(context, "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0]}}", 4, "two integers");
}

static void written_files_read_back(void **state) {
    struct context *context = context_of(state);
    struct bindings *bindings = new_bindings(context);
    struct tensor_set set;
    char path[] = "/tmp/regraft-test-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    bind_range(bindings, "a/b \"q\"", dtype_bf16, SHAPE(2, 3), -1);
    BIND(bindings, "flag", dtype_b8, SCALAR, 1);
    struct tensor columns = *tensor_set_find(&bindings->tensors, TEXT("a/b \"q\"")); /* strided: written row-major */
    columns.shape = SHAPE(3, 2);
    columns.strides[0] = 1;
    columns.strides[1] = 3;
    tensor_set_put(&bindings->tensors, TEXT("columns"), &columns);
    vector_push(context->arena, &bindings->tensors.metadata, (struct named_text){TEXT("symints"), TEXT("{\"n\": 3}")});
    if (safetensors_save(context->arena, &context->diagnostics, path, &bindings->tensors) != REGRAFT_OK ||
        safetensors_load(context->arena, &context->diagnostics, path, &set) != REGRAFT_OK)
        fail_msg("%s", context->diagnostics.message);
    unlink(path);
    assert_int_equal(set.items.count, 3);
    assert_string_equal(describe(context->arena, tensor_set_find(&set, TEXT("a/b \"q\""))), "bf16[2, 3] -1 0 1 2 3 4");
    assert_string_equal(describe(context->arena, tensor_set_find(&set, TEXT("columns"))), "bf16[3, 2] -1 2 0 3 1 4");
    assert_string_equal(describe(context->arena, tensor_set_find(&set, TEXT("flag"))), "b8[] 1");
    assert_int_equal(bindings_from_set(bindings, &context->diagnostics, path, &set), REGRAFT_OK);
    assert_int_equal(*(int64_t *)map_get_text(bindings->symints, TEXT("n")), 3);
}

static void files_that_are_not_there(void **state) {
    struct context *context = context_of(state);
    struct tensor_set set = new_bindings(context)->tensors;
    assert_int_equal(safetensors_load(context->arena, &context->diagnostics, "/nonexistent/x", &set), REGRAFT_REJECTED);
    assert_non_null(strstr(context->diagnostics.message, "cannot open '/nonexistent/x'"));
    diagnostics_clear(&context->diagnostics);
    assert_int_equal(safetensors_load(context->arena, &context->diagnostics, "/", &set), REGRAFT_REJECTED);
    diagnostics_clear(&context->diagnostics);
    assert_int_equal(safetensors_save(context->arena, &context->diagnostics, "/nonexistent/x", &set), REGRAFT_REJECTED);
    assert_non_null(strstr(context->diagnostics.message, "cannot write '/nonexistent/x'"));
}

static void bad_metadata(void **state) {
    struct context *context = context_of(state);
    struct bindings bindings;
    struct tensor_set set;
    static const char *const headers[] = {"{\"__metadata__\":{\"symints\":\"[1]\"}}",
                                          "{\"__metadata__\":{\"symints\":\"{\"}}",
                                          "{\"__metadata__\":{\"symints\":\"{\\\"a\\\": 1.5}\"}}",
                                          "{\"__metadata__\":{\"scale\":\"{\\\"a\\\": \\\"x\\\"}\"}}"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        assert_int_equal(read_file_of(context, headers[i], 0, &set), REGRAFT_OK);
        assert_int_equal(bindings_from_set(&bindings, &context->diagnostics, "f", &set), REGRAFT_REJECTED);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {FX_TEST(good_files),
                                       FX_TEST(bad_lengths),
                                       FX_TEST(bad_headers),
                                       FX_TEST(bad_extents),
                                       FX_TEST(written_files_read_back),
                                       FX_TEST(files_that_are_not_there),
                                       FX_TEST(bad_metadata)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
