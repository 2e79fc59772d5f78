"""Random layers, compiled by Inductor with regraft: a matrix product in parts, which are rotated in place and read before and after."""
import random

import pytest
import torch
from models import OPS
from support import assert_same, run

import regraft

TOKENS, WIDTH = 6, 8


def norm(x):
    wide = x.double()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


def rotate_both(part, other, *_, positions, **__):
    OPS.rotate(part, None if part is other else other, positions)


def rotate_one(part, *_, positions, **__):
    OPS.rotate(part, None, positions)


# Each has two parts of the product, the results so far and the weights, and gives a result, or writes in place.
STEPS = (
    rotate_both, rotate_one,
    lambda part, other, *_, **__: norm(part),
    lambda part, other, *_, **__: norm(part) * other,
    lambda part, other, *_, **__: torch.sigmoid(part) * OPS.read(other, part),
    lambda part, other, results, **_: part.double() * 2 + sum(result.double().sum() for result in results[-1:]),
    lambda part, other, *_, **__: part.sum(-1, keepdim=True) + other,
    lambda part, other, _, weights, **__: norm(part) @ weights[:WIDTH, :WIDTH],
    lambda part, other, *_, **__: OPS.read(part, other),
    lambda part, other, *_, **__: part * 2,
)


def program(seed):
    generator = random.Random(seed)
    count = generator.randint(3, 5)
    steps = [(generator.choice(STEPS), generator.randrange(count), generator.randrange(count)) for _ in range(generator.randint(3, 7))]
    steps.insert(generator.randrange(len(steps)), (rotate_both, generator.randrange(count), generator.randrange(count)))

    def model(x, weights, positions):
        parts, results = (x @ weights).split([WIDTH] * count, -1), []
        for step, part, other in steps:
            result = step(parts[part], parts[other], results, weights=weights, positions=positions)
            results += [] if result is None else [result]
        return (*results, parts[seed % count] + 1)
    return model, count


@pytest.mark.parametrize("seed", range(24))
def test_random_layers(seed):
    model, count = program(seed)
    generator = torch.Generator().manual_seed(seed)
    arguments = [torch.randn(TOKENS, 16, generator=generator), torch.randn(16, count * WIDTH, generator=generator),
                 torch.randperm(16, generator=generator)[:TOKENS]]
    expected = run(model, arguments)
    with regraft.enabled(), torch.no_grad():
        assert_same(expected, run(torch.compile(model), arguments), 1e-4)
    assert regraft.report().graphs[-1].outcome == "changed", regraft.report()
