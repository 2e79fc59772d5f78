"""Random small modules with in-place views: run as they are and through regraft, they give the same."""
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import OPS
from support import Graphs, assert_same, run

ROWS, COLUMNS = 4, 12


@st.composite
def views(draw):
    """A view of a [4, 12] tensor with an even last dimension of at least 2: (description, function)."""
    start = draw(st.integers(0, COLUMNS - 2))
    width = 2 * draw(st.integers(1, (COLUMNS - start) // 2))
    kind = draw(st.sampled_from(["slice", "split", "rows", "heads", "steps", "transpose", "column", "chunk"]))
    if kind == "slice":
        return kind, lambda x: x[:, start:start + width]
    if kind == "split":
        return kind, lambda x: x.split([4, 4, 4], -1)[start % 3]
    if kind == "rows":
        return kind, lambda x: x[start % 2:start % 2 + 2, start:start + width]
    if kind == "steps":
        return kind, lambda x: x[start % 2::2, start % 4::2]
    if kind == "transpose":
        return kind, lambda x: x[:, start:start + width].t()
    if kind == "column":
        return kind, lambda x: x.select(1, start)
    if kind == "chunk":
        return kind, lambda x: x.chunk(2, -1)[start % 2].reshape(4, 3, 2)[:, start % 3]
    return kind, lambda x: x.unflatten(-1, (3, 4))[:, start % 3]


@st.composite
def steps(draw):
    """One statement on the list of values: it changes one of them in place, or adds one."""
    value, other = draw(st.integers(0, 7)), draw(st.integers(0, 7))
    view = draw(views())[1]
    factor = draw(st.sampled_from([0.5, 2.0, 3.0]))
    kind = draw(st.sampled_from(["mul", "add", "copy", "rotate", "rotate two", "mix", "put", "clone", "compute",
                                 "keep"]))

    def step(values):
        x, y = values[value % len(values)], values[other % len(values)]
        if kind == "mul":
            view(x).mul_(factor)
        elif kind == "add":
            view(x).add_(view(y) * factor)
        elif kind == "copy":
            view(x).copy_(view(y).clone())
        elif kind == "rotate":
            OPS.rotate(view(x), None, torch.arange(view(x).shape[0]))
        elif kind == "rotate two" and x is not y:
            OPS.rotate(view(x), view(y)[:, :2], torch.arange(min(len(view(x)), len(view(y)))))
        elif kind == "mix" and x is not y:
            values.append(OPS.mix(view(x), view(y), values[(value + other) % len(values)].clone(), factor))
        elif kind == "put":
            x[torch.arange(2) * (value % 4)] = y[:2] * factor
        elif kind == "clone":
            values.append(x.clone())
        elif kind == "compute":
            values.append(x * factor + y)
        elif kind == "keep":
            values.append(view(x).sum() + y)
    return kind, step


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(steps(), min_size=1, max_size=6), st.booleans(), st.booleans())
def test_random_modules(program, second_encoding, whole):
    def model(x, y):
        values = [x * 1.5, y]
        for _, step in program:
            step(values)
        return tuple(values[2:]) + ((values[0],) if whole else (values[0].sum(),))
    generator = torch.Generator().manual_seed(0)
    arguments = [torch.randn(ROWS, COLUMNS, generator=generator) for _ in range(2)]
    try:
        expected = run(model, arguments)
    except (RuntimeError, IndexError):  # shapes that do not fit
        return
    torch._dynamo.reset()
    graphs = Graphs()
    assert_same(expected, graphs.run(model, arguments, second_encoding=second_encoding), 1e-4)
    assert all(record.outcome != "left" for record in graphs.records), graphs.records
