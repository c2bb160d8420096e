"""Exchanges: from the ways of all groups to better ones by changing two groups at once, into several limits and then down in the aim.

At prices of the limits almost every change costs more than it wins. Those that cost the least, and those that win the most of a
limit or of the aim for what they cost, are the only ones worth a look, and of those all pairs are tried at once.
"""

from __future__ import annotations

import numpy as np

from engine.mixed.points import Points
from engine.mixed.space import Array

MOST = 24  # changes of each kind, of which pairs are tried
ROUNDS = 8


def exchanged(points: Points, state: Array, bounds: Array, aim: Array, weight: Array) -> Array | None:
    """The state after the best exchanges; None where none of them leads into the bounds.

    Args:
        state: [groups] the way of each group.
        bounds: [columns] limits, infinite where there is none.
        weight: [columns] the aim with the prices of the limits.
    """
    limited = np.flatnonzero(np.isfinite(bounds))
    scale = np.maximum(np.abs(bounds[limited]), 1e-12)
    priced, now = points.values @ weight, state.copy()
    best = _rank(points.values[now].sum(0)[None], bounds, limited, scale, aim)[0]
    for _ in range(ROUNDS):
        few = _few(points, now, priced, [*points.values[:, limited].T, points.values @ aim])
        if not len(few):
            break
        change = points.values[few] - points.values[now][points.group[few]]
        totals = points.values[now].sum(0)
        pairs = totals + change[:, None] + np.where(np.eye(len(few))[:, :, None] > 0, 0.0, change[None])
        ranks = _rank(pairs.reshape(-1, len(aim)), bounds, limited, scale, aim).reshape(len(few), len(few), 2)
        group = points.group[few]
        ranks[(group[:, None] == group[None]) & ~np.eye(len(few), dtype=bool)] = np.inf
        flat = ranks.reshape(-1, 2)
        at = int(np.lexsort((flat[:, 1], flat[:, 0]))[0])
        if not tuple(flat[at]) < (best[0], best[1] - 1e-12 * abs(best[1])):
            break
        best = flat[at]
        for k in divmod(at, len(few)):
            now[group[k]] = few[k]
    return now if best[0] <= 0 else None


def _few(points: Points, now: Array, priced: Array, columns: list[Array]) -> Array:
    """The numbers of the ways worth a look: the least dear ones, and for each column those that take the most off it for that."""
    dearer = np.maximum(priced - priced[now][points.group], 0.0)
    others = np.ones(len(dearer), dtype=bool)
    others[now] = False
    floor = 1e-6 * float(np.abs(priced).max()) + 1e-30
    orders = [dearer, *((column - column[now][points.group]) / (dearer + floor) for column in columns)]
    found = [np.flatnonzero(others)[np.argsort(order[others])[:MOST]] for order in orders]
    return np.unique(np.concatenate(found))


def _rank(totals: Array, bounds: Array, limited: Array, scale: Array, aim: Array) -> Array:
    """[n, 2]: how far outside of the bounds, then the aim; lower is better."""
    outside = np.maximum((totals[:, limited] - bounds[limited]) / scale - 1e-9, 0.0).sum(1)
    return np.stack([outside, totals @ aim], 1)
