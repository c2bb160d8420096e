"""Float tensors that are never data: masks, and numbers computed from shapes.

 1. The mask of a masked softmax, and what only makes masks.
 2. What comes from an input called a mask and from constants alone (the divisor of a masked mean, say).
 3. One number computed from shapes and constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx_ir as ir

from engine.graph import Model
from engine.graph.layers import weight_index
from engine.targets.floats import BLIND, is_float, outputs
from engine.targets.units import Unit

ONLY_MAKES = "it only makes a mask, which never sets a range"


def find_masks(model: Model, units: list[Unit]) -> dict[str, str]:
    """Rules 1 and 2, by tensor with the reason."""
    masks = {(str(node.name), mask) for unit in units for node in unit.nodes for mask in _masks_at(node, unit)}
    found = dict.fromkeys((mask for _, mask in masks), "a mask: it hides scores and never sets a range")
    for value in (*reversed(list(outputs(model))), *model.graph.inputs):
        users = [user for user, _ in value.uses()]
        if not is_float(value) or not users or value.is_graph_output():
            continue
        if all((str(user.name), str(value.name)) in masks or _only_makes(user, found) for user in users):
            found.setdefault(str(value.name), ONLY_MAKES)
    shapes: dict[int, bool] = {}
    named: dict[int, bool] = {}
    for value in (*model.graph.inputs, *outputs(model)):
        if is_float(value) and _depends(value, _from_mask_input, named) and not _depends(value, _from_shapes, shapes):
            found.setdefault(str(value.name), "made from a mask input alone, and masks are never quantized")
    return found


def find_shape_numbers(model: Model) -> dict[str, str]:
    """Rule 3; in graph order, so that no walk is deep."""
    known: dict[int, bool] = {}
    alone = [v for v in outputs(model) if _depends(v, _from_shapes, known) and is_float(v)]
    return {
        str(v.name): "one number computed from shapes and constants"
        for v in alone
        if math.prod(model.shapes.get(str(v.name), (2,))) == 1
    }


def _masks_at(node: ir.Node, unit: Unit) -> list[str]:
    """The masks that a node takes: the operands from outside of a masked softmax, the mask of a fused attention."""
    if node.op_type == "Attention" and node.domain in ("", "ai.onnx"):
        return [str(v.name) for v in node.inputs[3:4] if v is not None]
    if unit.pattern is None or unit.pattern.kind != "MaskedSoftmax":
        return []
    inside = {id(v) for n in unit.nodes for v in n.outputs}
    operands = [v for v in node.inputs if v is not None and id(v) not in inside and is_float(v)]
    return [str(v.name) for v in operands if str(v.name) not in unit.pattern.inputs]


def _only_makes(node: ir.Node, found: dict[str, str]) -> bool:
    return bool(node.outputs) and all(str(v.name) in found or not v.name for v in node.outputs)


def _depends(value: ir.Value, stop: Callable[[ir.Value], bool | None], known: dict[int, bool]) -> bool:
    """Whether all that a tensor is made from passes `stop`: True ends the walk, False fails it, None goes on upwards."""
    if id(value) not in known:
        verdict = stop(value)
        node = value.producer()
        if verdict is None:
            verdict = node is not None and all(_depends(v, stop, known) for v in node.inputs if v is not None)
        known[id(value)] = verdict
    return known[id(value)]


def _from_shapes(value: ir.Value) -> bool | None:
    node = value.producer()
    if value.const_value is not None or (node is not None and node.op_type in BLIND):
        return True
    return False if node is None or weight_index(node) is not None else None


def _from_mask_input(value: ir.Value) -> bool | None:
    if value.producer() is None and value.const_value is None:
        return "mask" in str(value.name).lower()
    return _from_shapes(value)
