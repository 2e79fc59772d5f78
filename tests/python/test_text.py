"""Text and live graph give the same: every captured graph whose operations exist here, made live, through the bridge,
printed again, against what the tool makes of the text."""
import re

import pytest
from support import ROOT, graph_files, tool
from text_graph import Reader, Skip, define_operations

from regraft import bridge, library, options
from regraft.importer import Importer

# the whole-model graphs, whose fake propagation takes minutes, are compared in tests/unit/live_test.c
LARGEST = 400


def printed(graph):
    with library.Context() as context:
        importer = Importer(context)
        return context.print(context.graph(*importer.read(graph)))


def unpin(graph):
    """Takes out what only tells Inductor when to compute: a text has no use for it."""
    for node in graph.nodes:
        if str(node.target) == "prims.inductor_force_stride_order.default":
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


class Statements:
    """The statements of a text, with names by their order and symbols by their first appearance, without types and frees."""

    def __init__(self, text):
        self.names, self.lines = {}, []
        for line in text.splitlines():
            line = line.split("#")[0].split(";")[0].strip()
            found = re.match(r"(\w+)\s*(?::\s*\"[^\"]*\"\s*)?=\s*(.*)", line)
            if found:
                self.lines.append(self.renamed(found[2]))
                self.names[found[1]] = f"%{len(self.names)}"
            elif line.startswith("return"):
                self.lines.append(self.renamed(line))
            elif line.startswith("def forward"):
                for name in re.findall(r"[(,] (\w+)(?= ?[:,)])", line):
                    self.names[name] = f"%{len(self.names)}"

    def renamed(self, text):
        text = re.sub(r"cuda:0|device\(type='cuda', index=0\)", "device(type='cpu')", text)
        return re.sub(r"(?<![.\w'])[a-zA-Z_]\w*\b(?!\s*=)", lambda name: self.names.get(name[0], name[0]), text)


@pytest.mark.parametrize("path", graph_files(), ids=lambda path: "/".join(path.parts[-3:-1]))
def test_text_and_live_graph_give_the_same(path, monkeypatch):
    monkeypatch.setattr("regraft.broken.TABLE", ())  # a text knows nothing of the kernels that are installed
    text = path.read_text()
    if text.count("\n") > LARGEST:
        pytest.skip("too large for fake tensors; tests/unit/live_test.c has it")
    define_operations(line.split(None, 1)[1] for line in tool("ops").stdout.splitlines() if "::" in line)
    try:
        graph = Reader(text).read()
    except (Skip, SyntaxError) as reason:
        pytest.skip(str(reason))
    before = Statements(printed(graph)).lines
    assert before == Statements(text).lines
    record = bridge.optimize(graph, options.make(fuse=False))
    assert record.outcome in ("changed", "unchanged"), record.reason
    graph.lint()
    unpin(graph)
    expected = tool("opt", path, "-p", bridge.pipeline_of(options.make(fuse=False))).stdout
    assert Statements(printed(graph)).lines == Statements(expected).lines


def test_there_are_graphs():
    assert len(graph_files()) > 50, ROOT
