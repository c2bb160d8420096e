"""Concat and Add in front of a layer: inputs that end up on one grid."""
from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx_ir as ir

from engine.analysis.diagnosis.kinds import Array
from engine.graph.model import Model

JOINS = ("Concat", "Add")
# What keeps each value in its place: a join is still visible behind these.
ELEMENTWISE = ("Relu", "Clip", "LeakyRelu", "Identity", "HardSwish", "Sigmoid", "HardSigmoid", "PRelu", "Elu")


@dataclass(frozen=True)
class Join:
    """A Concat or Add of at least two activations; `axis` is the Concat's (counted from the front)."""

    op_type: str
    node: str
    inputs: tuple[str, ...]
    axis: int
    sizes: tuple[int, ...]

    def groups(self) -> list[Array]:
        """The channels of each of a Concat's inputs."""
        edges = np.cumsum((0, *self.sizes))
        return [np.arange(a, b) for a, b in pairwise(edges)]


def join_before(model: Model, tensor: str) -> Join | None:
    """The join whose values a tensor holds, itself or behind elementwise ops."""
    value = model.values.get(tensor)
    node = None if value is None else value.producer()
    while node is not None and node.op_type in ELEMENTWISE and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None or node.op_type not in JOINS or node.domain not in ("", "ai.onnx"):
        return None
    inputs = tuple(str(v.name) for v in node.inputs if v is not None and v.const_value is None)
    if len(inputs) < 2 or len(inputs) != len(node.inputs):
        return None
    return _join(model, node, inputs)


def _join(model: Model, node: ir.Node, inputs: tuple[str, ...]) -> Join:
    shapes = [model.shapes.get(name, ()) for name in inputs]
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    axis = axis % len(shapes[0]) if shapes[0] else 0
    sizes = tuple(shape[axis] if len(shape) > axis else 0 for shape in shapes)
    return Join(node.op_type, str(node.name), inputs, axis, sizes)
