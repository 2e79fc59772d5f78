/* Whether arguments of the kernels make sense: the same for CPU and GPU. Reads the structs, never what they point at. */
#ifndef REGRAFT_KERNELS_COMMON_CHECK_H
#define REGRAFT_KERNELS_COMMON_CHECK_H

#include "regraft/kernels.h"

enum { box_dims = 4, most_boxes = 20 };

/* A tensor in memory, in bytes; the elements of the last dimension count as one piece of `piece` bytes. */
struct box {
    const char *name;
    uintptr_t start, end; /* end: behind the last byte; equal when there is none */
    int64_t piece, sizes[box_dims], strides[box_dims];
    int written;
};

struct check {
    char *message; /* may be NULL */
    size_t message_size;
    int without_pointers; /* 1: addresses, alignment and overlap are not looked at */
    struct box boxes[most_boxes];
    size_t box_count;
};

/* Leaves a message and returns the status. */
regraft_status check_fail(struct check *check, regraft_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

size_t type_size(regraft_type type);

regraft_status check_rope(struct check *check, const regraft_rope_arguments *arguments);
regraft_status check_rope_cache(struct check *check, const regraft_rope_cache_arguments *arguments, int norm);
regraft_status check_rope_latent_cache(struct check *check, const regraft_rope_latent_cache_arguments *arguments);
regraft_status check_cache(struct check *check, const regraft_cache_arguments *arguments);
regraft_status check_latent_cache(struct check *check, const regraft_latent_cache_arguments *arguments);
regraft_status check_rms_norm(struct check *check, const regraft_rms_norm_arguments *arguments);
regraft_status check_fused_add_rms_norm(struct check *check, const regraft_fused_add_rms_norm_arguments *arguments);
regraft_status check_silu_and_mul(struct check *check, const regraft_silu_and_mul_arguments *arguments);

/* The distance from the first to behind the last byte, 0 when a size is 0; 0 is returned when it does not fit. */
int box_extent(const struct box *box, int64_t *extent);
int box_overlaps_itself(const struct box *box);
/* 1: no byte in common; 0: some, or not decided. */
int boxes_apart(const struct box *a, const struct box *b);
int boxes_equal(const struct box *a, const struct box *b);

#define CHECK(expression)                                                                                              \
    do {                                                                                                               \
        regraft_status check_status = (expression);                                                                    \
        if (check_status != REGRAFT_OK) return check_status;                                                           \
    } while (0)

#endif
