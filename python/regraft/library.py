"""libregraft through ctypes: the functions of regraft/regraft.h and regraft/live.h that the bridge uses."""
import ctypes
import functools
import os
import pathlib
from ctypes import POINTER, Structure, byref, c_char_p, c_double, c_int, c_int64, c_long, c_size_t, c_void_p

LIVE_INTERFACE = 1

STATUS = {1: "different", 2: "usage", 3: "rejected", 4: "unsupported", 69: "out of memory", 70: "internal error"}


class Error(Exception):
    """The library refused: its own message, as the tool prints it."""

    def __init__(self, status, message):
        super().__init__(message.strip() or STATUS.get(status, f"status {status}"))
        self.status = status


class Remark(Structure):
    _fields_ = [("pass_name", c_char_p), ("node", c_char_p), ("source", c_char_p), ("text", c_char_p),
                ("applied", c_int)]


class Copy(Structure):
    _fields_ = [("node", c_char_p), ("bytes", c_char_p), ("place", c_char_p), ("source", c_char_p),
                ("why", c_char_p), ("remedy", c_char_p), ("own", c_int), ("inlined", c_int)]


class Fusion(Structure):
    _fields_ = [("rule", c_char_p), ("outcome", c_char_p), ("anchor", c_char_p), ("node", c_char_p),
                ("source", c_char_p), ("text", c_char_p), ("remedy", c_char_p), ("near", c_int)]


class Edits(Structure):
    _fields_ = [("nodes", c_void_p), ("node_count", c_size_t), ("values", c_void_p), ("value_count", c_size_t)]


class Proof(Structure):
    _fields_ = [("proved", c_int), ("result", c_char_p), ("reason", c_char_p), ("first", c_char_p),
                ("second", c_char_p)]


_observe = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_char_p, c_int, c_double)


class RunOptions(Structure):
    _fields_ = [("struct_size", c_size_t), ("bisect_limit", c_long), ("verify", c_int), ("observe", _observe),
                ("user", c_void_p)]


# name: (what it returns, arguments); c_int as the result of a function in STATUSES is a regraft_status.
_FUNCTIONS = {
    "regraft_version": (c_char_p, []),
    "regraft_live_interface": (c_int, []),
    "regraft_context_create": (c_int, [c_void_p, POINTER(c_void_p)]),
    "regraft_context_destroy": (None, [c_void_p]),
    "regraft_message": (c_char_p, [c_void_p]),
    "regraft_operations_add": (c_int, [c_void_p, c_char_p, c_char_p, c_size_t]),
    "regraft_contract_add": (c_int, [c_void_p, c_char_p]),
    "regraft_default_pipeline": (c_char_p, []),
    "regraft_operation_schema": (c_char_p, [c_void_p, c_size_t]),
    "regraft_operation_class": (c_char_p, [c_void_p, c_size_t]),
    "regraft_pass_name": (c_char_p, [c_size_t]),
    "regraft_graph_run": (c_int, [c_void_p, c_char_p, POINTER(RunOptions)]),
    "regraft_graph_print": (c_char_p, [c_void_p]),
    "regraft_graph_node_count": (c_size_t, [c_void_p]),
    "regraft_graph_remark_count": (c_size_t, [c_void_p]),
    "regraft_graph_remark": (Remark, [c_void_p, c_size_t]),
    "regraft_graph_explain_fusions": (None, [c_void_p]),
    "regraft_graph_fusion_count": (c_size_t, [c_void_p]),
    "regraft_graph_fusion": (Fusion, [c_void_p, c_size_t]),
    "regraft_rule_operation": (c_char_p, [c_void_p, c_size_t]),
    "regraft_graph_copy_count": (c_size_t, [c_void_p]),
    "regraft_graph_copy": (Copy, [c_void_p, c_size_t]),
    "regraft_live_create": (c_int, [c_void_p, POINTER(c_void_p)]),
    "regraft_live_strings": (c_int, [c_void_p, c_char_p, c_size_t, POINTER(c_int64)]),
    "regraft_live_string_text": (c_char_p, [c_void_p, c_int64]),
    "regraft_live_expression": (c_int, [c_void_p, c_char_p, c_size_t, POINTER(c_int64)]),
    "regraft_live_expression_text": (c_char_p, [c_void_p, c_int64]),
    "regraft_live_range": (c_int, [c_void_p, c_char_p, c_int64, c_int64]),
    "regraft_live_tensor": (c_int, [c_void_p, c_char_p, c_char_p, c_size_t, c_void_p, c_void_p, POINTER(c_int64)]),
    "regraft_live_integer": (c_int, [c_void_p, c_int64, POINTER(c_int64)]),
    "regraft_live_tuple": (c_int, [c_void_p, c_size_t, c_void_p, POINTER(c_int64)]),
    "regraft_live_same_type": (c_int, [c_void_p, c_int64, c_int64]),
    "regraft_live_operation": (c_int, [c_void_p, c_char_p, c_size_t, c_int]),
    "regraft_live_keep_copies": (c_int, [c_void_p, c_char_p, c_char_p]),
    "regraft_live_unavailable": (c_int, [c_void_p, c_char_p, c_char_p]),
    "regraft_live_graph": (c_int, [c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, POINTER(c_void_p)]),
    "regraft_live_edits": (c_int, [c_void_p, c_void_p, POINTER(Edits)]),
    "regraft_live_prove": (c_int, [c_void_p, c_void_p, POINTER(Proof)]),
}


def _candidates():
    if "REGRAFT_LIBRARY" in os.environ:
        yield pathlib.Path(os.environ["REGRAFT_LIBRARY"])
        return
    here = pathlib.Path(__file__).resolve().parent
    yield here / "lib" / "libregraft.so"
    yield here.parent.parent / "build" / "libregraft.so"  # a source tree that was built


def path():
    """The library file that is used."""
    for candidate in _candidates():
        if candidate.is_file():
            return candidate
    raise ImportError("regraft: libregraft.so is not there; expected it in the package (pip install .), at "
                      f"{', '.join(map(str, _candidates()))}, or where REGRAFT_LIBRARY says")


@functools.cache
def load():
    """The library, its functions with types. Calls release Python's lock."""
    try:
        library = ctypes.CDLL(str(path()))
    except OSError as error:
        raise ImportError(f"regraft: {path()} cannot be loaded: {error}") from None
    for name, (result, arguments) in _FUNCTIONS.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"regraft: {path()} is of another version: it has no {name}") from None
        function.restype, function.argtypes = result, arguments
    if library.regraft_live_interface() != LIVE_INTERFACE:
        raise ImportError(f"regraft: {path()} has interface {library.regraft_live_interface()}, expected {LIVE_INTERFACE}")
    return library


def version():
    return load().regraft_version().decode()


class Context:
    """One compilation: a regraft_context with its regraft_live. Belongs to one thread at a time."""

    def __init__(self):
        self.library = load()
        self.handle = c_void_p()
        status = self.library.regraft_context_create(None, byref(self.handle))
        if status:
            self.close()
            raise Error(status, "")
        self.live = c_void_p()
        self.told = []  # names and arguments of the calls that made the tables
        self.call("regraft_live_create", self.handle, byref(self.live))

    def close(self):
        if self.handle:
            self.library.regraft_context_destroy(self.handle)
            self.handle = c_void_p()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def call(self, name, *arguments):
        """Calls a function that returns a status; raises Error with the library's message."""
        status = getattr(self.library, name)(*arguments)
        if status:
            raise Error(status, self.library.regraft_message(self.handle).decode())

    def tell(self, name, *arguments):
        """The same for what a graph is made of: texts, types, operations."""
        self.told.append((name, arguments))
        self.call(name, self.live, *arguments)

    def number(self, name, *arguments):
        """The same for functions that give a number through their last argument."""
        number = c_int64()
        self.tell(name, *arguments, byref(number))
        return number.value

    # ---- what the bridge asks for ----

    def strings(self, texts):
        """Texts that each end in a zero byte."""
        data = texts.encode()
        return self.number("regraft_live_strings", data, len(data))

    def string_text(self, number):
        return self.library.regraft_live_string_text(self.live, number).decode()

    def expression(self, text):
        data = text.encode()
        return self.number("regraft_live_expression", data, len(data))

    def expression_text(self, number):
        return self.library.regraft_live_expression_text(self.live, number).decode()

    def range(self, name, least, most):
        self.tell("regraft_live_range", name.encode(), least, most)

    def tensor(self, dtype, device, sizes, strides):
        dimensions = c_int64 * len(sizes)
        return self.number("regraft_live_tensor", dtype.encode(), device.encode(), len(sizes), dimensions(*sizes),
                           None if strides is None else dimensions(*strides))

    def integer(self, dimension):
        return self.number("regraft_live_integer", dimension)

    def tuple(self, items):
        return self.number("regraft_live_tuple", len(items), (c_int64 * len(items))(*items))

    def same_type(self, a, b):
        return bool(self.library.regraft_live_same_type(self.live, a, b))

    def operation(self, schema, stateless):
        data = schema.encode()
        self.tell("regraft_live_operation", data, len(data), stateless)

    def keep_copies(self, operation, why):
        self.call("regraft_live_keep_copies", self.live, operation.encode(), why.encode())

    def unavailable(self, operation, why):
        self.call("regraft_live_unavailable", self.live, operation.encode(), why.encode())

    def contract(self, text):
        self.call("regraft_contract_add", self.handle, text.encode())

    def operations(self, name, text):
        data = text.encode()
        self.call("regraft_operations_add", self.handle, name.encode(), data, len(data))

    def graph(self, nodes, values):
        """A graph of two arrays of int64: regraft_live_node is 10 of them, regraft_value 3."""
        graph = c_void_p()
        self.call("regraft_live_graph", self.live, nodes.buffer_info()[0], len(nodes) // 10, values.buffer_info()[0],
                  len(values) // 3, byref(graph))
        return graph

    def run(self, graph, pipeline, bisect_limit=-1, verify=True):
        options = RunOptions(ctypes.sizeof(RunOptions), bisect_limit, verify, _observe(), None)
        self.call("regraft_graph_run", graph, pipeline.encode(), byref(options))

    def prove(self, before, after):
        proof = Proof()
        self.call("regraft_live_prove", before, after, byref(proof))
        return proof

    def edits(self, graph):
        """(edits, values) as bytes: regraft_edit is 10 int64, regraft_value 3."""
        edits = Edits()
        self.call("regraft_live_edits", self.live, graph, byref(edits))
        return (ctypes.string_at(edits.nodes, edits.node_count * 80) if edits.node_count else b"",
                ctypes.string_at(edits.values, edits.value_count * 24) if edits.value_count else b"")

    def print(self, graph):
        text = self.library.regraft_graph_print(graph)
        if text is None:
            raise Error(69, "")
        return text.decode()

    def remarks(self, graph):
        for index in range(self.library.regraft_graph_remark_count(graph)):
            yield self.library.regraft_graph_remark(graph, index)

    def explain_fusions(self, graph):
        self.library.regraft_graph_explain_fusions(graph)

    def fusions(self, graph):
        for index in range(self.library.regraft_graph_fusion_count(graph)):
            yield self.library.regraft_graph_fusion(graph, index)

    def copies(self, graph):
        for index in range(self.library.regraft_graph_copy_count(graph)):
            yield self.library.regraft_graph_copy(graph, index)


class Original:
    """A graph as it came. Its text is made when it is asked for, in a context of its own."""

    def __init__(self, context, nodes, values):
        self.told, self.nodes, self.values = list(context.told), nodes, values

    def __str__(self):
        with Context() as context:
            for name, arguments in self.told:
                context.tell(name, *arguments)
            return context.print(context.graph(self.nodes, self.values))


def default_pipeline():
    return load().regraft_default_pipeline().decode()


def _all(name):
    """The texts that a function of a context and an index gives."""
    with Context() as context:
        function, texts = getattr(context.library, name), []
        while text := function(context.handle, len(texts)):
            texts.append(text.decode())
        return texts


@functools.cache
def _schemas():
    return {schema.split("(")[0]: schema for schema in _all("regraft_operation_schema")}


def known_operations():
    """Names of the operations in the built-in table, as in schemas: "_C::rotary_embedding"."""
    return _schemas().keys()


def schema_of(name):
    """The schema in the built-in table of an operation "_C.rotary_embedding.default"."""
    return _schemas()[name.removesuffix(".default").replace(".", "::", 1)]


@functools.cache
def _classes():
    return dict(zip(_schemas(), _all("regraft_operation_class"), strict=True))


def class_of(name):
    """What the built-in table says that the operation "aten::slice_scatter" does, "update" for one; None of others."""
    return _classes().get(name)


@functools.cache
def rule_operations():
    """The operations that the rules of a fusion call: "vllm.fused_rope_and_unified_kv_cache_update.default"."""
    return tuple(_all("regraft_rule_operation"))
