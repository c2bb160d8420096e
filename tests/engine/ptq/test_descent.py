"""The local search behind GPTQ: never worse, on the grid, and no single step or pair of steps is left that helps."""
from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from engine.ptq.descent import descend
from engine.ptq.gptq_solver import solve

LOW, HIGH = torch.tensor(-4.0), torch.tensor(3.0)


def problem(groups: int, outputs: int, inputs: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Target, moments of inputs that depend on each other, scales that differ from row to row."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(groups, 300, inputs, generator=random) + torch.randn(groups, 300, 1, generator=random)
    target = torch.randn(groups, outputs, inputs, generator=random)
    scale = (target.abs().amax(2, keepdim=True) * torch.linspace(0.2, 0.35, outputs)[None, :, None]).expand_as(target)
    return target, x.transpose(1, 2) @ x / 300, scale


def error(q: Tensor, target: Tensor, h: Tensor) -> Tensor:
    return torch.linalg.vecdot((q - target) @ h, q - target)


@pytest.mark.parametrize(("inputs", "pairs"), [(9, True), (20, True), (60, False)])
def test_never_worse_and_nothing_left_to_gain(inputs: int, pairs: bool) -> None:
    target, h, scale = problem(3, 5, inputs, seed=inputs)
    begin = solve(target, h, scale, LOW, HIGH)
    end = descend(begin, target, h, scale, LOW, HIGH)
    codes = (end / scale).round()
    assert torch.allclose(codes * scale, end, atol=1e-6) and float(codes.min()) >= -4 and float(codes.max()) <= 3
    before, after = error(begin, target, h), error(end, target, h)
    assert bool((after <= before * (1 + 1e-5)).all()) and float(after.sum()) < float(before.sum())
    for i, j in itertools.combinations(range(inputs), 2) if pairs else ((i, i) for i in range(inputs)):
        for a, b in itertools.product((-1.0, 0.0, 1.0), repeat=2):
            moved = codes.clone()
            moved[:, :, i] += a
            moved[:, :, j] += b if i != j else 0.0
            inside = (moved >= LOW).all(2) & (moved <= HIGH).all(2)
            assert bool((error(moved * scale, target, h) >= after * (1 - 1e-4))[inside].all())


def test_from_nearest_it_comes_near_the_best_of_all() -> None:
    """Six weights on four levels each have 4,096 roundings."""
    target, h, scale = problem(1, 6, 6, seed=1)
    low, high = torch.tensor(-2.0), torch.tensor(1.0)
    nearest = (target / scale).round().clamp(low, high) * scale
    found = error(descend(nearest, target, h, scale, low, high), target, h)[0]
    levels = torch.tensor(list(itertools.product((-2.0, -1.0, 0.0, 1.0), repeat=6)))
    best = error(levels[None] * scale[0, :, None, :1], target[0, :, None], h)[..., :].amin(1)
    assert bool((found <= best * 1.25).all()) and int((found <= best * 1.001).sum()) >= 4


def test_what_the_grid_holds_stays() -> None:
    target, h, scale = problem(2, 3, 8, seed=3)
    begin = (target / scale).round().clamp(LOW, HIGH) * scale
    assert torch.allclose(descend(begin, begin, h, scale, LOW, HIGH), begin)
