"""The cache of a layer, found by the layer's name as vLLM's own operations find it: in the forward context of the step."""
import sys

import torch


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


# ---- what kernels write as the layer would ----

def _elsewhere(layer):
    if getattr(layer, "hisparse_cache", None) is not None or getattr(layer, "use_pcp", False):
        return "what is written to its cache is gathered from other processes or goes to another memory first"
    return ""


def _writer(layer):
    return getattr(type(layer.impl), "do_kv_cache_update", None)


def _ours_latent(layer):
    """Why the latent cache of a layer is not one that our kernel for CPUs writes as the layer does; "" when it is."""
    known = getattr(_module("v1.attention.backends.mla.cpu_mla"), "CPUMLAImpl", None)
    if known is None or _writer(layer) is not known.do_kv_cache_update:
        return f"{type(layer.impl).__name__} writes its cache in a layout that our kernel does not know"
    return _elsewhere(layer)


def _vllms_latent(layer):
    """The same for vLLM's fused operation, which calls one kernel for all layers."""
    if getattr(_writer(layer), "__module__", None) != "vllm.v1.attention.backend":
        return f"{type(layer.impl).__name__} writes its cache by a kernel of its own, not by concat_and_cache_mla"
    return _elsewhere(layer)


def _ours_paged(layer):
    return f"{type(layer.impl).__name__} writes its cache in a layout that no kernel of ours knows"


def _vllms_paged(layer):
    supported = getattr(layer.impl, "fused_rope_kvcache_supported", None)
    return "" if supported and supported() else f"{type(layer.impl).__name__} has no fused kernel (fused_rope_kvcache_supported)"


# Of an operation with a layer_name: which layers it is for, and why it does not fit one.
FITS = {
    "regraft.fused_rope_unified_mla_kv_cache_update": (True, _ours_latent),
    "regraft.fused_rope_unified_mla_kv_cache_update_k_pe_out": (True, _ours_latent),
    "regraft.fused_rope_unified_mla_kv_cache_update_no_write_back": (True, _ours_latent),
    "regraft.fused_rope_and_unified_kv_cache_update": (False, _ours_paged),
    "vllm.fused_rope_unified_mla_kv_cache_update": (True, _vllms_latent),
    "vllm.fused_rope_and_unified_kv_cache_update": (False, _vllms_paged),
}


def reason(operation):
    """Why an operation does not write the cache of some layer of the model that is being compiled as the layer itself does; ""
    when it does for all. Which layer a call is for may only be known when it runs."""
    if operation not in FITS:
        return "it is not known which layers it is for"
    latent_attention, why = FITS[operation]
    for name, layer in all_layers().items():
        if hasattr(layer, "impl") and hasattr(layer, "kv_lora_rank") == latent_attention and (found := why(layer)):
            return f"{found} (layer {name})"
    return ""


def latent(name, kv_c, width):
    """(layer's cache as [blocks, block_size, width], slots [tokens]) where our kernel may write it as the layer would; None: the
    layer's own operation has to, or nothing is written in this step."""
    _, layer, cache, slots = find(name)
    if slots is None or _ours_latent(layer) or cache.dim() < 2 or cache.shape[-1] != width:
        return None
    fits = cache.dtype == kv_c.dtype and cache.is_contiguous() and slots.numel() == kv_c.shape[0] and cache.numel() > 0
    return (cache.view(-1, cache.shape[-2], width), slots) if fits else None
