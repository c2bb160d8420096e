"""Where a tensor's channels go: the layers that read them, when everything in between commutes with positive scaling.

Each value behind the start carries *labels*: an integer array of the value's rank, of length 1 along every axis on which the
label does not depend, that says which channel of the start an element comes from (-1: none of them). Shape operations act on
the labels as they act on the values, so a channel is found again behind the heads of an attention or a Flatten, exactly.
What may lie in between is in `commuting.py`. A sum, a soft or shifted nonlinearity or an output of the model ends it.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from engine.graph.layers import weight_index
from engine.graph.model import Model
from engine.ptq.channels import ChannelWeight
from engine.ptq.commuting import Blocked, Labels, behind, shape_of
from engine.ptq.limits import Limit, clip_bounds, is_limit_min, limit_behind


@dataclass(frozen=True, eq=False)
class Reader:
    """A layer at the end: `channels` [inputs of the layer] is the start's channel behind each input, -1 where it is another's."""

    weight: ChannelWeight
    channels: np.ndarray


@dataclass(frozen=True, eq=False)
class Route:
    """All that lies behind a tensor: the layers that read it, the nodes passed, and the upper limits on the way."""

    readers: tuple[Reader, ...]
    passed: tuple[ir.Node, ...]
    limits: tuple[Limit, ...]


def follow(model: Model, start: ir.Value, axis: int, channels: int) -> Route:
    """The route behind `start`, whose `channels` channels lie on `axis`.

    Raises:
        Blocked: something on the way does not commute with a factor per channel.
    """
    rank = len(shape_of(model, start))
    labels = np.arange(channels).reshape([channels if a == axis % rank else 1 for a in range(rank)])
    todo: list[tuple[ir.Value, Labels]] = [(start, labels)]
    reached: dict[int, int] = {}
    readers: list[Reader] = []
    passed: list[ir.Node] = []
    limits: list[Limit] = []
    while todo:
        value, labels = todo.pop()
        if value.is_graph_output():
            raise Blocked(f"{value.name} is an output of the model")
        for node, place in value.uses():
            if node.op_type in ("Shape", "Size"):
                continue
            if id(node) in reached or node.graph is not model.graph:
                raise Blocked(f"{node.name} reads it in two ways")
            reached[id(node)] = place
            if weight_index(node) is not None:
                readers.append(_reader(node, place, labels))
                continue
            limits += _limit(node, labels)
            passed.append(node)
            todo.append((node.outputs[0], behind(model, node, place, labels)))
    if not readers:
        raise Blocked("no layer reads it")
    return Route(tuple(readers), tuple(passed), tuple(limits))


def _reader(node: ir.Node, place: int, labels: Labels) -> Reader:
    weight = ChannelWeight.of(node)
    if weight is None or place != (1 - weight.place if node.op_type == "MatMul" else 0):
        raise Blocked(f"{node.name} ({node.op_type}) cannot take factors for its inputs")
    if not weight.owned:
        raise Blocked(f"the weight of {node.name} is shared")
    axis = 1 if node.op_type in ("Conv", "ConvTranspose", "Gemm") else labels.ndim - (1 if weight.place == 1 else 2)
    if any(size != 1 for a, size in enumerate(labels.shape) if a != axis):
        raise Blocked(f"{node.name} mixes its channels")
    return Reader(weight, np.broadcast_to(labels.reshape(-1), weight.inputs).copy())


def _limit(node: ir.Node, labels: Labels) -> list[Limit]:
    """The upper limit that a node sets, if it does; a Clip in front of a limit per channel belongs to that one."""
    bounds = clip_bounds(node)
    if bounds is not None and math.isfinite(bounds[1]):
        minimum = limit_behind(node)
        return [] if minimum is not None else [Limit(node, None, labels)]
    if is_limit_min(node):
        before = node.inputs[0].producer() if node.inputs[0] is not None else None
        covered = before is not None and clip_bounds(before) is not None and limit_behind(before) is node
        return [Limit(before if covered else None, node, labels)]
    return []
