"""regraft's fused operations in PyTorch: torch.ops.regraft.*, with the meaning of docs/operations.md.

They take any strides: what the kernels cannot take is copied here, so Inductor need not keep strides for them
(flexible_layout). Those with a layer_name write the cache of that layer; the rest of the graph sees it as vLLM's own operations
show it, by the tensor that they return."""
import functools
import threading

import torch

from . import kernels, layers, library

_lock = threading.Lock()
_library = None
_registered = set()


# ---- arguments that the kernels take ----

def _dense(tensor):
    """The tensor, or a copy whose last dimension is dense."""
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous()


def _written(tensors):
    """Tensors that a kernel may write in place: (them or copies, what to do afterwards)."""
    copies = [_dense(tensor) for tensor in tensors]

    def finish():
        for tensor, copy in zip(tensors, copies, strict=True):
            if copy is not tensor:
                tensor.copy_(copy)
    return copies, finish


def _rotation(positions, table, is_neox):
    """(what the kernel takes, the tensors that must live until it has run)"""
    positions, table = positions.contiguous(), _dense(table)
    return kernels.rotation(positions, table, is_neox), (positions, table)


def _cache_type(cache, kv_cache_dtype, dtype):
    """How our kernels write such a cache, as a regraft_type; None: they do not."""
    if kv_cache_dtype in ("fp8", "fp8_e4m3"):
        return kernels.FP8 if cache.dtype in (torch.uint8, torch.float8_e4m3fn) else None
    return kernels.TYPES.get(dtype) if kv_cache_dtype == "auto" and cache.dtype == dtype else None


def _latent_cache(dtype, call):
    """The cache as concat_and_cache_mla gets it, for our kernel; None: it does not write such a cache."""
    cache, kind = call["kv_cache"], _cache_type(call["kv_cache"], call["kv_cache_dtype"], dtype)
    fits = kind is not None and cache.dim() == 3 and cache.stride(-1) == 1
    return kernels.latent_cache(cache, kind, call["scale"]) if fits else None


def _paged_caches(dtype, call):
    """The caches as reshape_and_cache_flash gets them, for our kernel: (key, value), or None."""
    kind = _cache_type(call["key_cache"], call["kv_cache_dtype"], dtype)
    made = [(call[f"{name}_cache"], call[f"{letter}_scale"]) for name, letter in (("key", "k"), ("value", "v"))]
    fits = kind is not None and all(cache.dim() == 4 and cache.stride(-1) == 1 for cache, _ in made)
    return tuple(kernels.paged_cache(cache, kind, scale) for cache, scale in made) if fits else None


# ---- rotation alone ----

def _turn(x, positions, table, is_neox):
    """Rotates x [tokens, heads, size] in place, in plain PyTorch: where the kernel refuses."""
    cos, sin = (part[:, None] for part in table[positions].float().chunk(2, -1))
    part = x[..., :table.shape[-1]]
    a, b = part.float().chunk(2, -1) if is_neox else (part[..., ::2].float(), part[..., 1::2].float())
    first, second = a * cos - b * sin, b * cos + a * sin
    part.copy_(torch.cat((first, second), -1) if is_neox else torch.stack((first, second), -1).flatten(-2))


def _rotate(positions, query, key, table, is_neox):
    """Rotates query [tokens, heads, size] and key, the same or of one head [tokens, size], in place."""
    size = query.shape[-1]
    written, finish = _written([query, key])
    rotation, keep = _rotation(positions, table, is_neox)
    try:
        kernels.run("rope", kernels.Rope(
            tokens=query.shape[0], head_size=size, type=kernels.TYPES[query.dtype], rotation=rotation,
            query=kernels.heads(written[0], size), key=kernels.heads(written[1], size)), query.device)
    except kernels.Refused:
        for tensor in written:
            _turn(tensor if tensor.dim() == 3 else tensor[:, None], positions, table, is_neox)
    del keep
    finish()


# ---- rotation and the cache of latent attention ----

def _rope_latent(positions, q_pe, k_pe, kv_c, table, is_neox, key_result, cache, slots):
    """Rotates and writes `cache`, a kernels.Cache. Returns the rotated key with kernels.OUT."""
    tokens, width = q_pe.shape[0], q_pe.shape[-1]
    written, finish = _written([q_pe, k_pe] if key_result == kernels.IN_PLACE else [q_pe])
    q, k = written[0], written[1] if key_result == kernels.IN_PLACE else _dense(k_pe)
    kv_c, slots = _dense(kv_c), slots.flatten().long().contiguous()
    out = q_pe.new_empty(tokens, 1, width) if key_result == kernels.OUT else None
    rotation, keep = _rotation(positions, table, is_neox)
    kernels.run("rope_latent_cache", kernels.RopeLatentCache(
        tokens=tokens, head_size=width, rank=kv_c.shape[-1], type=kernels.TYPES[q.dtype], rotation=rotation,
        query=kernels.heads(q, width), key_pe=kernels.heads(k, width), kv_c=kernels.heads(kv_c, kv_c.shape[-1]),
        key_result=key_result, key_pe_out=kernels.Heads() if out is None else kernels.heads(out, width),
        slots=kernels.slots(slots, tokens), cache=cache), q.device)
    del keep
    finish()
    return out


def _rope_latent_then(write, positions, q_pe, k_pe, table, is_neox, key_result):
    """The same, where `write` has to write the cache: it gets the rotated key [tokens, width]."""
    rotated = (k_pe if key_result == kernels.IN_PLACE else k_pe.clone()).view(-1, k_pe.shape[-1])
    _rotate(positions, q_pe, rotated, table, is_neox)
    write(rotated)
    return rotated[:, None].contiguous() if key_result == kernels.OUT else None


def _latent_update(key_result, find, write, positions, q_pe, k_pe, kv_c, table, is_neox):
    """`find` gives (cache, slots), None where no kernel of ours writes it; `write` does what is then to be done."""
    found = find()
    if found is not None:
        try:
            return _rope_latent(positions, q_pe, k_pe, kv_c, table, is_neox, key_result, *found)
        except kernels.Refused:
            pass
    return _rope_latent_then(write, positions, q_pe, k_pe, table, is_neox, key_result)


def _layer_update(key_result, positions, q_pe, k_pe, kv_c, table, is_neox, kv_cache_dtype, scale, layer_name):
    def find():
        return layers.latent(layer_name, kv_c, k_pe.view(-1, 1, k_pe.shape[-1]), kv_cache_dtype, scale,
                             functools.partial(_latent_cache, kv_c.dtype))

    def write(rotated):
        torch.ops.vllm.unified_mla_kv_cache_update(kv_c, rotated[:, None], layer_name, kv_cache_dtype, scale)
    return _latent_update(key_result, find, write, positions, q_pe, k_pe, kv_c, table, is_neox)


def fused_rope_unified_mla_kv_cache_update(positions, q_pe, k_pe, kv_c, *rest):
    _layer_update(kernels.IN_PLACE, positions, q_pe, k_pe, kv_c, *rest)
    return kv_c.new_empty(0)


def fused_rope_unified_mla_kv_cache_update_k_pe_out(positions, q_pe, k_pe, kv_c, *rest):
    return _layer_update(kernels.OUT, positions, q_pe, k_pe, kv_c, *rest), kv_c.new_empty(0)


def fused_rope_unified_mla_kv_cache_update_no_write_back(positions, q_pe, k_pe, kv_c, *rest):
    _layer_update(kernels.CACHE_ONLY, positions, q_pe, k_pe, kv_c, *rest)
    return kv_c.new_empty(0)


def _given_update(key_result, positions, q_pe, k_pe, kv_c, table, is_neox, kv_cache, slots, kv_cache_dtype, scale):
    def find():
        cache = _latent_cache(kv_c.dtype, {"kv_cache": kv_cache, "kv_cache_dtype": kv_cache_dtype, "scale": scale})
        return cache and (cache, slots)

    def write(rotated):
        torch.ops._C_cache_ops.concat_and_cache_mla(kv_c, rotated, kv_cache, slots, kv_cache_dtype, scale)
    return _latent_update(key_result, find, write, positions, q_pe, k_pe, kv_c, table, is_neox)


def fused_rope_concat_and_cache_mla(*arguments):
    _given_update(kernels.IN_PLACE, *arguments)


def fused_rope_concat_and_cache_mla_k_pe_out(*arguments):
    return _given_update(kernels.OUT, *arguments)


def fused_rope_concat_and_cache_mla_no_write_back(*arguments):
    _given_update(kernels.CACHE_ONLY, *arguments)


# ---- rotation and the caches of grouped-query attention ----

def _rope_cache(positions, query, key, value, table, is_neox, key_cache, value_cache, slots):
    size, value_size = query.shape[-1], value.shape[-1]
    written, finish = _written([query, key])
    value, slots = _dense(value), slots.flatten().long().contiguous()
    rotation, keep = _rotation(positions, table, is_neox)
    kernels.run("rope_cache", kernels.RopeCache(
        tokens=query.shape[0], head_size=size, value_size=value_size, type=kernels.TYPES[query.dtype], rotation=rotation,
        query=kernels.heads(written[0], size), key=kernels.heads(written[1], size),
        value=kernels.heads(value, value_size), slots=kernels.slots(slots, query.shape[0]), key_cache=key_cache,
        value_cache=value_cache), query.device)
    del keep
    finish()


def _paged_update(found, write, positions, query, key, value, table, is_neox):
    """`found`: ((key cache, value cache), slots), None where no kernel of ours writes them; `write` does what is then to be done."""
    if found is not None:
        try:
            return _rope_cache(positions, query, key, value, table, is_neox, *found[0], found[1])
        except kernels.Refused:
            pass
    _rotate(positions, query, key, table, is_neox)
    return write()


def fused_rope_reshape_and_cache_flash(positions, query, key, value, table, is_neox, key_cache, value_cache, slots,
                                       kv_cache_dtype, k_scale, v_scale):
    caches = _paged_caches(query.dtype, {"key_cache": key_cache, "value_cache": value_cache, "kv_cache_dtype": kv_cache_dtype,
                                         "k_scale": k_scale, "v_scale": v_scale})

    def write():
        torch.ops._C_cache_ops.reshape_and_cache_flash(key, value, key_cache, value_cache, slots, kv_cache_dtype, k_scale,
                                                       v_scale)
    _paged_update(caches and (caches, slots), write, positions, query, key, value, table, is_neox)


def fused_rope_and_unified_kv_cache_update(query, key, value, positions, table, is_neox, layer_name):
    found = layers.paged(layer_name, key, value, functools.partial(_paged_caches, query.dtype))

    def write():
        torch.ops.vllm.unified_kv_cache_update(key, value, layer_name)
    _paged_update(found, write, positions, query, key, value, table, is_neox)
    return key.new_empty(0)


# ---- what torch.compile sees ----

def _fake_dummy(positions, q_pe, k_pe, kv_c, *rest):
    return kv_c.new_empty(0)


def _fake_key_dummy(query, key, *rest):
    return key.new_empty(0)


def _fake_k_pe_out(positions, q_pe, k_pe, kv_c, *rest):
    return _fake_fresh_k_pe(positions, q_pe, k_pe), kv_c.new_empty(0)


def _fake_nothing(*arguments):
    return None


def _fake_fresh_k_pe(positions, q_pe, k_pe, *rest):
    return q_pe.new_empty(k_pe.shape[0], 1, k_pe.shape[-1])


OPERATIONS = (
    (fused_rope_and_unified_kv_cache_update, _fake_key_dummy),
    (fused_rope_reshape_and_cache_flash, _fake_nothing),
    (fused_rope_concat_and_cache_mla, _fake_nothing),
    (fused_rope_concat_and_cache_mla_k_pe_out, _fake_fresh_k_pe),
    (fused_rope_concat_and_cache_mla_no_write_back, _fake_nothing),
    (fused_rope_unified_mla_kv_cache_update, _fake_dummy),
    (fused_rope_unified_mla_kv_cache_update_k_pe_out, _fake_k_pe_out),
    (fused_rope_unified_mla_kv_cache_update_no_write_back, _fake_dummy),
)


def _define(library_, kernel, fake, schema):
    tags = [torch.Tag.flexible_layout] if hasattr(torch.Tag, "flexible_layout") else []
    library_.define(schema, tags=tags)
    for device in ("CPU", "CUDA"):
        library_.impl(kernel.__name__, kernel, device)
    library_.impl(kernel.__name__, fake, "Meta")


def register():
    """Registers the operations, each once in a process; those with a layer_name when it is known what names a layer."""
    global _library
    with _lock:
        if _library is None:
            _library = torch.library.Library("regraft", "FRAGMENT")
        for kernel, fake in OPERATIONS:
            schema = library.schema_of(f"regraft.{kernel.__name__}").removeprefix("regraft::")
            if "str layer_name" in schema:
                kind = layers.name_type()
                schema = schema.replace("str layer_name", f"{kind} layer_name") if kind else None
            if schema and kernel.__name__ not in _registered:
                _define(_library, kernel, fake, schema)
                _registered.add(kernel.__name__)
