"""A session's predictions: the scores that are summed, the curve over them, and how well they add."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from engine.analysis.measure import Comparison
from engine.analysis.prediction.additivity import check
from engine.analysis.prediction.additivity_words import ratios, words
from engine.analysis.prediction.job import MIXTURES, SAMPLES, Fitting, run
from engine.analysis.prediction.measured import Bench, Earlier, Measured, bare, earlier
from engine.analysis.prediction.scores import Kind, Scores, overflowing, score
from engine.analysis.runner import Runner
from engine.analysis.sensitivity.cache import ScoreCache
from engine.analysis.sensitivity.kinds import Question
from engine.data import Dataset
from engine.data.metrics import Metric
from engine.errors import BadInput, nearest
from engine.progress import Making, Progress, part, silent
from engine.ptq import unrounded
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim

Partial = Callable[[dict[str, Any]], None]
Reports = Callable[[], Iterable[tuple[int, Callable[[], Mapping[str, Any] | None]]]]  # a number, and how to read the report
SCORE_SAMPLES: Mapping[Kind, int] = {"estimate": 32, "exact": 128}


@dataclass(frozen=True)
class Ask:
    """What a curve is asked for.

    Attributes:
        precisions: the candidates; layers may come to have other combinations of their widths, which are scored too.
        kind: whether scores are estimated or taken exactly.
        score_samples: on how many calibration samples; 0 takes the usual number of the kind.
        samples: on how many evaluation samples the recipes of the fit are run.
        mixtures: how many random mixtures there are among them.
    """

    precisions: tuple[Precision, ...]
    kind: Kind = "estimate"
    score_samples: int = 0
    samples: int = SAMPLES
    mixtures: int = MIXTURES

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise BadInput(f"the kind of scores came as {self.kind!r}. {nearest(str(self.kind), get_args(Kind))}")
        if self.score_samples < 0 or self.samples < 1 or self.mixtures < 0:
            raise BadInput(f"{self.score_samples} samples to score on, {self.samples} to measure on, {self.mixtures} mixtures: "
                           "expected 0 or more, 1 or more, 0 or more")


@dataclass(frozen=True)
class Ground:
    """What a session lends: data, the float model to compare with, and a calibrated simulation with its runner."""

    scoring: Dataset
    comparison: Comparison
    metric: Metric
    content: tuple[str, ...]
    enter: Callable[[Recipe, Dataset, Progress], tuple[QuantSim, Runner]]
    cells: Callable[[Recipe, Question, Dataset], ScoreCache | None]
    folder: Path | None
    reports: Reports


class Predicting:
    """Curves of one session. Scores and measurements are kept by content; a curve is only fitted anew."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._scores: dict[tuple[object, ...], Scores] = {}
        self._earlier: dict[int, Earlier | None] = {}
        self._making = Making()

    def curve(self, recipe: Recipe, ask: Ask, progress: Progress = silent, partial: Partial | None = None) -> dict[str, Any]:
        """The curve for all recipes that differ from this one in precisions alone."""
        return self._fitted(recipe, ask, progress, partial).to_json(True)

    def additivity(self, recipe: Recipe, ask: Ask, progress: Progress = silent) -> dict[str, Any]:
        """How well scores add: for this recipe, in pairs of its layers, and over the recipes that the curve is fitted to.

        The recipe itself is run on the calibration samples that exact scores are taken on; `ask.kind` is of the sums of the others.
        """
        ground = self._ground
        measured = ratios(self._fitted(recipe, ask, part(progress, 0.0, 0.5)).points())
        some = ground.scoring.subset(ask.score_samples if ask.kind == "exact" and ask.score_samples else SCORE_SAMPLES["exact"])
        sim, runner = ground.enter(unrounded(recipe), some, part(progress, 0.5, 0.55))
        found = check(sim, some, runner.batch, progress=part(progress, 0.55, 1.0))
        return {**found.to_json(), "measured": {**measured, "kind": ask.kind}, "words": words(found, measured, ask.kind)}

    def _fitted(self, recipe: Recipe, ask: Ask, progress: Progress = silent, partial: Partial | None = None) -> Fitting:
        ground, recipe = self._ground, bare(recipe)
        sim, _ = self._on_evaluation(unrounded(recipe), progress)
        left_out = overflowing(sim, ask.precisions)
        ask = replace(ask, precisions=tuple(p for p in ask.precisions if p not in left_out))
        scores = self.scores(recipe, ask, part(progress, 0.0, 0.4))
        fp32 = ground.comparison.float_score(part(progress, 0.4, 0.45)).to_json()
        fitting = Fitting(recipe, scores, ground.metric, fp32)
        fitting.skipped += [{"label": str(p), "reason": why} for p, why in left_out.items()]
        run(fitting, self.bench(), ask.precisions, self._past(recipe), ask.samples, ask.mixtures, part(progress, 0.45, 1.0), partial)
        return fitting

    def bench(self) -> Bench:
        """Measures recipes on the session's evaluation data."""
        return Bench(self._on_evaluation, self._ground.comparison, self._ground.content, self._ground.folder)

    def scores(self, recipe: Recipe, ask: Ask, progress: Progress = silent) -> Scores:
        """The scores of this kind under the recipe's ranges, grids and steps (before any that rounds weights).

        Raises:
            Later: a job below the one that asks takes just these; it is run again when they are there.
        """
        ground, recipe = self._ground, unrounded(recipe)
        some = ground.scoring.subset(ask.score_samples or SCORE_SAMPLES[ask.kind])
        key = (recipe.fingerprint(), ask.kind, ask.precisions, len(some))
        if key in self._scores:
            return self._scores[key]
        with self._making.of(key, "Waits for the scores that are being taken"):
            sim, runner = ground.enter(recipe, some, part(progress, 0.0, 0.2))
            cells = ground.cells(recipe, Question(ask.precisions, "one-on", samples=len(some)), some) if ask.kind == "exact" else None
            found = score(sim, ask.kind, ask.precisions, some, ground.metric, cells, runner.batch, part(progress, 0.2, 1.0))
        return self._scores.setdefault(key, found)

    def _past(self, recipe: Recipe) -> list[Measured]:
        """Every measurement ever made that belongs to this curve; each report is read once."""
        known = []
        for number, read in self._ground.reports():
            if number not in self._earlier:
                self._earlier[number] = earlier(read())
            known.append(self._earlier[number])
        return [e.measured for e in known if e is not None and e.serves(recipe, self._ground.content)]

    def _on_evaluation(self, recipe: Recipe, progress: Progress) -> tuple[QuantSim, Runner]:
        return self._ground.enter(recipe, self._ground.comparison.data, progress)


def predicting_of(session: Any, comparison: Comparison, cells: Callable[[Recipe, Question, Dataset], ScoreCache | None],
                  cache: Path | None, reports: Reports) -> Predicting:
    """The predicting of a session that has evaluation data; scores are taken on its calibration data where it has some."""

    def enter(recipe: Recipe, data: Dataset, progress: Progress) -> tuple[QuantSim, Runner]:
        room = session._room(recipe, progress)
        room.calibrated(recipe, progress)
        runner = room.ready_runner(data, progress)
        return room.enter(recipe), runner  # again, since another job may have moved it while progress was told

    scoring = session.evaluation if session.calibration is None else session.calibration
    folder = None if cache is None else cache / "curve"
    return Predicting(Ground(scoring, comparison, session.metric, session.content(), enter, cells, folder, reports))


def curve_asked(precisions: Sequence[str], **given: Any) -> Ask:
    """An `Ask` from plain values."""
    return Ask(tuple(dict.fromkeys(Precision.parse(p) for p in precisions)), **given)
