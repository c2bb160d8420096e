"""Phase 1 of AIMET's procedure: the score of each group of layers at each candidate, all else in float; run exactly."""

from __future__ import annotations

from typing import Any

from engine.analysis.sensitivity.answer import Asked, quantizations_of, table_of
from engine.analysis.sensitivity.items import items_of
from engine.analysis.sensitivity.kinds import Item, Question
from engine.mixed.baselines import Scores
from engine.mixed.space import Space
from engine.predicting import SCORE_SAMPLES
from engine.progress import Progress, silent
from engine.quant.precision import Precision
from engine.recipe import Recipe


def group_scores(session: Any, recipe: Recipe, space: Space, order: tuple[Precision, ...], samples: int = 0,
                 progress: Progress = silent) -> Scores:
    """(group, number in `order`) → KL per sample on the calibration data, for all but the first of `order`."""
    room = session._room(recipe)
    data = session.evaluation if session.calibration is None else session.calibration
    some = data.subset(samples or SCORE_SAMPLES["exact"])
    sim = room.calibrated(recipe, progress)
    own = {item.name: item for item in items_of(sim, "layers", "both")}
    items, numbers = [], []
    for number, group in enumerate(space.groups):
        found = [own[name] for p in group.places if (name := space.places[p].name) in own]
        if found:
            numbers.append(number)
            items.append(Item(found[0].name, tuple(i.name for i in found), _union(i.constants for i in found),
                              _union(i.activations for i in found)))
    wanted = order[1:]
    question = Question(wanted, "one-on", samples=len(some))
    cells = session._scores(recipe, question, some)
    batch = room.ready_runner(some).batch
    asked = Asked(sim, question, tuple(items), quantizations_of(sim, wanted), some, None, cells, batch, False, 0, None)
    values = table_of(asked, progress).value("kl")
    return {(number, k + 1): float(values[i, k]) for i, number in enumerate(numbers) for k in range(len(wanted))}


def _union(lists: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in lists for name in names))
