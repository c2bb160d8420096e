"""Masks of attention: which float tensors only say "look" or "do not look".

A mask is made from integers, booleans, shapes and constants alone (or is a float input called a
mask); a constant counts when it holds a very negative number. It never sets a range.
"""

from __future__ import annotations

import onnx_ir as ir

from engine.graph.layers import constant_shape, weight_index
from engine.graph.matching import Match

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)
BLOCKED = -100.0  # exp of it is nothing beside any score
MAX_DEPTH = 200


def masked_scores(node: ir.Node) -> Match | None:
    """The Add or Where before a Softmax that masks its scores, when nothing else reads it."""
    if node.op_type != "Softmax" or node.inputs[0] is None:
        return None
    value = node.inputs[0]
    masking = value.producer()
    if masking is None or value.is_graph_output() or len(value.uses()) != 1:
        return None
    if masking.op_type == "Add":
        scores, mask = _split(list(masking.inputs))
    elif masking.op_type == "Where":
        scores, mask = _split(list(masking.inputs[1:]))
    else:
        return None
    if scores is None or mask is None:
        return None
    return Match({"x": scores, "mask": mask}, (masking, node))


def _split(values: list[ir.Value | None]) -> tuple[ir.Value | None, ir.Value | None]:
    """(scores, mask) of two operands, or (None, None) when none or both are masks."""
    first, second = values[0], values[1]
    if first is None or second is None or is_mask(first) == is_mask(second):
        return None, None
    return (second, first) if is_mask(first) else (first, second)


def is_mask(value: ir.Value) -> bool:
    """Whether a tensor is a mask by the rule of the module."""
    if value.const_value is not None:
        return constant_shape(value) is not None and bool((value.const_value.numpy() <= BLOCKED).any())
    return _from_integers(value, 0, {})


def _from_integers(value: ir.Value, depth: int, known: dict[int, bool]) -> bool:
    """Whether no float data reaches a tensor: only integers, booleans, shapes and constants."""
    if id(value) in known:
        return known[id(value)]
    node = value.producer()
    if value.const_value is not None:
        result = True
    elif node is None:
        result = value.dtype not in FLOATS or "mask" in str(value.name).lower()
    elif node.op_type in ("Shape", "Size"):
        result = True
    elif depth > MAX_DEPTH or weight_index(node) is not None:
        result = False  # a table looked up by positions is a learned bias, no mask
    else:
        result = all(_from_integers(v, depth + 1, known) for v in node.inputs if v is not None)
    known[id(value)] = result
    return result
