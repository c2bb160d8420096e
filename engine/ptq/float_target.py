"""The target that rounding aims at: the weight that, read from the spoilt prefix, comes closest to the float output.

    T = W + G (H + lam I)^-1        (G = E[(y - W x) x'], H = E[x x']; `moments.py`)

Asymmetric calibration as in GPTAQ (arXiv 2504.02692). lam is chosen by two-fold cross-validation: what is fitted to one half of
the samples is judged on the other, and where nothing helps there, W stays the target.
"""
from __future__ import annotations

import torch
from torch import Tensor

from engine.ptq.moments import Moments, Problem

DEAD = 1e-7  # of the layer's greatest moment: an input that moves less says nothing
DAMPINGS = (100.0, 10.0, 1.0, 0.1, 0.01)  # lam in units of the mean of H's diagonal, the most cautious first


def float_target(moments: Moments, problem: Problem) -> tuple[Tensor, float | None]:
    """(T - W [groups, outputs, inputs], the damping taken or None where W stays)."""
    nothing = torch.zeros_like(problem.g)
    if moments.slices > 1 or not bool((problem.rr > 1e-12 * problem.power).any()):
        return nothing, None
    halves = [moments.problem((fold,), problem.centred) for fold in (0, 1)]
    if min(half.rows for half in halves) < 2:
        return nothing, None
    best, gain = None, 0.0
    for damping in DAMPINGS:
        found = sum(_gain(_change(mine, damping), other) for mine, other in (halves, halves[::-1]))
        if found <= gain:
            if best is not None:
                break  # the gain has one peak
            continue
        best, gain = damping, found
    return (nothing, None) if best is None else (_change(problem, best), best)


def without_dead(weight: Tensor, problem: Problem) -> Tensor:
    """The weight with zeros at the inputs that never move, which would only widen its range; as it is where none ever moves."""
    moves = problem.h.diagonal(dim1=1, dim2=2)
    dead = moves <= DEAD * moves.max()
    return weight if bool(dead.all()) else torch.where(dead[:, None], 0.0, weight)


def _change(problem: Problem, damping: float) -> Tensor:
    """G (H + lam I)^-1."""
    factor = cholesky(problem.h, damping)
    return torch.cholesky_solve(problem.g.transpose(1, 2), factor).transpose(1, 2)


def _gain(change: Tensor, problem: Problem) -> float:
    """By how much the change lowers the squared error there."""
    return float(2 * torch.linalg.vecdot(change, problem.g).double().sum()
                 - torch.linalg.vecdot(torch.bmm(change, problem.h), change).double().sum())


def cholesky(h: Tensor, damping: float) -> Tensor:
    """The lower factor of `H + damping mean(diag H) I`, with more damping where float32 cannot have it otherwise."""
    mean = h.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-20)[:, None, None]
    eye = torch.eye(h.shape[1])
    while True:
        factor, failed = torch.linalg.cholesky_ex(h + damping * mean * eye)
        if not bool(failed.any()) and bool(torch.isfinite(factor).all()):
            return factor
        damping = max(damping * 10, 1e-6)
