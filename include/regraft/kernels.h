/* regraft: kernels for the CPU and the GPU. Rotary embeddings with the write of the key-value cache, norms, gated activation.
 *
 * The library is libregraft-kernels; it needs nothing of the compiler. An operation takes one struct of arguments, the same
 * on CPU and GPU, where the pointers are the device's:
 *
 *     regraft_rope_arguments rope = {
 *         .tokens = tokens, .type = REGRAFT_BF16, .head_size = 128,
 *         .rotation = {.positions = positions, .table = cos_sin, .table_type = REGRAFT_BF16, .table_rows = 4096,
 *                      .table_stride = 128, .width = 128},
 *         .query = {qkv, 32, 6144, 128}, .key = {qkv + 4096, 8, 6144, 128}};
 *     regraft_cpu cpu = REGRAFT_CPU_INIT;
 *     if (regraft_cpu_rope(&cpu, &rope) != REGRAFT_OK) fputs(cpu.message, stderr);
 *
 * Fill a struct with zeros first: 0 and NULL are the defaults. docs/kernels.md has the meaning to the bit.
 *
 * Units: sizes and strides count elements, never bytes, and are int64_t. The last dimension of every tensor is dense. A stride
 * of a dimension of size 1 is not looked at, and may be 0.
 * Ownership: the caller's, all of it. Nothing is kept after the call (on the GPU: after the launched work has ended), nothing
 * is allocated. Only what is named here as written is written: no padding, no gap of a strided tensor.
 * Addresses: aligned to the element is enough; 16 bytes (addresses and strides) are faster.
 * Overlap: what is written overlaps nothing else of the same call; an output may be the input that it belongs to (same
 * address, same strides). Slices of one buffer are fine. What cannot be shown to be apart is rejected.
 * Errors: REGRAFT_REJECTED for arguments that contradict each other, REGRAFT_UNSUPPORTED for legal ones that this machine or
 * version cannot do; the message says which argument, what was found, what was expected. Nothing has been written then.
 */
#ifndef REGRAFT_KERNELS_H
#define REGRAFT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "regraft/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what arguments are made of ---- */

typedef enum regraft_type {
    REGRAFT_BF16 = 0,
    REGRAFT_F16 = 1,
    REGRAFT_F32 = 2,
    REGRAFT_FP8_E4M3 = 3 /* float8_e4m3fn: caches only */
} regraft_type;

/* A tensor [tokens, heads, size]; tokens and size stand beside it. `data` NULL: there is none. */
typedef struct regraft_heads {
    void *data;
    int64_t heads;
    int64_t token_stride, head_stride; /* from a token to the next, from a head to the next; heads do not overlap */
} regraft_heads;

/* How heads are rotated. Element pairs (x, y) become (x * cos - y * sin, y * cos + x * sin), in f32, every product, sum and
 * difference rounded once (no fused multiply-add), and the result rounded to the element type. */
typedef struct regraft_rotation {
    const int64_t *positions; /* [tokens], each in [0, table_rows); the GPU does not check that */
    const void *table; /* [table_rows, width]: row p holds width / 2 cosines, then width / 2 sines of position p */
    regraft_type table_type; /* the operation's type, or REGRAFT_F32 */
    int64_t table_rows, table_stride;
    int64_t width; /* rotated elements of a head: even, at least 2, at most head_size - offset */
    int64_t
        offset; /* the rotated part starts here; the rest of the head stays (and is copied to an output of its own) */
    int interleaved; /* 0: pairs (i, i + width / 2), is_neox; 1: pairs (2i, 2i + 1) */
    int inverse;     /* 1: sin becomes -sin */
} regraft_rotation;

/* Where the tokens go in the cache. Token t < count goes to row slots[t] % block_size of block slots[t] / block_size. A negative
 * slot writes nothing to the cache, nor do tokens from `count` on (padding); both are rotated all the same. Two tokens with one
 * slot: every element of the row is that of one of them; on the CPU with one thread, of the last. */
typedef struct regraft_slots {
    const int64_t *slots; /* [count], each below blocks * block_size; the GPU does not check that */
    int64_t count;        /* at most tokens */
} regraft_slots;

/* A paged cache [blocks, block_size, heads, size], heads and size as the rows that are written. NHD and HND are strides.
 * REGRAFT_FP8_E4M3: an element is x / *scale in f32, cut to [-448, 448], rounded to nearest even; NaN stays NaN. */
typedef struct regraft_cache {
    void *data;
    regraft_type type; /* the operation's type, or REGRAFT_FP8_E4M3 */
    int64_t blocks, block_size;
    int64_t block_stride, row_stride, head_stride; /* a latent cache has one head: head_stride is not looked at */
    const float *scale;                            /* fp8 only; one number, on the GPU in its memory; NULL: 1 */
} regraft_cache;

/* What becomes of a rotated key, beside its way into the cache. */
typedef enum regraft_key_result {
    REGRAFT_KEY_IN_PLACE = 0,  /* it replaces the key */
    REGRAFT_KEY_OUT = 1,       /* it goes to `key_out`, the key stays */
    REGRAFT_KEY_CACHE_ONLY = 2 /* it goes to the cache only, the key stays */
} regraft_key_result;

/* ---- rotary embedding ---- */

/* Rotates query and key, [tokens, heads, head_size] each. Same as vLLM's `rotary_embedding`. */
typedef struct regraft_rope_arguments {
    int64_t tokens, head_size;
    regraft_type type; /* of query, key and outputs */
    regraft_rotation rotation;
    regraft_heads query, key;         /* key: may be absent */
    regraft_heads query_out, key_out; /* absent: in place; else as many heads as the input */
} regraft_rope_arguments;

/* Rotates query and key and writes key and value to their caches, for grouped-query attention: `rotary_embedding`, then
 * `reshape_and_cache_flash`. With `query_weight` and `key_weight` each head is normed before it is rotated: rms_norm, as
 * below, over head_size elements, rounded to the type, as separate operations would. */
typedef struct regraft_rope_cache_arguments {
    int64_t tokens, head_size;
    int64_t value_size; /* of a head of value; 0: head_size */
    regraft_type type;  /* of query, key, value, outputs and weights */
    regraft_rotation rotation;
    regraft_heads query, key;
    regraft_heads value;
    regraft_heads query_out; /* absent: in place */
    regraft_key_result key_result;
    regraft_heads key_out; /* with REGRAFT_KEY_OUT */
    regraft_slots slots;
    regraft_cache key_cache, value_cache;  /* heads of head_size and value_size; both absent: no cache write */
    const void *query_weight, *key_weight; /* [head_size] each; norm_rope_cache only, else NULL */
    float epsilon;
} regraft_rope_cache_arguments;

/* Rotates query and key_pe and writes rows [kv_c | key_pe] to the cache of latent attention: `rotary_embedding`, then
 * `concat_and_cache_mla`. */
typedef struct regraft_rope_latent_cache_arguments {
    int64_t tokens;
    int64_t head_size; /* of query and key_pe: the rotary width, or more */
    int64_t rank;      /* of kv_c */
    regraft_type type; /* of query, key_pe, kv_c and outputs */
    regraft_rotation rotation;
    regraft_heads query;     /* [tokens, heads, head_size]: q_pe, most often a slice of wider heads */
    regraft_heads key_pe;    /* [tokens, 1, head_size] */
    regraft_heads kv_c;      /* [tokens, 1, rank] */
    regraft_heads query_out; /* absent: in place */
    regraft_key_result key_result;
    regraft_heads key_pe_out; /* with REGRAFT_KEY_OUT */
    regraft_slots slots;
    regraft_cache cache; /* [blocks, block_size, rank + head_size] */
} regraft_rope_latent_cache_arguments;

/* ---- cache write alone ---- */

/* Key and value, [tokens, heads, size] each, to their caches: `reshape_and_cache_flash`. Bit for bit, or to fp8. */
typedef struct regraft_cache_arguments {
    int64_t tokens, head_size;
    int64_t value_size; /* 0: head_size */
    regraft_type type;
    regraft_heads key, value;
    regraft_slots slots;
    regraft_cache key_cache, value_cache;
} regraft_cache_arguments;

/* Rows [kv_c | key_pe] to the cache of latent attention: `concat_and_cache_mla`. */
typedef struct regraft_latent_cache_arguments {
    int64_t tokens;
    int64_t head_size, rank; /* of key_pe and kv_c */
    regraft_type type;
    regraft_heads key_pe; /* [tokens, 1, head_size] */
    regraft_heads kv_c;   /* [tokens, 1, rank] */
    regraft_slots slots;
    regraft_cache cache; /* [blocks, block_size, rank + head_size] */
} regraft_latent_cache_arguments;

/* ---- norms and gated activation ---- */

/* out = round(x * (1 / sqrt(mean(x^2) + epsilon))) * weight over the last dimension; `round` is to the type, all else f32. */
typedef struct regraft_rms_norm_arguments {
    int64_t tokens, size;
    regraft_type type;
    regraft_heads input, out; /* [tokens, heads, size]; out may be input */
    const void *weight;       /* [size], of the type; NULL: 1 */
    float epsilon;
} regraft_rms_norm_arguments;

/* residual = input + residual, rounded; input = rms_norm(residual). Both are written in place: vLLM's `fused_add_rms_norm`. */
typedef struct regraft_fused_add_rms_norm_arguments {
    int64_t tokens, size;
    regraft_type type;
    regraft_heads input, residual; /* [tokens, heads, size] */
    const void *weight;            /* [size], of the type; NULL: 1 */
    float epsilon;
} regraft_fused_add_rms_norm_arguments;

/* out = round(silu(input[:size])) * input[size:], silu(x) = x / (1 + exp(-x)). */
typedef struct regraft_silu_and_mul_arguments {
    int64_t tokens, size; /* of out; a row of the input has 2 * size elements */
    regraft_type type;
    regraft_heads input, out; /* one head; apart from each other */
} regraft_silu_and_mul_arguments;

/* ---- CPU ---- */

typedef enum regraft_cpu_form {
    REGRAFT_CPU_AUTOMATIC = 0,  /* the best that this machine has */
    REGRAFT_CPU_PORTABLE = 1,   /* plain C */
    REGRAFT_CPU_AVX2 = 2,       /* with F16C */
    REGRAFT_CPU_AVX512 = 3,     /* F, BW, VL, DQ */
    REGRAFT_CPU_AVX512_BF16 = 4 /* and AVX512_BF16 */
} regraft_cpu_form;

/* How to run on the CPU, and what went wrong. All forms give the same bits, with any number of threads. A struct is used by one
 * thread at a time. */
typedef struct regraft_cpu {
    size_t struct_size;
    regraft_cpu_form form;
    int threads;       /* 0: one for little work, else as many as OpenMP has; 1: no OpenMP; n: n */
    int streaming;     /* stores to the cache around the processor's caches: 0: when there is much to write; 1: always;
                           -1: never */
    char message[256]; /* of the last call that did not return REGRAFT_OK; never NULL */
} regraft_cpu;
#define REGRAFT_CPU_INIT                                                                                               \
    {                                                                                                                  \
        sizeof(regraft_cpu), REGRAFT_CPU_AUTOMATIC, 0, 0, { 0 }                                                        \
    }

/* Whether this machine (and this build) has a form; the form that REGRAFT_CPU_AUTOMATIC stands for; its name. */
REGRAFT_API int regraft_cpu_has(regraft_cpu_form form);
REGRAFT_API regraft_cpu_form regraft_cpu_best(void);
REGRAFT_API const char *regraft_cpu_form_name(regraft_cpu_form form);

/* Return when the work is done. `cpu` may be NULL: all automatic, no message. */
REGRAFT_API regraft_status regraft_cpu_rope(regraft_cpu *cpu, const regraft_rope_arguments *arguments);
REGRAFT_API regraft_status regraft_cpu_rope_cache(regraft_cpu *cpu, const regraft_rope_cache_arguments *arguments);
REGRAFT_API regraft_status regraft_cpu_norm_rope_cache(regraft_cpu *cpu, const regraft_rope_cache_arguments *arguments);
REGRAFT_API regraft_status regraft_cpu_rope_latent_cache(regraft_cpu *cpu,
                                                         const regraft_rope_latent_cache_arguments *arguments);
REGRAFT_API regraft_status regraft_cpu_cache(regraft_cpu *cpu, const regraft_cache_arguments *arguments);
REGRAFT_API regraft_status regraft_cpu_latent_cache(regraft_cpu *cpu, const regraft_latent_cache_arguments *arguments);
REGRAFT_API regraft_status regraft_cpu_rms_norm(regraft_cpu *cpu, const regraft_rms_norm_arguments *arguments);
REGRAFT_API regraft_status regraft_cpu_fused_add_rms_norm(regraft_cpu *cpu,
                                                          const regraft_fused_add_rms_norm_arguments *arguments);
REGRAFT_API regraft_status regraft_cpu_silu_and_mul(regraft_cpu *cpu, const regraft_silu_and_mul_arguments *arguments);

/* ---- GPU: CUDA, HIP ---- */

/* A device with its compiled kernels. Belongs to one thread at a time; two share nothing but the folder on disk. */
typedef struct regraft_gpu regraft_gpu;

typedef struct regraft_gpu_options {
    size_t struct_size;
    int device;               /* the driver's number; its primary context is used, as PyTorch does */
    const char *cache_folder; /* for compiled kernels; NULL: $XDG_CACHE_HOME/regraft or ~/.cache/regraft; "": none */
} regraft_gpu_options;
#define REGRAFT_GPU_OPTIONS_INIT                                                                                       \
    { sizeof(regraft_gpu_options), 0, NULL }

/* Opens the driver and its run-time compiler. REGRAFT_UNSUPPORTED when there is none: `message` (at least 256 bytes, may be NULL)
 * says what was looked for. `options` may be NULL. */
REGRAFT_API regraft_status regraft_gpu_create(const regraft_gpu_options *options, regraft_gpu **gpu, char *message,
                                              size_t message_size);
REGRAFT_API void regraft_gpu_destroy(regraft_gpu *gpu); /* not while its kernels run or stand in a CUDA graph */
REGRAFT_API const char *regraft_gpu_message(const regraft_gpu *gpu); /* of the last call that failed; "" at first */
REGRAFT_API const char *regraft_gpu_name(const regraft_gpu *gpu);    /* "NVIDIA H200, sm_90, driver 580.0" */

/* What a launch may do before the kernels ahead of it in the stream have ended (programmatic dependent launch; machines without
 * it wait). docs/kernels-gpu.md shows why each is right. */
typedef enum regraft_gpu_overlap {
    REGRAFT_GPU_OVERLAP_NONE = 0, /* nothing: plain order of the stream */
    /* Start, and read positions, table, slots and scales. Right when no kernel that may still run writes those: the one just
     * ahead, and, where that one overlaps with ALL, those that it overlaps with. */
    REGRAFT_GPU_OVERLAP_CONSTANTS = 1,
    /* Everything; it only ends after them. Right when no kernel that may still run (as above) touches what this call writes, or
     * writes what it reads. */
    REGRAFT_GPU_OVERLAP_ALL = 2
} regraft_gpu_overlap;

/* How one call is launched; NULL: the default stream. */
typedef struct regraft_gpu_launch {
    void *stream; /* CUstream, cudaStream_t or hipStream_t */
    int compile_only; /* 1: make the kernel ready and launch nothing. Pointers are not followed; only their alignment counts,
                         and whether they are NULL. The kernel is ready for any number of tokens */
    regraft_gpu_overlap overlap;
} regraft_gpu_launch;

/* Launch on the stream and return at once. A specialisation is compiled at its first use (a second or so; later from disk): do
 * that with `compile_only` before a stream is captured in a graph. A launch allocates nothing and waits for nothing. */
REGRAFT_API regraft_status regraft_gpu_rope(regraft_gpu *gpu, const regraft_rope_arguments *arguments,
                                            const regraft_gpu_launch *launch);
REGRAFT_API regraft_status regraft_gpu_rope_cache(regraft_gpu *gpu, const regraft_rope_cache_arguments *arguments,
                                                  const regraft_gpu_launch *launch);
REGRAFT_API regraft_status regraft_gpu_norm_rope_cache(regraft_gpu *gpu, const regraft_rope_cache_arguments *arguments,
                                                       const regraft_gpu_launch *launch);
REGRAFT_API regraft_status regraft_gpu_rope_latent_cache(regraft_gpu *gpu,
                                                         const regraft_rope_latent_cache_arguments *arguments,
                                                         const regraft_gpu_launch *launch);
REGRAFT_API regraft_status regraft_gpu_cache(regraft_gpu *gpu, const regraft_cache_arguments *arguments,
                                             const regraft_gpu_launch *launch);
REGRAFT_API regraft_status regraft_gpu_latent_cache(regraft_gpu *gpu, const regraft_latent_cache_arguments *arguments,
                                                    const regraft_gpu_launch *launch);
REGRAFT_API regraft_status regraft_gpu_rms_norm(regraft_gpu *gpu, const regraft_rms_norm_arguments *arguments,
                                                const regraft_gpu_launch *launch);
REGRAFT_API regraft_status regraft_gpu_fused_add_rms_norm(regraft_gpu *gpu,
                                                          const regraft_fused_add_rms_norm_arguments *arguments,
                                                          const regraft_gpu_launch *launch);
REGRAFT_API regraft_status regraft_gpu_silu_and_mul(regraft_gpu *gpu, const regraft_silu_and_mul_arguments *arguments,
                                                    const regraft_gpu_launch *launch);

#ifdef __cplusplus
}
#endif
#endif
