"""Nodes that only move or scale values: their output keeps the grid of one input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from engine.graph.matching import scalar
from engine.targets.facts import Target


@dataclass(frozen=True)
class Move:
    """The input whose grid a node keeps, and the positive factor where it scales it."""

    source: ir.Value
    factor: float | None = None


class Moves:
    """Tells of each node whether it moves or scales values on a target."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def of(self, node: ir.Node) -> Move | None:
        """The move that a node is, if it is one."""
        rule = _SPECIAL.get(node.op_type)
        if rule is not None and (move := rule(node, self.target)) is not None:
            return move
        if (
            node.op_type not in self.target.grid_preserving
            or node.op_type in _SPECIAL
            or not node.inputs
            or node.inputs[0] is None
        ):
            return None
        return Move(node.inputs[0])


def _product(node: ir.Node, target: Target) -> Move | None:
    """A product with one positive constant, on either side."""
    for value, factor in ((node.inputs[0], scalar(node.inputs[1])), (node.inputs[1], scalar(node.inputs[0]))):
        if (
            target.derived_scaling
            and value is not None
            and value.const_value is None
            and factor is not None
            and factor > 0
        ):
            return Move(value, factor)
    return None


def _quotient(node: ir.Node, target: Target) -> Move | None:
    divisor, value = scalar(node.inputs[1]), node.inputs[0]
    if (
        target.derived_scaling
        and value is not None
        and value.const_value is None
        and divisor is not None
        and divisor > 0
    ):
        return Move(value, 1 / divisor)
    return None


def _pad(node: ir.Node, target: Target) -> Move | None:
    """Zero lies on every grid; any other filling would have to be on this one."""
    filling = node.inputs[2] if len(node.inputs) > 2 else None
    if (
        "Pad" not in target.grid_preserving
        or node.inputs[0] is None
        or (filling is not None and scalar(filling) != 0)
    ):
        return None
    return Move(node.inputs[0])


def _where(node: ir.Node, target: Target) -> Move | None:
    """A choice between a tensor and zero (NaN rows of a fully masked softmax, say)."""
    for value, other in ((node.inputs[1], node.inputs[2]), (node.inputs[2], node.inputs[1])):
        if value is not None and value.const_value is None and scalar(other) == 0:
            return Move(value)
    return None


def _cast(node: ir.Node, target: Target) -> Move | None:
    """From one float type to another; from integers it starts data (see `roles.py`)."""
    return Move(node.inputs[0]) if node.inputs[0] is not None else None


_SPECIAL: dict[str, Callable[[ir.Node, Target], Move | None]] = {
    "Mul": _product,
    "Div": _quotient,
    "Pad": _pad,
    "Where": _where,
    "Cast": _cast,
}
