"""Constants, ranges, one-hot and casts."""
from __future__ import annotations

import torch

from engine.ops.dtypes import bits_of_narrow, integer_range, is_float, is_float8, torch_dtype
from engine.ops.registry import Kernel, NodeSpec, Tensor, op, plain

plain("NonZero", lambda x: x.nonzero().t(), differentiable=False)


@op("Constant", differentiable=False)
def constant(spec: NodeSpec) -> Kernel:
    """A tensor, a number or a list of numbers."""
    attributes = spec.attributes
    if isinstance(attributes.get("value"), Tensor):
        value: Tensor = attributes["value"]
    elif "value_float" in attributes or "value_floats" in attributes:
        number = attributes.get("value_float", attributes.get("value_floats"))
        value = torch.tensor(number, dtype=torch.float32)
    elif "value_int" in attributes or "value_ints" in attributes:
        number = attributes.get("value_int", attributes.get("value_ints"))
        value = torch.tensor(number, dtype=torch.int64)
    else:
        raise spec.refusal("the constant is no dense tensor of numbers.")
    return lambda: value


@op("ConstantOfShape", differentiable=False, host=(0,))
def constant_of_shape(spec: NodeSpec) -> Kernel:
    """Filled with `value`, zero by default."""
    value = spec.attributes.get("value")
    fill = torch.zeros(1) if value is None else value
    number = fill.item()
    return lambda shape: torch.full(shape.tolist(), number, dtype=fill.dtype)


@op("Range", differentiable=False, host=(0, 1, 2))
def range_(spec: NodeSpec) -> Kernel:
    """From start up to and without limit."""

    def kernel(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
        return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)

    return kernel


@op("EyeLike", differentiable=False)
def eye_like(spec: NodeSpec) -> Kernel:
    """Ones on the k-th diagonal."""
    k, wanted = spec.integer("k", 0), spec.attributes.get("dtype")

    def kernel(x: Tensor) -> Tensor:
        dtype = x.dtype if wanted is None else torch_dtype(wanted)
        ones = torch.ones(x.shape, dtype=dtype, device=x.device)
        return torch.triu(torch.tril(ones, k), k)

    return kernel


@op("Trilu", host=(1,))
def trilu(spec: NodeSpec) -> Kernel:
    """The upper or lower triangle."""
    triangle = torch.triu if spec.flag("upper", True) else torch.tril
    return lambda x, k=None: triangle(x, 0 if k is None else int(k.item())) if x.numel() else x


@op("OneHot", since=9, differentiable=False, host=(1,))
def one_hot(spec: NodeSpec) -> Kernel:
    """Indices outside of the depth give all `off`."""
    axis = spec.integer("axis", -1)

    def kernel(index: Tensor, depth: Tensor, values: Tensor) -> Tensor:
        count = int(depth.item())
        index = index.long()
        index = torch.where(index < 0, index + count, index).unsqueeze(axis)
        shape = [1] * index.ndim
        shape[axis] = count
        hot = index == torch.arange(count, device=index.device).reshape(shape)
        return torch.where(hot, values[1], values[0])

    return kernel


@op("Dropout")
def dropout(spec: NodeSpec) -> Kernel:
    """Does nothing at inference; the mask, where it is asked for, keeps everything."""

    def kernel(
        x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        if training is not None and bool(training) and (ratio is None or float(ratio) > 0):
            raise spec.refusal("is in training mode. Export the model in evaluation mode.")
        return x if spec.n_outputs == 1 else (x, torch.ones_like(x, dtype=torch.bool))

    return kernel


def _wrapped(x: Tensor, to: int) -> Tensor:
    """A cast to a type narrower than a byte, which keeps the lowest bits."""
    low, high = integer_range(to) or (0, 0)
    return ((x.to(torch.int64) - low).remainder(high - low + 1) + low).to(torch_dtype(to))


def _float_target(spec: NodeSpec) -> bool:
    return is_float(spec.integer("to"))


@op("Cast", differentiable=_float_target)
def cast(spec: NodeSpec) -> Kernel:
    """Truncates towards zero on the way to integers."""
    to = spec.integer("to")
    dtype = torch_dtype(to)
    if dtype is None or is_float8(to):
        raise spec.refusal(f"a cast to ONNX type {to} is not supported.")
    if bits_of_narrow(to):
        return lambda x: _wrapped(x, to)
    return lambda x: x.to(dtype)


@op("CastLike")
def cast_like(spec: NodeSpec) -> Kernel:
    """A cast to the second input's type."""
    to = spec.input_type(1)
    if is_float8(to):
        raise spec.refusal(f"a cast to ONNX type {to} is not supported.")
    return lambda x, like: _wrapped(x, to) if bits_of_narrow(to) else x.to(like.dtype)
