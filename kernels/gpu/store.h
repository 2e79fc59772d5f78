/* Compiled kernels on disk: one file for each key. */
#ifndef REGRAFT_GPU_STORE_H
#define REGRAFT_GPU_STORE_H

#include <stddef.h>
#include <stdint.h>

/* The folder that is meant when none was given: $XDG_CACHE_HOME/regraft or $HOME/.cache/regraft; "" when there is neither. */
void store_default_folder(char *folder, size_t size);

/* The name of a key's file, without folder: a hash of it. */
enum { STORE_NAME_SIZE = 40 };
void store_name(const char *key, char name[STORE_NAME_SIZE]);

/* The code that was kept for exactly this key, with malloc; NULL when there is none, or when the file is damaged. */
void *store_read(const char *folder, const char *key, size_t *size);

/* Keeps code. The file appears whole or not at all, whoever writes it at the same time. 0 when that was not possible: the folder
 * cannot be made or written. */
int store_write(const char *folder, const char *key, const void *code, size_t size);

uint64_t store_hash(uint64_t hash, const void *data, size_t size);

#endif
