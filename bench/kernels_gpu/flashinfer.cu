/* FlashInfer's rotary embedding and cache append, with plain arguments, for peers.py. Built beside, with FlashInfer's
 * headers (PyPI: flashinfer-python; INCLUDE is its flashinfer/data):
 *     nvcc -std=c++17 -O3 -arch=sm_90 -shared -Xcompiler -fPIC -I INCLUDE/include \
 *         -I INCLUDE/cccl/libcudacxx/include -I INCLUDE/cccl/cub -I INCLUDE/cccl/thrust bench/kernels_gpu/flashinfer.cu -o libflashinfer-peer.so
 * Each token is a request of its own, whose one page is the block of its slot. bf16. */
#include <flashinfer/page.cuh>
#include <flashinfer/pos_enc.cuh>

using namespace flashinfer;
typedef __nv_bfloat16 element;

/* [tokens]: the request, its block, the row in it; [tokens + 1]: where a request's pages start. */
struct requests {
    int32_t *batch, *blocks, *rows, *starts;
};

extern "C" int flashinfer_rope(element *query, element *key, float *table, int64_t *positions, uint32_t tokens,
                               uint32_t heads, uint32_t key_heads, uint32_t size, int interleaved, cudaStream_t stream) {
    return BatchQKApplyRotaryPosIdsCosSinCache<element, int64_t>(
        query, key, query, key, table, positions, tokens, heads, key_heads, size, size, heads * size, size,
        key_heads * size, size, heads * size, size, key_heads * size, size, interleaved != 0, stream);
}

extern "C" int flashinfer_append(element *key, element *value, element *key_cache, element *value_cache, requests r,
                                 uint32_t tokens, uint32_t key_heads, uint32_t size, uint32_t block_size,
                                 cudaStream_t stream) {
    paged_kv_t<element, int32_t> cache(key_heads, block_size, size, tokens, QKVLayout::kNHD, key_cache, value_cache,
                                       r.blocks, r.starts, r.rows);
    size_t token_stride = (size_t)key_heads * size;
    return AppendPagedKVCache<element, int32_t>(cache, key, value, r.batch, r.rows, tokens, token_stride, size,
                                                token_stride, size, stream);
}

/* The latent cache is one buffer of rows [rank | size]. FlashInfer's fused kernels (RopeQuantizeAppendPaged...) quantise the query,
 * rotated and not, as well: another operation. */
extern "C" int flashinfer_append_latent(element *kv_c, element *key_pe, element *cache, requests r, uint32_t tokens,
                                        uint32_t rank, uint32_t size, uint32_t block_size, cudaStream_t stream) {
    int64_t row = rank + size, strides[] = {row * block_size, row};
    paged_kv_mla_t<element, int32_t> pages(block_size, rank, size, tokens, cache, strides, cache + rank, strides, r.blocks,
                                           r.starts, r.rows);
    return AppendPagedKVMlaCache<element, int32_t>(pages, kv_c, key_pe, r.batch, r.rows, tokens, rank, size, stream);
}
