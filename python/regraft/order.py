"""What is computed from memory before a call writes it is made before that call.

Inductor only notes what it computes element by element, and makes it when somebody needs it. Where a custom operation writes memory
that a note reads, the note is made in time, but PyTorch lists it behind the call (docs/pytorch.md, Order). There it reads what the call
has written, and it cannot be fused with what is computed before. A node that asks for the strides that a value has anyway makes
Inductor compute the value where that node stands, without a copy."""
import operator

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols, statically_known_true

# Namespaces of operations that Inductor computes itself; vLLM's own representation becomes such operations later.
NAMESPACES = ("aten", "prims", "vllm_ir")
# Of these, what is a kernel of its own: its result is in memory at once, and so is nobody's note.
KERNELS = {"mm", "addmm", "bmm", "baddbmm", "_scaled_mm", "_int_mm", "convolution", "convolution_backward"}


def _schema(node):
    return getattr(node.target, "_schema", None)


def _is_view(node):
    """Whether the result lies in memory of the first argument."""
    if node.target is operator.getitem:
        return True
    schema = _schema(node)
    return schema is not None and any(result.alias_info and not result.alias_info.is_write for result in schema.returns)


def _is_noted(node):
    from torch._inductor.lowering import fallbacks
    target = node.target
    return (isinstance(target, torch._ops.OpOverload) and target.namespace in NAMESPACES and not target._schema.is_mutable
            and target._schema.name.partition("::")[2] not in KERNELS and target not in fallbacks)


def _owner(node):
    """The node whose memory a view lies in."""
    while node.op == "call_function" and _is_view(node) and isinstance(node.args[0], torch.fx.Node):
        node = node.args[0]
    return node


def is_part(node):
    """Whether a view surely shows less than the memory that it lies in: Inductor drops views of all."""
    value, whole = node.meta.get("val"), _owner(node).meta.get("val")
    return (isinstance(value, FakeTensor) and isinstance(whole, FakeTensor) and value.dtype == whole.dtype
            and statically_known_true(value.numel() < whole.numel()))


def _written(call):
    """The arguments that a raw call of a custom operation writes."""
    schema = _schema(call)
    if call.op != "call_function" or schema is None or not schema.is_mutable or call.target.namespace in ("aten", "prims"):
        return []
    values = dict(zip((argument.name for argument in schema.arguments), call.args, strict=False)) | call.kwargs
    found = []
    for argument in schema.arguments:
        value = values.get(argument.name)
        if argument.alias_info and argument.alias_info.is_write:
            found += value if isinstance(value, (list, tuple)) else [value]
    return [value for value in found if isinstance(value, torch.fx.Node)]


def _value(node):
    """A value like the node's in memory of its own; None where Inductor cannot be asked for its strides: symbols that only data
    decide have no order."""
    value = node.meta.get("val")
    if not isinstance(value, FakeTensor) or value.layout is not torch.strided or free_unbacked_symbols(value):
        return None
    with value.fake_mode:
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=value.device)


def _spelled(node, value, added):
    """The strides as arguments of a node: those with symbols are asked of `node`, by nodes that are added to the list."""
    graph, strides = node.graph, list(value.stride())
    for dimension, stride in enumerate(strides):
        if type(stride) is int:
            continue
        with graph.inserting_after(added[-1] if added else node):
            asked = graph.call_function(torch.ops.aten.sym_stride.int, (node, dimension))
        asked.meta["val"] = stride
        added.append(asked)
        strides[dimension] = asked
    return strides


class _Late:
    """The notes that read memory in front of a call and are needed behind it."""

    def __init__(self, place):
        self.place, self.found = place, {}  # of a node in the graph: its number

    def _users(self, node):
        return [user for user in node.users if user in self.place]

    def _readers(self, node):
        """Who uses the value or a view of it."""
        for user in self._users(node):
            if user.op == "call_function" and _is_view(user):
                yield from self._readers(user)
            yield user

    def _is_late(self, node, call):
        """Whether it is used behind the call, and not by the call, which would have it made."""
        readers = list(self._readers(node))
        return call not in readers and any(self.place[user] > self.place[call] for user in readers)

    def look(self, call):
        lying = [_owner(value) for value in _written(call)]  # what lies in memory that the call writes
        noted, seen = [], set(lying)
        while lying or noted:
            in_memory = bool(lying)
            node = (lying or noted).pop()
            for user in self._users(node):
                if user in seen or user.op != "call_function" or self.place[user] >= self.place[call]:
                    continue
                seen.add(user)
                if _is_view(user):
                    (lying if in_memory else noted).append(user)
                elif _is_noted(user) and user not in self.found:
                    if self._is_late(user, call) and (value := _value(user)) is not None:
                        self.found[user] = value
                    else:
                        noted.append(user)


def late(graph, calls, removed):
    """What `calls`, raw calls among the nodes of the graph, would make late: the nodes, each with another value like its own. Nodes in
    `removed` do not count."""
    if not calls:
        return {}
    found = _Late({node: number for number, node in enumerate(graph.nodes) if node not in removed})
    for call in calls:
        found.look(call)
    return found.found


def _ordered(node, value, added):
    """Asks for the strides that the value has anyway. The node that stands for it."""
    strides = _spelled(node, value, added)
    with node.graph.inserting_after(added[-1] if added else node):
        added.append(node.graph.call_function(torch.ops.prims.inductor_force_stride_order.default, (node, strides)))
    return added[-1]


def _copied(node, value, added):
    """Of one element any order is the one asked for, and Inductor makes nothing; a copy is made where it stands."""
    graph, options = node.graph, {"dtype": value.dtype, "device": value.device}
    with graph.inserting_after(node):
        memory = graph.call_function(torch.ops.aten.empty_strided.default, (list(value.shape), list(value.stride())), options)
    with graph.inserting_after(memory):
        copy = graph.call_function(torch.ops.aten.copy_.default, (memory, node))
    copy.meta.update(node.meta, val=value)
    added += memory, copy
    return memory


def pin(graph, values):
    """Has each of them made where it stands; what follows takes the node that asks for it for the value. (These nodes, what undoes
    it, last first.)"""
    pins, undo = [], []
    for node, value in values.items():
        added = []
        pinned = (_copied if type(value.numel()) is int and value.numel() == 1 else _ordered)(node, value, added)
        pinned.meta.update(node.meta, val=value)
        node.replace_all_uses_with(pinned, delete_user_cb=lambda user, added=added: user not in added)

        def back(node=node, pinned=pinned, added=added):
            pinned.replace_all_uses_with(node, delete_user_cb=lambda user: user not in added)
            for one in reversed(added):
                graph.erase_node(one)
        pins += added
        undo.append(back)
    return pins, undo
