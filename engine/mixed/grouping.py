"""Which layers must agree, and in which ways they can: those that read one set of tensors, and those with one weight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from engine.errors import BadInput
from engine.graph.layers import Layer
from engine.mixed.space import Group, Place
from engine.quant.precision import DataType, Float, Int
from engine.targets.ties import Sets

MOST_MODES = 256
Fixed = Mapping[str, DataType | None]


@dataclass(frozen=True)
class Grouping:
    """The layers of a graph with their options, in order of execution.

    Attributes:
        own: layer → the set of tensors that it reads.
        notes: gets what a person should know.
    """

    layers: Sequence[Layer]
    own: Mapping[str, str]
    bypassed: frozenset[str]
    places: Sequence[Place]
    notes: list[str]

    def groups(self) -> tuple[Group, ...]:
        """All layers, each in one group."""
        return tuple(self._group(members) for members in self._members())

    def _members(self) -> list[tuple[int, ...]]:
        sets = Sets()
        for layer in self.layers:
            shared = [f"t {self.own[layer.name]}"] if layer.name not in self.bypassed else []
            for key in (*shared, *(f"w {w}" for w in layer.weights)):
                sets.join(f"l {layer.name}", key)
        found: dict[str, list[int]] = defaultdict(list)
        for i, layer in enumerate(self.layers):
            found[sets.find(f"l {layer.name}")].append(i)
        return [tuple(members) for members in found.values()]

    def _group(self, members: tuple[int, ...]) -> Group:
        """A group with its modes: a type for each set of tensors and a width for each shared weight.

        Raises:
            BadInput: no candidates suit all of its layers.
        """
        if len(members) == 1:
            return Group(members, ((tuple(range(len(self.places[members[0]].options))),),))
        layers = [self.layers[i] for i in members]
        classes = list(dict.fromkeys(self.own[x.name] for x in layers if x.name not in self.bypassed))
        weights = [w for w in dict.fromkeys(x.weight for x in layers) if sum(x.weight == w for x in layers) > 1]
        modes: list[tuple[tuple[int, ...], ...]] = []
        for way in product(*(self._kinds(c, members) for c in classes), *(self._widths(w, members) for w in weights)):
            if len(modes) >= MOST_MODES:
                self.notes.append(f"{len(members)} layers around {layers[0].name} can agree in more ways than are looked at")
                break
            fixed = dict(zip([*(f"t {c}" for c in classes), *(f"w {w}" for w in weights)], way, strict=True))
            allowed = tuple(self._allowed(i, fixed) for i in members)
            if all(allowed):
                modes.append(allowed)
        if not modes:
            raise BadInput(f"{layers[0].name} and {len(members) - 1} more share a tensor or a weight, and no candidate suits all of them: "
                           "give more candidates")
        shared = [f"tensor {c}" for c in classes[:2]] + [f"weight {w}" for w in weights[:2]]
        return Group(members, tuple(dict.fromkeys(modes)), f"{len(members)} layers share {' and '.join(shared)}")

    def _kinds(self, name: str, members: Sequence[int]) -> list[DataType | None]:
        """The types that a set of tensors may have; None where all its readers are in float."""
        found: dict[DataType | None, None] = {}
        for i in members:
            if self.own[self.layers[i].name] == name:
                types = (o.precision.activations for o in self.places[i].options)
                found.update((kind, None) for kind in types if isinstance(kind, Int))
        return list(found) or [None]

    def _widths(self, weight: str, members: Sequence[int]) -> list[DataType]:
        """The types that a shared weight may have."""
        sharing = [i for i in members if self.layers[i].weight == weight]
        return list(dict.fromkeys(o.precision.weights for i in sharing for o in self.places[i].options))

    def _allowed(self, place: int, fixed: Fixed) -> tuple[int, ...]:
        """The options of a layer under given types of its tensors and its weight; a bypassed one keeps its own."""
        layer, options = self.layers[place], self.places[place].options
        if layer.name in self.bypassed:
            return tuple(range(len(options)))
        kind, width = fixed.get(f"t {self.own[layer.name]}"), fixed.get(f"w {layer.weight}")
        return tuple(k for k, o in enumerate(options) if width in (None, o.precision.weights)
                     and (isinstance(o.precision.activations, Float) or o.precision.activations == kind))
