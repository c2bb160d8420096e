"""A local search behind GPTQ: single weights, and pairs of them where there are few, move by one step while that lowers the error.

GPTQ decides column by column and never looks back. With D = q - t and the step s_i of a weight, moving it up or down changes
`D H D'` by `s_i² H_ii ± 2 s_i (D H)_i`, and moving two adds `2 s_i s_j H_ij` with their signs. In each round every output row makes
its best move.
"""
from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 40
PAIRS, PAIR_VALUES = 32, 1 << 24  # pairs are tried up to this many inputs, and candidates in all
LEAST = 1e-6  # of a row's mean `s_i² H_ii`: smaller gains are rounding errors


def descend(found: Tensor, target: Tensor, h: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Values on the grid with an error `(q - t) H (q - t)'` that is at most that of `found`.

    Args:
        found: [groups, outputs, inputs], on the grid.
        target: of the same shape.
        h: [groups, inputs, inputs].
        scale: of every value, of the target's shape.
        low: the least code minus the zero point, which broadcasts to the target's shape; `high` likewise.
    """
    scale = scale.expand_as(found)
    codes = (found / scale).round_()
    slope = torch.bmm(found - target, h)
    curve = scale**2 * h.diagonal(dim1=1, dim2=2)[:, None]
    least = -LEAST * curve.mean(2, keepdim=True)
    inputs = found.shape[2]
    in_pairs = inputs <= PAIRS and found[..., 0].numel() * (2 * inputs) ** 2 <= PAIR_VALUES
    for _ in range(ROUNDS):
        up = (curve + 2 * scale * slope).masked_fill_(codes >= high, torch.inf)
        down = (curve - 2 * scale * slope).masked_fill_(codes <= low, torch.inf)
        costs = torch.cat((up, down), 2)
        cost, moves = _pair(costs, scale, h) if in_pairs else _single(costs)
        helps = cost < least
        if not bool(helps.any()):
            break
        for move in moves:
            at, sign = move % inputs, 1.0 - 2.0 * (move >= inputs).float()
            sign = torch.where(helps & (move >= 0), sign, 0.0)
            codes.scatter_add_(2, at, sign)
            rows = h.gather(1, at.expand(-1, -1, inputs))
            slope += sign * scale.gather(2, at) * rows
    return codes.mul_(scale)


def _single(costs: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Each row's best move of one weight: (its cost, which) [groups, outputs, 1]."""
    cost, move = costs.min(2, keepdim=True)
    return cost, (move,)


def _pair(costs: Tensor, scale: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The best move of one or two; the second is -1 where one moves alone."""
    inputs = scale.shape[2]
    steps = torch.cat((scale, -scale), 2)
    both = costs[:, :, :, None] + costs[:, :, None] + 2 * steps[:, :, :, None] * steps[:, :, None] * h.repeat(1, 2, 2)[:, None]
    both.masked_fill_(torch.eye(inputs, dtype=torch.bool).repeat(2, 2), torch.inf)  # one weight twice
    both.diagonal(dim1=2, dim2=3).copy_(costs)  # or alone
    cost, pair = both.flatten(2).min(2, keepdim=True)
    first, second = pair // (2 * inputs), pair % (2 * inputs)
    return cost, (first, torch.where(first == second, -1, second))
