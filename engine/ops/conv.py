"""Convolutions of any rank."""
from __future__ import annotations

import torch
from torch.nn import functional

from engine.ops.registry import Kernel, NodeSpec, Tensor, op
from engine.ops.windows import Pads, per_axis, resolve_pads, split_pads, symmetric, torch_pads


@op("Conv")
def conv(spec: NodeSpec) -> Kernel:
    """Convolution with groups, dilations, auto_pad and different padding at both ends."""
    groups = spec.integer("group", 1)
    strides, dilations = spec.ints("strides"), spec.ints("dilations")
    depends_on_size = spec.text("auto_pad", "NOTSET").startswith("SAME")
    fixed: dict[int, tuple[tuple[int, ...], tuple[int, ...], Pads]] = {}

    def windows(x: Tensor, weight: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], Pads]:
        rank = weight.ndim - 2
        if rank in fixed:
            return fixed[rank]
        stride, dilation = per_axis(strides, rank), per_axis(dilations, rank)
        found = stride, dilation, resolve_pads(spec, x.shape[2:], weight.shape[2:], stride, dilation)
        if not depends_on_size:
            fixed[rank] = found
        return found

    def kernel(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        stride, dilation, pads = windows(x, weight)
        padding = symmetric(pads)
        if padding is None or min(padding) < 0:
            x, padding = functional.pad(x, torch_pads(pads)), (0,) * len(pads)
        no_output_padding = (0,) * len(pads)
        return torch.convolution(
            x, weight, bias, stride, padding, dilation, False, no_output_padding, groups
        )

    return kernel


def transposed_pads(
    spec: NodeSpec, size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...],
    dilation: tuple[int, ...], output_padding: tuple[int, ...],
) -> Pads:
    """How much of the full output is cut off at both ends."""
    mode, shape = spec.text("auto_pad", "NOTSET"), spec.ints("output_shape")
    same = mode.startswith("SAME")
    if shape is None and not same:
        pads = spec.ints("pads") if mode == "NOTSET" else None
        return split_pads(pads) if pads else [(0, 0)] * len(kernel)
    result: Pads = []
    for axis in range(len(kernel)):
        full = stride[axis] * (size[axis] - 1) + dilation[axis] * (kernel[axis] - 1) + 1
        wanted = shape[len(shape) - len(kernel) + axis] if shape else size[axis] * stride[axis]
        # A full output that is too small is enlarged at its end: a negative cut.
        whole = full + output_padding[axis] - wanted
        if whole < 0:
            result.append((0, whole))
            continue
        small, large = whole // 2, whole - whole // 2
        result.append((small, large) if mode == "SAME_UPPER" else (large, small))
    return result


@op("ConvTranspose")
def conv_transpose(spec: NodeSpec) -> Kernel:
    """Transposed convolution with output_padding, output_shape and auto_pad."""
    groups = spec.integer("group", 1)

    def kernel(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        rank = weight.ndim - 2
        stride, dilation = per_axis(spec.ints("strides"), rank), per_axis(spec.ints("dilations"), rank)
        extra = per_axis(spec.ints("output_padding"), rank, 0)
        size, shape = tuple(x.shape[2:]), tuple(weight.shape[2:])
        pads = transposed_pads(spec, size, shape, stride, dilation, extra)
        padding = symmetric(pads)
        rows = zip(extra, stride, dilation, strict=True)
        if padding is not None and all(e < max(s, d) for e, s, d in rows):
            return torch.convolution(x, weight, bias, stride, padding, dilation, True, extra, groups)
        none = (0,) * rank
        y = torch.convolution(x, weight, None, stride, none, dilation, True, none, groups)
        cuts = [(-begin, e - end) for (begin, end), e in zip(pads, extra, strict=True)]
        y = functional.pad(y, torch_pads(cuts))
        return y if bias is None else y + bias.reshape(-1, *(1,) * rank)

    return kernel
