"""Models compiled by Inductor with and without regraft: values, and the kernels that only move data."""
import pathlib
import sys

import pytest
import torch
from models import MODELS, inputs
from support import assert_same, audits, run

import regraft


def compiled(name, **options):
    with torch._inductor.config.patch(**options), torch.no_grad():
        return run(torch.compile(MODELS[name]), inputs(name))


def moving(graph):
    return graph["totals"]["launches"]["moves"]


@pytest.mark.parametrize("name", ["qkv", "normed", "old_values", "caches", "input_changes", "escape"])
def test_kernels_that_move_data_are_those_of_the_report(name):
    expected, start = run(MODELS[name], inputs(name)), len(audits_or_none())
    with regraft.enabled():
        assert_same(expected, compiled(name))
    record = regraft.report().graphs[-1]
    assert record.outcome == "changed"
    found = audits()[start:]
    assert sum(map(moving, found)) == len(record.copies), (found, record)


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
