/* What a graph is run on: tensors for its placeholders, values of symbols, the state of its layers. */
#ifndef REGRAFT_INTERP_BINDINGS_H
#define REGRAFT_INTERP_BINDINGS_H

#include "interp/safetensors.h"

/* Names of tensors: a placeholder's, or LAYER/kv_cache, LAYER/slot_mapping, LAYER/block_table, LAYER/seq_lens,
 * LAYER/w_uk, LAYER/w_uv, PLACEHOLDER/weight. A run copies what it uses; bindings are never changed by it. */
struct bindings {
    struct tensor_set tensors;
    struct map *symints; /* placeholder -> int64_t */
    struct map *scales;  /* layer -> double: the softmax scale of its attention */
};

void bindings_init(struct bindings *bindings, struct arena *arena);
/* From a set with the metadata `symints` and `scale`, each a JSON object as text (both may be missing). */
regraft_status bindings_from_set(struct bindings *bindings, struct diagnostics *diagnostics, const char *name,
                                 const struct tensor_set *set);
regraft_status bindings_load(struct bindings *bindings, struct arena *arena, struct diagnostics *diagnostics,
                             const char *path);
void bindings_set_symint(struct bindings *bindings, struct text name, int64_t value);
void bindings_set_scale(struct bindings *bindings, struct text layer, double value);

#endif
