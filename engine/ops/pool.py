"""Pooling of any rank."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from engine.ops.registry import Kernel, NodeSpec, Tensor, op, plain
from engine.ops.windows import Pads, per_axis, pooled_size, resolve_pads, symmetric, torch_pads

_MAX: dict[int, Callable[..., Any]] = {
    1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d,
}
_MEAN: dict[int, Callable[..., Any]] = {
    1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d,
}


class _Windows:
    """The windows of one pooling node on an input of a given size."""

    def __init__(self, spec: NodeSpec, size: Sequence[int]) -> None:
        kernel = spec.ints("kernel_shape")
        if not kernel:
            raise spec.refusal("kernel_shape is missing.")
        if len(kernel) != len(size) or not 1 <= len(kernel) <= 3:
            raise spec.refusal(f"kernel {list(kernel)} does not fit an input with {len(size)} spatial axes.")
        rank = len(kernel)
        self.kernel, self.ceil_mode = kernel, spec.flag("ceil_mode")
        self.stride = per_axis(spec.ints("strides"), rank)
        self.dilation = per_axis(spec.ints("dilations"), rank)
        self.pads = resolve_pads(spec, size, kernel, self.stride, self.dilation)
        rows = zip(size, kernel, self.stride, self.dilation, self.pads, strict=True)
        self.reach: Pads = []  # padding up to exactly the end of the last window
        for n, k, s, d, pad in rows:
            count = pooled_size(n, k, s, d, pad, self.ceil_mode)
            end = (count - 1) * s + d * (k - 1) + 1 - n - pad[0]
            self.reach.append((pad[0], max(end, 0)))

    def torch_padding(self) -> tuple[int, ...] | None:
        """Padding as torch's own pools take it, or None where they cannot express it."""
        padding = symmetric(self.pads)
        if padding is None or self.ceil_mode:
            return None
        return padding if all(2 * p <= k for p, k in zip(padding, self.kernel, strict=True)) else None


@op("MaxPool")
def max_pool(spec: NodeSpec) -> Kernel:
    """Largest value of each window, and its flat position where the second output is used."""
    column_major = spec.flag("storage_order")

    def kernel(x: Tensor) -> Tensor | tuple[Tensor, ...]:
        size = x.shape[2:]
        windows = _Windows(spec, size)
        padding, pool = windows.torch_padding(), _MAX[len(size)]
        values = x if x.dtype.is_floating_point else x.to(torch.float64)
        wide: Sequence[int] = size
        if padding is None:
            values = functional.pad(values, torch_pads(windows.reach), value=float("-inf"))
            wide, padding = values.shape[2:], (0,) * len(size)
        arguments = (values, windows.kernel, windows.stride, padding, windows.dilation)
        if spec.n_outputs == 1:
            return pool(*arguments).to(x.dtype)  # type: ignore[no-any-return]
        y, index = pool(*arguments, return_indices=True)
        return y.to(x.dtype), _global_index(index, wide, size, windows.reach, column_major)

    return kernel


def _global_index(
    index: Tensor, wide: Sequence[int], size: Sequence[int], pads: Pads, column_major: bool
) -> Tensor:
    """Positions within a padded channel as ONNX counts them: over the whole unpadded tensor."""
    if column_major or tuple(wide) != tuple(size):
        rest, flat = index, torch.zeros_like(index)
        for axis in reversed(range(len(size))):
            before = size[:axis] if column_major else size[axis + 1 :]
            flat = flat + (rest % wide[axis] - pads[axis][0]) * math.prod(before)
            rest = rest // wide[axis]
        index = flat
    channels = index.shape[0] * index.shape[1]
    area = math.prod(size)
    base = torch.arange(channels, device=index.device).reshape(*index.shape[:2], *(1,) * len(size)) * area
    return index + base


def _window_sum(x: Tensor, windows: _Windows) -> Tensor:
    """Sum over each window of an input that is already padded, any rank and dilation."""
    rank = len(windows.kernel)
    ones = torch.ones((1, 1, *windows.kernel), dtype=x.dtype, device=x.device)
    flat = x.reshape(-1, 1, *x.shape[2:])
    none = (0,) * rank
    y = torch.convolution(flat, ones, None, windows.stride, none, windows.dilation, False, none, 1)
    return y.reshape(*x.shape[:2], *y.shape[2:])


@op("AveragePool")
def average_pool(spec: NodeSpec) -> Kernel:
    """Mean of each window; whether padding counts is an attribute, overhang of ceil_mode never does."""
    include_pad = spec.flag("count_include_pad")

    def kernel(x: Tensor) -> Tensor:
        windows = _Windows(spec, x.shape[2:])
        padding = windows.torch_padding()
        if padding is not None and set(windows.dilation) == {1}:
            y: Tensor = _MEAN[x.ndim - 2](x, windows.kernel, windows.stride, padding, False, include_pad)
            return y
        reach = torch_pads(windows.reach)
        counted = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
        if include_pad:
            kept = [(b, min(e, end)) for (b, e), (_, end) in zip(windows.pads, windows.reach, strict=True)]
            rest = [(0, r[1] - k[1]) for k, r in zip(kept, windows.reach, strict=True)]
            counted = functional.pad(functional.pad(counted, torch_pads(kept), value=1.0), torch_pads(rest))
        else:
            counted = functional.pad(counted, reach)
        return _window_sum(functional.pad(x, reach), windows) / _window_sum(counted, windows)

    return kernel


@op("LpPool")
def lp_pool(spec: NodeSpec) -> Kernel:
    """p-norm of each window."""
    p = spec.number("p", 2.0)

    def kernel(x: Tensor) -> Tensor:
        windows = _Windows(spec, x.shape[2:])
        powers = functional.pad(x.abs().pow(p), torch_pads(windows.reach))
        return _window_sum(powers, windows).pow(1.0 / p)

    return kernel


def _spatial(x: Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


plain("GlobalAveragePool", lambda x: x.mean(_spatial(x), keepdim=True))
plain("GlobalMaxPool", lambda x: x.amax(_spatial(x), keepdim=True))


@op("GlobalLpPool", since=2)
def global_lp_pool(spec: NodeSpec) -> Kernel:
    """p-norm over all spatial axes."""
    p = spec.number("p", 2.0)
    return lambda x: torch.linalg.vector_norm(x, p, _spatial(x), keepdim=True)
