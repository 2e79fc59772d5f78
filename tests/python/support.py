"""Running models through the bridge: with Inductor, or with the graphs run as they are, which is quick."""
import copy
import glob
import json
import os
import pathlib
import subprocess
import warnings

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._dynamo.backends.common import aot_autograd
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils import _pytree as pytree

from conftest import ROOT, TRACE
from regraft import bridge, options

TOOL = os.environ.get("REGRAFT_TOOL", str(ROOT / "build" / "regraft"))


def clones(values):
    return [value.clone() if isinstance(value, torch.Tensor) else value for value in values]


def run(model, arguments, tokens=None):
    """(results, inputs as they are left). A first dimension of size `tokens` is symbolic."""
    arguments = clones(arguments)
    for argument in arguments:
        if tokens is not None and argument.shape[0] == tokens:
            torch._dynamo.mark_dynamic(argument, 0)
    results = model(*arguments)
    return (results if isinstance(results, tuple) else (results,)), arguments


def assert_same(expected, found, tolerance=1e-5):
    for kind, left, right in zip(("result", "input"), expected, found, strict=True):
        assert len(left) == len(right)
        for index, (a, b) in enumerate(zip(left, right, strict=True)):
            assert torch.allclose(a, b, rtol=tolerance, atol=tolerance), f"{kind} {index} differs: {a} {b}"


def description(value, given):
    """All that a later pass may ask of a fake value: layouts, and which of the tensors `given` share its memory."""
    if isinstance(value, (list, tuple)):
        return type(value), [description(item, given) for item in value]
    if not isinstance(value, torch.Tensor):
        return str(value)
    storages = [tensor.untyped_storage()._cdata == value.untyped_storage()._cdata for tensor in given]
    return (type(value), str(value.shape), str(value.stride()), str(value.storage_offset()), value.dtype, value.device,
            value.layout, value.requires_grad, value.fake_mode, storages)


def assert_propagated(nodes, mode):
    """The values of nodes are those that PyTorch's propagation of fake tensors gives."""
    for node in nodes:
        args, kwargs = torch.fx.map_arg((node.args, node.kwargs), lambda argument: argument.meta["val"])
        given = [tensor for tensor in pytree.tree_leaves((args, kwargs)) if isinstance(tensor, FakeTensor)]
        with mode, enable_python_dispatcher():
            expected = node.target(*args, **kwargs)
        assert description(node.meta["val"], given) == description(expected, given), node.format_node()


class Graphs:
    """A backend that runs each functional graph as it is after `change`; keeps what was there before and after."""

    def __init__(self, change=None):
        self.change = change or (lambda graph: bridge.optimize(graph, options.make()))
        self.before, self.after, self.records = [], [], []
        self.backend = aot_autograd(fw_compiler=self._compile, keep_inference_input_mutations=True)

    def _compile(self, module, example_inputs):
        self.before.append(copy.deepcopy(module))
        old = set(module.graph.nodes)
        self.records.append(self.change(module.graph))
        module.graph.lint()
        mode = torch._guards.detect_fake_mode([node.meta.get("val") for node in old])
        assert_propagated([node for node in module.graph.nodes if node not in old], mode)
        assert not mode.in_kernel_invocation
        module.recompile()
        self.after.append(module)

        def boxed(arguments):
            return module(*arguments)
        boxed._boxed_call = True
        return boxed

    def run(self, model, arguments, dynamic=False, second_encoding=True):
        with torch._inductor.config.patch(enable_auto_functionalized_v2=second_encoding), torch.no_grad():
            return run(torch.compile(model, backend=self.backend), arguments, len(arguments[0]) if dynamic else None)


def targets(graph):
    return [str(node.target) for node in graph.nodes if node.op == "call_function"]


def snapshot(graph):
    """All that must stay when a graph is left: nodes in order with their arguments and metadata."""
    return [(node, node.op, node.target, node.args, dict(node.kwargs), sorted(node.meta)) for node in graph.nodes]


def tool(*arguments, check=True):
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True, check=check)


def trace_log():
    """What PyTorch wrote of all compilations of this process."""
    logs = glob.glob(f"{TRACE}/*")
    assert len(logs) == 1, logs
    return logs[0]


def audits():
    """What `audit` says of each graph that this process compiled with Inductor."""
    return json.loads(tool("audit", "--format=json", trace_log()).stdout)["graphs"]


def caught(action):
    """(what the action gives, the warnings of regraft)"""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        result = action()
    return result, [str(warning.message) for warning in found if issubclass(warning.category, bridge.RegraftWarning)]


def graph_files():
    folder = pathlib.Path(os.environ.get("REGRAFT_GRAPHS", ROOT / "build" / "graphs"))
    return sorted(folder.glob("*/*/graph.txt"))
