"""Resize and Upsample: separable interpolation, one axis after the other.

Every output position of an axis is a weighted sum of a few input positions. Positions and weights
depend on sizes alone, so they are computed once per size and kept.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from engine.ops.registry import Kernel, NodeSpec, Tensor, int_list, op


@dataclass(frozen=True, slots=True)
class _Mode:
    """What the attributes say."""

    kind: str
    coordinates: str
    nearest: str  # empty before opset 11
    cubic_a: float
    exclude_outside: bool
    antialias: bool
    extrapolation: float


@dataclass(frozen=True, slots=True)
class _Taps:
    """For each output position the input positions it reads, their weights, and whether it lies outside."""

    index: Tensor
    weight: Tensor
    outside: Tensor | None


def _source(mode: _Mode, size: int, out: int, scale: float, roi: tuple[float, float]) -> Tensor:
    """The input coordinate of each output position.

    Where a scale makes no whole number of positions, the standard's reference implementation spreads
    the corners over the fraction; ONNX Runtime, like torch, over the positions there are. So does this.
    """
    y = torch.arange(out, dtype=torch.float64)
    how = mode.coordinates
    if how == "align_corners":
        return torch.zeros_like(y) if out == 1 else y * (size - 1) / (out - 1)
    if how == "asymmetric":
        return y / scale
    if how == "tf_crop_and_resize":
        start, end = roi
        if out == 1:
            return torch.full_like(y, (start + end) * (size - 1) / 2)
        return y * (end - start) * (size - 1) / (out - 1) + start * (size - 1)
    if how == "pytorch_half_pixel" and out == 1:
        return torch.full_like(y, -0.5)
    offset = size / 2 * (1 - out / (scale * size)) if how == "half_pixel_symmetric" else 0.0
    return offset + (y + 0.5) / scale - 0.5


def _nearest(x: Tensor, how: str) -> Tensor:
    if how == "floor":
        return x.floor()
    if how == "ceil":
        return x.ceil()
    return (x + 0.5).floor() if how == "round_prefer_ceil" else (x - 0.5).ceil()


def _triangle(distance: Tensor, a: float) -> Tensor:
    return (1 - distance).clamp(min=0)


def _cubic(distance: Tensor, a: float) -> Tensor:
    d = distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


def _taps(mode: _Mode, size: int, out: int, scale: float, roi: tuple[float, float]) -> _Taps:
    x = _source(mode, size, out, scale, roi)
    outside = None
    if mode.coordinates == "tf_crop_and_resize":
        outside = (x < 0) | (x > size - 1)
    if mode.kind == "nearest":
        # Opset 10 rounds up when it shrinks and down when it grows.
        rounding = mode.nearest or ("ceil" if scale < 1 else "floor")
        index = _nearest(x, rounding).long()[:, None]
        return _Taps(index.clamp(0, size - 1), torch.ones_like(index, dtype=torch.float32), outside)
    shape: Callable[[Tensor, float], Tensor] = _cubic if mode.kind == "cubic" else _triangle
    # An antialiased kernel grows with the shrinking factor.
    stretch = min(scale, 1.0) if mode.antialias else 1.0
    reach = math.ceil((2 if mode.kind == "cubic" else 1) / stretch)
    index = x.floor().long()[:, None] + torch.arange(1 - reach, reach + 1)
    weight = shape((x[:, None] - index).abs() * stretch, mode.cubic_a)
    if mode.exclude_outside:
        weight = torch.where((index < 0) | (index >= size), torch.zeros_like(weight), weight)
    if mode.antialias or mode.exclude_outside:
        weight = weight / weight.sum(1, keepdim=True)
    return _Taps(index.clamp(0, size - 1), weight, outside)


def _apply(x: Tensor, axis: int, taps: _Taps, extrapolation: float) -> Tensor:
    index, shape = taps.index.to(x.device), [1] * x.ndim
    shape[axis] = -1
    if index.shape[1] == 1:
        y = x.index_select(axis, index[:, 0])
    else:
        weight = taps.weight.to(x.device, x.dtype if x.dtype.is_floating_point else torch.float32)
        y = x.index_select(axis, index[:, 0]) * weight[:, 0].reshape(shape)
        for k in range(1, index.shape[1]):
            y = y + x.index_select(axis, index[:, k]) * weight[:, k].reshape(shape)
    if taps.outside is not None and bool(taps.outside.any()):
        y = torch.where(taps.outside.to(x.device).reshape(shape), extrapolation, y)
    return y


def _parse(spec: NodeSpec) -> _Mode:
    old = spec.op_type == "Upsample" or spec.opset < 11
    return _Mode(
        kind=spec.text("mode", "nearest").replace("bilinear", "linear"),
        coordinates="asymmetric" if old else spec.text("coordinate_transformation_mode", "half_pixel"),
        nearest="" if old else spec.text("nearest_mode", "round_prefer_floor"),
        cubic_a=spec.number("cubic_coeff_a", -0.75),
        exclude_outside=spec.flag("exclude_outside"),
        antialias=spec.flag("antialias"),
        extrapolation=spec.number("extrapolation_value", 0.0),
    )


def _targets(
    spec: NodeSpec, shape: list[int], scales: list[float] | None, sizes: list[int] | None
) -> tuple[list[int], list[float]]:
    """Output sizes and scales of the resized axes, of which `shape` holds the input sizes."""
    if scales is not None:
        return [math.floor(n * s) for n, s in zip(shape, scales, strict=True)], scales
    if sizes is None:
        raise spec.refusal("neither scales nor sizes are given.")
    ratios = [size / n for size, n in zip(sizes, shape, strict=True)]
    policy = spec.text("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return sizes, ratios
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return [math.floor(scale * n + 0.5) for n in shape], [scale] * len(shape)


@op("Resize", since=10, host=(1, 2, 3))
@op("Upsample", since=7, host=(1,))
def resize(spec: NodeSpec) -> Kernel:
    """Nearest, linear and cubic in all coordinate modes, antialiased or not."""
    mode, axes = _parse(spec), spec.ints("axes")
    known: dict[tuple[int, int, float, tuple[float, float]], _Taps] = {}

    def resized(x: Tensor, roi: Tensor | None, scales: list[float] | None, sizes: list[int] | None) -> Tensor:
        dims = [a % x.ndim for a in axes] if axes is not None else list(range(x.ndim))
        wanted, factors = _targets(spec, [x.shape[d] for d in dims], scales, sizes)
        cropping = mode.coordinates == "tf_crop_and_resize"
        crop = [] if roi is None else roi.tolist()
        result = x
        for i, (dim, out, scale) in enumerate(zip(dims, wanted, factors, strict=True)):
            window = (crop[i], crop[i + len(dims)]) if cropping else (0.0, 1.0)
            size = result.shape[dim]
            if out == size and scale == 1.0 and window == (0.0, 1.0):
                continue
            key = (size, out, scale, window)
            if key not in known:
                # Tensors made in inference mode could not take part in a later training run.
                with torch.inference_mode(False), torch.no_grad():
                    known[key] = _taps(mode, size, out, scale, window)
            result = _apply(result, dim, known[key], mode.extrapolation)
        return result if result.dtype == x.dtype else result.round().to(x.dtype)

    if spec.op_type == "Upsample" or spec.opset < 11:
        fixed = list(spec.attributes.get("scales", ()))
        return lambda x, scales=None: resized(x, None, fixed if scales is None else scales.tolist(), None)

    def kernel(
        x: Tensor, roi: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None
    ) -> Tensor:
        # An empty tensor stands for an absent input in opsets 11 and 12.
        factors = None if scales is None or scales.numel() == 0 else [float(s) for s in scales.tolist()]
        return resized(x, roi, factors, None if sizes is None else int_list(sizes))

    return kernel
