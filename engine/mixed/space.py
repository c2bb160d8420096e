"""The problem as data: what each layer may be given, what that costs, and which layers must agree.

An option is a precision that a layer really gets (effective, see `targets/resolve.py`), so costs and scores add. Layers
that read one tensor agree on its type, and layers with one weight on its type: they are a group, and a group has modes,
each allowing some options of its layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from engine.mixed.edges import Edges
from engine.mixed.peak import Peak
from engine.quant.precision import Precision
from engine.recipe import Recipe

Array = np.ndarray[Any, np.dtype[Any]]
Choice = tuple[int, ...]  # for each layer the number of its option
COLUMNS = ("score", "size_bytes", "bops", "bits", "latency_us")
SCORE = 0
WORDS = {
    "score": "summed score, nats per sample",
    "size_bytes": "bytes of weights, biases and encodings",
    "bops": "bit operations of one sample",
    "bits": "weight values times their bits",
    "latency_us": "microseconds by the table",
}


@dataclass(frozen=True)
class Option:
    """A precision of one layer; `values` are in the order of `COLUMNS`, for one sample."""

    precision: Precision
    values: tuple[float, ...]


@dataclass(frozen=True)
class Place:
    """A layer and its options; `fixed` says why it has only what it has, else it is empty."""

    name: str
    options: tuple[Option, ...]
    fixed: str = ""


@dataclass(frozen=True)
class Group:
    """Layers that must agree; each mode lists, layer by layer, the options that it allows. `why` is for a person."""

    places: tuple[int, ...]
    modes: tuple[tuple[tuple[int, ...], ...], ...]
    why: str = ""


@dataclass(frozen=True)
class Space:
    """Everything a solver needs, under one base precision.

    Attributes:
        base: the precision of what belongs to no layer.
        constant: values that no choice changes, in the order of `COLUMNS` (parameters outside layers, the rest's score).
        weight_values: values in all layers' weights, for average bits.
        edges: where types change along edges.
        peak: which tensors are alive at once.
        recipe: what a choice is written into.
    """

    base: Precision
    places: tuple[Place, ...]
    groups: tuple[Group, ...]
    constant: tuple[float, ...]
    weight_values: int
    edges: Edges
    recipe: Recipe
    notes: tuple[str, ...] = ()
    peak: Peak | None = None

    @cached_property
    def table(self) -> Array:
        """[layers, options, columns]; infinite where a layer has fewer options."""
        most = max((len(p.options) for p in self.places), default=0)
        found = np.full((len(self.places), most, len(COLUMNS)), np.inf)
        for i, place in enumerate(self.places):
            found[i, : len(place.options)] = [o.values for o in place.options]
        return found

    def totals(self, choice: Choice) -> Array:
        """The values of a whole recipe, in the order of `COLUMNS`."""
        found: Array = self.table[np.arange(len(choice)), list(choice)].sum(0) + np.asarray(self.constant)
        return found

    def named(self, choice: Choice) -> dict[str, Precision]:
        """Layer → precision."""
        return {place.name: place.options[o].precision for place, o in zip(self.places, choice, strict=True)}

    def boundaries(self, choice: Choice) -> int:
        """How often types change along edges."""
        return self.edges.count([place.options[o].precision for place, o in zip(self.places, choice, strict=True)])

    def activation_peak(self, choice: Choice) -> int | None:
        """The most bytes of activations alive at once, for one sample; None where the graph is not known."""
        if self.peak is None:
            return None
        types = self.edges.types([place.options[o].precision for place, o in zip(self.places, choice, strict=True)])
        return self.peak.bytes(types, self.edges.class_of)

    def average_bits(self, totals: Array) -> float:
        """Bits of a weight value, the mean over all layers."""
        return float(totals[COLUMNS.index("bits")]) / max(self.weight_values, 1)

    def allows(self, choice: Choice) -> bool:
        """Whether all groups agree."""
        return all(
            any(all(choice[p] in allowed for p, allowed in zip(group.places, mode, strict=True)) for mode in group.modes)
            for group in self.groups
        )

    def with_scores(self, scores: Array, rest: float) -> Space:
        """The same space with other scores [layers, options], such as corrected ones, and another one for the rest."""
        places = tuple(
            Place(p.name, tuple(Option(o.precision, (float(s), *o.values[1:])) for o, s in zip(p.options, row, strict=False)), p.fixed)
            for p, row in zip(self.places, scores, strict=True)
        )
        return replace(self, places=places, constant=(rest, *self.constant[1:]))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Layer → its number."""
        return {place.name: i for i, place in enumerate(self.places)}

    def nearest(self, wanted: Mapping[str, Precision]) -> Choice | None:
        """The choice with these precisions; None where a layer has no such option."""
        found = []
        for place in self.places:
            at = [k for k, o in enumerate(place.options) if o.precision == wanted.get(place.name, self.base)]
            if not at:
                return None
            found.append(at[0])
        return tuple(found)

    def uniform(self, precision: Precision) -> Choice:
        """All layers at a precision; where a layer does not have it, the next one with at least its activations and weights.

        The result always agrees: a group takes the first mode that comes nearest.
        """
        found = [0] * len(self.places)
        for group in self.groups:
            ways = [[self._nearest(p, allowed, precision) for p, allowed in zip(group.places, mode, strict=True)] for mode in group.modes]
            best = min(ways, key=lambda way: sum(distance for distance, _ in way))
            for place, (_, option) in zip(group.places, best, strict=True):
                found[place] = option
        return tuple(found)

    def _nearest(self, place: int, allowed: Sequence[int], wanted: Precision) -> tuple[float, int]:
        def distance(number: int) -> float:
            have = self.places[place].options[number].precision
            pairs = ((have.activations, wanted.activations), (have.weights, wanted.weights))
            gaps = [a.bits - b.bits + (0.5 if type(a) is not type(b) else 0) for a, b in pairs]
            return sum(gap if gap >= 0 else -1000.0 * gap for gap in gaps)

        return min((distance(k), k) for k in allowed)
