"""Which operations a fusion may call in this process, for the graph that is being compiled; and why not the others."""
import contextlib
import functools

import torch

from . import kernels, layers, library, operations

# vLLM's operations that need another one to be there, which a build for another platform has not.
NEEDS = {"vllm.fused_rope_unified_mla_kv_cache_update": "_C_cache_ops.concat_and_cache_mla_rope_fused"}
# vLLM's operations whose kernel takes a table of the type of the query only.
SAME_TYPE = {"vllm.fused_rope_unified_mla_kv_cache_update"}


def registered(name):
    """The operation of torch.ops, "vllm.fused_rope_and_unified_kv_cache_update.default"; None when there is none."""
    namespace, packet, *overload = name.split(".")
    found = getattr(getattr(torch.ops, namespace), packet, None)
    return getattr(found, *overload, None) if found is not None and overload else found


@functools.cache
def _schema(text):
    return torch._C.parse_schema(text)


def _arguments(schema):
    def kind(argument):
        return "layer" if argument.name == "layer_name" else str(argument.type)
    return [(argument.name, kind(argument), bool(argument.alias_info and argument.alias_info.is_write))
            for argument in schema.arguments], [str(result.type) for result in schema.returns]


def _tables_differ(graph):
    """Whether a rotation of the graph looks its cosines up in a table of another type than the query's."""
    for node in graph.nodes:
        arguments = {name: value.meta.get("val") for name, value in node.kwargs.items() if isinstance(value, torch.fx.Node)}
        table, query = arguments.get("cos_sin_cache"), arguments.get("query")
        if isinstance(table, torch.Tensor) and isinstance(query, torch.Tensor) and table.dtype != query.dtype:
            return True
    return False


def _reason(name, found, graph, devices):
    """Why a rule must not call an operation that is there; "" when it may."""
    packet = name.rpartition(".")[0]
    if _arguments(found._schema) != _arguments(_schema(library.schema_of(name))):
        return f"{name} has another schema here: {found._schema}"
    if packet.startswith("regraft."):
        for device in sorted(devices):
            if reason := kernels.missing(device):
                return reason
    if packet in NEEDS and registered(NEEDS[packet]) is None:
        return f"{NEEDS[packet]}, which {name} calls, is not registered in this PyTorch"
    if packet in SAME_TYPE and _tables_differ(graph):
        return f"the kernel of {name} takes a cos_sin_cache of the query's type only"
    if "layer_name" not in [argument.name for argument in found._schema.arguments]:
        return ""
    try:
        return layers.reason(packet)
    except layers.Unknown as error:
        return str(error)


def _missing(name):
    packet = name.rpartition(".")[0]
    if packet.startswith("regraft.") and packet in layers.FITS:
        with contextlib.suppress(layers.Unknown):
            return layers.reason(packet) or f"{name} is not registered in this PyTorch"
    return f"{name} is not registered in this PyTorch"


def _reasons(graph, devices):
    """Of each operation that rules call: why it must not be called here, "" when it may."""
    reasons = {}
    for name in library.rule_operations():
        if name.split(".")[0] not in ("aten", "prims"):
            found = registered(name)
            reasons[name] = _missing(name) if found is None else _reason(name, found, graph, devices)
    return reasons


def declare(context, graph, devices, prefer="regraft"):
    """Tells the library which operations its rules may call, and why not the others. `devices`: the kinds that the graph's values
    are on. Where both vLLM and regraft have an operation, `prefer` says whose is called: "regraft" or "engine"."""
    with contextlib.suppress(RuntimeError):  # then they are not there
        operations.register()
    reasons = _reasons(graph, devices)
    for name, reason in reasons.items():
        ours = f"regraft.{name.partition('.')[2]}"
        if prefer == "regraft" and name != ours and reasons.get(ours) == "":
            reason = reason or f"{ours} is preferred to it (option prefer)"
        if reason:
            context.unavailable(name, reason)
