/* The host's side of the GPU kernels, as far as it needs no GPU: what is missing is said, kernels on disk are found again only by
 * their key, accesses are as wide as the arguments allow. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gpu/gpu.h"
#include "gpu/store.h"

/* ---- libraries ---- */

static void test_library_absent(void **state) {
    (void)state;
    static const char *const none[] = {"libregraft-has-no-such-driver.so.1", NULL};
    struct gpu_driver driver;
    struct gpu_compiler compiler;
    char message[256];
    assert_int_equal(gpu_driver_open(&driver, none, message, sizeof message), REGRAFT_UNSUPPORTED);
    assert_non_null(strstr(message, "libregraft-has-no-such-driver.so.1"));
    assert_int_equal(gpu_compiler_open(&compiler, none, message, sizeof message), REGRAFT_UNSUPPORTED);
    assert_non_null(strstr(message, "NVRTC"));
}

/* A library without the functions: the C library. */
static void test_library_too_old(void **state) {
    (void)state;
    static const char *const wrong[] = {"libc.so.6", NULL};
    struct gpu_driver driver;
    char message[256];
    assert_int_equal(gpu_driver_open(&driver, wrong, message, sizeof message), REGRAFT_UNSUPPORTED);
    assert_non_null(strstr(message, "cuInit"));
}

static void test_options(void **state) {
    (void)state;
    regraft_gpu *gpu = (regraft_gpu *)&gpu;
    char message[256];
    regraft_gpu_options options = REGRAFT_GPU_OPTIONS_INIT;
    options.device = -1;
    assert_int_equal(regraft_gpu_create(&options, &gpu, message, sizeof message), REGRAFT_REJECTED);
    assert_null(gpu);
    assert_non_null(strstr(message, "REGRAFT_GPU_OPTIONS_INIT"));
    options = (regraft_gpu_options)REGRAFT_GPU_OPTIONS_INIT;
    options.struct_size = 1;
    assert_int_equal(regraft_gpu_create(&options, &gpu, NULL, 0), REGRAFT_REJECTED);
    char *folder = malloc(10000);
    memset(folder, 'x', 9999), folder[9999] = 0;
    options = (regraft_gpu_options)REGRAFT_GPU_OPTIONS_INIT;
    options.cache_folder = folder;
    assert_int_equal(regraft_gpu_create(&options, &gpu, message, sizeof message), REGRAFT_REJECTED);
    assert_non_null(strstr(message, "cache_folder"));
    free(folder);
    regraft_gpu_destroy(NULL);
}

/* ---- keys ---- */

static void test_key(void **state) {
    (void)state;
    regraft_gpu gpu = {.name = "some GPU", .major = 9, .driver_version = 13000};
    struct specialisation s = {.ELEMENT = 1, .HEAD_SIZE = 64}, other = s;
    char key[4096], changed[4096];
    gpu_key(&gpu, &s, key, sizeof key);
    assert_non_null(strstr(key, "some GPU"));
    assert_non_null(strstr(key, "sm_90"));
    assert_non_null(strstr(key, "driver 13000"));
    assert_non_null(strstr(key, "-DHEAD_SIZE=64"));
    assert_true(strlen(key) < sizeof key - 256);
    /* Every constant counts, and so do driver and device. */
    for (size_t i = 0; i < GPU_CONSTANT_COUNT; i++) {
        int *fields = (int *)&other;
        fields[i]++;
        gpu_key(&gpu, &other, changed, sizeof changed);
        assert_string_not_equal(key, changed);
        assert_false(specialisation_equal(&s, &other));
        fields[i]--;
    }
    assert_true(specialisation_equal(&s, &other));
    gpu.driver_version++;
    gpu_key(&gpu, &s, changed, sizeof changed);
    assert_string_not_equal(key, changed);
    gpu.driver_version--, gpu.name[0] = 'S';
    gpu_key(&gpu, &s, changed, sizeof changed);
    assert_string_not_equal(key, changed);
}

/* ---- kernels on disk ---- */

static int files_in(const char *folder) {
    DIR *directory = opendir(folder);
    int count = 0;
    if (!directory) return -1;
    for (struct dirent *entry; (entry = readdir(directory));) count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

static void damage(const char *path, long at) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, at, at < 0 ? SEEK_END : SEEK_SET);
    int c = fgetc(file);
    fseek(file, at, at < 0 ? SEEK_END : SEEK_SET);
    fputc(c ^ 1, file);
    fclose(file);
}

static void test_store(void **state) {
    (void)state;
    char root[] = "/tmp/regraft-store-XXXXXX", folder[64], path[160], name[STORE_NAME_SIZE];
    size_t size = 0;
    assert_non_null(mkdtemp(root));
    snprintf(folder, sizeof folder, "%s/a/b", root);
    assert_null(store_read(folder, "key", &size));
    assert_true(store_write(folder, "key", "code\0more", 9)); /* makes the folders */
    assert_true(store_write(folder, "key", "code\0more", 9)); /* a second writer */
    assert_int_equal(files_in(folder), 1);
    char *code = store_read(folder, "key", &size);
    assert_non_null(code);
    assert_int_equal(size, 9);
    assert_memory_equal(code, "code\0more", 9);
    free(code);
    assert_null(store_read(folder, "other key", &size));

    store_name("key", name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (int i = 0; i < 3; i++) { /* the code, the key, the sizes */
        const long places[] = {-1, -10, 17};
        damage(path, places[i]);
        assert_null(store_read(folder, "key", &size));
        assert_true(store_write(folder, "key", "code\0more", 9));
    }
    assert_int_equal(truncate(path, 40), 0);
    assert_null(store_read(folder, "key", &size));
    /* A file under the name of another key, as two keys with one hash would have it. */
    char taken[160];
    store_write(folder, "key", "code", 4);
    store_name("other key", name);
    snprintf(taken, sizeof taken, "%s/%s", folder, name);
    assert_int_equal(rename(path, taken), 0);
    assert_null(store_read(folder, "other key", &size));
    remove(taken);
    rmdir(folder);
    snprintf(folder, sizeof folder, "%s/a", root);
    rmdir(folder), rmdir(root);
}

static void test_store_nowhere(void **state) {
    (void)state;
    size_t size;
    assert_false(store_write("", "key", "code", 4));
    assert_null(store_read("", "key", &size));
    assert_false(store_write("/dev/null/folder", "key", "code", 4));
}

static void test_default_folder(void **state) {
    (void)state;
    char folder[256];
    setenv("XDG_CACHE_HOME", "/somewhere", 1);
    store_default_folder(folder, sizeof folder);
    assert_string_equal(folder, "/somewhere/regraft");
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", "/home/me", 1);
    store_default_folder(folder, sizeof folder);
    assert_string_equal(folder, "/home/me/.cache/regraft");
    unsetenv("HOME");
    store_default_folder(folder, sizeof folder);
    assert_string_equal(folder, "");
}

/* ---- widths ---- */

static void test_chunks(void **state) {
    (void)state;
    struct chunk chunk = chunk_of_type(2);
    assert_int_equal(chunk.vector, 8);
    chunk_bytes(&chunk, 2, 4096), assert_int_equal(chunk.vector, 8);
    chunk_count(&chunk, 20), assert_int_equal(chunk.vector, 4);
    chunk_bytes(&chunk, 2, 4098), assert_int_equal(chunk.vector, 1);
    chunk = chunk_of_type(2);
    chunk_bytes(&chunk, 1, 8), assert_int_equal(chunk.vector, 8); /* 8 elements of fp8 */
    chunk = chunk_of_type(4), assert_int_equal(chunk.vector, 4);
}

static void test_segments(void **state) {
    (void)state;
    struct segment_steps s =
        segment_steps((struct segment_shape){16, 64, 8, 64, 1, 0, 2}); /* latent attention's query */
    assert_int_equal(s.units, 8), assert_int_equal(s.lanes, 8), assert_int_equal(s.steps, 4);
    s = segment_steps((struct segment_shape){32, 128, 8, 128, 0, 0, 2}); /* grouped-query, half style */
    assert_int_equal(s.units, 8), assert_int_equal(s.steps, 8);
    s = segment_steps((struct segment_shape){1, 512, 8, 0, 0, 1, 2}); /* kv_c */
    assert_int_equal(s.units, 32), assert_int_equal(s.steps, 1);
    s = segment_steps((struct segment_shape){2, 256, 8, 0, 0, 1, 1}); /* the same as two heads, for two warps */
    assert_int_equal(s.units, 32), assert_int_equal(s.steps, 2);
    s = segment_steps((struct segment_shape){3, 96, 8, 96, 0, 0, 2}); /* lanes are a power of two */
    assert_int_equal(s.units, 6), assert_int_equal(s.lanes, 8), assert_int_equal(s.steps, 1);
    s = segment_steps((struct segment_shape){0, 64, 8, 64, 0, 0, 2});
    assert_int_equal(s.steps, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_library_absent), cmocka_unit_test(test_library_too_old),
                                       cmocka_unit_test(test_options),        cmocka_unit_test(test_key),
                                       cmocka_unit_test(test_store),          cmocka_unit_test(test_store_nowhere),
                                       cmocka_unit_test(test_default_folder), cmocka_unit_test(test_chunks),
                                       cmocka_unit_test(test_segments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
