"""The quantizers of a network, whose ranges are learned: all of their numbers lie in two parameters."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from engine.quant.encoding import Encoding
from engine.quant.granularity import expand_to
from engine.quant.straight_through import FakeQuantize, PassThrough

Ranges = Literal["lsq", "pact", "fixed"]
Numbers = tuple[Tensor, Tensor]  # scale and whole zero point
SMALLEST = 2.0**-6  # of its first value: a scale that falls below has collapsed, and its gradient with it


@dataclass(frozen=True, eq=False)
class Quantizer:
    """One quantizer: the encoding that it begins with, how its range learns, and the elements of one sample that it serves."""

    start: Encoding
    ranges: Ranges
    elements: int

    @property
    def shape(self) -> torch.Size:
        """Of its scale; empty for one scale. Float types have none and nothing to learn."""
        return torch.Size() if self.start.scale is None else self.start.scale.shape

    @property
    def size(self) -> int:
        """How many scales it has."""
        return 0 if self.start.scale is None else self.start.scale.numel()

    @property
    def slope(self) -> float:
        """What gradients of its range are multiplied by: `1 / sqrt(N qmax)`, N the elements that share a scale in one sample."""
        assert self.start.grid is not None
        shared = max(1, self.elements // max(1, self.size))
        return 1.0 / math.sqrt(shared * max(1, self.start.grid.qmax))

    @cached_property
    def symmetric(self) -> bool:
        """Whether its zero point is 0 by its grid."""
        return self.start.grid is not None and self.start.grid.symmetric

    @cached_property
    def moves(self) -> bool:
        """Whether its zero point learns; what has one sign keeps its end at zero."""
        grid, zero = self.start.grid, self.start.zero_point
        if grid is None or zero is None or self.ranges != "lsq" or self.symmetric:
            return False
        return bool(((zero > grid.qmin) & (zero < grid.qmax)).any())

    def __call__(self, x: Tensor, numbers: Numbers | None) -> Tensor:
        """`x` as the device sees it, float32; `numbers` as `Quantizers.numbers` gives them."""
        start = self.start
        if start.grid is None or numbers is None:
            return PassThrough.apply(x, start.fake_quantize(x.detach()), 1.0)  # type: ignore[no-any-return]
        scale, zero = (expand_to(part, start.granularity, x.shape) if part.dim() else part for part in numbers)
        found: Tensor = FakeQuantize.apply(x, scale, zero, start.grid.qmin, start.grid.qmax, self.ranges == "lsq")
        return found

    def encoding(self, numbers: Numbers | None) -> Encoding:
        """The encoding that has these numbers; quantizing with them is its `fake_quantize`, bit by bit."""
        if numbers is None:
            return self.start
        scale, zero = (part.detach().cpu() for part in numbers)
        return replace(self.start, scale=scale.clone(), zero_point=zero.to(torch.int32).expand(scale.shape).clone())


class Quantizers(nn.Module):
    """Scales and zero points of all quantizers of a network.

    A scale is `start * ratio` with `ratio` learned from 1 on, a zero point `first + steps * shift` with `shift` from 0 on, so that
    one learning rate serves all tensors whatever their units. Gradients of both are multiplied by the quantizer's `slope` (LSQ,
    arXiv 1902.08153, section 2.2). All ratios are one vector, and all shifts another: a network has hundreds of ranges, and an
    optimizer, or a step of arithmetic, takes as long for one number as for a thousand.
    """

    def __init__(self, quantizers: Sequence[Quantizer], device: torch.device) -> None:
        super().__init__()
        self.all = tuple(quantizers)
        self._whole = [q for q in self.all if q.start.grid is not None]
        count = sum(q.size for q in self._whole)
        learn = any(q.ranges != "fixed" for q in self._whole)
        self.ratio = nn.Parameter(torch.ones(count, device=device), requires_grad=learn)
        self.shift = nn.Parameter(torch.zeros(count, device=device), requires_grad=any(q.moves for q in self._whole))
        self.start, self.first, self.low, self.high, self.steps, self.least, self.for_ratio, self.for_shift = (
            nn.Buffer(values.to(device), persistent=False) for values in _constants(self._whole))

    def __len__(self) -> int:
        return len(self.all)

    def numbers(self) -> list[Numbers | None]:
        """Scale and zero point of each quantizer, with the gradients that training is to see; None for float types."""
        parts = iter(_Split.apply(*self._vectors(), self._whole) if self._whole else ())
        return [None if q.start.grid is None else (next(parts), next(parts)) for q in self.all]

    def encodings(self) -> list[Encoding]:
        """The encoding of each quantizer as it is now."""
        with torch.no_grad():
            return [q.encoding(numbers) for q, numbers in zip(self.all, self.numbers(), strict=True)]

    def _vectors(self) -> Numbers:
        """All scales, and all zero points, one behind the other."""
        ratio = PassThrough.apply(self.ratio, self.ratio, self.for_ratio) if self.ratio.requires_grad else self.ratio
        scale = torch.maximum(self.start * ratio.clamp(min=SMALLEST), self.least)
        moved = self.first + self.steps * self.shift.detach()
        zero = torch.minimum(torch.maximum(moved.round_(), self.low), self.high)
        return scale, PassThrough.apply(self.shift, zero, self.for_shift) if self.shift.requires_grad else zero


class _Split(torch.autograd.Function):
    """`apply(scales, zeros, quantizers)`: scale and zero point of each quantizer in turn. Symmetric grids get one zero for all
    channels: its bounds are numbers, which is quicker."""

    @staticmethod
    def forward(ctx: Any, scales: Tensor, zeros: Tensor, quantizers: Sequence[Quantizer]) -> tuple[Tensor, ...]:
        ctx.sizes = [q.size for q in quantizers]
        found = list[Tensor]()
        for q, scale, zero in zip(quantizers, scales.split(ctx.sizes), zeros.split(ctx.sizes), strict=True):
            found += [scale.reshape(q.shape).clone(), zero.new_zeros(()) if q.symmetric else zero.reshape(q.shape).clone()]
        ctx.mark_non_differentiable(*(zero for zero, q in zip(found[1::2], quantizers, strict=True) if not q.moves))
        ctx.set_materialize_grads(False)
        return tuple(found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        scales, zeros = (_joined(part, ctx.sizes) for part in (grads[::2], grads[1::2]))
        return scales, zeros, None


def _joined(grads: Sequence[Tensor | None], sizes: Sequence[int]) -> Tensor | None:
    """One gradient for the whole vector; None where none of its parts has any."""
    like = next((g for g in grads if g is not None), None)
    if like is None:
        return None
    return torch.cat([like.new_zeros(size) if g is None else g.reshape(-1) for g, size in zip(grads, sizes, strict=True)])


def _constants(quantizers: Sequence[Quantizer]) -> list[Tensor]:
    """Vectors with a number for each scale: start, first, lowest and highest zero point, steps, least scale, slopes of both."""
    rows: list[list[Tensor]] = [[torch.zeros(0)] for _ in range(8)]
    for q in quantizers:
        grid, scale, zero = q.start.grid, q.start.scale, q.start.zero_point
        assert grid is not None and scale is not None and zero is not None
        same = torch.ones(q.size)
        learns = q.slope if q.ranges != "fixed" else 0.0
        values = (scale.reshape(-1).float(), zero.reshape(-1).float(), same * grid.qmin, same * grid.qmax, same * grid.steps,
                  same * grid.min_scale, same * learns, same * (q.slope * grid.steps if q.moves else 0.0))
        for row, value in zip(rows, values, strict=True):
            row.append(value)
    return [torch.cat(row) for row in rows]
