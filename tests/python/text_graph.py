"""A torch.fx.Graph from FX text: what a compiler would hand over where the text was printed.

Values are fake tensors by the annotations of placeholders and by propagation; results of operations that PyTorch cannot
run here (they are defined from their schemas alone) have what their annotations say."""
import ast
import operator
import re

import sympy
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv
from torch._dynamo.source import ConstantSource

DTYPES = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "i64": torch.int64,
          "i32": torch.int32, "i16": torch.int16, "i8": torch.int8, "u8": torch.uint8, "b8": torch.bool}
BINARY = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
          ast.Mod: operator.mod, ast.Div: operator.truediv, ast.Pow: operator.pow}
KEPT = []  # libraries of operations that were defined here


class Skip(Exception):
    """The text has what this reader or this PyTorch has not."""


def define_operations(schemas):
    """Makes operations known that this PyTorch does not have."""
    for schema in schemas:
        namespace, rest = schema.split("::", 1)
        name = rest.split("(")[0]
        packet, _, overload = name.partition(".")
        if namespace in ("aten", "prims", "higher_order"):
            continue
        if hasattr(getattr(torch.ops, namespace), packet):
            continue
        library = torch.library.Library(namespace, "FRAGMENT")
        library.define(rest)
        KEPT.append(library)


class Reader:
    def __init__(self, text):
        self.text = text
        self.env = ShapeEnv()
        self.mode = FakeTensorMode(shape_env=self.env, allow_non_fake_inputs=True)
        self.symbols = {}
        self.graph = torch.fx.Graph()
        self.nodes = {}
        self.own = set()  # values that come from annotations alone

    # ---- annotations ----

    def symbol(self, name):
        if name not in self.symbols:
            hint = 8 * (len(self.symbols) + 2)
            self.symbols[name] = self.env.create_symbol(hint, ConstantSource(name), DimDynamic.DYNAMIC, None)
        return self.symbols[name]

    def integer(self, text):
        text = text.strip()
        if re.fullmatch(r"-?\d+", text):
            return int(text)
        names = {name: self.symbol(name) for name in re.findall(r"[suz]\d+", text)}
        from torch.utils._sympy import functions
        names |= {name: getattr(functions, name) for name in ("FloorDiv", "CleanDiv", "Max", "Min", "Mod", "PythonMod")}
        expression = sympy.sympify(text, locals=names)
        if expression.is_Integer:
            return int(expression)
        return self.env.create_symintnode(expression, hint=int(expression.subs(
            {symbol: self._hint(symbol) for symbol in expression.free_symbols})))

    def _hint(self, symbol):
        values = self.env.backed_var_to_val if hasattr(self.env, "backed_var_to_val") else self.env.var_to_val
        return values[symbol]

    def list(self, text):
        parts, depth, start = [], 0, 0
        for at, byte in enumerate(text):
            depth += (byte in "([") - (byte in ")]")
            if byte == "," and not depth:
                parts.append(text[start:at])
                start = at + 1
        return [self.integer(part) for part in [*parts, text[start:]] if part.strip()]

    def value(self, annotation):
        """The fake value of `bf16[s72, 64][64, 1]cpu`; None for what is no tensor or number."""
        found = re.fullmatch(r"Sym\((.*)\)", annotation)
        if found:
            return self.integer(found[1])
        found = re.fullmatch(r"(?:Parameter\()?(\w+)\[(.*?)\](?:\[(.*?)\])?([a-z]*)(?::\d+)?\)?", annotation)
        if not found or found[1] not in DTYPES or found[3] is None:
            return None
        with self.mode:
            return torch.empty_strided(self.list(found[2]), self.list(found[3]), dtype=DTYPES[found[1]], device="cpu")

    # ---- arguments ----

    def path(self, node):
        if isinstance(node, ast.Name):
            return node.id
        return f"{self.path(node.value)}.{node.attr}"

    def target(self, path):
        found = torch
        try:
            for part in path.split(".")[1:]:
                found = getattr(found, part)
        except AttributeError:
            raise Skip(f"{path} is not there") from None
        if isinstance(found, torch._ops.OpOverloadPacket):
            raise Skip(f"{path} has no overload")
        return found

    def argument(self, node):
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            if node.id in self.nodes:
                return self.nodes[node.id]
            if node.id in ("inf", "nan"):
                return float(node.id)
            return self.integer(node.id)
        if isinstance(node, ast.List):
            return [self.argument(item) for item in node.elts]
        if isinstance(node, ast.Tuple):
            return tuple(self.argument(item) for item in node.elts)
        if isinstance(node, ast.Attribute):
            return self.target(self.path(node))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self.argument(node.operand)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "device":
            return torch.device("cpu")
        raise Skip(f"an argument {ast.unparse(node)}")

    # ---- statements ----

    def call(self, node):
        """(target, args, kwargs) of the right side of a statement."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            args = tuple(map(self.argument, node.args))
            return self.target(self.path(node.func)), args, {k.arg: self.argument(k.value) for k in node.keywords}
        if isinstance(node, ast.Subscript):
            return operator.getitem, (self.argument(node.value), self.argument(node.slice)), {}
        if isinstance(node, ast.BinOp):
            return BINARY[type(node.op)], (self.argument(node.left), self.argument(node.right)), {}
        raise Skip(f"a statement {ast.unparse(node)}")

    def propagate(self, node, annotation):
        written = self.value(annotation) if annotation else None
        fake = torch.fx.map_arg((node.args, node.kwargs), lambda n: n.meta.get("val"))
        target = node.target
        if target in (torch.ops.higher_order.auto_functionalized, torch.ops.higher_order.auto_functionalized_v2):
            return self.functionalized(node, fake)
        library = getattr(target, "namespace", "aten")
        if target is operator.getitem and not isinstance(fake[0][0], (list, tuple)):
            return written
        if library in ("aten", "prims", "_operator") or target is operator.getitem:
            with self.mode:
                return target(*fake[0], **fake[1])
        return written if target._schema.returns else None

    def functionalized(self, node, fake):
        """(results or None, then a tensor for each written argument or base), laid out as clones that keep strides."""
        called = fake[0][0]
        if node.target is torch.ops.higher_order.auto_functionalized:
            bases = [fake[1].get(argument.name) for argument in called._schema.arguments
                     if argument.alias_info is not None and argument.alias_info.is_write]
        else:
            bases = fake[1]["_all_bases"]
        with self.mode:
            copies = [None if base is None else
                      torch.empty_strided(base.shape, base.stride(), dtype=base.dtype, device=base.device)
                      for base in bases]
        if called._schema.returns:
            raise Skip(f"{called} returns something beside what it writes")
        return (None, *copies)

    def placeholder(self, argument):
        node = self.graph.placeholder(argument.arg)
        annotation = argument.annotation.value if isinstance(argument.annotation, ast.Constant) else ""
        value = self.value(annotation)
        if value is not None:
            node.meta["val"] = value
        self.nodes[argument.arg] = node

    def statement(self, line):
        if isinstance(line, ast.Return):
            self.graph.output(self.argument(line.value))
            return
        target = line.target if isinstance(line, ast.AnnAssign) else line.targets[0]
        if isinstance(line.value, ast.Constant) and line.value.value is None:
            return  # x = None
        name = target.id
        function, args, kwargs = self.call(line.value)
        node = self.graph.create_node("call_function", function, args, kwargs, name=name)
        annotation = line.annotation.value if isinstance(line, ast.AnnAssign) else ""
        node.meta["val"] = self.propagate(node, annotation)
        self.nodes[name] = node

    def read(self):
        lines = [line for line in self.text.splitlines() if "self." not in line.split("#")[0]
                 or "def forward" in line or "return" in line]
        if len(lines) != len(self.text.splitlines()):
            raise Skip("it has attributes")
        module = ast.parse("\n".join(lines).replace("<lambda>", "GraphModule"))
        function = next(node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and node.name == "forward")
        for argument in function.args.args[1:]:
            self.placeholder(argument)
        for line in function.body:
            self.statement(line)
        return self.graph
