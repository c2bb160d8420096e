"""Which layers may be scaled together: a source, whose output channels are divided, and all layers that read them, which make up for it.

Exact whenever every way from the source ends in such a layer and everything in between commutes with a positive factor per
channel (`follow.py`). Shared weights, sums, outputs of the model and nonlinearities that are not positively homogeneous end it.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from engine.graph.model import Model
from engine.graph.notes import PREFIX
from engine.graph.patterns import find_patterns
from engine.ptq.channels import ChannelWeight
from engine.ptq.follow import Blocked, Route, follow
from engine.ptq.kept_norms import scale_norm
from engine.ptq.weights import array, bias_array, bias_value, can_bias, give_constant, register, set_bias

SHARED = "its weight is shared"


@dataclass(frozen=True, eq=False)
class LayerSource:
    """A layer as a source: its weight's rows and its bias."""

    weight: ChannelWeight

    @property
    def name(self) -> str:
        return str(self.weight.node.name)

    @property
    def channels(self) -> int:
        return self.weight.outputs

    @property
    def biased(self) -> bool:
        """Whether it has a bias per channel; what is added behind a weight on the left runs along another axis."""
        return bias_value(self.weight.node) is not None and not (self.weight.node.op_type == "MatMul" and self.weight.place == 0)

    @property
    def output(self) -> ir.Value:
        """What it makes, bias included."""
        node = self.weight.node
        if node.op_type == "MatMul" and self.biased:
            (use,) = node.outputs[0].uses()
            return use.node.outputs[0]
        return node.outputs[0]

    @property
    def axis(self) -> int:
        """Where its channels lie in `output`."""
        if self.weight.node.op_type == "MatMul":
            return -1 if self.weight.place == 1 else -2
        return 1

    def divide(self, model: Model, factors: np.ndarray) -> None:
        """Divides each output channel by its factor."""
        self.weight.scale(by_output=1 / factors)
        node = self.weight.node
        if self.biased:
            set_bias(model, node, bias_array(node, self.channels) / factors)
        scale_norm(node, factors)


@dataclass(frozen=True, eq=False)
class NormSource:
    """A normalization as a source: its scale and its shift. `node` reads the scale at `place`; `shift` likewise."""

    name: str
    output: ir.Value
    channels: int
    scale: tuple[ir.Node, int]
    shift: tuple[ir.Node, int] | None
    axis: int = -1

    def divide(self, model: Model, factors: np.ndarray) -> None:
        """Divides each channel of scale and shift by its factor."""
        for node, place in (self.scale, self.shift) if self.shift else (self.scale,):
            data = array(node.inputs[place])
            new = data / factors if data.size == self.channels else np.broadcast_to(data.reshape(-1), self.channels) / factors
            give_constant(model, node, place, new.reshape(data.shape) if new.size == data.size else new)


Source = LayerSource | NormSource


@dataclass(frozen=True, eq=False)
class Link:
    """A source and everything behind it: dividing the one by factors and multiplying the others changes nothing."""

    source: Source
    route: Route

    @property
    def names(self) -> str:
        """`conv1 → dw, conv2`, as reports print it."""
        return f"{self.source.name} → {', '.join(str(r.weight.node.name) for r in self.route.readers)}"

    def apply(self, model: Model, factors: np.ndarray) -> None:
        """Divides the source's channels by `factors` [channels, positive] and multiplies the readers' inputs by them."""
        self.source.divide(model, factors)
        for limit in self.route.limits:
            limit.divide(model, factors)
        for reader in self.route.readers:
            reader.weight.scale(by_input=np.append(factors, 1.0)[reader.channels])
        if self.route.detours:
            self._restore(model, factors)

    def _restore(self, model: Model, factors: np.ndarray) -> None:
        """Gives the detours the unscaled tensor: a Mul with the factors behind the source."""
        source = self.source.output
        rank = len(model.shapes[str(source.name)])
        axis = self.source.axis % rank
        constant = register(model, f"{source.name}_factors", factors.reshape([-1 if a == axis else 1 for a in range(axis, rank)]))
        made = ir.node("Mul", [source, constant], name=f"{self.source.name}_restored",
                       outputs=[ir.Value(name=f"{source.name}_restored", shape=source.shape, type=source.type)])
        producer = source.producer()
        assert producer is not None
        made.metadata_props.update({k: v for k, v in producer.metadata_props.items() if not k.startswith(PREFIX)})
        model.graph.insert_after(producer, made)
        for node, place in self.route.detours:
            node.replace_input_with(place, made.outputs[0])


@dataclass(frozen=True)
class Stays:
    """A source that cannot be scaled, and why."""

    name: str
    reason: str


def layer_links(model: Model) -> tuple[list[Link], list[Stays]]:
    """A link for each layer of the graph that can be a source, in execution order; and the others, with their reasons."""
    sources, stay = [], []
    for layer in model.layers:
        weight = ChannelWeight.of(model.nodes[layer.name])
        if weight is None or not weight.owned:
            stay.append(Stays(layer.name, f"the channels of a {layer.op_type} like this cannot be scaled" if weight is None else SHARED))
        elif weight.node.op_type != "MatMul" and not can_bias(weight.node):
            stay.append(Stays(layer.name, "its bias is no constant per channel"))
        else:
            sources.append(LayerSource(weight))
    links, blocked = _linked(model, sources)
    return links, [*stay, *blocked]


def norm_links(model: Model, detours: bool = False) -> tuple[list[Link], list[Stays]]:
    """A link for each LayerNorm or RMSNorm with a scale, fused or written out; and the others, with their reasons.

    `detours`: readers that do not commute, such as a shortcut's sum, are given the unscaled tensor by a Mul.
    """
    sources = []
    for pattern in find_patterns(model.graph):
        shape = model.shapes.get(pattern.output, ())
        if pattern.kind not in ("LayerNorm", "RMSNorm") or pattern.weight is None or not shape:
            continue
        nodes = [model.nodes[name] for name in pattern.nodes]
        scale = _reads(nodes, pattern.weight)
        shift = None if pattern.bias is None else _reads(nodes, pattern.bias)
        if scale is not None and _along_last(model, pattern.weight, shape[-1]):
            sources.append(NormSource(pattern.nodes[-1], model.values[pattern.output], shape[-1], scale, shift))
    return _linked(model, sources, detours)


def _linked(model: Model, sources: Iterable[Source], detours: bool = False) -> tuple[list[Link], list[Stays]]:
    links, stay = [], []
    for source in sources:
        try:
            links.append(Link(source, follow(model, source.output, source.axis, source.channels, detours)))
        except Blocked as reason:
            stay.append(Stays(source.name, str(reason)))
    return links, stay


def _reads(nodes: list[ir.Node], name: str) -> tuple[ir.Node, int] | None:
    return next(((node, i) for node in nodes for i, v in enumerate(node.inputs) if v is not None and v.name == name), None)


def _along_last(model: Model, name: str, channels: int) -> bool:
    shape = model.constant(name).shape
    return shape[-1:] == (channels,) and all(d == 1 for d in shape[:-1])
