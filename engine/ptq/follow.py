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

    @property
    def tensor(self) -> str:
        """The name of the activation that it reads."""
        value = self.weight.node.inputs[1 - self.weight.place]
        assert value is not None
        return str(value.name)

    @property
    def axis(self) -> int:
        """Where the channels lie in that activation."""
        return 1 if self.weight.node.op_type != "MatMul" else -1 if self.weight.place == 1 else -2


@dataclass(frozen=True, eq=False)
class Route:
    """All that lies behind a tensor.

    Attributes:
        readers: the layers that read it.
        passed: the nodes in between.
        limits: upper limits on the way.
        detours: (node, input) that read the start itself and do not commute: they must be given the unscaled tensor.
    """

    readers: tuple[Reader, ...] = ()
    passed: tuple[ir.Node, ...] = ()
    limits: tuple[Limit, ...] = ()
    detours: tuple[tuple[ir.Node, int], ...] = ()


def follow(model: Model, start: ir.Value, axis: int, channels: int, detours: bool = False) -> Route:
    """The route behind `start`, whose `channels` channels lie on `axis`.

    Args:
        detours: a use of `start` that leads to something which does not commute becomes a detour instead of an error.

    Raises:
        Blocked: something on the way does not commute with a factor per channel, or no layer reads it.
    """
    rank = len(shape_of(model, start))
    labels = np.arange(channels).reshape([channels if a == axis % rank else 1 for a in range(rank)])
    if start.is_graph_output():
        raise Blocked(f"{start.name} is an output of the model")
    route, met, why = Route(), set[int](), "no layer reads it"
    for node, place in start.uses():
        try:
            route = _joined(route, _one_way(model, node, place, labels, met))
        except Blocked as reason:
            if not detours:
                raise
            route, why = _joined(route, Route(detours=((node, place),))), str(reason)
    if not route.readers:
        raise Blocked(why)
    return route


def _joined(a: Route, b: Route) -> Route:
    return Route(a.readers + b.readers, a.passed + b.passed, a.limits + b.limits, a.detours + b.detours)


def _one_way(model: Model, node: ir.Node, place: int, labels: Labels, met: set[int]) -> Route:
    """The route behind one use of a value, all its branches included. `met` gets the nodes of it, if it does not end in `Blocked`."""
    todo, mine, route = [(node, place, labels)], set[int](), Route()
    while todo:
        node, place, labels = todo.pop()
        if node.op_type in ("Shape", "Size"):
            continue
        if id(node) in met | mine or node.graph is not model.graph:
            raise Blocked(f"{node.name} reads it in two ways")
        mine.add(id(node))
        if weight_index(node) is not None:
            route = _joined(route, Route(readers=(_reader(node, place, labels),)))
            continue
        route = _joined(route, Route(passed=(node,), limits=tuple(_limit(node, labels))))
        output, labels = node.outputs[0], behind(model, node, place, labels)
        if output.is_graph_output():
            raise Blocked(f"{output.name} is an output of the model")
        todo += [(user, at, labels) for user, at in output.uses()]
    met |= mine
    return route


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
