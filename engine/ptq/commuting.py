"""Nodes that commute with a positive factor per channel, and what they do to the labels that say which channel is where.

They are: Relu, LeakyRelu, PRelu, Abs, Neg, Identity, Dropout; pooling, Resize, Pad with zeros and reductions, over axes without
channels; Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Concat, Expand; Mul and Div by something that the tensor does not
reach; a MatMul with another activation, along axes it does not sum over; and Clip and Min with an upper limit (`limits.py`),
which has to be scaled along.
"""
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from engine.graph.model import Model
from engine.ptq.limits import clip_bounds, is_limit_min
from engine.ptq.weights import array

MAX_LABELS = 1 << 26  # values of one sample's tensor: above, the channels are not followed through a Reshape
Labels = np.ndarray  # of the tensor's rank, length 1 along axes on which the label does not depend


class Blocked(Exception):
    """The channels cannot be followed; the text says what stands in the way."""


Rule = Callable[[Model, ir.Node, int, Labels], Labels]


def behind(model: Model, node: ir.Node, place: int, labels: Labels) -> Labels:
    """The labels of the node's first output, when its input at `place` has `labels`; raises `Blocked`."""
    rule = _RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if rule is None:
        raise Blocked(f"{node.name} ({node.op_type}) does not commute with scaling")
    return rule(model, node, place, labels)


def _same(model: Model, node: ir.Node, place: int, labels: Labels) -> Labels:
    if place != 0:
        raise Blocked(f"{node.name} ({node.op_type}) reads it as a parameter")
    return labels


def _clip(model: Model, node: ir.Node, place: int, labels: Labels) -> Labels:
    bounds = clip_bounds(node)
    if bounds is None or bounds[0] not in (0.0, -math.inf) or bounds[1] <= 0.0:
        raise Blocked(f"{node.name} clips at other values than 0 and an upper limit")
    return _same(model, node, place, labels)


def _minimum(model: Model, node: ir.Node, place: int, labels: Labels) -> Labels:
    if not is_limit_min(node):
        raise Blocked(f"{node.name} ({node.op_type}) is no upper limit per channel")
    return labels


def _product(model: Model, node: ir.Node, place: int, labels: Labels) -> Labels:
    """Mul, or Div as its numerator, by what the tensor does not reach (another way to it would meet `reached`)."""
    if node.op_type == "Div" and place != 0:
        raise Blocked(f"{node.name} divides by it")
    return _padded(labels, len(shape_of(model, node.outputs[0])))


def _matmul(model: Model, node: ir.Node, place: int, labels: Labels) -> Labels:
    """A product of two activations: the summed axis must carry no channels."""
    if labels.ndim < 2 or labels.shape[-1 if place == 0 else -2] != 1:
        raise Blocked(f"{node.name} sums over its channels")
    return _padded(labels, len(shape_of(model, node.outputs[0])))


def _spatial(model: Model, node: ir.Node, place: int, labels: Labels) -> Labels:
    """Pooling, Resize: the channels must lie on none of the axes that it works on."""
    _same(model, node, place, labels)
    before, after = shape_of(model, node.inputs[0]), shape_of(model, node.outputs[0])
    pools = "Pool" in node.op_type
    if len(before) != len(after) or any(
            size != 1 and (a >= 2 if pools else before[a] != after[a]) for a, size in enumerate(labels.shape)):
        raise Blocked(f"{node.name} ({node.op_type}) mixes its channels")
    return labels


def _pad(model: Model, node: ir.Node, place: int, labels: Labels) -> Labels:
    fill = node.inputs[2] if len(node.inputs) > 2 else None
    number = node.attributes.get("value")
    nonzero = (number is not None and number.as_float() != 0.0) or (
        fill is not None and (fill.const_value is None or bool(np.any(fill.const_value.numpy()))))
    if nonzero:
        raise Blocked(f"{node.name} pads with another value than zero")
    if any(size != 1 and a in _padded_axes(node, labels.ndim) for a, size in enumerate(labels.shape)):
        raise Blocked(f"{node.name} pads its channels")
    return _spatial(model, node, place, labels)


def _padded_axes(node: ir.Node, rank: int) -> set[int]:
    """The axes on which a Pad adds or cuts; all where that is computed."""
    attribute, given = node.attributes.get("pads"), node.inputs[1] if len(node.inputs) > 1 else None
    axes = node.inputs[3] if len(node.inputs) > 3 else None
    if any(value is not None and value.const_value is None for value in (given, axes)):
        return set(range(rank))
    pads = list(attribute.as_ints()) if attribute is not None else [] if given is None else array(given).tolist()
    names = range(rank) if axes is None else [int(a) % rank for a in array(axes)]
    return {a for i, a in enumerate(names) if pads[i] or pads[i + len(pads) // 2]}


def _reduce(model: Model, node: ir.Node, place: int, labels: Labels) -> Labels:
    """A mean, sum or maximum over axes without channels."""
    _same(model, node, place, labels)
    before, after = shape_of(model, node.inputs[0]), shape_of(model, node.outputs[0])
    axes = _axes(node, len(before))
    if any(labels.shape[a] != 1 for a in axes):
        raise Blocked(f"{node.name} ({node.op_type}) mixes its channels")
    return labels if len(after) == len(before) else labels.reshape([s for a, s in enumerate(labels.shape) if a not in axes])


def _axes(node: ir.Node, rank: int) -> tuple[int, ...]:
    given = node.inputs[1] if len(node.inputs) > 1 else None
    attribute = node.attributes.get("axes")
    if given is not None:
        if given.const_value is None:
            raise Blocked(f"{node.name} reduces over computed axes")
        return tuple(int(a) % rank for a in given.const_value.numpy().reshape(-1))
    return tuple(range(rank)) if attribute is None else tuple(a % rank for a in attribute.as_ints())


def _reshape(model: Model, node: ir.Node, place: int, labels: Labels) -> Labels:
    """Reshape, Flatten, Squeeze, Unsqueeze: the elements keep their order."""
    _same(model, node, place, labels)
    before, after = shape_of(model, node.inputs[0]), shape_of(model, node.outputs[0])
    if math.prod(before) > MAX_LABELS:
        raise Blocked(f"{node.name}: the tensor is too large to follow its channels")
    return _compact(np.broadcast_to(labels, before).reshape(after))


def _transpose(model: Model, node: ir.Node, place: int, labels: Labels) -> Labels:
    order = node.attributes.get("perm")
    return labels.transpose(None if order is None else list(order.as_ints()))


def _concat(model: Model, node: ir.Node, place: int, labels: Labels) -> Labels:
    """The other parts are none of the start's channels."""
    attribute = node.attributes["axis"]
    axis = attribute.as_int() % labels.ndim
    parts = []
    for i, value in enumerate(node.inputs):
        shape = list(labels.shape)
        shape[axis] = shape_of(model, value)[axis]
        parts.append(np.broadcast_to(labels, shape) if i == place else np.full(shape, -1))
    return _compact(np.concatenate(parts, axis))


def _expand(model: Model, node: ir.Node, place: int, labels: Labels) -> Labels:
    return _padded(_same(model, node, place, labels), len(shape_of(model, node.outputs[0])))


_RULES: dict[str, Rule] = {
    **dict.fromkeys(("Relu", "LeakyRelu", "PRelu", "Abs", "Neg", "Identity", "Dropout"), _same),
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "GlobalLpPool"), _spatial),
    **dict.fromkeys(("Resize", "Upsample"), _spatial),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"), _reduce),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(("Mul", "Div"), _product),
    "Clip": _clip, "Min": _minimum, "MatMul": _matmul, "Pad": _pad, "Transpose": _transpose, "Concat": _concat, "Expand": _expand,
}


def shape_of(model: Model, value: ir.Value | None) -> tuple[int, ...]:
    """The concrete shape of a value for one sample; raises `Blocked` where it is not known."""
    name = "" if value is None else str(value.name)
    if value is not None and value.const_value is not None:
        return tuple(int(d) for d in value.const_value.shape.numpy())
    if name not in model.shapes:
        raise Blocked(f"the shape of {name!r} is not known")
    return model.shapes[name]


def _padded(labels: Labels, rank: int) -> Labels:
    return labels.reshape([1] * (rank - labels.ndim) + list(labels.shape))


def _compact(labels: Labels) -> Labels:
    """Length 1 along every axis on which the labels do not depend."""
    for axis in range(labels.ndim):
        first = labels.take([0], axis) if labels.shape[axis] else labels
        if labels.shape[axis] > 1 and bool((labels == first).all()):
            labels = first
    return labels
