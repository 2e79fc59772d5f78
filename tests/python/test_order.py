"""What is computed from memory before a call writes it is made before that call."""
import pytest
import torch
from fusion_models import C, WIDTH
from support import Graphs, assert_same, run, targets
from torch._inductor.utils import run_and_get_code

import regraft

PINNED = "prims.inductor_force_stride_order.default"
RANK = 2 * WIDTH


def norm(x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def beside(x, w, positions, table):
    """The norm reads other elements of the memory that the call writes."""
    kv = x @ w
    c, k = kv.split([RANK, WIDTH], -1)
    c = norm(c)
    C.rotary_embedding(positions, k, None, WIDTH, table, True)
    return c, k


def before(x, w, positions, table):
    """The sum reads what the call then writes."""
    k = x @ w[:, RANK:]
    old = (k * 2).sigmoid()
    C.rotary_embedding(positions, k, None, WIDTH, table, True)
    return old, k


def used_by_the_call(x, w, positions, table):
    """The call itself has the value made."""
    kv = x @ w
    c, k = kv.split([RANK, WIDTH], -1)
    c = c * 2
    C.rotary_embedding(positions, k, c, WIDTH, table, True)
    return c, k


def used_before(x, w, positions, table):
    """Nobody needs it behind the call."""
    kv = x @ w
    c, k = kv.split([RANK, WIDTH], -1)
    c = norm(c) @ torch.ones(RANK, 2)
    C.rotary_embedding(positions, k, None, WIDTH, table, True)
    return c, k


def apart(x, w, positions, table):
    """Other memory."""
    k, c = x @ w[:, RANK:], norm(x)
    C.rotary_embedding(positions, k, None, WIDTH, table, True)
    return c, k


def twofold(x, w, positions, table):
    """What is kept has two rows for each token, one behind all tokens, so that a stride is symbolic where sizes are."""
    k = x @ w[:, RANK:]
    old = (k * table[:2, :1, None]).sigmoid()
    C.rotary_embedding(positions, k, None, WIDTH, table, True)
    return old, k


def one_element(x, w, positions, table):
    """Inductor makes nothing of one element for the order of its strides."""
    k = x @ w[:, RANK:]
    old = (k[0, 1] * 2).sigmoid()
    C.rotary_embedding(positions, k, None, WIDTH, table, True)
    return old, k


def wide(x, w, positions, table):
    """The norm is computed in another type than what it reads."""
    kv = x @ w
    c, k = kv.split([RANK, WIDTH], -1)
    c = norm(c.double()).to(x.dtype)
    C.rotary_embedding(positions, k, None, WIDTH, table, True)
    return c, k


def multiplied(x, w, positions, table):
    """A kernel of its own reads the norm."""
    kv = x @ w
    c, k = kv.split([RANK, WIDTH], -1)
    C.rotary_embedding(positions, k, None, WIDTH, table, True)
    return norm(c.double()).to(x.dtype) @ table[:RANK], k


def gate(x, w, positions, table):
    """The gate is computed with what it is multiplied with, which the call comes before."""
    kv = x @ w
    c, k = kv.split([RANK, WIDTH], -1)
    C.rotary_embedding(positions, k, None, WIDTH, table, True)
    return torch.sigmoid(c) * (k @ w[:WIDTH, :RANK]), k


def converted(x, w, positions, table):
    """The same, converted before: the larger value need not be in memory."""
    kv = x @ w
    c, k = kv.split([RANK, WIDTH], -1)
    C.rotary_embedding(positions, k, None, WIDTH, table, True)
    return c.double() * 2 + (k @ w[:WIDTH, :RANK]).double(), k


def inputs():
    generator = torch.Generator().manual_seed(1)
    angles = torch.rand(32, WIDTH // 2, generator=generator) * 6
    return [torch.randn(6, 12, generator=generator), torch.randn(12, RANK + WIDTH, generator=generator),
            torch.randperm(32, generator=generator)[:6], torch.cat((angles.cos(), angles.sin()), -1)]


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("model, pinned", [(beside, 1), (before, 1), (twofold, 1), (wide, 1), (multiplied, 1), (gate, 0), (converted, 0),
                                           (one_element, 0), (used_by_the_call, 0), (used_before, 0), (apart, 0)])
def test_what_is_pinned(model, pinned, dynamic):
    expected, graphs = run(model, inputs()), Graphs()
    assert_same(expected, graphs.run(model, inputs(), dynamic=dynamic))
    found = targets(graphs.after[0].graph)
    assert found.count(PINNED) == pinned, found
    if pinned:
        assert found.index(PINNED) < found.index("_C.rotary_embedding.default")


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("model, locality", [(beside, True), (beside, False), (before, True), (before, False), (twofold, False),
                                             (wide, True), (wide, False), (one_element, False)])
def test_it_is_computed_before_the_call(model, locality, dynamic):
    expected, tokens = run(model, inputs()), len(inputs()[0]) if dynamic else None
    with regraft.enabled(), torch._inductor.config.patch(reorder_for_locality=locality), torch.no_grad():
        found, (code,) = run_and_get_code(lambda: run(torch.compile(model), inputs(), tokens))
    assert_same(expected, found)
    body = code[code.index("def call("):]
    assert body.index("cpp_fused") < body.index("rotary_embedding"), body
    assert "cpp_fused" not in body[body.index("torch.ops._C.rotary_embedding"):], body


@pytest.mark.parametrize("model", [beside, wide, multiplied, gate, converted, before, apart, used_before])
def test_nothing_is_computed_or_kept_apart_for_it(model):
    """Not a kernel nor a buffer more than without regraft."""
    def counted():
        torch._dynamo.reset()
        with torch.no_grad():
            _, (code,) = run_and_get_code(lambda: run(torch.compile(model), inputs()))
        body = code[code.index("def call("):]
        return sum(line.strip().startswith("cpp_fused") for line in body.splitlines()), body.count("= empty_strided_cpu(")

    kernels, buffers = counted()
    with regraft.enabled():
        found = counted()
    assert found[0] <= kernels and found[1] <= buffers, (found, kernels, buffers)
