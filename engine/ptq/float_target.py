"""The target that rounding aims at: the weight that, read from the spoilt prefix, comes closest to the float output.

    T = W + G (H + lam I)^-1        (G = E[(y - W x) x'], H = E[x x']; `moments.py`)

Asymmetric calibration as in GPTAQ (arXiv 2504.02692). lam is chosen by two-fold cross-validation: what is fitted to one half of
the samples is judged on the other, and where nothing helps there, W stays the target.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.ptq.moments import Moments, Problem

DEAD = 1e-7  # of the layer's greatest moment: an input that moves less says nothing
DAMPINGS = (100.0, 10.0, 1.0, 0.1, 0.01)  # lam in units of the mean of H's diagonal, the most cautious first


@dataclass(frozen=True)
class Target:
    """What rounding aims at.

    Attributes:
        change: T - W [groups, outputs, inputs].
        shift: what the bias gets with it [groups, outputs].
        damping: lam, or None where W stays.
        shifted: whether the bias makes up for the mean error of the prefix.
    """

    change: Tensor
    shift: Tensor
    damping: float | None
    shifted: bool


def best_target(moments: Moments, may_shift: bool, fit: bool = True) -> Target:
    """The target that held out samples like best: with the mean error left to the bias or not, with any damping or W itself.

    Args:
        may_shift: whether the layer's bias can take up the mean error.
        fit: False keeps W.
    """
    gain, damping = _search(moments, may_shift, DAMPINGS if fit else ())
    centred = may_shift
    if may_shift:  # without the shift the best damping is about the same
        plain, other = _search(moments, False, () if damping is None else (damping,))
        if plain >= gain:
            damping, centred = other, False
    problem = moments.problem(centred=centred)
    change = torch.zeros_like(problem.g) if damping is None else _change(problem, damping)
    shift = problem.shift(change) if centred and moments.slices == 1 else problem.mean_r if centred else torch.zeros_like(problem.mean_r)
    return Target(change, shift, damping, centred)


def float_target(moments: Moments, problem: Problem) -> tuple[Tensor, float | None]:
    """(T - W [groups, outputs, inputs], the damping taken or None where W stays) for one way to treat means."""
    _, damping = _search(moments, problem.centred, DAMPINGS)
    return (torch.zeros_like(problem.g), None) if damping is None else (_change(problem, damping), damping)


def _search(moments: Moments, centred: bool, dampings: tuple[float, ...]) -> tuple[float, float | None]:
    """(by how much the squared error of the two held out halves falls, the best damping or None)."""
    plain = moments.problem(centred=False)
    if not bool((plain.rr > 1e-12 * plain.power).any()):
        return 0.0, None
    halves = [(moments.problem((fold,), centred), moments.problem((fold,), False)) for fold in (0, 1)]
    if min(half.rows for half, _ in halves) < 2:
        return 0.0, None
    nothing = [torch.zeros_like(half.g) for half, _ in halves]
    best, gain = None, _gain(nothing, halves, moments.slices) if centred else 0.0
    for damping in dampings if moments.slices == 1 else ():
        found = _gain([_change(half, damping) for half, _ in halves], halves, 1)
        if found > gain:
            best, gain = damping, found
        elif best is not None:
            break  # the gain has one peak
    return gain, best


def _gain(changes: list[Tensor], halves: list[tuple[Problem, Problem]], slices: int) -> float:
    """By how much each half's change, and its shift, lower the squared error of the other half."""
    total = 0.0
    for change, (mine, _), (_, other) in zip(changes, halves, halves[::-1], strict=True):
        left = other.mean_r if slices > 1 else other.shift(change)
        shift = torch.zeros_like(left) if not mine.centred else mine.mean_r if slices > 1 else mine.shift(change)
        if slices == 1:
            spread = torch.linalg.vecdot(torch.bmm(change, other.h), change)
            total += float((2 * torch.linalg.vecdot(change, other.g) - spread).double().sum())
        total += float((2 * shift * left - shift**2).double().sum())
    return total


def without_dead(weight: Tensor, problem: Problem) -> Tensor:
    """The weight with zeros at the inputs that never move, which would only widen its range; as it is where none ever moves."""
    moves = problem.h.diagonal(dim1=1, dim2=2)
    dead = moves <= DEAD * moves.max()
    return weight if bool(dead.all()) else torch.where(dead[:, None], 0.0, weight)


def _change(problem: Problem, damping: float) -> Tensor:
    """G (H + lam I)^-1."""
    factor = cholesky(problem.h, damping)
    return torch.cholesky_solve(problem.g.transpose(1, 2), factor).transpose(1, 2)


def cholesky(h: Tensor, damping: float) -> Tensor:
    """The lower factor of `H + damping mean(diag H) I`, with more damping where float32 cannot have it otherwise."""
    mean = h.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-20)[:, None, None]
    eye = torch.eye(h.shape[1])
    while True:
        factor, failed = torch.linalg.cholesky_ex(h + damping * mean * eye)
        if not bool(failed.any()) and bool(torch.isfinite(factor).all()):
            return factor
        damping = max(damping * 10, 1e-6)
