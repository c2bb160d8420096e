"""Who asks for what: the recipe's words for layers, for other ops and for tensors, matched to a model (DESIGN, rule 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import onnx_ir as ir

from engine.errors import BadInput
from engine.graph import Layer, Model
from engine.graph.layers import module_path
from engine.quant.precision import FP32, DataType, Precision
from engine.recipe import (
    LayerRequest,
    Recipe,
    TensorRequest,
    WeightOptions,
    match_bypass,
    match_layers,
    match_tensors,
)
from engine.targets.facts import Target
from engine.targets.floats import BLIND
from engine.targets.moves import Moves
from engine.targets.slots import Placement

FLOAT32 = Precision(FP32, FP32)


@dataclass(frozen=True)
class OpInfo:
    """A node without weight, as the recipe's matching sees it."""

    name: str
    op_type: str
    module: str


Named = Layer | OpInfo


@dataclass(frozen=True)
class Asked:
    """One request for the type of a tensor: by whom (`reader`), in words (`why`)."""

    dtype: DataType
    reader: str
    why: str


@dataclass(frozen=True)
class Requests:
    """The recipe, matched to a model.

    Attributes:
        nodes: the requests that the recipe makes for nodes by name, pattern or type.
        bypassed: layers kept in float.
        tensors: requests for tensors and initializers.
        base: everybody else's precision.
        layers: the model's layers by name.
    """

    nodes: Mapping[str, LayerRequest]
    bypassed: frozenset[str]
    tensors: Mapping[str, TensorRequest]
    base: Precision
    layers: Mapping[str, Layer]

    def reads(self, node: ir.Node) -> tuple[str, ...]:
        """The tensors whose type a node has a say in."""
        layer = self.layers.get(str(node.name))
        return layer.reads if layer is not None else tuple(dict.fromkeys(str(v.name) for v in node.inputs if v is not None))

    def precision(self, node: str) -> Precision:
        """What a node asks for."""
        if node in self.bypassed:
            return FLOAT32
        request = self.nodes.get(node)
        return request.precision if request is not None else self.base

    def options(self, node: str) -> WeightOptions:
        """The weight options of a node's own request."""
        request = self.nodes.get(node)
        return request.weights if request is not None and request.weights is not None else WeightOptions()


def match_requests(model: Model, recipe: Recipe, placement: Placement) -> Requests:
    """Matches all names of a recipe; raises `BadInput` for one that means nothing in the model.

    A layer's exact name means that layer alone; other patterns mean ops without weights too.
    """
    layers = model.layers
    known = {layer.name for layer in layers}
    ops = [OpInfo(str(n.name), n.op_type, module_path(n)) for n in model.graph if str(n.name) not in known]
    wider = replace(recipe, layers=tuple((p, r) for p, r in recipe.layers if p not in known))
    nodes = {**_matched(wider, ops, layers), **_matched(recipe, layers, ops)}
    tensors = match_tensors(recipe, [*placement.slots, *placement.weights, *placement.other])
    for name in dict(recipe.tensors):
        if name in tensors and not _has_encoding(name, placement):
            raise BadInput(f"tensors: {name} cannot be given a type or range. {placement.explain(name)}")
    return Requests(nodes, match_bypass(recipe, layers), tensors, recipe.precision, {x.name: x for x in layers})


def _has_encoding(name: str, placement: Placement) -> bool:
    if name in placement.weights:
        return True
    root = placement.slots.get(placement.root(name))
    return root is not None and root.quantized


def _matched(recipe: Recipe, items: Sequence[Named], others: Sequence[Named]) -> dict[str, LayerRequest]:
    """The requests for some nodes, with the patterns that mean only other nodes left out.

    Layers are matched apart from other ops, so that a module's name means its layers and its ops
    although an op may bear the same name.
    """
    here, there = _Index(items), _Index(others)
    entries = [(p, r) for p, r in recipe.layers if here.has(p) or not there.has(p)]
    if all(here.has(pattern) for pattern, _ in entries):
        return match_layers(replace(recipe, layers=tuple(entries)), items)
    return match_layers(recipe, [*items, *others])  # raises, naming the nearest of all


class _Index:
    """Tells whether a pattern of the recipe means any of some nodes, without walking over them for plain names."""

    def __init__(self, items: Sequence[Named]) -> None:
        self.names = {item.name for item in items} | {item.module for item in items if item.module}
        self.types = {f"op:{item.op_type}" for item in items}

    def has(self, pattern: str) -> bool:
        """Whether a name, module path, `op:TYPE` or glob means one of the nodes."""
        if pattern in self.names or pattern in self.types:
            return True
        return any(c in pattern for c in "*?[") and any(fnmatchcase(name, pattern) for name in self.names)


def asked_of_tensors(model: Model, target: Target, placement: Placement, requests: Requests) -> dict[str, list[Asked]]:
    """For each tensor with a slot, the types that its readers ask for, in graph order.

    A layer asks for what it reads (for a recurrent layer the sequence alone). An op that only moves,
    scales or ties values asks for nothing unless the recipe names it: its readers ask through it.
    A model output asks for the base; a bypassed layer asks for nothing (it takes what is there).
    """
    asked: dict[str, list[Asked]] = {name: [] for name in placement.slots}
    for node in model.graph:
        name = str(node.name)
        if node.op_type in BLIND or name in requests.bypassed or (_passes_on(node, target) and name not in requests.nodes):
            continue
        precision = requests.precision(name)
        for tensor in requests.reads(node):
            if tensor in asked:
                why = f"{name} reads {tensor} and asks for {precision}"
                asked[tensor].append(Asked(precision.activations, name, why))
    for value in model.graph.outputs:
        if str(value.name) in asked:
            why = f"{value.name} is a model output, at the base {requests.base}"
            asked[str(value.name)].append(Asked(requests.base.activations, "", why))
    return asked


def _passes_on(node: ir.Node, target: Target) -> bool:
    return node.op_type in target.tied_inputs or Moves(target).of(node) is not None
