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
_SHAPERS = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Identity"})


def masked_scores(node: ir.Node) -> Match | None:
    """A Softmax with all that masks its scores before it, when nothing else reads what lies between.

    Each mask is an Add or a Where; a lower bound (Max with a very negative number) and ops that only
    change the shape may stand between. The leaf `mask` is the mask nearest to the Softmax.
    """
    if node.op_type != "Softmax" or node.inputs[0] is None:
        return None
    value, nodes, best = node.inputs[0], [node], None
    mask: ir.Value | None = None
    while len(nodes) < MAX_DEPTH:
        before = value.producer()
        if before is None or value.is_graph_output() or len(value.uses()) != 1:
            break
        step = _step(before)
        if step is None:
            break
        value, found = step
        nodes.append(before)
        if found is not None:
            mask = mask or found
            best = Match({"x": value, "mask": mask}, tuple(reversed(nodes)))
    return best


def _step(node: ir.Node) -> tuple[ir.Value, ir.Value | None] | None:
    """(scores, mask) before a node that masks, (value, None) before one that leaves scores as they are."""
    if node.op_type in ("Add", "Where"):
        scores, mask = _split(list(node.inputs)[-2:])
        return None if scores is None or mask is None else (scores, mask)
    if node.op_type in _SHAPERS and node.inputs[0] is not None:
        return node.inputs[0], None
    if node.op_type == "Max" and len(node.inputs) == 2:
        scores, bound = _split(list(node.inputs))
        return None if scores is None or bound is None or bound.const_value is None else (scores, None)
    return None


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
