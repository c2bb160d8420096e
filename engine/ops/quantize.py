"""QuantizeLinear and DequantizeLinear: per tensor, per channel and block-wise."""
from __future__ import annotations

import torch

from engine.ops.dtypes import integer_range, onnx_type, torch_dtype
from engine.ops.registry import Kernel, NodeSpec, Tensor, op


def _spread(parameter: Tensor, x: Tensor, axis: int, block: int) -> Tensor:
    """A scale or zero point in a shape that broadcasts over x."""
    if parameter.numel() == 1 and not block:
        return parameter.reshape(())
    if block:
        return parameter.repeat_interleave(block, axis).narrow(axis, 0, x.shape[axis])
    shape = [1] * x.ndim
    shape[axis] = -1
    return parameter.reshape(shape)


@op("QuantizeLinear", since=10, differentiable=False)
@op("QuantizeLinear", domain="com.microsoft", differentiable=False)
def quantize_linear(spec: NodeSpec) -> Kernel:
    """round(x / scale) + zero point, held within the type; ties go to the even number."""
    axis, block = spec.integer("axis", 1), spec.integer("block_size", 0)
    stated = spec.input_type(2) or spec.integer("output_dtype", 0)

    def kernel(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        number = stated or (2 if zero is None else onnx_type(zero.dtype))
        bounds, dtype = integer_range(number), torch_dtype(number)
        if bounds is None or dtype is None:
            raise spec.refusal(f"quantizing to ONNX type {number} is not supported.")
        wide = x if x.dtype == torch.float64 else x.float()
        codes = torch.round(wide / _spread(scale, x, axis, block).to(wide.dtype))
        if zero is not None:
            codes = codes + _spread(zero.to(wide.dtype), x, axis, block)
        return codes.clamp(*bounds).to(dtype)

    return kernel


@op("DequantizeLinear", since=10)
@op("DequantizeLinear", domain="com.microsoft")
def dequantize_linear(spec: NodeSpec) -> Kernel:
    """(x - zero point) scale, in the scale's type."""
    axis, block = spec.integer("axis", 1), spec.integer("block_size", 0)
    wanted = torch_dtype(spec.integer("output_dtype", 0))

    def kernel(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        codes = x.to(torch.float32)
        if zero is not None:
            codes = codes - _spread(zero.to(torch.float32), x, axis, block)
        factor = _spread(scale, x, axis, block)
        return (codes * factor.to(torch.float32)).to(wanted or scale.dtype)

    return kernel
