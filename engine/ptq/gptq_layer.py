"""One layer's weight rounded by GPTQ, on the range that serves it best.

The range found for nearest rounding is not always the best one here: GPTQ makes up for coarse steps, and clips what cannot make up.
So a few wider ranges are rounded too, all in one pass, and each scale takes the one with the least output error. A local search
(`descent.py`) goes over the result.
"""
from __future__ import annotations

import torch
from torch import Tensor

from engine.ptq.clip_search import owners, widened
from engine.ptq.descent import descend
from engine.ptq.gptq_solver import solve
from engine.ptq.moments import Moments, Problem
from engine.ptq.walk import LayerStep
from engine.quant.encoding import Encoding
from engine.quant.granularity import PerBlock

WIDER = (1.0, 1.12, 1.26, 1.41)  # factors on the range


def round_layer(step: LayerStep, moments: Moments, problem: Problem, target: Tensor, encoding: Encoding, damping: float,
                search: bool) -> tuple[Tensor, Encoding]:
    """(the target [groups, outputs, inputs] on the grid, that grid).

    Args:
        encoding: the grid to begin with; kept where `search` is False.
        damping: see `gptq_solver.solve`.
    """
    tried = [encoding if factor == 1.0 else widened(encoding, factor) for factor in WIDER]
    if not search or isinstance(encoding.granularity, PerBlock):
        tried = [encoding]
    parts = [_bounds(step, moments, one) for one in tried]
    split = moments.split(target)
    scale, low, high = (torch.cat([part[i] for part in parts], 1) for i in range(3))
    found = solve(split.repeat(1, len(tried), 1), problem.h, scale, low, high, damping)
    if len(tried) == 1:
        return moments.join(descend(found, split, problem.h, scale, low, high)), encoding
    outputs = step.form.outputs
    change = found - split.repeat(1, len(tried), 1)
    rows = torch.linalg.vecdot(torch.bmm(change, problem.h), change).reshape(step.form.groups, moments.slices, len(tried), outputs)
    owner = owners(step.form, encoding, step.weight.shape)[:, :, 0]
    assert encoding.scale is not None
    errors = torch.zeros(len(tried), encoding.scale.numel(), dtype=torch.float64)
    errors.index_add_(1, owner.reshape(-1), rows.sum(1).transpose(0, 1).reshape(len(tried), -1).double())
    best = errors.argmin(0)
    factor = torch.tensor(WIDER)[best].reshape(encoding.scale.shape)
    chosen = best[owner].repeat_interleave(moments.slices, 0)  # [groups x slices, outputs]
    stacked = found.reshape(len(found), len(tried), outputs, -1)
    picked = stacked.gather(1, chosen[:, None, :, None].expand(-1, 1, -1, stacked.shape[3]))[:, 0]
    encoding = widened(encoding, factor)
    return moments.join(descend(picked, split, problem.h, *_bounds(step, moments, encoding))), encoding


def _bounds(step: LayerStep, moments: Moments, encoding: Encoding) -> tuple[Tensor, Tensor, Tensor]:
    """(scale, least, greatest code beside the zero point) of every weight [groups x slices, outputs, width]."""
    assert encoding.grid is not None
    scale, zero = (step.form.matrix(part.expand(step.weight.shape)) for part in encoding.expand(step.weight.shape))
    low, high = (moments.split((code - zero).float()) for code in (encoding.grid.qmin, encoding.grid.qmax))
    spread = moments.split(scale)
    return torch.where(spread > 0, spread, 1.0), low, high  # a last slice is filled up with zeros
