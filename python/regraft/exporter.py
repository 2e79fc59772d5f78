"""The library's edits back into the live torch.fx.Graph.

When anything fails the graph is put back as it was. Nodes that stay keep their identity, name and metadata; only their
arguments and their place change."""
import operator
import struct
from array import array

import sympy
import torch

from . import importer as numbers
from . import library, order
from .importer import Unsupported, schema_name
from .values import Values

KEPT, ARGUMENTS, NEW = range(3)


class Exporter:
    def __init__(self, graph, importer, keep_clones=True):
        self.graph, self.importer, self.keep_clones = graph, importer, keep_clones
        self.operators = {text: function for function, text in numbers.OPERATORS.items()}
        self.values = Values(importer)
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
            found = torch.ops
            for name in text.split("."):  # those of higher order have no overloads
                found = getattr(found, name)
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
            node = self.graph.create_node("call_function", self._target(kind, self.importer.text(target)),
                                          name=self.importer.text(name))
        self.undo.append(lambda: self.graph.erase_node(node))
        node.args, node.kwargs = args, kwargs  # given at once, each would be searched for raw SymInts
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

    def _propagate(self, changed):
        """Values of new nodes. Nodes that stay keep theirs: where one now lies in another's memory, Inductor's own update of
        fake tensors, which follows every custom pass, finds its changed arguments and gives it a value in that memory."""
        new = [(node, words[5]) for node, words in changed if node in self.new]
        self.values.give([node for node, _ in new], [number for _, number in new])

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
            self._keep_apart(copy, True)
            self.dead.append(node)

    # ---- copies ----

    def _keep_copies_apart(self, nodes):
        for node in nodes:
            if node.target is torch.ops.aten.copy_.default and node in self.new:
                self._keep_apart(node, node.args[0] in self.new and _allocates(node.args[0]))

    def _keep_apart(self, copy, fresh):
        """Inductor's copy_ of a whole buffer to a whole one copies nothing: from there on both are names of one memory (mutate_to).
        Through a view it copies. So a whole buffer that is copied into fresh memory is read through a view of it, and other
        memory, but for the graph's inputs, is written through one."""
        index = 1 if fresh else 0
        seen, old = copy.args[index], copy.args
        if (index == 0 and seen.op == "placeholder") or order.is_part(seen):
            return
        with self.graph.inserting_before(copy):
            view = self.graph.call_function(torch.ops.aten.permute.default, (seen, list(range(seen.meta["val"].dim()))))
        self.undo.append(lambda: self.graph.erase_node(view))
        view.meta["val"] = seen.meta["val"]

        def back():
            copy.args = old
        self.undo.append(back)
        copy.update_arg(index, view)

    # ---- all ----

    def apply(self, edits, values):
        """Makes the edits, or raises and leaves the graph as it was. Whether there were any."""
        edits, values = _words(edits), _words(values)
        self.fresh = {}
        self.new = set()
        self.traces = self._traces({edits[at + 6] for at in range(0, len(edits), 10) if edits[at] == NEW} - {-1})
        try:
            changed = self._edit(edits, values)
            late = order.late(self.graph, [node for node, _ in changed if node in self.new], self.removed)
            pins, undo = order.pin(self.graph, late)
            self.undo += undo
            self.values.known.update(dict.fromkeys(pins))  # the library knows no type of them: what follows is propagated
            self._propagate(changed)
            if not self.keep_clones:
                self._respell_clones([node for node, _ in changed])
            self._keep_copies_apart([node for node, _ in changed])
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


def _allocates(node):
    return isinstance(node.target, torch._ops.OpOverload) and library.class_of(schema_name(node.target)) == "allocate"


# What a new node takes from the one that it stands for.
TRACE_KEYS = ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node", "original_aten")


def _words(data):
    words = array("q")
    words.frombytes(data)
    return words


def _functions():
    from torch.utils._sympy import functions
    names = ("FloorDiv", "CleanDiv", "CeilDiv", "ModularIndexing", "Mod", "Max", "Min", "PythonMod")
    return {name: getattr(functions, name) for name in names if hasattr(functions, name)}
