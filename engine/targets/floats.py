"""Which values of a graph hold floats, and which nodes begin float data."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from engine.graph import Model
from engine.graph.masks import FLOATS

BLIND = frozenset({"Shape", "Size"})  # ops that look at a tensor's shape and not at its values


def is_float(value: ir.Value | None) -> bool:
    """Whether a value is a tensor of floats; one of unknown type is when an input of its node is."""
    if value is None or (value.type is not None and not isinstance(value.type, ir.TensorType)):
        return False  # a sequence of tensors has no encoding
    if value.dtype is not None:
        return value.dtype in FLOATS
    node = value.producer()
    return node is not None and any(is_float(v) for v in node.inputs)


def float_reads(node: ir.Node) -> list[ir.Value]:
    """The float tensors that a node reads, constants left out."""
    return [v for v in node.inputs if v is not None and v.const_value is None and is_float(v)]


def starts_data(node: ir.Node) -> bool:
    """Whether float data begins here: no float tensor but constants goes in."""
    return not float_reads(node)


def outputs(model: Model) -> Iterator[ir.Value]:
    """All node outputs in graph order."""
    return (value for node in model.graph for value in node.outputs if value.name)
