"""The library's edits back into the live torch.fx.Graph.

When anything fails the graph is put back as it was. Nodes that stay keep their identity, name and metadata; only their
arguments and their place change."""
import contextlib
import operator
import struct
import typing
from array import array

import sympy
import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensor, in_kernel_invocation_manager
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols
from torch.utils import _pytree as pytree

from . import importer as numbers
from .importer import Unsupported

KEPT, ARGUMENTS, NEW = range(3)


class Exporter:
    def __init__(self, graph, importer, keep_clones=True):
        self.graph, self.importer, self.keep_clones = graph, importer, keep_clones
        self.operators = {text: function for function, text in numbers.OPERATORS.items()}
        self.targets = {}
        self.recipes = {}  # how values of calls with such arguments are made: evaluating one takes milliseconds
        self.dead = []  # new nodes that others have taken the place of
        self.undo = []  # what to do, last first, to get the graph back

    # ---- values ----

    def _object(self, text):
        if text not in self.importer.objects:
            value = {"Ellipsis": Ellipsis}.get(text, getattr(torch, text.removeprefix("torch."), None))
            if value is None:
                raise Unsupported(f"'{text}' stands for nothing in Python")
            return value
        return self.importer.objects[text]

    def _expression(self, number):
        """A symbolic integer that is no node: the input that carries it, or a SymInt."""
        text = self.importer.context.expression_text(number)
        expression = self.importer.expressions.get(number)
        if expression is None:
            env = self.importer.shape_env
            symbols = {str(symbol): symbol for symbol in env.var_to_range}
            expression = sympy.sympify(text, locals=symbols | _functions())
        for node in self.graph.find_nodes(op="placeholder"):
            value = node.meta.get("val")
            if isinstance(value, torch.SymInt) and value.node.expr == expression:
                return node
        return self.importer.shape_env.create_symintnode(expression, hint=None)

    def _items(self, values, at, count):
        items = []
        for _ in range(count):
            _, item, at = self._value(values, at)
            items.append(item)
        return items, at

    def _value(self, values, at):
        """(keyword, value, where the next one starts)"""
        kind, keyword, content = values[at:at + 3]
        keyword = None if keyword < 0 else self.importer.text(keyword)
        at += 3
        if kind in (numbers.LIST, numbers.TUPLE, numbers.SLICE):
            items, at = self._items(values, at, content)
            return keyword, {numbers.LIST: list, numbers.TUPLE: tuple}.get(kind, lambda three: slice(*three))(items), at
        if kind == numbers.DICTIONARY:
            raise Unsupported("the arguments of a call with a dictionary were changed")
        return keyword, self._plain(kind, content), at

    def _plain(self, kind, content):
        text = self.importer.text
        if kind == numbers.NODE:
            return self.node_of(content)
        if kind == numbers.NONE:
            return None
        if kind == numbers.BOOL:
            return bool(content)
        if kind == numbers.INTEGER:
            return content
        if kind == numbers.FLOAT:
            return struct.unpack("d", struct.pack("q", content))[0]
        if kind == numbers.STRING:
            return text(content)
        if kind == numbers.EXPRESSION:
            return self._expression(content)
        if kind == numbers.DTYPE:
            return getattr(torch, text(content))
        if kind == numbers.DEVICE:
            return torch.device(text(content))
        if kind == numbers.OPERATION:
            return self._operation(text(content))
        return self._object(text(content))

    def node_of(self, handle):
        return self.importer.nodes[handle] if handle < len(self.importer.nodes) else self.fresh[handle]

    # ---- targets ----

    def _operation(self, text):
        found = self.importer.by_text.get(text)
        if found is None:
            namespace, name, overload = text.split(".")
            found = getattr(getattr(getattr(torch.ops, namespace), name), overload)
        return found

    def _target(self, kind, text):
        if kind == numbers.GETITEM or text == "getitem":
            return operator.getitem
        if kind == numbers.OPERATOR:
            return self.operators[text]
        if kind == numbers.FUNCTION:
            return self.importer.by_text[text]
        return self._operation(text)

    # ---- changing the graph ----

    def _arguments(self, values, first, count):
        args, kwargs, at = [], {}, first * 3
        for _ in range(count):
            keyword, value, at = self._value(values, at)
            if keyword is None:
                args.append(value)
            else:
                kwargs[keyword] = value
        return tuple(args), kwargs

    def _make(self, words, values, last):
        _, handle, kind, name, target, _, source, first, _, count = words
        args, kwargs = self._arguments(values, first, count)
        if kind not in (numbers.CALL, numbers.GETITEM, numbers.OPERATOR, numbers.FUNCTION):
            raise Unsupported("the library made a node that is no call")
        with self.graph.inserting_after(last):
            node = self.graph.create_node("call_function", self._target(kind, self.importer.text(target)), args, kwargs,
                                          name=self.importer.text(name))
        self.undo.append(lambda: self.graph.erase_node(node))
        self.fresh[handle] = node
        self.new.add(node)
        if source in self.traces:
            node.meta.update(self.traces[source])
        return node

    def _traces(self, wanted):
        """Where new nodes come from: the metadata of a node of the same source line, by the number of its text."""
        found, sources = {}, self.importer.node_words[4::10]
        for source, node in zip(sources, self.importer.nodes, strict=True):
            if source in wanted and source not in found:
                found[source] = {key: node.meta[key] for key in TRACE_KEYS if key in node.meta}
        return found

    def _set_arguments(self, node, words, values):
        args, kwargs = self._arguments(values, words[7], words[9])
        old = node.args, node.kwargs

        def back():
            node.args, node.kwargs = old
        self.undo.append(back)
        if args != old[0]:
            node.args = args
        if kwargs != old[1]:
            node.kwargs = kwargs

    def _place(self, node, last):
        """Puts the node behind `last`; nodes that will be removed may stand between."""
        following = last._next
        while following is not node:
            if following not in self.removed:
                break
            following = following._next
        else:
            return
        before = node._prev
        self.undo.append(lambda: before.append(node))
        last.append(node)

    def _edit(self, edits, values):
        """All edits but the removals; the new and the changed nodes, in order, each with its edit."""
        nodes = self.importer.nodes
        kept = set(edits[1::10])
        self.removed = {node for place, node in enumerate(nodes) if place not in kept}
        changed, last = [], self.graph._root
        for at, edit, handle in zip(range(0, len(edits), 10), edits[::10], edits[1::10]):
            if edit == NEW:
                words = edits[at:at + 10]
                node = self._make(words, values, last)
                changed.append((node, words))
            else:
                node = nodes[handle]
                if last._next is not node:
                    self._place(node, last)
                if edit == ARGUMENTS:
                    words = edits[at:at + 10]
                    self._set_arguments(node, words, values)
                    changed.append((node, words))
            last = node
        return changed

    # ---- the values of new nodes ----

    def _evaluate(self, node):
        """The fake value of a call."""
        if self._of_target(node.target).gives_nothing:
            return None

        def fake(argument):
            if "val" not in argument.meta:
                raise Unsupported(f"{argument.name}, which {node.name} needs, has no value")
            return argument.meta["val"]
        base = fake(node.args[0]) if node.args and isinstance(node.args[0], torch.fx.Node) else None
        if node.target is operator.getitem and isinstance(base, (list, tuple)):
            return base[node.args[1]]
        key = self._key(node)
        if key in self.recipes:
            return self.recipes[key](base)
        args, kwargs = torch.fx.map_arg((node.args, node.kwargs), fake)
        with self._fake_mode(), enable_python_dispatcher():
            value = node.target(*args, **kwargs)
        recipe = _recipe(value, base, args, kwargs) if key else None
        if recipe:
            self.recipes[key] = recipe
        return value

    def _key(self, node):
        """What decides the layout of a value of PyTorch's own operations; None for others."""
        if getattr(node.target, "namespace", None) not in numbers.STATELESS_NAMESPACES:
            return None
        return (node.target, *map(self._part_of_key, node.args), *node.kwargs,
                *map(self._part_of_key, node.kwargs.values()))

    def _part_of_key(self, argument):
        value = argument.meta["val"] if isinstance(argument, torch.fx.Node) else None
        if isinstance(value, FakeTensor):
            return self.importer.type(value), self.importer.dimension(value.storage_offset())
        return repr(argument)

    def _of_target(self, target):
        found = self.targets.get(target)
        if found is None:
            nothing = isinstance(target, torch._ops.OpOverload) and not target._schema.returns
            found = self.targets[target] = Target(nothing, numbers.owes_strides(target))
        return found

    def _compare(self, node, value, words):
        """The library and PyTorch must agree on what the node gives."""
        theirs, ours = self.importer.type(value), words[5]
        if ours != numbers.TYPE_UNKNOWN and ours != theirs and not self.importer.context.same_type(ours, theirs):
            raise Unsupported(f"{node.name}: PyTorch gives {value}, which is not what regraft expects")

    def _set_eager_values(self, node):
        """Strides that the operation is owed: those that it is given here."""
        if not self._of_target(node.target).owes_strides:
            return
        node.meta["eager_input_vals"] = (tuple(map(_value_of, node.args)),
                                         {name: _value_of(argument) for name, argument in node.kwargs.items()})

    def _propagate(self, changed):
        """Values of new nodes. Nodes that stay keep theirs: where one now lies in another's memory, Inductor's own update of
        fake tensors, which follows every custom pass, finds its changed arguments and gives it a value in that memory."""
        for node, words in changed:
            if node in self.new:
                value = self._evaluate(node)
                self._compare(node, value, words)
                node.meta["val"] = value
                self._set_eager_values(node)

    # ---- clones ----

    def _respell_clones(self, nodes):
        """A new clone becomes empty_like and copy_, which no pass takes for superfluous."""
        for node in nodes:
            if node.target is not torch.ops.aten.clone.default or node not in self.new:
                continue
            with self.graph.inserting_before(node):
                empty = self.graph.call_function(torch.ops.aten.empty_like.default, node.args, node.kwargs)
                self.undo.append(lambda empty=empty: self.graph.erase_node(empty))
                empty.meta.update(node.meta)
                copy = self.graph.call_function(torch.ops.aten.copy_.default, (empty, node.args[0]))
                self.undo.append(lambda copy=copy: self.graph.erase_node(copy))
                copy.meta.update(node.meta)
            for user in list(node.users):
                old = user.args, user.kwargs

                def back(user=user, old=old):
                    user.args, user.kwargs = old
                self.undo.append(back)
                user.replace_input_with(node, empty)
            self.dead.append(node)

    # ---- all ----

    def apply(self, edits, values):
        """Makes the edits, or raises and leaves the graph as it was. Whether there were any."""
        edits, values = _words(edits), _words(values)
        self.fresh = {}
        self.new = set()
        self.traces = self._traces({edits[at + 6] for at in range(0, len(edits), 10) if edits[at] == NEW} - {-1})
        try:
            changed = self._edit(edits, values)
            self._propagate(changed)
            if not self.keep_clones:
                self._respell_clones([node for node, _ in changed])
            self._check_removed()
        except BaseException:
            for step in reversed(self.undo):
                step()
            raise
        for node in self.dead:
            self.graph.erase_node(node)
        for node in reversed(self.importer.nodes):
            if node in self.removed:
                self.graph.erase_node(node)
        return bool(changed or self.removed)

    def _check_removed(self):
        for node in self.removed:
            for user in node.users:
                if user not in self.removed:
                    raise Unsupported(f"{node.name} was removed, but {user.name} uses it")

    @contextlib.contextmanager
    def _fake_mode(self):
        fake = next((node.meta["val"] for node in self.importer.nodes if isinstance(node.meta.get("val"), FakeTensor)), None)
        if fake is None:
            yield
            return
        mode = fake.fake_mode
        cached = mode.cache_enabled
        mode.cache_enabled = False  # with symbolic sizes its bookkeeping takes longer than the operation
        try:
            with mode:
                yield
        finally:
            mode.cache_enabled = cached


# What a new node takes from the one that it stands for.
TRACE_KEYS = ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node", "original_aten")


class Target(typing.NamedTuple):
    """What is asked of each call of an operation."""
    gives_nothing: bool
    owes_strides: bool


def _value_of(argument):
    if isinstance(argument, torch.fx.Node):
        return argument.meta.get("val")
    if isinstance(argument, (list, tuple, dict, slice)):
        return torch.fx.map_arg(argument, lambda node: node.meta.get("val"))
    return argument


def _map(function, value):
    """Of one view, or of a list of them."""
    return [function(item) for item in value] if isinstance(value, list) else function(value)


@contextlib.contextmanager
def _on_meta(mode):
    """Fake tensors are their meta tensors, as where PyTorch takes a value from its cache: a tenth of the time of a call."""
    guards = mode.shape_env.suppress_guards() if mode.shape_env else contextlib.nullcontext()
    with in_kernel_invocation_manager(mode), guards:
        yield


def _window(base, sizes, strides, offset):
    with _on_meta(base.fake_mode):
        view = base.as_strided(sizes, strides, offset)
    return FakeTensor(base.fake_mode, view, base.fake_device)


def _fresh(like):
    with _on_meta(like.fake_mode):
        tensor = torch.empty_strided(like.shape, like.stride(), dtype=like.dtype, device="meta")
    return FakeTensor(like.fake_mode, tensor, like.fake_device)


def _recipe(value, base, args, kwargs):
    """A function from the first argument to the value of a call, for all calls with the same key as one that gave `value`;
    None when there is none."""
    if value is base:
        return lambda base: base
    if isinstance(base, FakeTensor) and _lies_in(value, base):
        windows = _map(lambda view: (view.shape, view.stride(), view.storage_offset()), value)
        return lambda base: _map(lambda window: _window(base, *window), windows)
    if not isinstance(value, FakeTensor) or value.requires_grad or free_unbacked_symbols(value):
        return None
    given = [tensor for tensor in pytree.tree_leaves((args, kwargs)) if isinstance(tensor, torch.Tensor)]
    if value.layout is not torch.strided or any(_storage(tensor) == _storage(value) for tensor in given):
        return None
    return lambda base: _fresh(value)


def _storage(tensor):
    return tensor.untyped_storage()._cdata


def _lies_in(value, base):
    """Whether all of a result is memory of the argument."""
    views = value if isinstance(value, list) else [value]
    return all(isinstance(view, FakeTensor) and view.dtype == base.dtype and view is not base
               and _storage(view) == _storage(base) for view in views)


def _words(data):
    words = array("q")
    words.frombytes(data)
    return words


def _functions():
    from torch.utils._sympy import functions
    names = ("FloorDiv", "CleanDiv", "CeilDiv", "ModularIndexing", "Mod", "Max", "Min", "PythonMod")
    return {name: getattr(functions, name) for name in names if hasattr(functions, name)}
