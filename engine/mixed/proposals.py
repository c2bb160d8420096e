"""Which recipes are worth a measurement: those near the best ones and near the solver's answer that may well be better.

For a cap on the KL the worth of a recipe is what it saves times the probability that it keeps to the cap; for the least KL
it is the expected improvement (Jones, Schonlau and Welch, J. Global Optimization 13, 1998). Both come to nothing when
there is nothing more to find, which ends a search.
"""

from __future__ import annotations

import math

import numpy as np

from engine.mixed.points import points_of
from engine.mixed.space import COLUMNS, Array, Choice, Space

MOST = 24  # changes that save, and as many that cost, of which pairs are made
_erf = np.vectorize(math.erf)


class Nearby:
    """Recipes that differ from a given one in one group, or in two."""

    def __init__(self, space: Space) -> None:
        price = np.zeros(len(COLUMNS))
        price[COLUMNS.index("bops")] = 1.0
        self.space, self.points = space, points_of(space, price)

    def around(self, choice: Choice, pairs: Array | None = None, column: int = 2) -> list[Choice]:
        """All changes of one group, then of two where the first saves and the second costs less than that.

        `pairs`: a worth for each group's ways (KL it adds per cost it saves, lower is better); None leaves pairs out.
        """
        singles, moves = [], []
        for number, members in enumerate(self.space.groups):
            own = tuple(choice[p] for p in members.places)
            have = self.space.table[list(members.places), list(own), column].sum()
            for way in range(self.points.first[number], self.points.first[number + 1]):
                if self.points.ways[way] != own:
                    saved = float(have - self.points.values[way, column])
                    moves.append((saved, number, way))
                    singles.append(self._put(choice, number, way))
        if pairs is None:
            return singles
        down = sorted((m for m in moves if m[0] > 0), key=lambda m: pairs[m[2]])[:MOST]
        up = sorted((m for m in moves if m[0] < 0), key=lambda m: -pairs[m[2]])[:MOST]
        both = [(a, b) for a in down for b in up if a[1] != b[1] and a[0] + b[0] > 0]
        return singles + [self._put(self._put(choice, a[1], a[2]), b[1], b[2]) for a, b in both]

    def _put(self, choice: Choice, group: int, way: int) -> Choice:
        found = list(choice)
        for place, option in zip(self.space.groups[group].places, self.points.ways[way], strict=True):
            found[place] = option
        return tuple(found)


def keeps(mean: Array, deviation: Array, cap: float) -> Array:
    """The probability that the KL is at most `cap`."""
    found: Array = _below((cap - mean) / np.maximum(deviation, 1e-15))
    return found


def improves(mean: Array, deviation: Array, best: float) -> Array:
    """How much of the KL a measurement is expected to take off the best so far."""
    z = (best - mean) / np.maximum(deviation, 1e-15)
    found: Array = (best - mean) * _below(z) + deviation * np.exp(-0.5 * np.square(np.clip(z, -30, 30))) / math.sqrt(2 * math.pi)
    return found


def _below(z: Array) -> Array:
    found: Array = 0.5 * (1 + _erf(z / math.sqrt(2)))
    return found
