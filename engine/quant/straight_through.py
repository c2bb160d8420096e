"""Fake quantization that gradients pass through: the exact forward of `Encoding.fake_quantize`, and a chosen backward.

With `v = x / s`, `n, p` the lowest and highest code less the zero point `z`, and `y = clamp(round(v), n, p) s`:

1. straight-through estimator: `dy/dx = 1` where `n <= v <= p`, else 0 (Bengio et al., arXiv 1308.3432);
2. learned scale: `dy/ds = round(v) - v` inside, `n` below, `p` above (LSQ, arXiv 1902.08153, equation 3);
3. learned zero point: `dy/dz = -s` outside, 0 inside (LSQ+, arXiv 2004.09576, equation 5);
4. learned clip: rule 2 without its inner part, so that a range moves only by what it cuts off (PACT, arXiv 1805.06085, equation 3).
"""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

EDGE = 1e-3  # of a step: the kernel's own bounds are open


class FakeQuantize(torch.autograd.Function):
    """`apply(x, scale, zero, qmin, qmax, inner)`; scale and zero are float32 and broadcast against `x` (of any float type), `inner`
    chooses rule 2 or 4.

    `zero` holds whole numbers. The result is float32 of the shape of `x`, bit-equal to `Encoding.fake_quantize`.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero: Tensor, qmin: int, qmax: int, inner: bool) -> Tensor:
        # Half precision (autocast) holds no 8-bit grid; a layout of its own would be copied by each sum of the backward.
        x = x.to(torch.float32).contiguous()
        y = torch.div(x, scale).round_()
        if zero.dim() == 0:
            ctx.codes = (qmin - float(zero), qmax - float(zero))
            y.clamp_(*ctx.codes)
        else:
            ctx.codes = (qmin - zero, qmax - zero)
            y.clamp_(*ctx.codes)
        y.mul_(scale)
        ctx.inner = inner
        ctx.save_for_backward(x, scale, zero, y)  # the node before keeps x and the one behind keeps y: neither costs memory
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, zero, y = ctx.saved_tensors
        grad = grad.contiguous()  # float32, as the result is
        for_scale, for_zero = ctx.needs_input_grad[1:3]
        through = _through(grad, x, scale, *ctx.codes)
        to_scale = to_zero = None
        if for_scale:  # rule 2 as (y - x) / s inside and y / s outside: sums of products, without a tensor in between
            within = _dot(through, x if ctx.inner else y, scale)
            to_scale = (_dot(grad, y, scale) - within) / scale
        if for_zero:
            to_zero = -scale * (_dot(grad, None, zero) - _dot(through, None, zero))
        return through, to_scale, to_zero, None, None, None


def _through(grad: Tensor, x: Tensor, scale: Tensor, low: Any, high: Any) -> Tensor:
    """Rule 1. One pass where the bounds are numbers; a value on a bound passes, as a weight does that was rounded to the last code."""
    if isinstance(low, Tensor):
        v = torch.div(x, scale)
        return grad * ((v >= low - EDGE) & (v <= high + EDGE))
    if scale.dim():
        return torch.ops.aten.hardtanh_backward(grad, torch.div(x, scale), low - EDGE, high + EDGE)  # type: ignore[no-any-return]
    s = float(scale)
    return torch.ops.aten.hardtanh_backward(grad, x, (low - EDGE) * s, (high + EDGE) * s)  # type: ignore[no-any-return]


def _dot(a: Tensor, b: Tensor | None, like: Tensor) -> Tensor:
    """The sum of `a b` (of `a` alone without b) over the axes along which `like` is broadcast."""
    if like.dim() == 0:
        return a.sum() if b is None else torch.dot(a.reshape(-1), b.reshape(-1))
    axes = [d for d, n in enumerate(like.shape) if n == 1 and a.shape[d] != 1]
    product = a if b is None else a * b
    return product.sum(axes, keepdim=True) if axes else product.clone()


class PassThrough(torch.autograd.Function):
    """`apply(x, value, slope)`: `value`, bit by bit, with a gradient of `slope` times its own for `x` (of the same shape)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, slope: float | Tensor) -> Tensor:
        ctx.slope = slope
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0] * ctx.slope, None, None
