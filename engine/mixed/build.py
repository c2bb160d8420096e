"""From a simulation and scores to the problem: options, groups, costs, edges. The rules are those of `targets/resolve.py`.

A tensor has the most bits that a reader asks for, so an option of a layer is an effective precision: activations below
what others ask of its tensor are no option. Three things the sum leaves to `exact` (see `check.py`), which resolves a
recipe as a whole and gives its true costs: norm scales that follow a tensor, the first operand of a product that
is widened by the second, and the weight of a bypassed layer that shares it with one at work.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.errors import BadInput
from engine.graph.layers import Layer
from engine.mixed.edges import edges_of
from engine.mixed.grouping import Grouping
from engine.mixed.latency import LatencyTable
from engine.mixed.peak import peak_of
from engine.mixed.space import COLUMNS, Option, Place, Space
from engine.mixed.writing import written
from engine.quant.precision import DataType, Float, Int, Precision
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim
from engine.targets.cost import Cost, cost_of
from engine.targets.requests import FLOAT32, Requests, asked_of_tensors, match_requests
from engine.targets.ties import Sets

REST = "*"  # the row of scores for what belongs to no layer
Rows = Mapping[str, Mapping[str, float]]
Asks = Mapping[str, tuple[DataType, ...]]


@dataclass(frozen=True)
class Wish:
    """What a search may touch.

    Attributes:
        candidates: the precisions on offer.
        keep: layers that stay as the recipe has them; bypassed ones always do.
        allow_illegal: also what the target does not run.
    """

    candidates: tuple[Precision, ...]
    keep: frozenset[str] = frozenset()
    allow_illegal: bool = False


def bases(recipe: Recipe, candidates: Sequence[Precision]) -> tuple[Precision, ...]:
    """The base precisions worth a try: the recipe's own, and the cheapest candidate of each other activation type."""
    found = {recipe.precision.activations: recipe.precision}
    for candidate in sorted(candidates, key=lambda p: p.weights.bits):
        if candidate.activations not in found:
            same = [p for p in candidates if p.activations == candidate.activations]
            found[candidate.activations] = max(same, key=lambda p: p.weights.bits)
    return tuple(found.values())


def space_of(sim: QuantSim, wish: Wish, scores: Rows, table: LatencyTable | None = None) -> Space:
    """The problem under the simulation's recipe, whose base and hand-set layers count; its other lines are free.

    Raises:
        BadInput: nothing can be chosen.
    """
    return _Builder(sim, wish, scores, table).space()


class _Builder:
    def __init__(self, sim: QuantSim, wish: Wish, scores: Rows, table: LatencyTable | None) -> None:
        self.sim, self.wish, self.scores, self.table = sim, wish, scores, table
        self.requests: Requests = match_requests(sim.model, sim.recipe, sim.placement)
        self.layers = sim.model.layers
        self.free = {x.name for x in self.layers if x.name not in self.requests.bypassed and x.name not in wish.keep}
        self.class_of = self._classes()
        self.asked, self.pinned = self._asked(), self._pinned()
        self.own = {x.name: self._class(x) for x in self.layers}
        self.readers: dict[str, list[str]] = defaultdict(list)
        for layer in self.layers:
            if layer.name not in self.requests.bypassed:
                self.readers[self.own[layer.name]].append(layer.name)
        self.notes: list[str] = []
        self.costs: dict[Precision, Cost] = {}

    def space(self) -> Space:
        places = tuple(self._place(layer) for layer in self.layers)
        if not any(len(p.options) > 1 for p in places):
            names = ", ".join(map(str, self.wish.candidates))
            raise BadInput(f"there is nothing to choose: no layer has more than one legal precision among {names} on "
                           f"{self.sim.target.name}; give other candidates, or another target")
        numbers = {x.name: i for i, x in enumerate(self.layers)}
        edges = edges_of(self.sim.model, self.sim.placement, self.requests, numbers, self.class_of, self.asked, self.pinned)
        values = sum(_weight_values(x) for x in self.layers)
        rest = self.scores.get(REST, {}).get(str(self.sim.recipe.precision), 0.0)
        constant = (rest, float(self._cost(self.sim.recipe.precision).other_bytes), 0.0, 0.0, 0.0)
        groups = Grouping(self.layers, self.own, self.requests.bypassed, places, self.notes).groups()
        recipe, notes = self.sim.recipe, tuple(dict.fromkeys(self.notes))
        return Space(recipe.precision, places, groups, constant, values, edges, recipe, notes, peak_of(self.sim.model, self.sim.placement))

    def _classes(self) -> dict[str, str]:
        """Tensor with a type → the set of tensors that have it together, by the name that stands for it."""
        sets, placement = Sets(), self.sim.placement
        for group in placement.groups:
            first = min(group)
            for name in group:
                sets.join(first, name)
        for layer in self.layers:  # a layer that reads two tensors has one activation type
            for name in layer.reads[1:]:
                sets.join(layer.reads[0], name)
        return {n: sets.find(n) for n in placement.slots if placement.slots[placement.root(n)].quantized}

    def _class(self, layer: Layer) -> str:
        """Its tensors' set; a name of its own where nothing that it reads is quantized."""
        return next((self.class_of[t] for t in layer.reads if t in self.class_of), f"({layer.name})")

    def _asked(self) -> Asks:
        """What all but free layers ask of each set."""
        found: dict[str, list[DataType]] = defaultdict(list)
        for tensor, asks in asked_of_tensors(self.sim.model, self.sim.target, self.sim.placement, self.requests).items():
            if tensor in self.class_of:
                found[self.class_of[tensor]] += [a.dtype for a in asks if a.reader not in self.free]
        return {name: tuple(types) for name, types in found.items()}

    def _pinned(self) -> dict[str, DataType]:
        wanted = {t: r.dtype for t, r in self.requests.tensors.items() if r.dtype is not None}
        return {self.class_of[t]: kind for t, kind in wanted.items() if t in self.class_of}

    def _types(self, layer: Layer) -> dict[DataType, list[Precision]]:
        """Type that the layer's tensor may come to have → the asked precisions that lead there or may share it."""
        name = self.own[layer.name]
        floor = max((k.bits for k in self.asked.get(name, ()) if isinstance(k, Int)), default=0)
        pinned = self.pinned.get(name)
        every = [p for x in self.readers[name] for p in self._asks(x)] or self._asks(layer.name)
        kinds = {Int(max(p.activations.bits, floor)) for p in every if isinstance(p.activations, Int)}
        if isinstance(pinned, Int):
            kinds = {pinned} if kinds else set()
        own = [p for p in self._asks(layer.name) if isinstance(p.activations, Int)]
        shared = len(self.readers[name]) > 1
        found: dict[DataType, list[Precision]] = {}
        for kind in sorted(kinds, key=lambda k: k.bits):
            lands = [max(p.activations.bits, floor) == kind.bits or pinned is not None or (shared and p.activations.bits < kind.bits)
                     for p in own]
            found[kind] = [Precision(p.weights, kind) for p, there in zip(own, lands, strict=True) if there]
        return found

    def _asks(self, name: str) -> list[Precision]:
        """What a layer may ask for."""
        return list(self.wish.candidates) if name in self.free else [self.requests.precision(name)]

    def _place(self, layer: Layer) -> Place:
        if layer.name in self.requests.bypassed:
            return Place(layer.name, (self._option(layer, FLOAT32),), "bypassed")
        wanted = [p for found in self._types(layer).values() for p in found]
        wanted += [p for p in self._asks(layer.name) if isinstance(p.activations, Float)]
        fixed, runs = "" if layer.name in self.free else "kept as the recipe has it", self.sim.target.legal(layer.op_type, layer.kind)
        legal = [p for p in dict.fromkeys(wanted) if self.wish.allow_illegal or fixed or p in runs]
        known = [p for p in legal if fixed or layer.name not in self.scores or str(p) in self.scores[layer.name] or p == FLOAT32]
        if not known:
            own = self.requests.precision(layer.name)
            why = "no candidate is legal here" if not legal else "no candidate has a score here"
            self.notes.append(f"{layer.name} stays at {own}: {why}")
            return Place(layer.name, (self._option(layer, own),), why)
        return Place(layer.name, tuple(self._option(layer, p) for p in known), fixed)

    def _option(self, layer: Layer, precision: Precision) -> Option:
        size = next(c.size_bytes for c in self._cost(precision).layers if c.name == layer.name)
        bits = precision.weights.bits
        score = self.scores.get(layer.name, {}).get(str(precision), 0.0)
        time = 0.0 if self.table is None else self.table.of(layer, precision, self.notes)
        values = {"score": score, "size_bytes": size, "bops": layer.macs * bits * precision.activations.bits,
                  "bits": _weight_values(layer) * bits, "latency_us": time}
        return Option(precision, tuple(float(values[c]) for c in COLUMNS))

    def _cost(self, precision: Precision) -> Cost:
        """What `targets/cost.py` says with all layers at a precision."""
        if precision not in self.costs:
            whole = written(self.sim, {x.name: precision for x in self.layers}, ())
            self.costs[precision] = cost_of(self.sim.model, self.sim.moved(whole).plan)
        return self.costs[precision]


def _weight_values(layer: Layer) -> int:
    """Values of its weights, without the bias."""
    return math.prod(layer.weight_shape) if len(layer.weights) == 1 else layer.params
