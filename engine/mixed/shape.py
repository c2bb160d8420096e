"""What a search says, as plain values: points, the predicted frontier as moves, why each layer has its bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.mixed.belief import Belief
from engine.mixed.frontier import Frontier
from engine.mixed.points import choice_of
from engine.mixed.space import COLUMNS, SCORE, Array, Choice, Space
from engine.mixed.trial import Measured, Trial


def costs(space: Space, totals: Array, choice: Choice | None = None) -> dict[str, Any]:
    """The cost columns under the names of result files; conversions where the choice is given."""
    values = dict(zip(COLUMNS, (float(v) for v in totals), strict=True))
    found: dict[str, Any] = {"size_bytes": round(values["size_bytes"]), "bops": round(values["bops"]),
                             "average_bits": space.average_bits(totals), "latency_us": values["latency_us"] or None}
    if choice is not None:
        found |= {"boundaries": space.boundaries(choice), "activation_peak_bytes": space.activation_peak(choice)}
    return found


def layers(space: Space, choice: Choice) -> dict[str, str]:
    """Layer → precision, in order of execution."""
    return {name: str(precision) for name, precision in space.named(choice).items()}


def measured(found: Measured) -> dict[str, Any]:
    """The measured numbers under the names of reports; `value` is the quantized recipe's score."""
    flips, ends = found.flips or (None, None), None if found.ci95 is None else list(found.ci95)
    return {"kl": found.kl, "value": found.value, "samples": found.samples, "sqnr_db": found.sqnr_db, "agreement": found.agreement,
            "drop": {"value": found.drop, "ci95": ends, "flips_lost": flips[0], "flips_won": flips[1]}}


def point(space: Space, trial: Trial) -> dict[str, Any]:
    """A measured recipe."""
    return {**measured(trial.measured), **costs(space, trial.totals, trial.choice), "predicted_kl": trial.predicted,
            "score": float(trial.totals[SCORE]), "base": str(space.base), "layers": layers(space, trial.choice), "measured": True,
            "why": trial.why}


def frontier(space: Space, column: str) -> dict[str, Any]:
    """The predicted frontier: where it starts (the cheapest) and the moves that follow, each with the totals after it.

    A budget is answered by all moves up to it, so a page needs no worker to follow a slider.
    """
    price = np.zeros(len(COLUMNS))
    price[COLUMNS.index(column)] = 1.0
    found = Frontier(space, price)
    moves = []
    for n in range(len(found.slope)):
        group, way = space.groups[int(found.group[n])], found.points.ways[int(found.after[n])]
        before = found.points.ways[int(found.before[n])]
        changed = {space.places[p].name: str(space.places[p].options[o].precision)
                   for p, o, old in zip(group.places, way, before, strict=True) if o != old}
        totals = found.totals[n + 1] + np.asarray(space.constant)
        moves.append({"layers": changed, "score": float(totals[SCORE]), **costs(space, totals)})
    start = found.totals[0] + np.asarray(space.constant)
    choice = choice_of(space, found.points, found.start)
    return {"base": str(space.base), "column": column, "kind": "predicted", "unit": "nats per sample", "direction": "lower is better",
            "start": {"layers": layers(space, choice), "score": float(start[SCORE]), **costs(space, start)}, "moves": moves}


def reasons(space: Space, choice: Choice, belief: Belief | None, number: int = 0) -> list[dict[str, Any]]:
    """Why each layer has its bits: its options with score (as it came, and corrected by what was measured) and cost, its group."""
    corrected = None if belief is None else belief.around(number, choice).table[:, :, SCORE]
    shared = {p: group.why for group in space.groups for p in group.places if len(group.places) > 1}
    rows = []
    for i, place in enumerate(space.places):
        options = [{"precision": str(o.precision), "score": o.values[SCORE],
                    "corrected": None if corrected is None else float(corrected[i, k]),
                    "size_bytes": round(o.values[1]), "bops": round(o.values[2]), "latency_us": o.values[4] or None}
                   for k, o in enumerate(place.options)]
        precision = str(place.options[choice[i]].precision)
        rows.append({"name": place.name, "precision": precision, "fixed": place.fixed, "group": shared.get(i, ""), "options": options})
    return rows


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, str]]:
    """What changed from one solution to another."""
    return [{"name": name, "before": before[name], "after": new} for name, new in after.items() if name in before and before[name] != new]
