"""Changes of type along edges. Each is a conversion that a device runs, so it is charged and drawn.

A unit (node, supergroup or one-op pattern) works in the widest type in which it reads a tensor. A
boundary lies where it makes a tensor of another type, and where a node reads a tensor in another type
than the tensor has (a float reader of an integer tensor). Model inputs begin in their type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx_ir as ir

from engine.graph import Model
from engine.quant.precision import DataType, Float, Int
from engine.targets.plan import Boundary
from engine.targets.requests import Requests
from engine.targets.slots import Placement


def find_boundaries(
    model: Model, placement: Placement, requests: Requests, types: Mapping[str, DataType]
) -> tuple[Boundary, ...]:
    """All changes of type, in graph order."""
    works: dict[str, DataType] = {}
    for node in model.graph:
        unit = placement.units.get(str(node.name), str(node.name))
        for tensor in tensors_read(node, placement):
            kind = _as_read(str(node.name), types[tensor], requests)
            if unit not in works or kind.bits > works[unit].bits:
                works[unit] = kind
    return tuple(b for node in model.graph for b in _at(node, placement, requests, types, works))


def tensors_read(node: ir.Node, placement: Placement) -> Iterator[str]:
    """The tensors with an encoding that a node reads."""
    for name in dict.fromkeys(str(v.name) for v in node.inputs if v is not None):
        root = placement.slots.get(placement.root(name))
        if name in placement.slots and root is not None and root.quantized:
            yield name


def _as_read(node: str, kind: DataType, requests: Requests) -> DataType:
    """The type in which a node reads a tensor: a float reader gets an integer tensor dequantized."""
    asked = requests.precision(node).activations
    return asked if isinstance(asked, Float) and isinstance(kind, Int) else kind


def _at(
    node: ir.Node,
    placement: Placement,
    requests: Requests,
    types: Mapping[str, DataType],
    works: Mapping[str, DataType],
) -> Iterator[Boundary]:
    name = str(node.name)
    if any(
        str(v.name) in placement.slots and placement.slots[str(v.name)].source is not None
        for v in node.outputs
    ):
        return  # it only moves values
    for tensor in tensors_read(node, placement):
        kind = _as_read(name, types[tensor], requests)
        if kind != types[tensor]:
            yield Boundary(tensor, types[tensor], kind, name)
    unit = placement.units.get(name, name)
    for value in node.outputs:
        slot = placement.slots.get(str(value.name))
        if slot is not None and slot.quantized and unit in works and works[unit] != types[slot.tensor]:
            yield Boundary(slot.tensor, works[unit], types[slot.tensor], "", name)
