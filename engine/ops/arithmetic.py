"""Element by element arithmetic, trigonometry and the variadic Min, Max, Sum, Mean."""
from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import torch

from engine.ops.registry import Kernel, NodeSpec, Tensor, op, plain

for _name, _kernel in {
    "Abs": torch.abs,
    "Neg": torch.neg,
    "Exp": torch.exp,
    "Log": torch.log,
    "Sqrt": torch.sqrt,
    "Reciprocal": torch.reciprocal,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Tan": torch.tan,
    "Asin": torch.asin,
    "Acos": torch.acos,
    "Atan": torch.atan,
    "Sinh": torch.sinh,
    "Cosh": torch.cosh,
    "Asinh": torch.asinh,
    "Acosh": torch.acosh,
    "Atanh": torch.atanh,
    "Erf": torch.erf,
    "Det": torch.linalg.det,
}.items():
    plain(_name, _kernel)

# These are flat almost everywhere: torch returns zero gradients, which trains nothing behind them.
for _name, _kernel in {
    "Floor": torch.floor,
    "Ceil": torch.ceil,
    "Round": torch.round,
    "Sign": torch.sign,
}.items():
    plain(_name, _kernel, differentiable=False)

# Before opset 7, broadcasting was an attribute; such models are raised by the version converter first.
plain("Add", torch.add, since=7)
plain("Sub", torch.sub, since=7)
plain("Mul", torch.mul, since=7)


@op("Div", since=7)
def div(spec: NodeSpec) -> Kernel:
    """Integers divide towards zero."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        if a.dtype.is_floating_point:
            return torch.div(a, b)
        return torch.div(a, b, rounding_mode="trunc")

    return kernel


@op("Pow", since=7, host=(1,))
def power(spec: NodeSpec) -> Kernel:
    """The result has the type of the base, whatever the exponent's."""

    def kernel(base: Tensor, exponent: Tensor) -> Tensor:
        # A python exponent keeps x ** 2 a multiplication, with a gradient that is finite at zero.
        if exponent.numel() == 1 and exponent.ndim <= base.ndim and not exponent.requires_grad:
            return torch.pow(base, exponent.item()).to(base.dtype)
        if base.dtype.is_floating_point:
            exponent = exponent.to(base)
        return torch.pow(base, exponent).to(base.dtype)

    return kernel


@op("Mod")
def modulo(spec: NodeSpec) -> Kernel:
    """`fmod` takes the sign of the dividend, the integer form the sign of the divisor."""
    return torch.fmod if spec.flag("fmod") else torch.remainder


def _variadic(combine: Callable[[Tensor, Tensor], Tensor]) -> Kernel:
    return lambda *inputs: reduce(combine, inputs)


@op("Min", since=8)
def minimum(spec: NodeSpec) -> Kernel:
    """Smallest of all inputs, broadcast."""
    return _variadic(torch.minimum)


@op("Max", since=8)
def maximum(spec: NodeSpec) -> Kernel:
    """Largest of all inputs, broadcast."""
    return _variadic(torch.maximum)


@op("Sum", since=8)
def total(spec: NodeSpec) -> Kernel:
    """Sum of all inputs, broadcast."""
    return _variadic(torch.add)


@op("Mean", since=8)
def mean(spec: NodeSpec) -> Kernel:
    """Mean of all inputs, broadcast."""
    return lambda *inputs: reduce(torch.add, inputs) / len(inputs)


@op("CumSum", host=(1,))
def cumulative_sum(spec: NodeSpec) -> Kernel:
    """Running sum along an axis; `exclusive` leaves the element itself out."""
    return _cumulative(spec, torch.cumsum, 0)


@op("CumProd", host=(1,))
def cumulative_product(spec: NodeSpec) -> Kernel:
    """Running product along an axis; `exclusive` leaves the element itself out."""
    return _cumulative(spec, torch.cumprod, 1)


def _cumulative(spec: NodeSpec, scan: Callable[..., Tensor], neutral: int) -> Kernel:
    exclusive, reverse = spec.flag("exclusive"), spec.flag("reverse")

    def kernel(x: Tensor, axis: Tensor) -> Tensor:
        dim = int(axis.item())
        values = x.flip(dim) if reverse else x
        result = scan(values, dim, dtype=x.dtype)
        if exclusive:
            first = torch.full_like(result.narrow(dim, 0, 1), neutral)
            result = torch.cat([first, result.narrow(dim, 0, x.shape[dim] - 1)], dim)
        return result.flip(dim) if reverse else result

    return kernel
