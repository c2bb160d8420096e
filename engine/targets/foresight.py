"""The rules of `resolve.py` for one model, target and recipe as plain data: what each precision of a layer would bring with it.

A page that has these data finds the outcome of any move of its faders by itself, as exactly as `resolve` does and in the same
frame (`app/static/rack_resolve.js` reads them; a test holds the two against each other). Free are what each layer asks for, which
layers are kept in float, and the base; all else the recipe says is in the data. Names are gone: layers count in the order of
execution, `types` lists data types, and who asks is a number: a layer's, `BASE`, or `FIXED - k` for the type `k` whatever happens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import onnx_ir as ir

from engine.graph import Model
from engine.quant.precision import FP32, DataType, Int, Precision
from engine.recipe import Recipe
from engine.targets.boundaries import tensors_read
from engine.targets.cost import bias_count, encoding_form, float_initializers, values_of
from engine.targets.encodings_plan import weight_plans
from engine.targets.facts import Target
from engine.targets.requests import Requests, asked_of_tensors, match_requests
from engine.targets.slots import Placement
from engine.targets.types import Decision, sharing

BASE, FIXED, NONE = -1, -2, -1
LEGAL, STUCK = -1, -2


def foresight(model: Model, target: Target, placement: Placement, recipe: Recipe) -> dict[str, Any]:
    """The data, as lists of numbers:

    types: names of data types; a type elsewhere is its place here.
    kinds: for each kind of layer [1 where the target has it in float, a row for each weight type and in it for each activation type
        `LEGAL`, the type that the weight is raised to, or `STUCK`].
    layers: [kind, MACs, weight values that it is charged for, sets of tensors that it reads, weights].
    tensors: for each set that shares a type [type that the recipe sets or `NONE`, who asks, layers that read it].
    pairs: [first, second] of products of activations where a second of `wide` bits widens the first.
    sets: of weights that share a type [type that the recipe sets or `NONE`, who asks].
    weights: [set, least bits, set of tensors that it follows or `NONE`, scales, 1 where these have zero points, values that are
        charged to no layer].
    units: for each that runs as one op its nodes [who asks, sets that it reads, sets that it makes]; nodes that only move values
        lack the last.
    bytes: what no precision changes.
    sized: False where lines for single layers set the grid of weights: a move may take these away, so bytes are not known ahead.
    """
    return _Writer(model, target, placement, recipe).data()


class _Writer:
    def __init__(self, model: Model, target: Target, placement: Placement, recipe: Recipe) -> None:
        self.model, self.target, self.placement, self.recipe = model, target, placement, recipe
        self.requests: Requests = match_requests(model, recipe, placement)
        self.numbers = {layer.name: i for i, layer in enumerate(model.layers)}
        members = list(sharing(placement).values())
        self.members, self.class_of = members, {name: k for k, names in enumerate(members) for name in names}
        self.weights = {name: k for k, name in enumerate(placement.weights)}
        self.types: list[DataType] = self._types()

    def data(self) -> dict[str, Any]:
        kinds: dict[tuple[str, str], int] = {}
        layers, charged, fixed = [], set[str](), 0
        for layer in self.model.layers:
            own = [name for name in layer.weights if name not in charged]
            charged.update(layer.weights)
            if layer.bias is not None and layer.bias not in charged:
                charged.add(layer.bias)
                fixed += 4 * bias_count(layer)
            kind = kinds.setdefault((layer.op_type, layer.kind), len(kinds))
            values = layer.params - bias_count(layer) if own else 0
            reads = list(dict.fromkeys(self.class_of[t] for t in layer.reads if t in self.class_of))
            layers.append([kind, layer.macs, values, reads, [self.weights[w] for w in layer.weights if w in self.weights]])
        outside = [name for name in float_initializers(self.model) if name not in charged]
        fixed += sum(4 * values_of(self.model, name) for name in outside if name not in self.weights)
        rule = self.target.dynamic_weights
        widens = rule.wide_bits is not None and rule.wide_first_input_follows
        pairs = [[self.class_of[p.first], self.class_of[p.second]] for p in self.placement.dynamic_pairs] if widens else []
        sets, weights = self._weights(set(outside))
        return {"types": [str(t) for t in self.types], "kinds": [self._kind(*kind) for kind in kinds], "layers": layers,
                "tensors": self._tensors(), "pairs": pairs, "wide": rule.wide_bits or 0, "sets": sets, "weights": weights,
                "units": self._units(), "bytes": fixed, "sized": not self._own_grids()}

    def _types(self) -> list[DataType]:
        """All types that may come about: those asked for or set, the least widths of norms, and what weights are raised to."""
        asked = [self.recipe.precision, *self.recipe.candidates, *(r.precision for r in self.requests.nodes.values())]
        found: dict[DataType, None] = {FP32: None}
        found.update((side, None) for p in asked for side in (p.weights, p.activations))
        found.update((r.dtype, None) for r in self.requests.tensors.values() if r.dtype is not None)
        found.update((Int(slot.min_bits), None) for slot in self.placement.weights.values() if slot.min_bits > 2)
        kinds, before = {(x.op_type, x.kind) for x in self.model.layers}, 0
        while before < len(found):
            before = len(found)
            pairs = [Precision(w, a) for w in found for a in found]
            found.update((wider, None) for p in pairs for kind in sorted(kinds)
                         if (wider := self.target.raised_weights(p, *kind)) is not None)
        return list(found)

    def _kind(self, op_type: str, kind: str) -> list[Any]:
        legal = self.target.legal(op_type, kind)
        floats = int(bool({"fp32", "fp16"} & {str(p) for p in legal}))

        def verdict(precision: Precision) -> int:
            if precision in legal:
                return LEGAL
            wider = self.target.raised_weights(precision, op_type, kind)
            return STUCK if wider is None or wider == precision.weights else self.types.index(wider)

        return [floats, [[verdict(Precision(w, a)) for a in self.types] for w in self.types]]

    def _who(self, node: str) -> int:
        """A node as one who asks for a precision."""
        if node in self.numbers:
            return self.numbers[node]
        request = self.requests.nodes.get(node)
        return BASE if request is None else FIXED - self.types.index(request.precision.activations)

    def _tensors(self) -> list[list[Any]]:
        heard = replace(self.requests, bypassed=frozenset())
        asked = asked_of_tensors(self.model, self.target, self.placement, heard)
        rows = []
        for names in self.members:
            who = dict.fromkeys(self._who(a.reader) if a.reader else BASE for name in names for a in asked[name])
            users = dict.fromkeys(str(user.name) for name in names for user, _ in self.model.values[name].uses())
            rows.append([self._set(names), list(who), [self.numbers[n] for n in users if n in self.numbers]])
        return rows

    def _set(self, names: Iterable[str]) -> int:
        """The type that the recipe's `tensors` set for tensors or weights of one set: of several the widest, integers first."""
        kinds = [r.dtype for n in names if (r := self.requests.tensors.get(n)) is not None and r.dtype is not None]
        integers = [k for k in kinds if isinstance(k, Int)]
        best = max(integers or kinds, key=lambda k: k.bits, default=None)
        return NONE if best is None else self.types.index(best)

    def _weights(self, outside: set[str]) -> tuple[list[list[Any]], list[list[int]]]:
        head = {name: layer.weights[0] for layer in self.model.layers for name in layer.weights}
        plans = weight_plans(self.recipe, self.placement, self.requests, dict.fromkeys(self.weights, Decision(Int(8), "")))
        layer_of = {name: layer for layer in reversed(self.model.layers) for name in layer.weights}
        members: dict[str, list[str]] = {}
        for name in self.weights:
            members.setdefault(head.get(name, name), []).append(name)
        numbers = {name: k for k, names in enumerate(members.values()) for name in names}
        rows = []
        for name, slot in self.placement.weights.items():
            form = encoding_form(layer_of[name], plans[name]) if name in layer_of else (0, False)
            follows = self.class_of.get(slot.follows, NONE) if slot.follows else NONE
            rows.append([numbers[name], slot.min_bits, follows, form[0], int(form[1]),
                         values_of(self.model, name) if name in outside else 0])
        return [self._weight_set(names) for names in members.values()], rows

    def _weight_set(self, names: list[str]) -> list[Any]:
        readers = dict.fromkeys(reader for name in names for reader in self.placement.weights[name].layers)
        return [self._set(names), [self._who_weighs(r) for r in readers]]

    def _who_weighs(self, node: str) -> int:
        """A node as one who asks for the type of a weight."""
        request = self.requests.nodes.get(node)
        if node in self.numbers or request is None:
            return self._who(node)
        return FIXED - self.types.index(request.precision.weights)

    def _units(self) -> list[list[list[Any]]]:
        units: dict[str, list[list[Any]]] = {}
        for node in self.model.graph:
            reads = [self.class_of[t] for t in tensors_read(node, self.placement)]
            makes = self._makes(node)
            row = [self._who(str(node.name)), reads] + ([] if makes is None else [makes])
            units.setdefault(self.placement.units.get(str(node.name), str(node.name)), []).append(row)
        return [rows for rows in units.values() if any(row[1] for row in rows) and any(len(row) > 2 for row in rows)]

    def _makes(self, node: ir.Node) -> list[int] | None:
        """The sets of the tensors that a node makes; None where it only moves values."""
        slots = [self.placement.slots[str(v.name)] for v in node.outputs if str(v.name) in self.placement.slots]
        if any(slot.source is not None for slot in slots):
            return None
        return [self.class_of[slot.tensor] for slot in slots if slot.quantized]

    def _own_grids(self) -> bool:
        options = [self.requests.options(layer.name) for layer in self.model.layers]
        return any(o.granularity is not None or o.symmetric is not None for o in options)
