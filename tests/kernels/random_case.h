/* Random legal arguments of the kernels, in one arena of random bytes. */
#ifndef RANDOM_CASE_H
#define RANDOM_CASE_H

#include <stddef.h>

#include "regraft/kernels.h"

enum operation {
    OPERATION_ROPE,
    OPERATION_ROPE_CACHE,
    OPERATION_NORM_ROPE_CACHE,
    OPERATION_ROPE_LATENT_CACHE,
    OPERATION_CACHE,
    OPERATION_LATENT_CACHE,
    OPERATION_RMS_NORM,
    OPERATION_FUSED_ADD_RMS_NORM,
    OPERATION_SILU_AND_MUL,
    OPERATION_COUNT
};

union operation_arguments {
    regraft_rope_arguments rope;
    regraft_rope_cache_arguments rope_cache;
    regraft_rope_latent_cache_arguments rope_latent_cache;
    regraft_cache_arguments cache;
    regraft_latent_cache_arguments latent_cache;
    regraft_rms_norm_arguments rms_norm;
    regraft_fused_add_rms_norm_arguments fused_add_rms_norm;
    regraft_silu_and_mul_arguments silu_and_mul;
};

struct region {
    const char *name;
    size_t start, size;
    regraft_type type;
    int written;
};

struct random_case {
    enum operation operation;
    uint64_t random;
    unsigned char *host; /* [size] */
    size_t size;
    /* The arguments, with pointers that are offsets into the arena, plus one; 0 is NULL. */
    union operation_arguments arguments;
    struct region regions[24];
    size_t region_count;
    char text[512];
};

void random_case_make(struct random_case *c, uint64_t seed);
void random_case_make_operation(struct random_case *c, uint64_t seed, enum operation operation);
void random_case_free(struct random_case *c);
/* The arguments for the arena at `base`. */
void random_case_arguments(const struct random_case *c, unsigned char *base, union operation_arguments *arguments);
/* Sums in another order, or exp: not equal to the bit. */
int random_case_is_inexact(const struct random_case *c);
const char *random_case_text(const struct random_case *c);
const char *random_case_where(const struct random_case *c, size_t at);

#endif
