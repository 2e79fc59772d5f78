"""Whatever goes wrong, the graph stays as it came, the program runs on, and one warning names a reproducer."""
import gc
import os
import pathlib
import re
import subprocess
import sys
import threading

import fusion_models
import pytest
import torch
from models import MODELS, OPS, inputs
from support import Graphs, assert_same, caught, run, snapshot, targets, tool

import regraft
from regraft import bridge, library, options
from regraft.records import LOG
from test_fusion import engine  # noqa: F401


class Boom(Exception):
    pass


def left_alone(name="qkv", model=None, arguments=None, dynamic=False):
    """Runs a model whose graph must be left as it came; its record."""
    states = []

    def change(graph):
        states.append(snapshot(graph))
        record = bridge.optimize(graph, options.make())
        assert snapshot(graph) == states[0]
        graph.lint()
        return record
    graphs, model = Graphs(change), model or MODELS[name]
    arguments = arguments or inputs(name)
    found, warnings = caught(lambda: graphs.run(model, arguments, dynamic))
    assert_same(run(model, arguments), found)
    (record,) = graphs.records
    assert record.outcome == "left"
    assert len(warnings) == 1, warnings
    assert record.reproducer in warnings[0] and pathlib.Path(record.reproducer).is_file()
    return record


class Watched:
    """The library, with something to do before each call."""

    def __init__(self, library_, before):
        self.library, self.before = library_, before

    def __getattr__(self, name):
        function = getattr(self.library, name)
        if name in ("regraft_context_destroy", "regraft_message"):  # these cannot fail
            return function

        def call(*arguments):
            self.before(name)
            return function(*arguments)
        return call


ALWAYS = {"regraft_context_create", "regraft_live_strings", "regraft_live_tensor", "regraft_live_operation",
          "regraft_live_unavailable", "regraft_live_graph", "regraft_graph_explain_fusions", "regraft_graph_run",
          "regraft_live_prove", "regraft_live_edits", "regraft_graph_node_count", "regraft_graph_copy_count",
          "regraft_graph_remark", "regraft_graph_fusion_count", "regraft_live_same_type"}
WITH_FUSIONS = {"regraft_graph_fusion", "regraft_live_string_text", "regraft_live_expression", "regraft_live_integer"}


@pytest.mark.parametrize("fused", [False, True], ids=["placed", "fused"])
def test_an_exception_at_each_call_across_the_bridge(engine, monkeypatch, fused):
    """At the last call of each function, which has the most behind it; of those that only fusions need at the first too."""
    model, calls, dynamic = (fusion_models.layers, WITH_FUSIONS, True) if fused else (MODELS["escape"], ALWAYS, False)

    def arguments():
        return fusion_models.inputs(model) if fused else inputs("escape")
    real, made = library.load(), []
    Graphs().run(model, arguments(), dynamic)  # some things are asked for once in a process
    torch._dynamo.reset()
    monkeypatch.setattr(library, "load", lambda: Watched(real, made.append))
    Graphs().run(model, arguments(), dynamic)
    assert calls <= set(made), calls - set(made)
    for name in sorted(calls if fused else set(made)):
        for index in {len(made) - 1 - made[::-1].index(name), *([made.index(name)] if fused else [])}:
            count = [0]

            def fail(called, index=index, count=count):
                count[0] += 1
                if count[0] == index + 1:
                    raise Boom(called)
            torch._dynamo.reset()
            monkeypatch.setattr(library, "load", lambda fail=fail: Watched(real, fail))
            assert f"Boom: {name}" in left_alone(model=model, arguments=arguments(), dynamic=dynamic).reason


@pytest.mark.parametrize("step", ["_make", "_set_arguments", "_place", "_value", "_propagate", "_compare", "_check_removed"])
def test_an_exception_while_the_graph_is_changed(monkeypatch, step):
    from regraft.exporter import Exporter
    from regraft.values import Values
    owner = Values if step in ("_value", "_propagate", "_compare") else Exporter
    original, count = getattr(owner, step), [0]

    def fail(self, *arguments):
        count[0] += 1
        result = original(self, *arguments)
        if count[0] == (1 if step in ("_check_removed", "_place", "_propagate") else 2):
            raise Boom(step)
        return result
    monkeypatch.setattr(owner, step, fail)
    assert "Boom" in left_alone("escape").reason


def test_a_proof_that_fails(monkeypatch):
    def prove(self, before, after):
        proof = library.Proof()
        proof.proved, proof.result, proof.reason, proof.first, proof.second = 0, b"out0", b"made to fail", b"", b""
        return proof
    monkeypatch.setattr(library.Context, "prove", prove)
    record = left_alone()
    assert "not proved: out0: made to fail" in record.reason


def test_a_wrong_pass_is_noticed_by_the_proof(monkeypatch):
    """The library is handed another graph than the one that is to be changed: what comes back must not be used."""
    original, graphs = library.Context.graph, []

    def graph(self, nodes, values):
        values = values[:]
        if graphs:  # the second one, which the passes get: the other half of the projection is read
            for at in range(0, len(values), 3):
                if values[at] == 2 and values[at + 2] == 8:
                    values[at + 2] = 4
        graphs.append(1)
        return original(self, nodes, values)
    monkeypatch.setattr(library.Context, "graph", graph)
    left_alone("slices")


def test_an_unknown_operation_keeps_its_place():
    def model(x):
        y = x * 2
        OPS.rotate(y, None, torch.arange(4))
        OPS.read(x, y)  # what it does beside its result, nobody knows
        return torch.cholesky_solve(y[:, :1], torch.eye(4)), OPS.read(x, y)
    argument, seen = torch.randn(4, 4), []

    def change(graph):
        seen.append(targets(graph))
        record = bridge.optimize(graph, options.make())
        seen.append(targets(graph))
        return record
    found = Graphs(change).run(model, [argument])
    assert_same(run(model, [argument]), found)
    of_the_test = [[target for target in found if target.startswith("regraft_test.read")] for found in seen]
    assert of_the_test[0] == of_the_test[1] != []


def test_a_wrong_fake_function():
    """Its results are other than it says; regraft must make nothing of it that was not there without regraft."""
    library_ = torch.library.Library("regraft_wrong", "DEF")
    library_.define("lie(Tensor x) -> Tensor")
    library_.impl("lie", lambda x: x.clone(), "CPU")
    library_.impl("lie", lambda x: x.new_empty_strided(x.shape, x.stride()[::-1]), "Meta")

    def model(x):
        y = torch.ops.regraft_wrong.lie(x)
        z = y + 1
        OPS.rotate(z[:, :4], None, torch.arange(4))
        return z.sum()
    graphs = Graphs()
    argument = torch.randn(4, 4)
    found, _ = caught(lambda: graphs.run(model, [argument]))
    assert_same(run(model, [argument]), found, 1e-4)


def test_a_fused_operation_with_a_wrong_fake_function(engine, monkeypatch):
    """The rules say what it gives; where PyTorch says otherwise, the graph stays."""
    from regraft.values import Values
    original = Values._propagate

    def propagate(self, node, base, key):
        value = original(self, node, base, key)
        return value.new_empty(3) if str(node.target).startswith("regraft.") else value
    monkeypatch.setattr(Values, "_propagate", propagate)
    arguments = fusion_models.inputs(fusion_models.layers)
    with monkeypatch.context() as changed:
        changed.setattr(Values, "_known_of", lambda *rest: None)  # what is known would be of the right value
        record = left_alone(model=fusion_models.layers, arguments=arguments)
    assert "which is not what regraft expects" in record.reason


def test_a_report_that_cannot_be_written():
    graphs = Graphs(lambda graph: bridge.optimize(graph, options.make(report="/nowhere/report")))
    found, warnings = caught(lambda: graphs.run(MODELS["qkv"], inputs("qkv")))
    assert_same(run(MODELS["qkv"], inputs("qkv")), found)
    assert graphs.records[0].outcome == "changed" and len(warnings) == 1 and "/nowhere/report" in warnings[0]


def test_many_graphs_at_once(monkeypatch):
    """In threads, with one that fails among them; PyTorch itself lets only one thread compile."""
    names, modules, alone = [*MODELS] * 2, [], {}

    def keep(graph):
        modules.append(graph.owning_module)
    for name in names:
        torch._dynamo.reset()
        Graphs(keep).run(MODELS[name], inputs(name))
    for name in MODELS:
        torch._dynamo.reset()
        graphs = Graphs()
        graphs.run(MODELS[name], inputs(name))
        alone[name] = graphs.after[0].code
    LOG.clear()
    start, records, original = threading.Barrier(len(names) + 1), {}, library.Context.prove

    def prove(self, before, after):
        if threading.current_thread().name == "fails":
            raise Boom("in the proof")
        return original(self, before, after)
    monkeypatch.setattr(library.Context, "prove", prove)

    def work(index):
        start.wait()
        records[index] = bridge.optimize(modules[index].graph, options.make())
    threads = [threading.Thread(target=work, args=(index,), name="fails" if index == 0 else "") for index in range(len(names))]
    for thread in threads:
        thread.start()

    def all_of_them():
        start.wait()
        for thread in threads:
            thread.join()
    _, warnings = caught(all_of_them)
    assert [records[index].outcome for index in range(len(names))] == ["left"] + ["changed"] * (len(names) - 1), records
    assert sorted(record.number for record in records.values()) == list(range(len(names))) and len(warnings) == 1
    assert gc.isenabled()
    for name, module in list(zip(names, modules, strict=True))[1:]:
        module.graph.lint()
        module.recompile()
        assert module.code == alone[name]


def test_the_reproducer_is_input_for_the_tool(monkeypatch):
    def run_(self, *arguments):
        raise Boom("in the passes")
    monkeypatch.setattr(library.Context, "run", run_)
    record = left_alone()
    path = pathlib.Path(record.reproducer)
    command = re.search(r"# (regraft opt .*)", path.read_text())[1]
    assert str(path.with_suffix(".ops")) in command
    result = tool("opt", path, "--ops", path.with_suffix(".ops"), "-p", "unify-functionalized,place,dce")
    assert "regraft_test.rotate.default(q = " in result.stdout


def test_options_that_are_wrong():
    with pytest.raises(TypeError, match="there is no option 'pipline'; there are: pipeline"):
        options.make(pipline="")
    graphs = Graphs(lambda graph: bridge.optimize(graph, options.make(pipeline="no-such-pass")))
    found, warnings = caught(lambda: graphs.run(MODELS["qkv"], inputs("qkv")))
    record = graphs.records[0]
    assert record.outcome == "left" and "there is no pass 'no-such-pass'" in record.reason and len(warnings) == 1
    assert_same(run(MODELS["qkv"], inputs("qkv")), found)


@pytest.mark.parametrize("given, message", [
    ({"verify": "yes"}, "verify must be 0 or 1, not 'yes'"), ({"keep": -1}, "keep must be a number of graphs, not -1"),
    ({"keep": None}, "keep must be a number, not 'None'"), ({"report": 3}, "report must be a text, not 3"),
    ({"contracts": [1]}, "contracts must be texts, not [1]"), ({"prefer": "me"}, "prefer must be regraft or engine, not 'me'")])
def test_values_of_options_that_are_wrong(given, message):
    with pytest.raises(ValueError, match=f"^regraft: {re.escape(message)}$"):
        options.make(**given)


def test_options_come_as_they_are_written():
    made = options.make(contracts="a.b.c=contiguous d.e.f=contiguous", fuse="0", keep="3", directory=pathlib.Path("/tmp"))
    assert made.contracts == ("a.b.c=contiguous", "d.e.f=contiguous") and made.fuse is False
    assert made.keep == 3 and made.directory == "/tmp"


@pytest.mark.parametrize("content, message", [
    (None, "cannot be read: "), ("{", "cannot be read: "), ("[1]", "must hold options by name"), ('{"pipline": 1}', "has an option 'pipline'"),
    ('{"verify": "yes"}', "verify in ")])
def test_a_file_of_options_that_is_wrong(tmp_path, monkeypatch, content, message):
    path = tmp_path / "options.json"
    if content:
        path.write_text(content)
    monkeypatch.setenv("REGRAFT_OPTIONS", str(path))
    with pytest.raises(ValueError, match="^regraft: ") as raised:
        options.make()
    assert message in str(raised.value) and str(path) in str(raised.value)


def test_variables_that_are_misspelt(monkeypatch):
    monkeypatch.setenv("REGRAFT_PREFFER", "engine")
    monkeypatch.setenv("REGRAFT_BISECT", "3")
    monkeypatch.setenv("REGRAFT_KEEP", "")
    monkeypatch.setenv("REGRAFT_SOMETHING_ELSE", "3")
    made, warnings = caught(options.make)
    assert made.prefer == "regraft" and made.keep == 64
    assert warnings == ["regraft: REGRAFT_BISECT is no option; was REGRAFT_BISECT_LIMIT meant?",
                        "regraft: REGRAFT_PREFFER is no option; was REGRAFT_PREFER meant?"]


def test_files_that_cannot_be_read_or_written(tmp_path):
    """The schemas and the folder of the reproducer: Inductor's cache asks for what the first says."""
    with torch._inductor.config.patch(force_disable_caches=False), torch.no_grad():
        with regraft.enabled(operations=tmp_path / "nowhere", directory=tmp_path / "none"):
            found, warnings = caught(lambda: run(torch.compile(MODELS["qkv"]), inputs("qkv")))
    assert_same(run(MODELS["qkv"], inputs("qkv")), found)
    assert len(warnings) == 1 and "nowhere'; its reproducer cannot be written: " in warnings[0], warnings


def test_the_collection_of_garbage_goes_on_when_the_last_thread_is_done():
    first, second = bridge._no_collection, bridge._no_collection
    with first:
        second.__enter__()
    assert not gc.isenabled()
    second.__exit__()
    assert gc.isenabled()


def test_reports_of_many_processes_are_not_mixed(tmp_path):
    """Each is one write: more than one would be cut by those of the others."""
    program = ("import sys; from regraft.records import Graph, Log; from regraft.options import Options\n"
               "log = Log()\n"
               "for number in range(40):\n"
               "    log.add(Graph(number, reason=sys.argv[1] * 30000), Options(report=sys.argv[2]))")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    started = [subprocess.Popen([sys.executable, "-c", program, letter, tmp_path / "report"], env=environment) for letter in "abc"]
    assert [process.wait() for process in started] == [0, 0, 0]
    reports = (tmp_path / "report").read_text().split("\n\n")[:-1]
    assert len(reports) == 120 and all(any(report.endswith(": " + letter * 30000) for letter in "abc") for report in reports)
