"""The range of a weight by the error it makes at the layer's output: shares of the full range, per scale the best one.

Error of a candidate: `(q - t) H (q - t)'` per output, with t the weight that is rounded, q its nearest values on the candidate's
grid and H the moments of the layer's input. Where several outputs share a scale their errors are added; where an output has
several scales (blocks) each is judged by its own values and H's diagonal.

Shares go evenly from 1 to a quarter, then on by a factor as long as some scale gets better there. One scale for a whole tensor is
searched to a 64th: a single large weight on an input that hardly ever moves would else leave all others with no levels.
"""
from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from engine.ptq.matrix import MatrixForm
from engine.quant.encoding import Encoding, encode_range
from engine.quant.granularity import Granularity, PerBlock, PerTensor
from engine.quant.precision import Int
from engine.quant.weights import weight_encoding
from engine.targets import WeightPlan

EVEN, LEAST, FACTOR = 0.25, 1 / 64, 0.75  # of the full range: where even shares end, the least of all, the step between these two


def search_clip(form: MatrixForm, weight: Tensor, plan: WeightPlan, h: Tensor, candidates: int) -> Encoding:
    """The encoding of `weight` (ONNX shape) under the plan's type, symmetry and granularity with the least output error.

    Args:
        h: [groups x slices, width, width], as `Moments` has it.
        candidates: even shares of the full range; 1 keeps it.
    """
    assert isinstance(plan.dtype, Int)
    full = weight_encoding(weight, plan.dtype, plan.symmetry, plan.granularity)
    assert full.grid is not None and full.scale is not None
    owner = owners(form, full, weight.shape)
    best, share = torch.full((full.scale.numel(),), float("inf"), dtype=torch.float64), torch.ones(full.scale.numel())
    for tried in _shares(candidates):
        encoding = widened(full, tried)
        errors = _errors(form.matrix(encoding.fake_quantize(weight) - weight), h, owner, len(best), plan.granularity)
        better = errors < best
        if tried < EVEN and not (better.any() or isinstance(plan.granularity, PerTensor)):
            break
        best, share = torch.where(better, errors, best), torch.where(better, tried, share)
    return widened(full, share.reshape(full.scale.shape))


def _shares(candidates: int) -> Iterator[float]:
    """The shares to try, falling."""
    if candidates == 1:
        yield 1.0
        return
    yield from (i / candidates for i in range(candidates, 0, -1) if i / candidates >= EVEN)
    share = EVEN * FACTOR
    while share >= LEAST:
        yield share
        share *= FACTOR


def widened(encoding: Encoding, factor: float | Tensor) -> Encoding:
    """The same grid over ranges that are wider by a factor, or by one for each scale."""
    assert encoding.grid is not None
    return encode_range(encoding.low * factor, encoding.high * factor, encoding.grid, encoding.granularity)


def owners(form: MatrixForm, encoding: Encoding, shape: torch.Size) -> Tensor:
    """[groups, outputs, inputs]: which of the flattened scales each weight has."""
    assert encoding.scale is not None
    granularity = encoding.granularity
    numbers = torch.arange(encoding.scale.numel()).reshape(encoding.scale.shape)
    if isinstance(granularity, PerBlock):
        return form.matrix(numbers.repeat_interleave(granularity.size, dim=granularity.axis))
    if isinstance(granularity, PerTensor):
        return form.matrix(numbers.expand(shape))
    view = [-1 if axis == granularity.axis % len(shape) else 1 for axis in range(len(shape))]
    return form.matrix(numbers.reshape(view).expand(shape))


def _errors(change: Tensor, h: Tensor, owner: Tensor, count: int, granularity: Granularity) -> Tensor:
    """The error of each scale's weights, float64 [count]."""
    groups, outputs, inputs = change.shape
    slices, width = len(h) // groups, h.shape[1]
    padded = torch.nn.functional.pad(change, (0, slices * width - inputs))
    parts = padded.reshape(groups, outputs, slices, width).transpose(1, 2).reshape(-1, outputs, width)
    found = torch.zeros(count, dtype=torch.float64)
    if isinstance(granularity, PerBlock):
        each = (parts**2 * h.diagonal(dim1=1, dim2=2)[:, None]).reshape(groups, slices, outputs, width).transpose(1, 2)
        return found.index_add_(0, owner.reshape(-1), each.reshape(groups, outputs, -1)[:, :, :inputs].reshape(-1).double())
    rows = torch.linalg.vecdot(torch.bmm(parts, h), parts).reshape(groups, slices, outputs).sum(1)
    return found.index_add_(0, owner[:, :, 0].reshape(-1), rows.reshape(-1).double())
