/* The safetensors file format: 8 bytes with the length of a JSON header (little endian), the header, the data.
 * https://github.com/huggingface/safetensors#format
 *
 * The reader takes no file at its word: lengths, offsets, sizes and the absence of holes and overlaps are checked
 * before a byte of data is touched. */
#ifndef REGRAFT_INTERP_SAFETENSORS_H
#define REGRAFT_INTERP_SAFETENSORS_H

#include "interp/tensor_set.h"

/* The tensors of a file in memory; they share `bytes`, which must outlive the set. `name` is for messages. */
regraft_status safetensors_read(struct arena *arena, struct diagnostics *diagnostics, const char *name,
                                const unsigned char *bytes, size_t length, struct tensor_set *set);
/* The tensors of a file on disk. */
regraft_status safetensors_load(struct arena *arena, struct diagnostics *diagnostics, const char *path,
                                struct tensor_set *set);
/* Writes a file: first beside it, then renamed, so that nobody ever sees half of it. */
regraft_status safetensors_save(struct arena *arena, struct diagnostics *diagnostics, const char *path,
                                const struct tensor_set *set);

#endif
