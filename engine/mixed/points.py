"""What a group may cost and score as a whole: all ways worth a look for a price on the columns.

For a group of one layer these are its options. In a group that shares a type, each mode's layers are free of each other:
their lower hulls add up by rising slope (a Minkowski sum), and the ways of all modes lie beside each other.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from engine.mixed.space import SCORE, Array, Choice, Group, Space

Way = tuple[float, Choice]


@dataclass(frozen=True)
class Points:
    """All groups' ways as arrays.

    Attributes:
        group: [N] the number of the group of each way.
        values: [N, columns].
        price: [N] by the price that was asked for.
        ways: [N] the options of the group's layers.
        first: [groups + 1] where each group's ways begin.
    """

    group: Array
    values: Array
    price: Array
    ways: tuple[Choice, ...]
    first: Array


def points_of(space: Space, price: Array) -> Points:
    """The ways of every group under a price on the columns; `price` gives the score no weight."""
    group, values, ways, first = [], [], [], [0]
    for number, members in enumerate(space.groups):
        table = [space.table[p] for p in members.places]
        found = dict.fromkeys(way for mode in members.modes for way in _ways(table, mode, price))
        for way in found:
            group.append(number)
            values.append(sum(rows[o] for rows, o in zip(table, way, strict=True)))
            ways.append(way)
        first.append(len(ways))
    stacked = np.array(values)
    return Points(np.array(group), stacked, stacked @ price, tuple(ways), np.array(first))


def _ways(table: list[Array], mode: tuple[tuple[int, ...], ...], price: Array) -> list[Choice]:
    if len(mode) == 1:
        return [(o,) for o in mode[0]]
    hulls = [lower_hull([(float(rows[o] @ price), float(rows[o, SCORE]), o) for o in allowed])
             for rows, allowed in zip(table, mode, strict=True)]
    now = [hull[0][2] for hull in hulls]
    steps = sorted((_slope(a, b), k, b[2]) for k, hull in enumerate(hulls) for a, b in itertools.pairwise(hull))
    found = [tuple(now)]
    for _, layer, option in steps:
        now[layer] = option
        found.append(tuple(now))
    return found


def _slope(a: tuple[float, float, int], b: tuple[float, float, int]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])


def lower_hull(points: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """The points (price, score, number) on the lower left hull, by rising price and falling score; of equals the first."""
    best: list[tuple[float, float, int]] = []
    for point in sorted(points):
        if best and point[1] >= best[-1][1]:
            continue
        if best and point[0] == best[-1][0]:
            best.pop()
        while len(best) > 1 and _slope(best[-2], best[-1]) >= _slope(best[-2], point):
            best.pop()
        best.append(point)
    return best


def choice_of(space: Space, points: Points, state: Array) -> Choice:
    """Way of each group → option of each layer."""
    found = [0] * len(space.places)
    members: Group
    for members, way in zip(space.groups, state, strict=True):
        for place, option in zip(members.places, points.ways[int(way)], strict=True):
            found[place] = option
    return tuple(found)
