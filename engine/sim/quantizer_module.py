"""One quantizer whose range is learned."""
from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from engine.quant.encoding import Encoding
from engine.quant.granularity import expand_to
from engine.quant.precision import Float
from engine.quant.straight_through import FakeQuantize, PassThrough

Ranges = Literal["lsq", "pact", "fixed"]
SMALLEST = 2.0**-6  # of its first value: a scale that falls below has collapsed, and its gradient with it


class Quantizer(nn.Module):
    """Fake-quantizes a tensor.

    The scale is `start * ratio` with `ratio` learned from 1 on, the zero point `first + steps * shift` with `shift` from 0 on, so
    that one learning rate serves all tensors whatever their units. Gradients of both are multiplied by `1 / sqrt(N qmax)` (LSQ,
    arXiv 1902.08153, section 2.2), N the elements that share a scale in one sample. Float types have nothing to learn.
    """

    def __init__(self, encoding: Encoding, ranges: Ranges, elements: int, device: torch.device) -> None:
        super().__init__()
        self.start_encoding, self.ranges = encoding, ranges
        if isinstance(encoding.dtype, Float):
            return
        assert encoding.scale is not None and encoding.zero_point is not None and encoding.grid is not None
        self.start: Tensor
        self.register_buffer("start", encoding.scale.to(device))
        self.ratio = nn.Parameter(torch.ones_like(encoding.scale, device=device), requires_grad=ranges != "fixed")
        inside = (encoding.zero_point > encoding.grid.qmin) & (encoding.zero_point < encoding.grid.qmax)
        moves = ranges == "lsq" and not encoding.grid.symmetric and bool(inside.any())  # what has one sign keeps its end at zero
        self.first: Tensor
        self.register_buffer("first", encoding.zero_point.to(device, torch.float32))
        self.shift = nn.Parameter(torch.zeros_like(encoding.scale, device=device), requires_grad=moves)
        shared = max(1, elements // max(1, encoding.scale.numel()))
        self.slope = 1.0 / math.sqrt(shared * max(1, encoding.grid.qmax))

    def forward(self, x: Tensor) -> Tensor:
        """`x` as the device sees it, float32."""
        encoding = self.start_encoding
        if encoding.grid is None:
            return PassThrough.apply(x, encoding.fake_quantize(x.detach()), 1.0)  # type: ignore[no-any-return]
        scale, zero = self._numbers()
        if scale.dim():
            scale, zero = (expand_to(part, encoding.granularity, x.shape) if part.dim() else part for part in (scale, zero))
        result: Tensor = FakeQuantize.apply(x, scale, zero, encoding.grid.qmin, encoding.grid.qmax, self.ranges == "lsq")
        return result

    def encoding(self) -> Encoding:
        """The encoding as it is now; `forward` is its `fake_quantize`, bit by bit."""
        if self.start_encoding.grid is None:
            return self.start_encoding
        with torch.no_grad():
            scale, zero = self._numbers()
        whole = zero.detach().cpu().to(torch.int32).expand(scale.shape).clone()
        return replace(self.start_encoding, scale=scale.detach().cpu().clone(), zero_point=whole)

    def _numbers(self) -> tuple[Tensor, Tensor]:
        """Scale and whole zero point, with the gradients that training is to see."""
        grid = self.start_encoding.grid
        assert grid is not None
        ratio, shift = self.ratio, self.shift
        if ratio.requires_grad:
            ratio = PassThrough.apply(ratio, ratio, self.slope)
        scale = (self.start * ratio.clamp(min=SMALLEST)).clamp(min=grid.min_scale)
        if grid.symmetric:
            return scale, scale.new_zeros(())  # one number for all channels: its bounds are numbers, which is quicker
        zero = (self.first + grid.steps * shift.detach()).round_().clamp_(grid.qmin, grid.qmax)
        return scale, PassThrough.apply(shift, zero, self.slope * grid.steps) if shift.requires_grad else zero
