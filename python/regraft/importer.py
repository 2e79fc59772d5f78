"""A live torch.fx.Graph as the arrays that the library takes: numbers for texts, expressions, types, and one entry a node.

A graph is read, never changed here. What cannot be said in these arrays raises Unsupported."""
import operator
import re
import struct
from array import array

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx import Node
from torch.fx.graph import _get_qualified_name

from . import library

PLACEHOLDER, CALL, FUNCTION, GETITEM, OPERATOR, METHOD, ATTRIBUTE, OUTPUT = range(8)
(NONE, BOOL, INTEGER, FLOAT, STRING, NODE, EXPRESSION, DTYPE, DEVICE, LIST, TUPLE, DICTIONARY, SLICE, OPERATION,
 NAME) = range(15)
TYPE_UNKNOWN, TYPE_NONE, TYPE_OBJECT = range(3)
NOTHING = object()  # the value of a node that has none

# Names of Python's functions on numbers, as torch.fx prints them.
OPERATORS = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.floordiv: "//", operator.mod: "%",
    operator.truediv: "/", operator.pow: "**", operator.neg: "neg", operator.pos: "pos", operator.eq: "==",
    operator.ne: "!=", operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.and_: "&",
    operator.or_: "|", operator.xor: "^", operator.invert: "invert", operator.lshift: "<<", operator.rshift: ">>",
}
# Results of these depend on nothing but their arguments.
STATELESS_NAMESPACES = frozenset(["aten", "prims", "quantized_decomposed"])


# Operations of these are kernels, whose strides the library's table of contracts knows.
KERNEL_NAMESPACES = frozenset(["_C", "_C_cache_ops", "regraft"])


def owes_strides(target):
    """Whether PyTorch owes the operation the strides that it was traced with."""
    if not isinstance(target, torch._ops.OpOverload) or target.namespace in STATELESS_NAMESPACES:
        return False
    try:
        from torch.fx.experimental.proxy_tensor import _should_save_eager_input_vals
    except ImportError:
        return True
    return _should_save_eager_input_vals(target, None)


OFFSET = torch.ops.aten.sym_storage_offset.default
# passes may leave out a copy, and lay the results of the classes elsewhere
COPIES = frozenset(["aten::clone", "aten::contiguous", "aten::copy", "aten::_to_copy", "aten::lift_fresh_copy", "aten::reshape",
                    "aten::_unsafe_view", "prims::convert_element_type"])
LAID_ELSEWHERE = frozenset(["update", "allocate"])


def schema_name(target):
    """As in the table of operations: "aten::slice.Tensor"."""
    return str(target._schema).split("(", 1)[0]


def _lies_where_it_was(node):
    """Whether the memory of the value is where it was in the trace, whatever passes do: nothing but calls in place writes it."""
    while node.op == "call_function":
        target, first = node.target, node.args[0] if node.args and isinstance(node.args[0], Node) else None
        if isinstance(target, torch._ops.HigherOrderOperator):
            bases = node.kwargs.get("_all_bases") or [value for value in node.kwargs.values() if isinstance(value, Node)]
            return all(isinstance(base, Node) and _lies_where_it_was(base) for base in bases)
        if target is not operator.getitem:
            if not isinstance(target, torch._ops.OpOverload):
                return False
            if not any(result.alias_info for result in target._schema.returns):
                name = schema_name(target)
                return name not in COPIES and library.class_of(name) not in LAID_ELSEWHERE
        if first is None:
            return False
        node = first
    return node.op == "placeholder"


class Unsupported(Exception):
    """Something in the graph that the library's interface cannot express."""


def _frame(trace):
    """The innermost frame of a stack trace, as torch.fx prints it over a statement; None when there is none."""
    at = trace.rfind('File "')
    if at < 0:
        return None
    match = re.match(r'File "(.+)", line (\d+), in (.+)\n?\s*(.*)', trace[at:])
    if not match:
        return None
    file, line, name, code = match.groups()
    return f"{file}:{line} in {name}, code: {code.strip()}"


class Importer:
    """The numbers of one compilation, and the arrays of its graph."""

    def __init__(self, context):
        self.context = context
        self.strings, self.texts = {}, []
        self.sent = 0
        self.symbolic = {}     # the SymNode of a SymInt -> dimension
        self.dimensions = {}   # sympy expression -> dimension
        self.expressions = {}  # number -> sympy expression
        self.types = {}
        self.tuples = {}
        self.integers = {}
        self.targets = {}      # id of a call's target -> (kind, number of its text); hashing an operation is slow
        self.operations = {}   # an operation of torch.ops -> its text
        self.by_text = {}      # the text of a target -> the target
        self.custom = []       # schemas of operations that are not PyTorch's own
        self.objects = {}      # the text of a value that only Python understands -> the value
        self.frames = {}
        self.dtypes = {}
        self.shape_env = None
        self.offsets_stay = True  # what is asked where it lies, lies there whatever passes do
        self.nodes, self.node_words, self.values = [], [], []
        self.places = {}       # fx node -> its place

    # ---- texts ----

    def string(self, text):
        number = self.strings.get(text)
        if number is None:
            number = self.strings[text] = len(self.texts)
            self.texts.append(text)
        return number

    def flush(self):
        """Hands the texts over that the library does not have yet."""
        if self.sent < len(self.texts):
            data = "\0".join(self.texts[self.sent:]) + "\0"
            if data.count("\0") != len(self.texts) - self.sent:
                raise Unsupported("a text with a zero byte")
            self.context.strings(data)
            self.sent = len(self.texts)

    def text(self, number):
        if number >= len(self.texts):
            return self.context.string_text(number)
        return self.texts[number]

    # ---- numbers with symbols ----

    def _expression(self, expression):
        dimension = self.dimensions.get(expression)
        if dimension is None:
            if expression.is_Integer and expression >= 0:
                dimension = int(expression)
            else:
                number = self.context.expression(str(expression))
                self.expressions[number] = expression
                dimension = ~number
                self._ranges(expression)
            self.dimensions[expression] = dimension
        return dimension

    def _ranges(self, expression):
        """Bounds of unbacked symbols. Those of backed ones are guards, which an engine may have dropped."""
        for symbol in expression.free_symbols:
            known = self.shape_env.var_to_range.get(symbol) if str(symbol).startswith("u") else None
            if known is None:
                continue
            bounds = [int(bound) if bound.is_Integer and abs(int(bound)) < 2 ** 62 else otherwise
                      for bound, otherwise in ((known.lower, -2 ** 63), (known.upper, 2 ** 63 - 1))]
            self.context.range(str(symbol), *bounds)

    def dimension(self, value):
        """A size, stride or offset."""
        if type(value) is int:
            return value
        if not isinstance(value, torch.SymInt):
            return int(value)
        node = value.node
        dimension = self.symbolic.get(node)
        if dimension is None:
            if self.shape_env is None:
                self.shape_env = getattr(node, "shape_env", None)
            dimension = self.symbolic[node] = self._expression(node.expr)
        return dimension

    # ---- types ----

    def _tensor(self, value):
        if value.layout is not torch.strided:
            return TYPE_UNKNOWN
        symbolic, missing = self.symbolic, self.dimension
        key = (value.dtype, value.device,
               tuple([n if type(n) is int else symbolic.get(n.node) or missing(n) for n in value.shape]),
               tuple([n if type(n) is int else symbolic.get(n.node) or missing(n) for n in value.stride()]))
        number = self.types.get(key)
        if number is None:
            dtype, device, sizes, strides = key
            number = self.types[key] = self.context.tensor(str(dtype)[6:], str(device), sizes, strides)
        return number

    def type(self, value):
        if type(value) is FakeTensor or isinstance(value, torch.Tensor):
            return self._tensor(value)
        if value is None:
            return TYPE_NONE
        if isinstance(value, torch.SymInt) or (type(value) is int and value >= 0):
            dimension = self.dimension(value)
            if dimension not in self.integers:
                self.integers[dimension] = self.context.integer(dimension)
            return self.integers[dimension]
        if isinstance(value, (list, tuple)):
            items = tuple(map(self.type, value))
            if items not in self.tuples:
                self.tuples[items] = self.context.tuple(items)
            return self.tuples[items]
        return TYPE_UNKNOWN

    def type_of(self, node):
        """Of the value of a node of the graph."""
        return self.node_words[10 * self.places[node] + 3]

    def devices(self):
        """The kinds of devices that values of the graph are on."""
        return {device.type for _, device, *_ in self.types}

    # ---- operations ----

    def _operation(self, target):
        schema, name = str(target._schema), str(target)
        if target is OFFSET and self.offsets_stay:
            schema, name = schema.replace("aten::", "traced::", 1), name.replace("aten.", "traced.", 1)
        random = torch.Tag.nondeterministic_seeded in target.tags
        if target.namespace not in STATELESS_NAMESPACES:
            self.custom.append(schema)
        try:
            self.context.operation(schema, target.namespace in STATELESS_NAMESPACES and not random)
        except Exception as error:
            # a schema that the library cannot read: the operation counts as one that nothing is known of
            if getattr(error, "status", None) != 3:
                raise
            return f"unreadable.{name}"
        if owes_strides(target) and not self._is_in_contracts(target):
            self.context.contract(f"{name}.*=as-traced")
        return name

    @staticmethod
    def _is_in_contracts(target):
        """Whether the library's own table says what strides the kernel takes; it has the kernels, but not who calls them."""
        name = str(target._schema).split("(")[0]
        return target.namespace in KERNEL_NAMESPACES and name in library.known_operations()

    def schemas(self):
        """Of the operations in the graph that the tool does not know by itself, a line each, for --ops."""
        known = library.known_operations()
        return "".join(f"{schema}\n" for schema in sorted(set(self.custom)) if schema.split("(")[0] not in known)

    def operation_text(self, target):
        """The text of an operation of torch.ops, without `torch.ops.`"""
        name = self.operations.get(target)
        if name is None:
            overload = isinstance(target, torch._ops.OpOverload)
            name = self.operations[target] = self._operation(target) if overload else f"higher_order.{target.__name__}"
            self.by_text[name] = target
        return name

    def _target(self, target):
        if isinstance(target, (torch._ops.OpOverload, torch._ops.HigherOrderOperator)):
            kind, text = CALL, self.operation_text(target)
        elif target in OPERATORS:
            kind, text = OPERATOR, OPERATORS[target]
        elif target is operator.getitem:
            kind, text = GETITEM, "getitem"
        else:
            kind, text = FUNCTION, _get_qualified_name(target)
        if self.by_text.setdefault(text, target) is not target:
            raise Unsupported(f"two functions are called {text}")
        return kind, self.string(text)

    def target(self, target):
        found = self.targets.get(id(target))
        if found is None:
            found = self.targets[id(target)] = self._target(target)
        return found

    # ---- values ----

    def value(self, value, keyword=-1):
        """Appends a value with its items."""
        out = self.values
        kind = type(value)
        if kind is Node:
            out += (NODE, keyword, self.places[value])
        elif kind is int and -2 ** 63 <= value < 2 ** 63:
            out += (INTEGER, keyword, value)
        elif value is None:
            out += (NONE, keyword, 0)
        elif kind is bool:
            out += (BOOL, keyword, value)
        elif kind is str:
            out += (STRING, keyword, self.string(value))
        elif kind is float:
            out += (FLOAT, keyword, struct.unpack("q", struct.pack("d", value))[0])
        elif kind is torch.dtype:
            out += (DTYPE, keyword, self.string(str(value)[6:]))
        elif kind is torch.device:
            out += (DEVICE, keyword, self.string(str(value)))
        elif isinstance(value, list):
            out += (LIST, keyword, len(value))
            for item in value:
                self.value(item)
        elif isinstance(value, tuple):
            out += (TUPLE, keyword, len(value))
            for item in value:
                self.value(item)
        elif isinstance(value, dict):
            out += (DICTIONARY, keyword, len(value))
            for key, item in value.items():
                self.value(item, self.string(repr(key)))
        elif kind is slice:
            out += (SLICE, keyword, 3)
            for item in (value.start, value.stop, value.step):
                self.value(item)
        else:
            out += self._rare(value, keyword)

    def _rare(self, value, keyword):
        if isinstance(value, torch.SymInt):
            dimension = self.dimension(value)
            return (INTEGER, keyword, dimension) if dimension >= 0 else (EXPRESSION, keyword, ~dimension)
        if isinstance(value, torch._ops.OpOverload):
            return OPERATION, keyword, self.string(self.operation_text(value))
        if value is Ellipsis or isinstance(value, (torch.layout, torch.memory_format)):
            text = str(value)
        elif type(value) in (int, complex):
            text = repr(value)
        else:
            text = next((text for text, known in self.objects.items() if known is value),
                        f"object_{len(self.objects)}")
        self.objects[text] = value
        return NAME, keyword, self.string(text)

    def arguments(self, node):
        """Appends the arguments of a node; how many."""
        args, kwargs, places, out = node.args, node.kwargs, self.places, self.values
        for argument in args:
            if type(argument) is Node:
                out += (NODE, -1, places[argument])
            else:
                self.value(argument)
        for name, argument in kwargs.items():
            if type(argument) is Node:
                out += (NODE, self.string(name), places[argument])
            else:
                self.value(argument, self.string(name))
        return len(args) + len(kwargs)

    # ---- nodes ----

    def _source(self, node):
        trace = node.meta.get("stack_trace")
        if not trace:
            return -1
        number = self.frames.get(trace)
        if number is None:
            frame = _frame(trace)
            number = self.frames[trace] = -1 if frame is None else self.string(frame)
        return number

    def _input(self, value, storages):
        """(type, storage, offset) of a placeholder."""
        if not isinstance(value, torch.Tensor):
            number = self.type(value) if isinstance(value, torch.SymInt) else TYPE_OBJECT
            return number, -1, 0
        number = self._tensor(value)
        if number == TYPE_UNKNOWN:
            return TYPE_OBJECT, -1, 0
        storage = storages.setdefault(value.untyped_storage()._cdata, len(storages))
        return number, storage, self.dimension(value.storage_offset())

    def _call_kind(self, node):
        kind, target = self.target(node.target)
        if kind == GETITEM and not (len(node.args) == 2 and type(node.args[0]) is Node and type(node.args[1]) is int):
            kind = OPERATOR
        return kind, target

    def node(self, node, storages):
        first = len(self.values) // 3
        storage, offset = -1, 0
        op = node.op
        if op == "call_function":
            kind, target = self._call_kind(node)
            value = node.meta.get("val", NOTHING)
            number = self._tensor(value) if type(value) is FakeTensor else self.type(value)
            count = self.arguments(node)
        elif op == "placeholder":
            kind, target, count = PLACEHOLDER, self.string(node.name), 0
            number, storage, offset = self._input(node.meta.get("val"), storages)
        elif op == "get_attr":
            kind, target, count = ATTRIBUTE, self.string(node.target), 0
            value = node.meta.get("val")
            number = TYPE_OBJECT if value is None else self.type(value)
        elif op == "output":
            kind, target, number = OUTPUT, self.string("output"), TYPE_UNKNOWN
            count = self.arguments(node)
        elif op == "call_method":
            kind, target, number = METHOD, self.string(node.target), TYPE_UNKNOWN
            count = self.arguments(node)
        else:
            raise Unsupported(f"{node.name}: a node of kind {op}")
        self.node_words += (kind, self.string(node.name), target, number, self._source(node), storage, offset, first,
                            len(self.values) // 3 - first, count)

    def read(self, graph):
        """Reads the graph; the arrays (nodes, values) for Context.graph. Inputs first: Inductor's constants of a frozen model
        stand before them."""
        storages = {}
        asked = graph.find_nodes(op="call_function", target=OFFSET)
        self.offsets_stay = all(_lies_where_it_was(node.args[0]) for node in asked)
        for node in (*graph.find_nodes(op="placeholder"), *(node for node in graph.nodes if node.op != "placeholder")):
            self.node(node, storages)
            self.places[node] = len(self.nodes)
            self.nodes.append(node)
        self.flush()
        try:
            return array("q", self.node_words), array("q", self.values)
        except OverflowError:
            raise Unsupported("an integer that does not fit into 64 bits") from None
