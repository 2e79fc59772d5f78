"""Copies of whole buffers, which Inductor's copy_ would take for other names of the same memory."""
import functools

import pytest
import torch
from models import OPS, _define
from support import assert_same, run

import regraft

_define("padded(Tensor x) -> Tensor", lambda x: x.new_empty_strided(x.shape, (2 * x.shape[1], 1)).copy_(x),
        lambda x: x.new_empty_strided(x.shape, (2 * x.shape[1], 1)))


def copy_of_a_copy(x, w, positions):
    """Each turn of q is needed as it was before the next."""
    q, k = (x @ w).split([8, 8], -1)
    first = OPS.read(q, k)
    OPS.rotate(q, k, positions)
    second = q.double() * 2
    OPS.rotate(q, None, positions)
    return first, second, q + 1


def whole(x, w, positions):
    """What an operation gives has gaps between its rows, and nothing is a view."""
    q = OPS.padded(x @ w)
    old = q.clone()
    OPS.rotate(q, None, positions)
    return OPS.read(q, old), old


def through_a_view(x, w, positions):
    """The view of all is no other value to Inductor."""
    q = OPS.padded(x @ w).unsqueeze(0).squeeze(0)[:, 0:16]
    old = q.double()
    OPS.rotate(q, None, positions)
    return old * 2, q + 1


def set_as_a_whole(x, w, positions):
    """A buffer that is set to another one has the same contents, and memory of its own."""
    q, k = OPS.padded(x @ w), OPS.padded(x * 2)
    part = q[:, :8]
    q.copy_(k)
    OPS.rotate(part, None, positions)
    return OPS.read(q, k), k + 1


def inputs():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(6, 16, generator=generator), torch.randn(16, 16, generator=generator),
            torch.randperm(16, generator=generator)[:6]]


@pytest.mark.parametrize("tokens", [None, 6], ids=["static", "dynamic"])
@pytest.mark.parametrize("respelled", [False, True], ids=["clone", "copy_"])
@pytest.mark.parametrize("model", [copy_of_a_copy, whole, through_a_view, set_as_a_whole])
def test_a_copy_is_memory_of_its_own(model, respelled, tokens, monkeypatch):
    expected = run(model, inputs())
    if respelled:
        from regraft import inductor
        monkeypatch.setattr(inductor, "optimize", functools.partial(inductor.optimize, keep_clones=False))
    with regraft.enabled(), torch.no_grad():
        assert_same(expected, run(torch.compile(model), inputs(), tokens))
    assert regraft.report().graphs[-1].outcome == "changed", regraft.report()
