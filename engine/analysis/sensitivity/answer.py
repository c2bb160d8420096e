"""From a question to its answer: one handler per mode, the same shape of result for all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.analysis.sensitivity.cache import ScoreCache
from engine.analysis.sensitivity.confidence import TOP, ranking
from engine.analysis.sensitivity.cumulative import cumulative
from engine.analysis.sensitivity.data_free import data_free
from engine.analysis.sensitivity.estimate import estimate, notes
from engine.analysis.sensitivity.items import items_of
from engine.analysis.sensitivity.kinds import Item, Question
from engine.analysis.sensitivity.racing import race
from engine.analysis.sensitivity.scorer import DROP, metric_kind, scorer
from engine.analysis.sensitivity.sizes import hardest_first
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset
from engine.data.metrics import Metric
from engine.errors import BadInput
from engine.progress import Progress, part, silent
from engine.quant.precision import Precision
from engine.sim.quantization import Quantization
from engine.sim.quantsim import QuantSim

Partial = Callable[[dict[str, Any]], None]
NO_DATA = Dataset("none", {"none": np.zeros((1, 1), np.float32)})
TELL_SECONDS = 1.0  # results are shown about this often while they come
TELL_SHARE = 9  # and never more often than lets nine tenths of the time go into the sweep: many items make telling dear


@dataclass
class Asked:
    """A question with all that it needs to be answered."""

    sim: QuantSim
    question: Question
    items: tuple[Item, ...]
    quantizations: list[Quantization]
    data: Dataset
    metric: Metric | None
    cache: ScoreCache | None
    batch: int
    racing: bool
    top: int
    partial: Partial | None


class _Teller:
    """Sends the answer so far, not too often."""

    def __init__(self, asked: Asked) -> None:
        self._asked, self._told, self._cost = asked, time.monotonic(), 0.0

    def __call__(self, table: Table) -> None:
        """Something was scored."""
        now = time.monotonic()
        if self._asked.partial is not None and now - self._told > max(TELL_SECONDS, TELL_SHARE * self._cost):
            self._asked.partial(to_json(table, self._asked, {}))
            self._told = time.monotonic()
            self._cost = self._told - now


def quantizations_of(sim: QuantSim, precisions: tuple[Precision, ...], weights_only: bool = False) -> list[Quantization]:
    """The whole model at each precision (its weights alone where there are no data).

    What the recipe says of tensors, grids and methods stays, its layers' lines do not.
    """
    recipe = sim.recipe
    found = []
    try:
        for precision in precisions:
            sim.update(replace(recipe, precision=precision, layers=(), bypass=()))
            found.append(Quantization({}, sim.constants()) if weights_only else sim.quantization)
    finally:
        sim.update(recipe)
    return found


def answer(
    sim: QuantSim,
    question: Question,
    data: Dataset | None,
    metric: Metric | None = None,
    cache: ScoreCache | None = None,
    batch: int = 2,
    racing: bool = False,
    top: int = TOP,
    progress: Progress = silent,
    partial: Partial | None = None,
) -> dict[str, Any]:
    """Scores, rankings and what was spent. `partial` is given the answer so far about once a second."""
    begin = time.perf_counter()
    if data is None and question.mode != "data-free":
        raise BadInput(f"sensitivity: mode {question.mode} needs data; without any, mode data-free looks at the weights alone")
    asked = Asked(
        sim,
        question,
        items_of(sim, question.items, question.what),
        quantizations_of(sim, question.precisions, question.mode == "data-free"),
        data or NO_DATA,
        metric,
        cache,
        batch,
        racing,
        top,
        partial,
    )
    table, spent = _MODES[question.mode](asked, progress)
    return to_json(table, asked, spent | {"seconds": time.perf_counter() - begin})


def table_of(asked: Asked, progress: Progress = silent) -> Table:
    """The scores themselves, of whatever items are asked for; from and to the cache like any answer."""
    return _MODES[asked.question.mode](asked, progress)[0]


def _exact(asked: Asked, progress: Progress) -> tuple[Table, dict[str, Any]]:
    table = Table(asked.question, asked.items)
    if asked.racing:
        progress = _line_up(asked, table, progress)
    kind, note = metric_kind(asked.metric, asked.data, len(asked.sim.model.outputs))
    if kind is not None:
        table.kinds[DROP] = kind
    score = scorer(asked.metric if kind else None, asked.data)
    sweep = Sweep(asked.sim.chain, asked.question, asked.items, asked.quantizations, score, asked.batch)
    known = 0 if asked.cache is None else asked.cache.load(sweep, table)
    tell = _Teller(asked)

    def after() -> None:
        tell(table)

    spent: dict[str, Any] = {"cached_cells": known, "notes": [note] if note else []}
    try:
        if asked.racing:
            found = race(sweep, asked.data, table, progress, asked.top, after=after)
            spent |= {"racing": found.to_json(asked.question.precisions)}
        else:
            sweep.run(asked.data, table, 0, min(len(asked.data), asked.question.samples), progress, after=after)
    finally:
        if asked.cache is not None:
            asked.cache.save(sweep, table)
    return table, spent


def _line_up(asked: Asked, table: Table, progress: Progress) -> Progress:
    """Puts the samples in the order of the race and returns the progress that is left. Another order has another cache."""
    asked.data = asked.data.take(range(min(len(asked.data), asked.question.samples)))
    order, table.sizes = hardest_first(asked.sim.chain, asked.data, asked.batch, part(progress, 0.0, 0.03))
    asked.data = asked.data.take(order)
    if asked.cache is not None and table.sizes is not None:
        asked.cache = ScoreCache(asked.cache.folder, f"hardest first {asked.data.sha256}")
    return part(progress, 0.03, 1.0)


def _estimated(asked: Asked, progress: Progress) -> tuple[Table, dict[str, Any]]:
    table = estimate(asked.sim, asked.question, asked.items, asked.quantizations, asked.data, progress)
    return table, {"notes": notes(table)}


def _cumulative(asked: Asked, progress: Progress) -> tuple[Table, dict[str, Any]]:
    """Kept as a whole for each precision: a change of one encoding reaches every item behind it."""
    table = Table(asked.question, tuple(item for item in asked.items if item.output is not None))
    keys = [_everything(q, table.items) for q in asked.quantizations]
    kept = [] if asked.cache is None else [asked.cache.recall(key) for key in keys]
    total = min(len(asked.data), asked.question.samples)
    if kept and all(parts and next(iter(parts.values())).shape[1] >= total for parts in kept):
        for p, parts in enumerate(kept):
            for i in range(len(table.items)):
                table.put(i, p, 0, {name: values[i, :total] for name, values in parts.items()})
        table.samples = total
        return table, {"cached_cells": len(table.items) * len(kept)}
    tell = _Teller(asked)
    table = cumulative(asked.sim.chain, asked.question, asked.items, asked.quantizations, asked.data, progress, asked.batch, tell)
    if asked.cache is not None:
        for p, key in enumerate(keys):
            asked.cache.remember(key, {name: values[:, p, :total] for name, values in table.parts.items()})
    return table, {"cached_cells": 0}


def _everything(quantization: Quantization, items: tuple[Item, ...]) -> list[str]:
    """What cumulative scores depend on beside graph and data."""
    every = {**quantization.activations, **quantization.constants, **quantization.biases}
    return [*sorted(f"{name}={encoding.key()}" for name, encoding in every.items()), *(f"at {item.output}" for item in items)]


def _data_free(asked: Asked, progress: Progress) -> tuple[Table, dict[str, Any]]:
    return data_free(asked.sim.model, asked.question, asked.items, asked.quantizations), {}


_MODES: dict[str, Callable[[Asked, Progress], tuple[Table, dict[str, Any]]]] = {
    "one-on": _exact,
    "one-off": _exact,
    "estimate": _estimated,
    "cumulative": _cumulative,
    "data-free": _data_free,
}


def to_json(table: Table, asked: Asked, spent: dict[str, Any]) -> dict[str, Any]:
    """The answer as plain values: `scores` of every kind, one ranking per precision, what was spent."""
    question = table.question
    main = "kl" if "kl" in table.parts else "sqnr_db"
    rows = [row for name in table.parts for row in table.rows(name)]
    for row in rows:
        if row["metric"] == DROP:
            row["below_resolution"] = row["ci95"][0] <= 0.0 <= row["ci95"][1]
    rankings = [ranking(table, p, main).to_json() for p in range(len(question.precisions))] if table.parts else []
    return {
        "mode": question.mode,
        "what": question.what,
        "items": question.items,
        "precisions": [str(p) for p in question.precisions],
        "samples": table.samples,
        "asked_samples": question.samples,
        "estimate": table.estimate,
        "score": main,
        "kinds": {
            n: {"unit": table.kinds[n].unit, "higher_is_better": table.kinds[n].higher_is_better, "doc": table.kinds[n].doc}
            for n in table.parts
        },
        "members": [{"name": i.name, "layers": list(i.layers), "tensors": [*i.constants, *i.activations]} for i in table.items],
        "scores": rows,
        "rankings": rankings,
        **spent,
    }
