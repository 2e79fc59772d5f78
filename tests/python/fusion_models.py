"""Small models with vLLM's operations, which are registered here under their own names where vLLM is not loaded."""
import torch

from regraft import library

LIBRARIES = []
WIDTH, RANK, HEADS, BLOCKS, BLOCK = 8, 16, 2, 5, 4


def _define(name, kernel, fake):
    namespace, packet = name.split(".")
    library_ = torch.library.Library(namespace, "FRAGMENT")
    LIBRARIES.append(library_)
    library_.define(library.schema_of(name).partition("::")[2])
    for device in ("CPU", "CUDA"):
        library_.impl(packet, kernel, device)
    library_.impl(packet, fake, "Meta")


def _rotate(positions, query, key, head_size, cos_sin_cache, is_neox, rope_dim_offset=0, inverse=False):
    cos, sin = (part[:, None] for part in cos_sin_cache[positions].float().chunk(2, -1))
    for x in (query, key):
        if x is None:
            continue
        x = x.unflatten(-1, (-1, head_size)) if x.dim() == 2 else x
        part = x[..., :cos_sin_cache.shape[-1]]
        a, b = part.float().chunk(2, -1) if is_neox else (part[..., ::2].float(), part[..., 1::2].float())
        first, second = a * cos - b * sin, b * cos + a * sin
        part.copy_(torch.cat((first, second), -1) if is_neox else torch.stack((first, second), -1).flatten(-2))


def _concat_and_cache(kv_c, k_pe, kv_cache, slot_mapping, kv_cache_dtype, scale):
    rows = kv_cache.view(-1, kv_cache.shape[-1])
    rows[slot_mapping[slot_mapping >= 0]] = torch.cat((kv_c, k_pe), -1)[slot_mapping >= 0].to(rows.dtype)


def _reshape_and_cache(key, value, key_cache, value_cache, slot_mapping, kv_cache_dtype, k_scale, v_scale):
    for rows, cache in ((key, key_cache), (value, value_cache)):
        slots = slot_mapping[slot_mapping >= 0]
        cache[slots // BLOCK, slots % BLOCK] = rows[slot_mapping >= 0].to(cache.dtype)


class Layer:
    """The cache and the slots of one layer, as an engine holds them for a step."""

    def __init__(self, tokens, dtype, shape):
        self.cache = torch.zeros(shape, dtype=dtype)
        self.slots = torch.randperm(BLOCKS * BLOCK, generator=torch.Generator().manual_seed(3))[:tokens]


LAYERS = {}


def _update_layer(kv_c_normed, k_pe, layer_name, kv_cache_dtype, k_scale):
    layer = LAYERS[layer_name]
    _concat_and_cache(kv_c_normed, k_pe.squeeze(1), layer.cache, layer.slots, kv_cache_dtype, k_scale)
    return kv_c_normed.new_empty(0)


def _split(cache):
    """Key and value cache [blocks, block_size, heads, size], packed as [blocks, heads, block_size, 2 * size]."""
    return cache.transpose(1, 2).split(WIDTH, -1)


def _update_grouped_layer(key, value, layer_name):
    layer = LAYERS[layer_name]
    _reshape_and_cache(key, value, *_split(layer.cache), layer.slots, "auto", None, None)
    return key.new_empty(0)


def _attend_grouped(query, key, value, output, layer_name, *rest, **more):
    output.copy_(query + key.sum() + LAYERS[layer_name].cache.float().sum())


def _attend(q, kv_c_normed, k_pe, output, layer_name, *rest, **more):
    output.copy_(q.flatten(1)[:, :output.shape[1]] + k_pe.sum() + LAYERS[layer_name].cache.float().sum())


_define("_C.rotary_embedding", _rotate, lambda *arguments: None)
_define("_C_cache_ops.concat_and_cache_mla", _concat_and_cache, lambda *arguments: None)
_define("_C_cache_ops.reshape_and_cache_flash", _reshape_and_cache, lambda *arguments: None)
_define("vllm.unified_mla_kv_cache_update", _update_layer, lambda kv_c, *rest: kv_c.new_empty(0))
_define("vllm.unified_mla_attention_with_output", _attend, lambda *arguments, **more: None)
_define("vllm.unified_kv_cache_update", _update_grouped_layer, lambda key, *rest: key.new_empty(0))
_define("vllm.unified_attention_with_output", _attend_grouped, lambda *arguments, **more: None)
VLLM, C, CACHE = torch.ops.vllm, torch.ops._C, torch.ops._C_cache_ops


def projections(x, w):
    """q_pe in wider heads, kv_c, k_pe, as DeepSeek has them."""
    q, kv = (x @ w).split([HEADS * 3 * WIDTH, RANK + WIDTH], -1)
    q, (kv_c, k_pe) = q.view(-1, HEADS, 3 * WIDTH), kv.split([RANK, WIDTH], -1)
    return q, kv_c * 2, k_pe.unsqueeze(1)


def layer(x, w, positions, table, scale, name="a"):
    """Latent attention with the cache of a layer."""
    q, kv_c, k_pe = projections(x, w)
    C.rotary_embedding(positions, q[..., 2 * WIDTH:], k_pe, WIDTH, table, False)
    done = VLLM.unified_mla_kv_cache_update(kv_c, k_pe, name, "auto", scale)
    output = torch.empty(x.shape[0], RANK, dtype=x.dtype, device=x.device)
    VLLM.unified_mla_attention_with_output(q, kv_c, k_pe, output, name, kv_cache_dummy_dep=done)
    return output


def layers(x, w, positions, table, scale):
    """Three of them."""
    for name in "abc":
        x = x + layer(x, w, positions, table, scale, name)[:, :x.shape[1]].tanh()
    return x


def spelled(x, w, positions, table, scale):
    """The same with the rotation in ATen operations, as vLLM without a kernel does it."""
    q, kv_c, k_pe = projections(x, w)
    cos, sin = (half.unsqueeze(-2) for half in table.index_select(0, positions).chunk(2, -1))

    def rotate(part):
        a, b = part.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)
    q[..., 2 * WIDTH:], k_pe = rotate(q[..., 2 * WIDTH:]), rotate(k_pe)
    done = VLLM.unified_mla_kv_cache_update(kv_c, k_pe, "a", "auto", scale)
    output = torch.empty(x.shape[0], RANK, dtype=x.dtype, device=x.device)
    VLLM.unified_mla_attention_with_output(q, kv_c, k_pe, output, "a", kv_cache_dummy_dep=done)
    return output


def given(x, w, positions, table, scale, cache, slots):
    """Latent attention whose cache is a tensor of the graph."""
    q, kv_c, k_pe = projections(x, w)
    C.rotary_embedding(positions, q[..., 2 * WIDTH:], k_pe, WIDTH, table, True)
    CACHE.concat_and_cache_mla(kv_c, k_pe.squeeze(1), cache, slots, "auto", scale)
    return q.sum(-1) + k_pe.sum(-1)


def grouped(x, w, positions, table, scale, keys, values, slots):
    """Grouped-query attention whose caches are tensors of the graph."""
    qkv = (x @ w)[:, :4 * WIDTH]
    q, k, v = qkv.split([2 * WIDTH, WIDTH, WIDTH], -1)
    C.rotary_embedding(positions, q, k, WIDTH, table, True)
    CACHE.reshape_and_cache_flash(k.view(-1, 1, WIDTH), v.view(-1, 1, WIDTH), keys, values, slots, "auto", scale, scale)
    return q + k.sum()


def grouped_layer(x, w, positions, table, scale):
    """Grouped-query attention with the cache of a layer."""
    q, k, v = (x @ w)[:, :4 * WIDTH].split([2 * WIDTH, WIDTH, WIDTH], -1)
    C.rotary_embedding(positions, q, k, WIDTH, table, True)
    q, k, v = q.view(-1, 2, WIDTH), k.view(-1, 1, WIDTH), v.view(-1, 1, WIDTH)
    output = torch.empty_like(q)
    done = VLLM.unified_kv_cache_update(k, v, "a")
    VLLM.unified_attention_with_output(q, k, v, output, "a", kv_cache_dummy_dep=done)
    return output


def inputs(model, tokens=6, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    columns = HEADS * 3 * WIDTH + RANK + WIDTH
    angles = torch.rand(32, WIDTH // 2, generator=generator) * 6
    made = [torch.randn(tokens, 12, generator=generator).to(dtype), torch.randn(12, columns, generator=generator).to(dtype),
            torch.randperm(32, generator=generator)[:tokens], torch.cat((angles.cos(), angles.sin()), -1).to(dtype),
            torch.ones(1)]
    shape = (BLOCKS, 1, BLOCK, 2 * WIDTH) if model is grouped_layer else (BLOCKS, BLOCK, RANK + WIDTH)
    LAYERS.update({name: Layer(tokens, dtype, shape) for name in "abc"})
    if model is given:
        made += [torch.zeros(BLOCKS, BLOCK, RANK + WIDTH, dtype=dtype), LAYERS["a"].slots]
    if model is grouped:
        made += [torch.zeros(BLOCKS, BLOCK, 1, WIDTH, dtype=dtype) for _ in range(2)] + [LAYERS["a"].slots]
    return made
