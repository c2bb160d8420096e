"""How much there is to find at all: every recipe of a network with two candidates, by the superposition of measured errors.

With two candidates and 21 groups there are two million recipes. Each group's change moves the output's error by a vector, which
a ridge regression takes from all recipes measured so far; the squared length of a sum of vectors is the KL of a recipe that
was never run. Recipes that are cheaper than what is known at a point of the procedure, and by the model within a tenth of its KL,
are measured, the model is made anew, and so on until none is left. `median` is what is known then; `modelled` what there would be
were the model right, `with_leeway` were it wrong for the better by as much as it is off for 95 % of the recipes left out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.search_lab import Lab
from engine.mixed.space import Choice, Space

MOST_GROUPS = 22
LEEWAY, FEW, TURNS = 1.1, 12, 8  # of a point's KL; recipes of each kind and point in one turn; turns
RIDGE = 0.02  # of the mean squared length: what no sum over groups explains
CHUNK = 1 << 16
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Modelled:
    """Cost and modelled KL of all recipes [n], and by how much of its KL a recipe left out of the fit is off (95 % of them less)."""

    cost: Array
    kl: Array
    off: float


def all_recipes(space: Space, errors: dict[Choice, Array], column: int) -> Modelled | None:
    """None where there are more than two ways to each group, or too many groups."""
    if len(space.groups) > MOST_GROUPS or any(len(p.options) != 2 for p in space.places) or len(space.groups) != len(space.places):
        return None
    choices = np.array(list(errors))
    vectors = np.stack([errors[c].astype(np.float64) for c in errors])
    products = vectors @ vectors.T
    features = np.hstack([np.ones((len(choices), 1)), choices])
    kernel = features @ features.T
    lengths = np.diag(products)
    noise = np.diag(RIDGE * lengths / lengths.mean() * kernel.mean())
    inverse = np.linalg.inv(kernel + noise)
    single = inverse / np.diag(inverse)[:, None]
    left_out = lengths - 2 * (single @ products).diagonal() + ((single @ products) * single).sum(1)
    weights = features.T @ inverse  # of the measured errors, in what each group's change does
    square = weights @ products @ weights.T
    groups = len(space.groups)
    base, change = space.table[:, 0, column], space.table[:, 1, column] - space.table[:, 0, column]
    offset = base.sum() + space.constant[column]
    cost, kl = [], []
    for start in range(0, 1 << groups, CHUNK):
        codes = np.arange(start, min(start + CHUNK, 1 << groups))
        bits = ((codes[:, None] >> np.arange(groups)) & 1).astype(np.float64)
        whole = np.hstack([np.ones((len(bits), 1)), bits])
        cost.append(bits @ change + offset)
        kl.append(((whole @ square) * whole).sum(1))
    return Modelled(np.concatenate(cost), np.concatenate(kl), float(np.quantile(np.abs(left_out / lengths - 1), 0.95)))


def limits(found: Modelled, points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Medians of least cost over a point's; `points` are (cost, KL)."""
    order = np.argsort(found.kl)
    least = np.minimum.accumulate(found.cost[order])
    out = []
    for leeway in (1.0, 1.0 + found.off):
        at = np.searchsorted(found.kl[order], [kl * leeway for _, kl in points], side="right") - 1
        out.append(float(np.median([least[max(k, 0)] / cost for k, (cost, _) in zip(at, points, strict=True)])))
    return out[0], out[1]


def limit(lab: Lab, points: Sequence[tuple[float, float]], column: int) -> dict[str, object] | None:
    """Measures what the model of all recipes says may be better than what is known, until nothing is left; see the module."""
    space, begun = lab.spaces[0], len(lab.errors)
    for _ in range(TURNS):
        found = all_recipes(space, {c: e for (_, c), e in lab.errors.items()}, column)
        if found is None:
            return None
        cheapest = _known(lab, points, column)
        new = {c for (_, kl), have in zip(points, cheapest, strict=True) for c in _promising(found, kl, have, len(space.places))
               if (0, c) not in lab.errors}
        for choice in new:
            lab.kl(0, choice)
        if not new:
            break
    model, leeway = limits(found, points)
    ratios = [have / cost for have, (cost, _) in zip(_known(lab, points, column), points, strict=True)]
    return {"recipes": len(found.cost), "off_95_%": round(100 * found.off), "modelled": round(model, 3), "with_leeway": round(leeway, 3),
            "measured_more": len(lab.errors) - begun, "left": len(new), "median": round(float(np.median(ratios)), 3),
            "below_0.95": sum(r <= 0.95 for r in ratios), "points": len(points)}


def _promising(found: Modelled, kl: float, have: float, groups: int) -> list[Choice]:
    """Cheaper than what is known, and perhaps within the KL: the cheapest ones and the least noisy ones."""
    within = np.flatnonzero((found.cost < have * (1 - 1e-4)) & (found.kl < kl * LEEWAY))
    few = np.unique(np.concatenate([within[np.argsort(found.cost[within])[:FEW]], within[np.argsort(found.kl[within])[:FEW]]]))
    return [tuple(int(b) for b in (code >> np.arange(groups)) & 1) for code in few]


def _known(lab: Lab, points: Sequence[tuple[float, float]], column: int) -> list[float]:
    """The least cost that was measured within each point's KL."""
    measured = [(lab.known[0, 0, c], float(lab.spaces[0].totals(c)[column])) for _, c in lab.errors]
    return [min(cost for found, cost in measured if found <= kl) for _, kl in points]
