"""Conversions charged: a choice is changed, group by group, where that saves more in conversions than it costs.

Solvers add layer by layer and do not see that a change of type between two layers costs a conversion. This goes over
the groups that touch an edge, and takes the way that is least in aim plus charge, within the limits, until nothing changes.
"""

from __future__ import annotations

import numpy as np

from engine.mixed.goal import Goal
from engine.mixed.points import points_of
from engine.mixed.space import COLUMNS, SCORE, Array, Choice, Space

SWEEPS = 3
MOST_GROUPS = 2000


def settle(space: Space, choice: Choice, goal: Goal) -> Choice:
    """The choice with conversions weighed in; never outside the limits that it kept."""
    if not space.edges.nodes or len(space.groups) > MOST_GROUPS:
        return choice
    price = _unit("bops")
    points, bounds, aim = points_of(space, price), goal.bounds(space), goal.weights()
    worth = _worth(space, choice, goal)
    now = list(choice)
    totals = space.totals(choice) - np.asarray(space.constant)
    bounds = np.maximum(bounds, totals)
    for _ in range(SWEEPS):
        before = list(now)
        for number, group in enumerate(space.groups):
            ways = points.ways[points.first[number] : points.first[number + 1]]
            if len(ways) < 2:
                continue
            totals = _better(space, now, group.places, ways, totals, bounds, aim, worth)
        if now == before:
            break
    return tuple(now)


def _better(space: Space, now: list[int], places: tuple[int, ...], ways: tuple[Choice, ...], totals: Array, bounds: Array,
            aim: Array, worth: float) -> Array:
    """Puts the best way of one group into `now`; returns the totals with it."""
    def values(way: Choice) -> Array:
        found: Array = space.table[list(places), list(way)].sum(0)
        return found

    own = tuple(now[p] for p in places)
    have, nodes = values(own), space.edges.near(places)
    if not nodes:
        return totals
    precisions = [space.places[i].options[o].precision for i, o in enumerate(now)]
    best, least, after = own, np.inf, totals
    for way in dict.fromkeys((own, *ways)):
        would = totals - have + values(way)
        if way != own and not (would <= bounds).all():
            continue
        for place, option in zip(places, way, strict=True):
            precisions[place] = space.places[place].options[option].precision
        cost = float(would @ aim) + worth * space.edges.charge_of(nodes, precisions)
        if cost < least - 1e-12 * abs(least if np.isfinite(least) else 0):
            best, least, after = way, cost, would
    for place, option in zip(places, best, strict=True):
        now[place] = option
    return after


def _worth(space: Space, choice: Choice, goal: Goal) -> float:
    """What one bit operation is worth in units of the aim: itself, or the score that the last ones bought."""
    if goal.aim == "bops":
        return 1.0
    if goal.aim != "score":
        return 0.0
    rows = np.arange(len(choice))
    now = space.table[rows, list(choice)]
    bops = space.table[:, :, COLUMNS.index("bops")] - now[:, None, COLUMNS.index("bops")]
    gain = now[:, None, SCORE] - space.table[:, :, SCORE]
    with np.errstate(all="ignore"):
        rates = np.where(np.isfinite(bops) & (bops > 0) & (gain > 0), gain / bops, 0.0)
    return float(rates.max(initial=0.0))  # the best that one more operation could still buy


def _unit(name: str) -> Array:
    found = np.zeros(len(COLUMNS))
    found[COLUMNS.index(name)] = 1.0
    return found
