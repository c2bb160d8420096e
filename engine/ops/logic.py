"""Comparisons, boolean and bitwise logic, selection."""
from __future__ import annotations

import torch

from engine.ops.registry import Kernel, NodeSpec, Tensor, op, plain

_comparisons: dict[str, Kernel] = {
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "And": torch.logical_and,
    "Or": torch.logical_or,
    "Xor": torch.logical_xor,
}
for _name, _kernel in _comparisons.items():
    plain(_name, _kernel, since=7, differentiable=False)

_logic: dict[str, Kernel] = {
    "Not": torch.logical_not,
    "IsNaN": torch.isnan,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "BitwiseNot": torch.bitwise_not,
}
for _name, _kernel in _logic.items():
    plain(_name, _kernel, differentiable=False)

plain("Where", torch.where)


@op("IsInf", differentiable=False)
def is_inf(spec: NodeSpec) -> Kernel:
    """Either sign can be left out."""
    positive, negative = spec.flag("detect_positive", True), spec.flag("detect_negative", True)

    def kernel(x: Tensor) -> Tensor:
        if positive and negative:
            return torch.isinf(x)
        if positive:
            return torch.isposinf(x)
        return torch.isneginf(x) if negative else torch.zeros_like(x, dtype=torch.bool)

    return kernel


@op("BitShift", differentiable=False)
def bit_shift(spec: NodeSpec) -> Kernel:
    """Shifts left or right."""
    left = spec.text("direction") == "LEFT"
    return torch.bitwise_left_shift if left else torch.bitwise_right_shift
