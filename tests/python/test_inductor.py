"""Models compiled by Inductor with and without regraft: values, and the kernels that only move data."""
import concurrent.futures
import contextlib
import json
import pathlib
import sys
import threading

import pytest
import torch
from models import MODELS, OPS, inputs
from support import assert_same, audits, run, tool, trace_log

import regraft


def compiled(name, **options):
    with torch._inductor.config.patch(**options), torch.no_grad():
        return run(torch.compile(MODELS[name]), inputs(name))


def moving(graph):
    return graph["totals"]["launches"]["moves"]


@pytest.mark.parametrize("name", MODELS)
def test_what_is_only_moved_are_the_copies_of_the_report(name):
    """Inductor may make several copies in one kernel, or beside what it computes: stores are counted, and never more kernels."""
    expected, start = run(MODELS[name], inputs(name)), len(audits_or_none())
    with regraft.enabled():
        assert_same(expected, compiled(name))
    record = regraft.report().graphs[-1]
    assert record.outcome == "changed"
    found = audits()[start:]
    moved = sum(not copy.inlined for copy in record.copies)
    assert sum(graph["totals"]["stores"]["moves"] for graph in found) == moved, (found, record)
    assert sum(map(moving, found)) <= moved, (found, record)


@pytest.mark.parametrize("name", MODELS)
def test_no_buffer_more_than_planned(name, tmp_path):
    """`regraft plan` of the graph as it came beside what Inductor's code allocates."""
    start = len(audits_or_none())
    with regraft.enabled():
        compiled(name)
    graph = tmp_path / "graph.txt"
    regraft.save_graph(graph)
    planned = [buffer for buffer in planned_of(f"--ops={graph}.ops", graph)["buffers"] if buffer["kind"] != "input"]
    allocated = [planned_of(f"--graph={code['graph']}", trace_log())["inductor"] for code in audits()[start:]]
    assert len(allocated) == 1 and allocated[0]["unknown"] == 0
    assert allocated[0]["allocations"] <= len(planned), (allocated, planned)
    assert int(allocated[0]["bytes"]) <= sum(int(buffer["bytes"]) for buffer in planned), (allocated, planned)


@pytest.mark.parametrize("name", MODELS)
def test_no_kernel_more_than_without_it(name):
    """But for a copy where a reader of old contents keeps its order, which Inductor alone makes of more, together with others."""
    def launches(start):
        return sum(sum(graph["totals"]["launches"].values()) for graph in audits()[start:])

    start = len(audits_or_none())
    compiled(name)
    without, start = launches(start), len(audits())
    torch._dynamo.reset()
    with regraft.enabled():
        compiled(name)
    kept = sum("keep their order" in copy.why for copy in regraft.report().graphs[-1].own(False))
    assert launches(start) <= without + kept


def planned_of(*arguments):
    return json.loads(tool("plan", "--format=json", *arguments).stdout)


def test_the_pass_as_an_option_and_behind_another_one():
    seen = []
    with torch._inductor.config.patch(post_grad_custom_post_pass=lambda graph: seen.append(len(graph.nodes))):
        with regraft.enabled():
            compiled("qkv")
        torch._dynamo.reset()
        compiled("qkv")
    assert len(seen) == 2 and len(regraft.report().graphs) == 1
    torch._dynamo.reset()
    model = torch.compile(MODELS["qkv"], options={"post_grad_custom_post_pass": regraft.InductorPass()})
    with torch.no_grad():
        assert_same(run(MODELS["qkv"], inputs("qkv")), run(model, inputs("qkv")))
    assert len(regraft.report().graphs) == 2


def audits_or_none():
    try:
        return audits()
    except Exception:  # nothing was compiled so far
        return []


def test_uuid_tells_options_apart(monkeypatch):
    one, other = regraft.InductorPass(), regraft.InductorPass(pipeline="noop-elim")
    assert one.uuid() == regraft.InductorPass().uuid() != other.uuid()
    monkeypatch.setenv("REGRAFT_PIPELINE", "noop-elim")
    assert regraft.InductorPass().uuid() == other.uuid()


def test_enable_and_disable():
    config = torch._inductor.config
    assert config.post_grad_custom_post_pass is None
    regraft.enable()
    assert isinstance(config.post_grad_custom_post_pass, regraft.InductorPass)
    regraft.enable(pipeline="noop-elim")
    regraft.disable()
    assert isinstance(config.post_grad_custom_post_pass, regraft.InductorPass)
    regraft.disable()
    regraft.disable()
    assert config.post_grad_custom_post_pass is None


def in_a_thread(action):
    """A new one, which has set nothing in PyTorch's configuration."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(action).result()


def test_it_is_enabled_in_every_thread():
    """PyTorch 2.13 shows what one thread assigns to its configuration to no other."""
    expected = run(MODELS["qkv"], inputs("qkv"))
    with regraft.enabled():
        assert_same(expected, in_a_thread(lambda: compiled("qkv")))
        assert [record.outcome for record in regraft.report().graphs] == ["changed"]
        torch._dynamo.reset()
        assert_same(expected, compiled("qkv"))
    torch._dynamo.reset()
    assert_same(expected, in_a_thread(lambda: compiled("qkv")))
    assert len(regraft.report().graphs) == 2


def test_what_is_left_over_of_it_is_off():
    """A patch around the end of a block brings the pass back; so does a thread that keeps it."""
    config = torch._inductor.config
    regraft.enable()
    config.post_grad_custom_post_pass = kept = config.post_grad_custom_post_pass
    in_a_thread(regraft.disable)
    compiled("qkv")
    assert regraft.report().graphs == [] and kept.uuid() != regraft.InductorPass().uuid()
    config.post_grad_custom_post_pass = None


def test_in_threads_at_once():
    start = threading.Barrier(2)

    def work():
        start.wait()
        for _ in range(50):
            with regraft.enabled():
                pass
    other = threading.Thread(target=work)
    other.start()
    work()
    other.join()
    assert torch._inductor.config.post_grad_custom_post_pass is None


def test_in_threads_that_leave_in_the_order_they_came():
    """Nothing is left behind, also where a thread has a value of its own."""
    config, one, other = torch._inductor.config, contextlib.ExitStack(), contextlib.ExitStack()
    config.post_grad_custom_post_pass = None
    one.enter_context(regraft.enabled())
    in_a_thread(lambda: other.enter_context(regraft.enabled()))
    one.close()
    assert len(passes()) == 1
    in_a_thread(other.close)
    assert passes() == [] and config.post_grad_custom_post_pass is None


def test_another_thread_undoes_its_own():
    regraft.enable(pipeline="noop-elim")
    in_a_thread(regraft.enable)
    in_a_thread(lambda: (regraft.enable(), regraft.disable()))
    regraft.disable()
    assert passes() == [regraft.InductorPass().uuid()]
    regraft.disable()
    assert passes() == []


def test_a_pass_that_was_there_before_is_there_again():
    config = torch._inductor.config
    config.post_grad_custom_post_pass = kept = lambda graph: None
    regraft.enable()
    regraft.enable()
    found = config.post_grad_custom_post_pass
    regraft.disable()
    assert config.post_grad_custom_post_pass is not kept and config.post_grad_custom_post_pass is not found
    regraft.disable()
    assert config.post_grad_custom_post_pass is kept
    config.post_grad_custom_post_pass = None


def passes():
    """Those that a thread sees, one by one: PyTorch 2.11 takes no list, so a chain of them stands there."""
    found = in_a_thread(lambda: torch._inductor.config.post_grad_custom_post_pass)
    found = [found.first, found.last] if hasattr(found, "first") else found if isinstance(found, list) else [found]
    return [one.uuid() for one in found if one is not None]


def test_behind_a_pass_that_asks_what_the_graph_is_for():
    custom = torch._inductor.custom_graph_pass
    if not hasattr(custom, "CustomInferenceAwareGraphPass"):
        pytest.skip("this PyTorch has no such passes")
    seen = []

    class Aware(custom.CustomInferenceAwareGraphPass):
        def __call__(self, graph, is_inference):
            seen.append(is_inference)

        def uuid(self):
            return "aware"
    with torch._inductor.config.patch(post_grad_custom_post_pass=Aware()), regraft.enabled():
        assert_same(run(MODELS["qkv"], inputs("qkv")), compiled("qkv"))
    assert seen == [True] and len(regraft.report().graphs) == 1


def test_a_frozen_model():
    """Its constants stand before its inputs."""
    class Frozen(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(16, 16)

        def forward(self, x):
            q, k, v = self.linear(x).split([8, 4, 4], -1)
            OPS.rotate(q, k, torch.arange(len(x)))
            return OPS.read(q, k) + v.sum(-1, keepdim=True)
    model, x = Frozen().eval(), torch.randn(6, 16)
    with regraft.enabled(), torch._inductor.config.patch(freezing=True), torch.no_grad():
        assert torch.allclose(model(x), torch.compile(model)(x), atol=1e-5)
    assert [record.outcome for record in regraft.report().graphs] == ["changed"], str(regraft.report())


def calls_of_regraft(action):
    """How often a function of the package is called."""
    folder, count = str(pathlib.Path(regraft.__file__).parent), [0]

    def watch(frame, event, _):
        count[0] += event == "call" and frame.f_code.co_filename.startswith(folder)
    sys.setprofile(watch)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count[0]


def test_a_compilation_does_not_meet_it_when_it_is_not_enabled():
    with regraft.enabled():
        assert calls_of_regraft(lambda: compiled("qkv")) > 100
    torch._dynamo.reset()
    assert calls_of_regraft(lambda: compiled("qkv")) == 0
