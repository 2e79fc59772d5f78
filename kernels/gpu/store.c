/* Compiled kernels on disk. A file: a line with sizes and a hash of what follows, the key, the code. */
#include "gpu/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, CODE_AT_MOST = 1 << 26 };
#define FIRST_LINE "regraft-kernel 1 %zu %zu %016llx\n"
static const char first_words[] = "regraft-kernel 1 ";

void store_default_folder(char *folder, size_t size) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    folder[0] = 0;
    if (cache && cache[0] == '/')
        snprintf(folder, size, "%s/regraft", cache);
    else if (home && home[0] == '/')
        snprintf(folder, size, "%s/.cache/regraft", home);
}

/* FNV-1a, 64 bits. */
uint64_t store_hash(uint64_t hash, const void *data, size_t size) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

void store_name(const char *key, char name[STORE_NAME_SIZE]) {
    snprintf(name, STORE_NAME_SIZE, "%016llx.kernel",
             (unsigned long long)store_hash(0xcbf29ce484222325u, key, strlen(key)));
}

static int path_of(const char *folder, const char *key, char path[PATH_SIZE]) {
    char name[STORE_NAME_SIZE];
    store_name(key, name);
    int length = snprintf(path, PATH_SIZE, "%s/%s", folder, name);
    return folder[0] && length > 0 && length < PATH_SIZE - 16;
}

static int read_first_line(FILE *file, size_t *key_size, size_t *size, uint64_t *hash) {
    char line[128], *at = line + sizeof first_words - 1;
    if (!fgets(line, sizeof line, file) || strncmp(line, first_words, sizeof first_words - 1) != 0) return 0;
    *key_size = strtoull(at, &at, 10);
    *size = strtoull(at, &at, 10);
    *hash = strtoull(at, &at, 16);
    return *at == '\n';
}

/* The code behind a first line and a key that are as expected. */
static void *read_code(FILE *file, const char *key, size_t *size) {
    size_t key_size = 0;
    uint64_t hash = 0;
    if (!read_first_line(file, &key_size, size, &hash)) return NULL;
    if (key_size != strlen(key) || *size == 0 || *size > CODE_AT_MOST) return NULL;
    char *data = malloc(key_size + *size);
    if (!data) return NULL;
    int whole = fread(data, 1, key_size + *size, file) == key_size + *size && fgetc(file) == EOF;
    if (!whole || memcmp(data, key, key_size) != 0 || store_hash(0xcbf29ce484222325u, data, key_size + *size) != hash) {
        free(data);
        return NULL;
    }
    memmove(data, data + key_size, *size);
    return data;
}

void *store_read(const char *folder, const char *key, size_t *size) {
    char path[PATH_SIZE];
    FILE *file = path_of(folder, key, path) ? fopen(path, "rb") : NULL;
    if (!file) return NULL;
    void *code = read_code(file, key, size);
    fclose(file);
    return code;
}

static int make_folders(const char *folder) {
    char path[PATH_SIZE];
    if (snprintf(path, sizeof path, "%s", folder) >= PATH_SIZE) return 0;
    for (char *at = path + 1; *at; at++) {
        if (*at != '/') continue;
        *at = 0;
        if (mkdir(path, 0777) != 0 && errno != EEXIST) return 0;
        *at = '/';
    }
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

static int write_all(FILE *file, const char *key, const void *code, size_t size) {
    uint64_t hash = store_hash(store_hash(0xcbf29ce484222325u, key, strlen(key)), code, size);
    return fprintf(file, FIRST_LINE, strlen(key), size, (unsigned long long)hash) > 0 && fputs(key, file) >= 0 &&
           fwrite(code, 1, size, file) == size;
}

int store_write(const char *folder, const char *key, const void *code, size_t size) {
    char path[PATH_SIZE], temporary[PATH_SIZE];
    if (!path_of(folder, key, path) || !make_folders(folder)) return 0;
    snprintf(temporary, sizeof temporary, "%.*s.XXXXXX", PATH_SIZE - 16, path);
    int descriptor = mkstemp(temporary);
    if (descriptor < 0) return 0;
    FILE *file = fdopen(descriptor, "wb");
    if (!file) {
        close(descriptor);
        remove(temporary);
        return 0;
    }
    int written = write_all(file, key, code, size);
    written = fclose(file) == 0 && written && rename(temporary, path) == 0;
    if (!written) remove(temporary);
    return written;
}
