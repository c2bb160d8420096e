"""Scores of a session of both kinds: estimates for all, and exact ones for the layers that hold most of the sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.analysis.prediction.scores import REST, closure
from engine.analysis.sensitivity.answer import Asked, quantizations_of, table_of
from engine.analysis.sensitivity.items import items_of
from engine.analysis.sensitivity.kinds import Question
from engine.predicting import SCORE_SAMPLES, Ask, Predicting
from engine.progress import Progress, part
from engine.quant.precision import Precision
from engine.recipe import Recipe

SHARE = 0.8  # of the estimated sum is taken exactly


def mixed_scores(session: Any, predicting: Predicting, recipe: Recipe, precisions: Sequence[Precision], samples: int,
                 progress: Progress) -> dict[str, dict[str, float]]:
    """Estimates of all layers, those of the layers that hold `SHARE` of the sum replaced by exact scores.

    The other estimates are scaled by what the exact ones showed of their scale, precision by precision, so that all add up.
    """
    estimates = predicting.scores(recipe, Ask(tuple(precisions), "estimate", samples), part(progress, 0.0, 0.3)).values
    rows = {name: dict(row) for name, row in estimates.items()}
    top = _largest({name: max(row.values(), default=0.0) for name, row in rows.items() if name != REST})
    room = session._room(recipe)
    data = session.evaluation if session.calibration is None else session.calibration
    some = data.subset(samples or SCORE_SAMPLES["exact"])
    sim = room.calibrated(recipe)
    wanted = closure(precisions)
    question = Question(wanted, "one-on", samples=len(some))
    items = tuple(item for item in items_of(sim, "layers", "both") if item.name in top)
    batch = room.ready_runner(some).batch
    cells = session._scores(recipe, question, some)
    asked = Asked(sim, question, items, quantizations_of(sim, wanted), some, None, cells, batch, False, 0, None)
    exact = table_of(asked, part(progress, 0.3, 1.0)).value("kl")
    for p, precision in enumerate(wanted):
        key = str(precision)
        pairs = [(exact[i, p], rows[item.name].get(key, 0.0)) for i, item in enumerate(items)]
        ratios = [a / b for a, b in pairs if b > 0 and np.isfinite(a)]
        scale = float(np.median(ratios)) if ratios else 1.0
        for row in rows.values():
            if key in row:
                row[key] *= scale
        for i, item in enumerate(items):
            if np.isfinite(exact[i, p]):
                rows[item.name][key] = float(exact[i, p])
    return rows


def _largest(values: dict[str, float]) -> set[str]:
    found: set[str] = set()
    total, wanted = 0.0, SHARE * sum(values.values())
    for name in sorted(values, key=lambda n: -values[n]):
        if total >= wanted and found:
            break
        found.add(name)
        total += values[name]
    return found
