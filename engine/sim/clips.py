"""Tensors that are another tensor clipped: their statistics follow from that one's, so they need not be watched.

A third of MobileNetV2's values are such (behind a depthwise convolution both sides of the ReLU6 have a quantizer).
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from engine.graph.model import Model


@dataclass(frozen=True)
class Clipped:
    """`source` with its values clipped to `low`..`high`."""

    source: str
    low: float
    high: float


def clipped_tensors(model: Model, tensors: frozenset[str]) -> dict[str, Clipped]:
    """Those of `tensors` that a Relu or Clip makes of another of them, in the order of the graph."""
    found: dict[str, Clipped] = {}
    for node in model.graph:
        bounds = clip_bounds(node)
        if bounds is None or node.inputs[0] is None:
            continue
        source, target = str(node.inputs[0].name), str(node.outputs[0].name)
        if source in tensors and target in tensors:
            found[target] = Clipped(source, *bounds)
    return found


def clip_bounds(node: ir.Node) -> tuple[float, float] | None:
    """The bounds of a Relu or Clip; None for other nodes, and where a bound is computed."""
    if node.op_type == "Relu":
        return 0.0, math.inf
    if node.op_type != "Clip" or node.domain not in ("", "ai.onnx"):
        return None
    found = []
    for index, key, free in ((1, "min", -math.inf), (2, "max", math.inf)):
        value = node.inputs[index] if index < len(node.inputs) else None
        attribute = node.attributes.get(key)  # up to opset 10
        if value is not None and value.const_value is None:
            return None
        if value is not None and value.const_value is not None:
            found.append(float(value.const_value.numpy().reshape(-1)[0]))
        else:
            found.append(free if attribute is None else float(attribute.as_float()))
    return found[0], found[1]
