"""The cache of a layer, found by the layer's name as vLLM's own operations find it: in the forward context of the step.

Where in a cache a token goes is the layer's own business (`impl.do_kv_cache_update`). It is not guessed here: that function is
watched once, and where it does nothing but call the operation that our kernels stand for, the views that it makes of the cache are
the ones that they write."""
import sys
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Unknown(Exception):
    """No engine is here that knows layers, or a layer is of a kind that is not known; the text is the reason."""


def _module(name):
    """A module of vLLM, which is only asked when the program itself has loaded it: to import it has effects."""
    return sys.modules.get(f"vllm.{name}")


def _attention():
    found = _module("model_executor.layers.attention.attention")
    if not hasattr(found, "get_attention_context"):
        raise Unknown("there is no vLLM in this process whose forward context tells the caches of layers")
    return found


def name_type():
    """How a schema spells the type of a layer's name: "str", or vLLM's type of objects that stand for one; "": not known yet."""
    types = _module("utils.torch_utils")
    if types is None:
        return "str" if hasattr(torch.ops.vllm, "unified_mla_kv_cache_update") else ""
    kind = getattr(types, "LayerNameType", str)

    def named(layer_name):
        pass
    named.__annotations__ = {"layer_name": kind, "return": None}
    return torch.library.infer_schema(named, mutates_args=()).strip("()").split(" layer_name")[0]


def _resolve(name):
    return name if isinstance(name, str) else name.value


def find(name):
    """(metadata of the step, layer, its cache, its slot mapping or None)"""
    return _attention().get_attention_context(_resolve(name))


def all_layers():
    """The layers of the model that is being compiled, by name."""
    _attention()
    context = _module("forward_context")
    if not context.is_forward_context_available():
        raise Unknown("it is not compiled within a step of vLLM, whose forward context tells the caches of layers")
    return context.get_forward_context().no_compile_layers


# ---- what a layer's writer does ----

class _Watch(TorchDispatchMode):
    """Notes the calls that write, and does not make them."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        keywords = keywords or {}
        if not function._schema.is_mutable:
            return function(*arguments, **keywords)
        names = [argument.name for argument in function._schema.arguments]
        self.calls.append((str(function), dict(zip(names, arguments, strict=False)) | keywords))
        return None


def _same(a, b):
    """Whether two tensors are the same elements in the same places."""
    return (a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride() and a.storage_offset() == b.storage_offset()
            and a.untyped_storage()._cdata == b.untyped_storage()._cdata)


def _only_call(operation, given, write):
    """The arguments, by name, of the one call that `write` makes, when it is of `operation` and gets the tensors in `given`."""
    watch = _Watch()
    try:
        with watch:
            write()
    except Exception as error:
        raise Unknown(f"writes its cache in a way that is not known ({type(error).__name__}: {error})") from None
    if [name for name, _ in watch.calls] != [f"{operation}.default"]:
        made = ", ".join(name for name, _ in watch.calls) or "nothing that writes"
        raise Unknown(f"writes its cache by {made}, not by {operation}")
    (_, call), = watch.calls
    if not all(name in call and _same(call[name], tensor) for name, tensor in given.items()):
        raise Unknown(f"hands other tensors to {operation} than it is given")
    return call


def _elsewhere(layer):
    if getattr(layer, "hisparse_cache", None) is not None or getattr(layer, "use_pcp", False):
        raise Unknown("writes to other memory first, or gathers what it writes from other processes")


def _latent_call(layer, cache, kv_c, k_pe, slots, cache_type, scale):
    """What a layer with latent attention hands to concat_and_cache_mla for kv_c [tokens, rank] and k_pe [tokens, 1, rope]."""
    _elsewhere(layer)
    given = {"kv_c": kv_c, "k_pe": k_pe.squeeze(1), "slot_mapping": slots.flatten()}
    return _only_call("_C_cache_ops.concat_and_cache_mla", given, lambda: layer.impl.do_kv_cache_update(
        kv_c, k_pe, cache, slots, cache_type, scale))


def _paged_call(layer, cache, key, value, slots):
    """What a layer with grouped-query attention hands to reshape_and_cache_flash for key and value [tokens, heads, size]."""
    given = {"key": key, "value": value, "slot_mapping": slots}
    return _only_call("_C_cache_ops.reshape_and_cache_flash", given, lambda: layer.impl.do_kv_cache_update(
        layer, key, value, cache, slots))


def _plain_latent(layer):
    """Whether the layer writes rows [kv_c | k_pe] by indexing a contiguous cache, as vLLM's latent attention for CPUs does."""
    known = getattr(_module("v1.attention.backends.mla.cpu_mla"), "CPUMLAImpl", None)
    return known is not None and getattr(type(layer.impl), "do_kv_cache_update", None) is known.do_kv_cache_update


def _latent_write(layer, cache, kv_c, k_pe, slots, cache_type, scale):
    """The same as _latent_call, also for a layer that indexes: {kv_cache, kv_cache_dtype, scale}"""
    if not _plain_latent(layer):
        return _latent_call(layer, cache, kv_c, k_pe, slots, cache_type, scale)
    _elsewhere(layer)
    if cache.dtype != kv_c.dtype or not cache.is_contiguous():
        raise Unknown("has a cache that is converted or has gaps")
    rows = cache.view(-1, cache.shape[-2], kv_c.shape[-1] + k_pe.shape[-1])
    return {"kv_cache": rows, "kv_cache_dtype": "auto", "scale": None}


# ---- for the compiler: what fits all layers ----

def _sketch(*shape, dtype=torch.bfloat16):
    return torch.empty(shape, dtype=dtype, device="meta")


def _cache_type(layer):
    return getattr(layer, "kv_cache_dtype", "auto")


def _latent_sketch(layer):
    """Tensors like those that the layer will write, without memory."""
    rank, rope, cache_type = layer.kv_lora_rank, layer.qk_rope_head_dim, _cache_type(layer)
    dtype = torch.bfloat16 if cache_type == "auto" else torch.uint8
    return (_sketch(2, 16, rank + rope, dtype=dtype), _sketch(3, rank), _sketch(3, 1, rope),
            _sketch(3, dtype=torch.int64), cache_type, _sketch(1, dtype=torch.float32))


def _ours_latent(layer):
    """Raises Unknown where our kernel does not write the cache as the layer does."""
    if not _plain_latent(layer):
        _latent_call(layer, *_latent_sketch(layer))


def _vllms_latent(layer):
    """The same for vLLM's fused operation, which calls one kernel for all layers."""
    _latent_call(layer, *_latent_sketch(layer))


def _ours_paged(layer):
    heads, size = layer.num_kv_heads, layer.head_size
    backend = layer.get_attn_backend() if hasattr(layer, "get_attn_backend") else layer.attn_backend
    dtype = torch.bfloat16 if _cache_type(layer) == "auto" else torch.uint8
    if not hasattr(backend, "get_kv_cache_shape"):
        raise Unknown(f"has a cache of a layout of its own ({backend.__name__} has no get_kv_cache_shape)")
    cache = _sketch(*backend.get_kv_cache_shape(2, 16, heads, size), dtype=dtype)
    _paged_call(layer, cache, _sketch(3, heads, size), _sketch(3, heads, getattr(layer, "head_size_v", size)),
                _sketch(3, dtype=torch.int64))


def _vllms_paged(layer):
    supported = getattr(layer.impl, "fused_rope_kvcache_supported", None)
    if not (supported and supported()):
        raise Unknown("has no fused kernel (fused_rope_kvcache_supported)")


# Of an operation with a layer_name: which layers it is for, and what tells whether it fits one.
FITS = {
    "regraft.fused_rope_unified_mla_kv_cache_update": (True, _ours_latent),
    "regraft.fused_rope_unified_mla_kv_cache_update_k_pe_out": (True, _ours_latent),
    "regraft.fused_rope_unified_mla_kv_cache_update_no_write_back": (True, _ours_latent),
    "regraft.fused_rope_and_unified_kv_cache_update": (False, _ours_paged),
    "vllm.fused_rope_unified_mla_kv_cache_update": (True, _vllms_latent),
    "vllm.fused_rope_and_unified_kv_cache_update": (False, _vllms_paged),
}


def _does_not_fit(layer, check):
    try:
        check(layer)
    except Unknown as error:
        return str(error)
    except Exception as error:  # a layer that has not what such layers have
        return f"cannot be asked how it writes its cache ({type(error).__name__}: {error})"
    return ""


def reason(operation):
    """Why an operation does not write the cache of some layer of the model that is being compiled as the layer itself does; ""
    when it does for all. Which layer a call is for may only be known when it runs."""
    if operation not in FITS:
        return "it is not known which layers it is for"
    latent_attention, check = FITS[operation]
    for name, layer in all_layers().items():
        if hasattr(layer, "impl") and hasattr(layer, "kv_lora_rank") == latent_attention and (why := _does_not_fit(layer, check)):
            return f"{type(layer.impl).__name__} {why} (layer {name})"
    return ""


# ---- for the operations: the cache of this step ----

_made = weakref.WeakKeyDictionary()  # a layer: (what it depends on, what was made of its writer's call)


def _address(tensor):
    return tensor.data_ptr() if isinstance(tensor, torch.Tensor) else None


def _once(layer, cache, rest, write, make):
    """make(write()), made anew only when the cache has become another one, or the `rest` of what it depends on; None where the
    layer's own operation has to write."""
    depends = (cache.data_ptr(), cache.shape, cache.stride(), cache.dtype, *rest)
    found = _made.get(layer)
    if found is None or found[0] != depends:
        try:
            found = (depends, make(write()))
        except Unknown:
            found = (depends, None)
        _made[layer] = found
    return found[1]


def latent(name, kv_c, k_pe, cache_type, scale, make):
    """(make of what concat_and_cache_mla would get, by name, slots); None: the layer's own operation has to write the cache, or
    nothing is written in this step. kv_c [tokens, rank], k_pe [tokens, 1, rope]. What `make` gives must not keep the cache alive."""
    _, layer, cache, slots = find(name)
    if slots is None or cache.numel() == 0 or _plain_latent(layer) and slots.numel() != kv_c.shape[0]:
        return None
    made = _once(layer, cache, (kv_c.dtype, cache_type, _address(scale)),
                 lambda: _latent_write(layer, cache, kv_c, k_pe, slots, cache_type, scale), make)
    return made and (made, slots)


def paged(name, key, value, make):
    """The same for reshape_and_cache_flash; key and value [tokens, heads, size]."""
    _, layer, cache, slots = find(name)
    if slots is None or cache.numel() == 0:
        return None
    scales = (_address(getattr(layer, scale, None)) for scale in ("_k_scale", "_v_scale"))
    made = _once(layer, cache, (key.dtype, *scales), lambda: _paged_call(layer, cache, key, value, slots), make)
    return made and (made, slots)
