"""GPTQ (arXiv 2210.17323, algorithm 1): columns are rounded one after another, and the rest makes up for the error of each.

Columns go by falling diagonal of H, so that the ones that matter most are rounded while most others can still make up for them.
With `U' U = (H + damping mean(diag H) I)^-1`, U upper triangular: column i rounds to q, its error e = (w_i - q) / U_ii is taken off
the columns j > i as e U_ij. Blocks of columns are finished before the rest is touched.
"""
from __future__ import annotations

import torch
from torch import Tensor

from engine.ptq.float_target import cholesky

BLOCK = 64


def solve(target: Tensor, h: Tensor, scale: Tensor, low: Tensor, high: Tensor, damping: float = 0.01) -> Tensor:
    """Values near `target` on the grid with a small `(q - t) H (q - t)'`.

    Args:
        target: [groups, outputs, inputs].
        h: [groups, inputs, inputs].
        scale: of every value, of the target's shape.
        low: the least code minus the zero point, which broadcasts to the target's shape; `high` likewise.
        damping: of H, in units of the mean of its diagonal.
    """
    order = h.diagonal(dim1=1, dim2=2).argsort(dim=1, descending=True, stable=True)
    index = order[:, None].expand_as(target)
    upper = _inverse_factor(_permuted(h, order), damping)
    left, grid, bottom, top = (part.expand_as(target).gather(2, index).transpose(1, 2).contiguous() for part in (target, scale, low, high))
    for start in range(0, target.shape[2], BLOCK):
        stop = min(start + BLOCK, target.shape[2])
        errors = torch.empty_like(left[:, start:stop])
        for i in range(start, stop):
            row = left[:, i]
            rounded = (row / grid[:, i]).round_().clamp_(bottom[:, i], top[:, i]).mul_(grid[:, i])
            error = (row - rounded).div_(upper[:, i, i, None])
            errors[:, i - start] = error
            row.copy_(rounded)
            if i + 1 < stop:
                left[:, i + 1:stop].baddbmm_(upper[:, i, i + 1:stop, None], error[:, None], alpha=-1)
        if stop < target.shape[2]:
            left[:, stop:].baddbmm_(upper[:, start:stop, stop:].transpose(1, 2), errors, alpha=-1)
    return torch.empty_like(target).scatter_(2, index, left.transpose(1, 2))


def _permuted(h: Tensor, order: Tensor) -> Tensor:
    rows = h.gather(1, order[:, :, None].expand_as(h))
    return rows.gather(2, order[:, None].expand_as(h))


def _inverse_factor(h: Tensor, damping: float) -> Tensor:
    """U, upper triangular, with U' U = (H + damping)^-1: with the axes reversed, H = L L' gives U = L^-1 reversed."""
    lower = cholesky(h.flip(1, 2), damping)
    return torch.linalg.solve_triangular(lower, torch.eye(h.shape[1]).expand_as(h), upper=False).flip(1, 2)
