"""The values (`meta["val"]`) of new nodes: what PyTorch's own propagation of fake tensors gives.

Propagating one call takes milliseconds, and a model has the same few calls in every layer. So a value that was propagated leaves a
recipe: the next call of the same operation with such arguments gets the same windows on the memory of its first argument, or a
fresh tensor of the same layout. Where such a recipe is not known to hold, the call is propagated."""
import contextlib
import itertools
import operator
import typing
from collections.abc import Callable

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensor, in_kernel_invocation_manager
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols
from torch.utils import _pytree as pytree

from . import importer as numbers
from . import library
from .importer import Unsupported


class Known(typing.NamedTuple):
    """All that a value is to an operation that computes a layout: the number of its type (element type, device, sizes, strides) and
    its offset into its storage; of a list, the number of its type and what is known of each item."""
    type: int
    offset: int
    items: tuple = ()


class Recipe(typing.NamedTuple):
    make: Callable  # from the first argument to the value, where fake tensors of `mode` are their meta tensors
    mode: object
    known: Known


class Target(typing.NamedTuple):
    """What is asked of each call of an operation."""
    gives_nothing: bool
    owes_strides: bool
    repeats: bool   # calls with arguments of equal types, and equal other ones, give values of equal layouts
    ignored: tuple  # places and names of arguments that layouts do not depend on


def _target(target):
    if not isinstance(target, torch._ops.OpOverload):
        return Target(False, numbers.owes_strides(target), False, ())
    names = [argument.name for argument in target._schema.arguments]
    fused = f"{target.namespace}.{target._opname}.{target._overloadname}" in library.rule_operations()
    # the rules state what a fused operation gives, which does not depend on the layer that it is for
    ignored = (names.index("layer_name"), "layer_name") if fused and "layer_name" in names else ()
    return Target(not target._schema.returns, numbers.owes_strides(target),
                  fused or target.namespace in numbers.STATELESS_NAMESPACES, ignored)


class Values:
    """Gives new nodes their values."""

    def __init__(self, importer):
        self.importer = importer
        self.targets = {}
        self.recipes = {}
        self.known = {}     # node -> Known, None when nothing is
        self.mode, self.meta = None, contextlib.ExitStack()  # of what fake mode fake tensors are meta tensors now

    def target(self, target):
        found = self.targets.get(target)
        if found is None:
            found = self.targets[target] = _target(target)
        return found

    def give(self, nodes, expected):
        """In the order of the graph. `expected`: the library's type of what each gives."""
        new = set(nodes)
        for node in nodes:
            for argument in itertools.chain(node.args, node.kwargs.values()):
                if isinstance(argument, torch.fx.Node) and argument not in new:
                    self._known(argument)
        with self.meta:
            for node, number in zip(nodes, expected, strict=True):
                self._give(node, number)
        self.mode = None

    def _give(self, node, expected):
        target = self.target(node.target)
        value = None if target.gives_nothing else self._value(node, target)
        known = self.known.setdefault(node, None)
        self._compare(node, value, numbers.TYPE_NONE if value is None else known and known.type, expected)
        node.meta["val"] = value
        if target.owes_strides:
            node.meta["eager_input_vals"] = (tuple(map(_value_of, node.args)),
                                             {name: _value_of(argument) for name, argument in node.kwargs.items()})

    def _compare(self, node, value, theirs, ours):
        """The library and PyTorch must agree on what the node gives."""
        if ours == numbers.TYPE_UNKNOWN:
            return
        if theirs is None:
            self._leave_meta()
            theirs = self.importer.type(value)
        if ours != theirs and not self.importer.context.same_type(ours, theirs):
            self._leave_meta()
            raise Unsupported(f"{node.name}: PyTorch gives {value}, which is not what regraft expects")

    # ---- one value ----

    def _value(self, node, target):
        base = _fake(node.args[0], node) if node.args and isinstance(node.args[0], torch.fx.Node) else None
        if node.target is operator.getitem and isinstance(base, (list, tuple)):
            known = self._known(node.args[0])
            self.known[node] = known and known.items[node.args[1]]
            return base[node.args[1]]
        key = self._key(node, target)
        recipe = self.recipes.get(key)
        if recipe is None:
            return self._propagate(node, base, key)
        self.known[node] = recipe.known
        self._on_meta(recipe.mode)
        return recipe.make(base)

    def _on_meta(self, mode):
        """From now on fake tensors are their meta tensors, as where PyTorch takes a value from its cache: a tenth of the time of a
        call. Their devices and operations on them are not what they seem until _leave_meta."""
        if self.mode is not mode:
            self._leave_meta()
            self.meta.enter_context(mode.shape_env.suppress_guards() if mode.shape_env else contextlib.nullcontext())
            self.meta.enter_context(in_kernel_invocation_manager(mode))
            self.mode = mode

    def _leave_meta(self):
        self.meta.close()
        self.mode = None

    def _propagate(self, node, base, key):
        self._leave_meta()
        args, kwargs = torch.fx.map_arg((node.args, node.kwargs), lambda argument: _fake(argument, node))
        with self._fake_mode(), enable_python_dispatcher():
            value = node.target(*args, **kwargs)
        known = self.known[node] = self._known_of(value, self.importer.type(value))
        make = _recipe(value, base, args, kwargs) if key and known else None
        if make:
            self.recipes[key] = Recipe(make, pytree.tree_leaves(value)[0].fake_mode, known)
        return value

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

    # ---- what calls have in common ----

    def _key(self, node, target):
        """What decides the layout of the value of a call; None when it is not known."""
        if not target.repeats:
            return None
        part = self._part
        if not target.ignored:
            return (node.target, *map(part, node.args), *node.kwargs, *map(part, node.kwargs.values()))
        place, name = target.ignored
        return (node.target, *(part(argument) for at, argument in enumerate(node.args) if at != place),
                *((key, part(argument)) for key, argument in node.kwargs.items() if key != name))

    def _part(self, argument):
        if isinstance(argument, torch.fx.Node):
            return self._known(argument) or argument  # an argument of which nothing is known is only like itself
        return repr(argument)

    def _known(self, node):
        if node not in self.known:
            self.known[node] = self._known_of(node.meta.get("val"), self.importer.type_of(node))
        return self.known[node]

    def _known_of(self, value, number):
        if isinstance(value, (list, tuple)):
            items = tuple([self._known_of(item, self.importer.type(item)) for item in value])
            return None if None in items else Known(number, 0, items)
        if number == numbers.TYPE_UNKNOWN or not isinstance(value, FakeTensor):
            return None
        special = value.requires_grad or value.constant is not None or value.is_conj() or value.is_neg()
        return None if special else Known(number, self.importer.dimension(value.storage_offset()))


def _fake(argument, user):
    if "val" not in argument.meta:
        raise Unsupported(f"{argument.name}, which {user.name} needs, has no value")
    return argument.meta["val"]


def _value_of(argument):
    if isinstance(argument, torch.fx.Node):
        return argument.meta.get("val")
    if isinstance(argument, (list, tuple, dict, slice)):
        return torch.fx.map_arg(argument, lambda node: node.meta.get("val"))
    return argument


# ---- recipes ----

def _windows(base, windows):
    return [FakeTensor(base.fake_mode, base.as_strided(*window), base.fake_device) for window in windows]


def _fresh(likes):
    return [FakeTensor(like.fake_mode, torch.empty_strided(like.shape, like.stride(), dtype=like.dtype, device="meta"),
                       like.fake_device) for like in likes]


def _recipe(value, base, args, kwargs):
    """A function from the first argument to the value of a call, for all calls with the same key as one that gave `value`;
    None when there is none."""
    if value is base:
        return lambda base: base
    many = isinstance(value, (list, tuple))
    parts, kind = (value, type(value)) if many else ([value], operator.itemgetter(0))
    given = [tensor for tensor in pytree.tree_leaves((args, kwargs)) if isinstance(tensor, torch.Tensor)]
    if not all(type(part) is FakeTensor for part in parts) or free_unbacked_symbols(parts) - free_unbacked_symbols(given):
        return None
    if isinstance(base, FakeTensor) and _lie_in(parts, base):
        windows = [(part.shape, part.stride(), part.storage_offset()) for part in parts]
        return lambda base: kind(_windows(base, windows))
    storages = {_storage(tensor) for tensor in [*given, *parts]}
    alone = len(storages) == len({_storage(tensor) for tensor in given}) + len(parts)
    return (lambda base: kind(_fresh(parts))) if parts and alone and not any(part.storage_offset() for part in parts) else None


def _storage(tensor):
    return tensor.untyped_storage()._cdata


def _lie_in(parts, base):
    """Whether all of a result is memory of the argument."""
    return all(part.dtype == base.dtype and part is not base and _storage(part) == _storage(base) for part in parts)
