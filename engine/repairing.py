"""What each step of a recipe gives: the recipe measured with none of its steps, with the first, with the first two, …

Rows are measured on the same samples, so a step's gain is a paired difference with an interval. What was measured before is not run
again: results of steps and answers of runs are kept by content, so a stopped waterfall goes on where it was.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.analysis.answers import Answers
from engine.analysis.measure import Comparison
from engine.answering import Answering
from engine.data.dataset import Array
from engine.data.metrics import Metric
from engine.data.statistics import Drop, paired_drop
from engine.progress import Heard, Progress, part, silent
from engine.ptq import StepReport, steps_of
from engine.recipe import Recipe
from engine.recipe.parts import Step
from engine.recipe.text import step_line
from engine.report import words
from engine.room import Room

MIN_DB = 0.1  # a change of the SQNR below this is none
STEP_SHARE = 0.7  # of a row's progress is the step's, the rest the measurement's
Partial = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Bench:
    """What a session lends.

    Attributes:
        room: the room with all steps of a recipe.
        runs: how many steps were computed so far.
        comparison: the float model on the evaluation data, with the metric.
        measure: runs a recipe, and keeps its answers in `answering`.
    """

    room: Callable[[Recipe, Progress], Room]
    runs: Callable[[], int]
    at_hand: Callable[[Recipe], bool]
    comparison: Callable[[Progress], tuple[Comparison, Metric]]
    measure: Callable[[Recipe, Progress], None]
    answering: Answering


@dataclass
class _Rows:
    """What has been measured so far; `scores` are per sample, in the order of the rows."""

    recipe: Recipe
    metric: str
    steps: tuple[Step, ...]
    rows: list[dict[str, Any]] = field(default_factory=list)
    scores: list[Array | float] = field(default_factory=list)
    begun: float = field(default_factory=time.perf_counter)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def add(self, answers: Answers, report: StepReport | None, kept: bool, seconds: float) -> None:
        """The row of the next prefix."""
        before = self.rows[-1] if self.rows else None
        scores = answers.value if answers.scores is None else answers.scores
        found = answers.report or {}
        row: dict[str, Any] = {"index": len(self.rows), "step": None if report is None else report.name}
        row |= {key: found.get(key) for key in ("quantized", "drop", "sqnr_db", "agreement")}
        change = None if before is None else paired_drop(scores, self.scores[-1])
        row |= {"change": None if change is None else _change(change), "sqnr_change_db": None if before is None
                else row["sqnr_db"] - before["sqnr_db"]}
        row |= _of_step(report, kept) | {"measure_seconds": seconds}
        row["layer_sqnr_db"] = {layer["name"]: layer["sqnr_db"] for layer in found.get("layers", ())}
        row["line"] = None if report is None else step_line(self.steps[row["index"] - 1])
        row |= judged(row, self.metric)
        self.facts = self.facts or {key: found.get(key) for key in ("samples", "fp32")}
        self.rows.append(row)
        self.scores.append(scores)

    def best(self) -> int:
        """The row with the least noise among those that are not surely worse in the metric than the best of it."""
        values = [row["quantized"]["value"] for row in self.rows]
        top = max(range(len(values)), key=lambda i: (values[i], self.rows[i]["sqnr_db"]))
        near = [i for i in range(len(values)) if i == top or not _surely(paired_drop(self.scores[top], self.scores[i]))]
        return max(near, key=lambda i: (self.rows[i]["sqnr_db"], -i))

    def to_json(self, running: Mapping[str, Any] | None) -> dict[str, Any]:
        """The rows and what follows from them."""
        harmful = [row["index"] for row in self.rows if row["harm"]]
        return {
            "metric": self.metric, "unit": "dB" if self.metric == "sqnr" else "share", **self.facts, "rows": list(self.rows),
            "running": None if running is None else dict(running), "best": self.best() if self.rows else None, "harmful": harmful,
            "words": _summary(self.rows, self.metric), "recipe": self.recipe.to_dict(), "fingerprint": self.recipe.fingerprint(),
            "seconds": time.perf_counter() - self.begun,
        }


class Repairing:
    """Waterfalls of one session."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def repair(self, recipe: Recipe, progress: Progress = silent, partial: Partial | None = None) -> dict[str, Any]:
        """Every prefix of the recipe's steps, measured. `partial` gets the rows so far, and live figures of the step that runs."""
        bench, steps = self._bench, steps_of(recipe)
        _, metric = bench.comparison(progress)
        rows = _Rows(recipe, metric.name, steps)
        for i in range(len(steps) + 1):
            now = {"index": i, "step": steps[i - 1].name if i else None, "live": None}
            share = part(progress, i / (len(steps) + 1), (i + 1) / (len(steps) + 1))
            if partial is not None and rows.rows:
                partial(rows.to_json(now))
            self._row(rows, recipe if i == len(steps) else replace(recipe, steps=steps[:i]), share, partial, now)
        return rows.to_json(None)

    def known(self, recipe: Recipe) -> dict[str, Any] | None:
        """The waterfall where every row was measured before and no step would run; else None."""
        steps = steps_of(recipe)
        prefixes = [replace(recipe, steps=steps[:i]) for i in range(len(steps))]
        if any(self._bench.answering.known(prefix) is None for prefix in (*prefixes, recipe)) or not self._bench.at_hand(recipe):
            return None
        return self.repair(recipe)

    def _row(self, rows: _Rows, prefix: Recipe, progress: Progress, partial: Partial | None, now: Mapping[str, Any]) -> None:
        bench = self._bench

        def live(figures: Mapping[str, Any]) -> None:
            if partial is not None and rows.rows:
                partial(rows.to_json({**now, "live": dict(figures)}))

        runs = bench.runs()
        room = bench.room(prefix, Heard(part(progress, 0.0, STEP_SHARE), live))
        kept = bench.runs() == runs
        begun = time.perf_counter()
        answers = bench.answering.of(prefix, bench.measure, part(progress, STEP_SHARE, 1.0))
        rows.add(answers, room.reports[-1] if room.reports else None, kept, time.perf_counter() - begun)


def judged(row: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """Whether a step gained or did harm, and the sentence for it.

    Harm: the interval of the paired change lies below zero, or the SQNR fell while the metric did not surely rise.
    """
    change, db = row["change"], row["sqnr_change_db"]
    if change is None:
        return {"gain": False, "harm": False, "words": "no steps at all"}
    better, worse = (change["significant"] and change["value"] > 0), (change["significant"] and change["value"] < 0)
    harm = bool(worse or (db < -MIN_DB and not better))
    gain = bool(not harm and (better or db > MIN_DB))
    return {"gain": gain, "harm": harm, "words": _sentence(row, metric, gain, harm)}


def _sentence(row: Mapping[str, Any], metric: str, gain: bool, harm: bool) -> str:
    change, db, name = row["change"], row["sqnr_change_db"], row["step"]
    value, ends = change["value"], change["ci95"]
    points = amount(abs(value), metric)
    interval = "" if ends is None else f" ({amount(ends[0], metric, False)} to {amount(ends[1], metric, False)})"
    sure = f"{'wins' if value > 0 else 'loses'} {points}{interval}" if change["significant"] else \
        f"no change of {metric} that is more than chance: {'+' if value >= 0 else '−'}{points}{interval}"
    noise = "the noise stays as it was" if abs(db) <= MIN_DB else f"{abs(db):.1f} dB {'less' if db > 0 else 'more'} noise"
    verdict = "" if not harm else "; it does harm: leave it out"
    return f"{name}: {sure}, {noise}{verdict}" if gain or harm or row["changes"] else f"{name}: found nothing to change"


def amount(value: float, metric: str, unit: bool = True) -> str:
    """A difference of the metric: points of a share, decibels, or a plain number."""
    name = words.unit(metric, True) if unit else ""
    return f"{words.figure(value, metric)}{f' {name}' if name else ''}"


def _of_step(report: StepReport | None, kept: bool) -> dict[str, Any]:
    if report is None:
        return {"options": {}, "seconds": 0.0, "kept": False, "changes": [], "warnings": [], "equivalent": True, "layers": [],
                "instead": None, "tried": [], "training": None}
    plain = report.to_json()
    told = ("options", "seconds", "changes", "warnings", "equivalent", "layers", "instead", "tried", "training")
    return {key: plain[key] for key in told} | {"kept": kept}


def _change(change: Drop) -> dict[str, Any]:
    """From "before minus after" to what the step won: above 0 is better."""
    plain = change.to_json()
    return plain | {"flips_lost": plain["flips_won"], "flips_won": plain["flips_lost"], "significant": change.significant}


def _surely(drop: Drop) -> bool:
    return drop.significant and drop.value > 0


def _summary(rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    """The whole in a sentence: from where to where, and what does harm."""
    if len(rows) < 2:
        return ""
    first, last = rows[0], rows[-1]
    lost = [amount(row["drop"]["value"], metric) for row in (first, last)]
    harm = [str(row["step"]) for row in rows if row["harm"]]
    warning = "" if not harm else f" {' and '.join(harm)} {'does' if len(harm) == 1 else 'do'} harm."
    return (f"Without steps quantization costs {lost[0]} of {metric} (SQNR {first['sqnr_db']:.1f} dB), with {len(rows) - 1} "
            f"{'step' if len(rows) == 2 else 'steps'} {lost[1]} ({last['sqnr_db']:.1f} dB).{warning}")


def repairing_of(session: Any) -> Repairing:
    """The repairing of a session that has evaluation data."""
    rooms = session._rooms
    return Repairing(Bench(rooms.room, lambda: rooms.runs, rooms.at_hand, session._compare, session._measure_for, session._answers()))
