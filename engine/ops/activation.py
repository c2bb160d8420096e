"""Activation functions and the softmax family."""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from engine.ops.registry import Kernel, NodeSpec, Tensor, op, plain

plain("Relu", torch.relu)
plain("Sigmoid", torch.sigmoid)
plain("Tanh", torch.tanh)
plain("HardSwish", functional.hardswish)
plain("Mish", functional.mish)
plain("Softplus", functional.softplus)
plain("Softsign", functional.softsign)


@op("Clip", host=(1, 2))
def clip(spec: NodeSpec) -> Kernel:
    """Bounds are attributes before opset 11 and inputs since; both may be absent."""
    fixed_low, fixed_high = spec.attributes.get("min"), spec.attributes.get("max")

    def kernel(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
        if (low is not None and low.requires_grad) or (high is not None and high.requires_grad):
            return torch.clamp(x, low, high)  # learned bounds
        lo = fixed_low if low is None else low.item()
        hi = fixed_high if high is None else high.item()
        if lo is None and hi is None:
            return x
        if lo is not None and hi is not None and lo <= hi and x.requires_grad:
            return functional.hardtanh(x, lo, hi)  # its backward pass is one kernel, clamp's are several
        return torch.clamp(x, lo, hi)

    return kernel


@op("LeakyRelu")
def leaky_relu(spec: NodeSpec) -> Kernel:
    """x where positive, alpha x elsewhere."""
    alpha = spec.number("alpha", 0.01)
    return lambda x: functional.leaky_relu(x, alpha)


@op("PRelu", since=7)
def prelu(spec: NodeSpec) -> Kernel:
    """A leaky ReLU with slopes from an input that broadcasts one way."""
    return lambda x, slope: torch.where(x >= 0, x, x * slope)


@op("Elu")
def elu(spec: NodeSpec) -> Kernel:
    """x where positive, alpha (exp x - 1) elsewhere."""
    alpha = spec.number("alpha", 1.0)
    return lambda x: functional.elu(x, alpha)


@op("Selu")
def selu(spec: NodeSpec) -> Kernel:
    """A scaled ELU."""
    alpha, gamma = spec.number("alpha", 1.6732632423543772), spec.number("gamma", 1.0507009873554805)
    return lambda x: gamma * functional.elu(x, alpha)


@op("Celu")
def celu(spec: NodeSpec) -> Kernel:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1))."""
    alpha = spec.number("alpha", 1.0)
    return lambda x: functional.celu(x, alpha)


@op("HardSigmoid")
def hard_sigmoid(spec: NodeSpec) -> Kernel:
    """alpha x + beta, held between 0 and 1."""
    alpha, beta = spec.number("alpha", 0.2), spec.number("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return functional.hardsigmoid
    return lambda x: torch.clamp(x * alpha + beta, 0.0, 1.0)


@op("ThresholdedRelu")
def thresholded_relu(spec: NodeSpec) -> Kernel:
    """x where above alpha, 0 elsewhere."""
    alpha = spec.number("alpha", 1.0)
    return lambda x: functional.threshold(x, alpha, 0.0)


@op("Shrink")
def shrink(spec: NodeSpec) -> Kernel:
    """Moves values towards zero by `bias`; those nearer than `lambd` become zero."""
    lambd, bias = spec.number("lambd", 0.5), spec.number("bias", 0.0)

    def kernel(x: Tensor) -> Tensor:
        zero = torch.zeros_like(x)
        shrunk = torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, zero))
        return shrunk.to(x.dtype)

    return kernel


@op("Gelu")
@op("Gelu", domain="com.microsoft")
def gelu(spec: NodeSpec) -> Kernel:
    """Exact by default, `approximate=tanh` for the other form."""
    approximate = spec.text("approximate", "none")
    return lambda x: functional.gelu(x, approximate=approximate)


@op("FastGelu", "BiasGelu", domain="com.microsoft")
def biased_gelu(spec: NodeSpec) -> Kernel:
    """GELU of x plus an optional bias; FastGelu is the tanh form."""
    approximate = "tanh" if spec.op_type == "FastGelu" else "none"

    def kernel(x: Tensor, bias: Tensor | None = None) -> Tensor:
        return functional.gelu(x if bias is None else x + bias, approximate=approximate)

    return kernel


@op("Swish")
@op("QuickGelu", domain="com.microsoft")
def swish(spec: NodeSpec) -> Kernel:
    """x sigmoid(alpha x)."""
    alpha = spec.number("alpha", 1.0 if spec.op_type == "Swish" else 1.702)
    if alpha == 1.0:
        return functional.silu
    return lambda x: x * torch.sigmoid(alpha * x)


def _hardmax(x: Tensor, dim: int) -> Tensor:
    return torch.zeros_like(x).scatter_(dim, x.argmax(dim, keepdim=True), 1.0)


_NORMALIZERS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "Softmax": torch.softmax,
    "LogSoftmax": torch.log_softmax,
    "Hardmax": _hardmax,
}


def _flat_normalizer(spec: NodeSpec) -> Kernel:
    """Before opset 13: everything from the axis on counts as one axis."""
    axis, normalize = spec.integer("axis", 1), _NORMALIZERS[spec.op_type]

    def kernel(x: Tensor) -> Tensor:
        start = axis % x.ndim if x.ndim else 0
        return normalize(x.flatten(start), start).reshape(x.shape) if start < x.ndim else x

    return kernel


def _normalizer(spec: NodeSpec) -> Kernel:
    axis, normalize = spec.integer("axis", -1), _NORMALIZERS[spec.op_type]
    return lambda x: normalize(x, axis)


op("Softmax", "LogSoftmax", since=1)(_flat_normalizer)
op("Softmax", "LogSoftmax", since=13)(_normalizer)
op("Hardmax", since=1, differentiable=False)(_flat_normalizer)
op("Hardmax", since=13, differentiable=False)(_normalizer)
