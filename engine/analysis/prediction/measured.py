"""Measured recipes as points of the curve: run here and kept by content, or read from reports of earlier measurements."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.analysis.measure import Comparison
from engine.analysis.prediction.curve import Point
from engine.analysis.prediction.scores import REST, Scores, effective
from engine.analysis.runner import Runner
from engine.analysis.sensitivity.kinds import SCORES
from engine.errors import MixdownError
from engine.progress import Progress, silent
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim

VERSION = 1  # raised whenever a point would come out otherwise
Enter = Callable[[Recipe, Progress], tuple[QuantSim, Runner]]


@dataclass(frozen=True)
class Measured:
    """What running a recipe gave, whatever the scores are; `precisions` are the effective ones, with the base for the rest."""

    label: str
    precisions: Mapping[str, str]
    drop: float
    ci95: tuple[float, float] | None
    samples: int
    joint: float | None = None
    sqnr_db: float | None = None

    def point(self, scores: Scores) -> Point | None:
        """The point under these scores; None where one of them is missing."""
        if scores.missing(self.precisions):
            return None
        return Point(self.label, scores.total(self.precisions), self.drop, self.ci95, self.samples, self.joint, self.sqnr_db)

    def key(self) -> str:
        """Recipes with the same effective precisions are the same point."""
        return json.dumps(sorted(self.precisions.items()))


class Bench:
    """Measures recipes on the first samples of the evaluation data.

    Args:
        enter: the simulation under a recipe, calibrated, and the runner of its graph.
        content: all that a measurement depends on beside the recipe and the samples: model, data, metric.
        folder: where measurements are kept; None keeps none.
    """

    def __init__(self, enter: Enter, comparison: Comparison, content: tuple[str, ...], folder: Path | None) -> None:
        self.enter, self.comparison = enter, comparison
        self._content, self._folder = content, folder

    def measure(self, label: str, recipe: Recipe, samples: int, progress: Progress = silent) -> Measured:
        """Float against quantized on that many samples; at once where it is known."""
        count = min(samples, len(self.comparison.data))
        path = self._path(recipe, count)
        kept = None if path is None else _read(path)
        if kept is not None:
            return replace(kept, label=label)
        sim, runner = self.enter(recipe, progress)
        # Taken now: whenever progress is told, the simulation may be moved to another recipe and back.
        quantization, precisions = sim.quantization, effective(sim)
        reference = self.comparison.float_outputs(progress)
        outputs = runner.run(quantization, self.comparison.data, 0, count, lambda f, m: progress(f, f"{label}: {m}"))
        found = self.comparison.compare(reference, outputs, count)
        name = self.comparison.runner.chain.output_names[0]
        joint = float(SCORES["kl"].parts(reference[name][:count], outputs[name]).mean())
        result = Measured(label, precisions, found.drop.value, found.drop.ci95, count, joint, found.sqnr_db)
        if path is not None:
            _write(path, result)
        return result

    def _path(self, recipe: Recipe, count: int) -> Path | None:
        if self._folder is None or recipe.encodings is not None:  # a file of encodings may change under its name
            return None
        text = json.dumps([VERSION, *self._content, count, recipe.fingerprint()])
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def bare(recipe: Recipe) -> Recipe:
    """The recipe without what scores do not depend on: equal for all recipes that one curve serves."""
    plain = Recipe()
    return replace(recipe, model=None, precision=plain.precision, candidates=plain.candidates, layers=(), bypass=())


@dataclass(frozen=True)
class Earlier:
    """A measurement of the past, with what it depends on beside precisions."""

    measured: Measured
    content: tuple[str, ...]
    fingerprint: str

    def serves(self, recipe: Recipe, content: tuple[str, ...]) -> bool:
        """Whether it was of the same model, data and metric under a recipe that differs in precisions alone."""
        return self.content == content and self.fingerprint == bare(recipe).fingerprint()


def earlier(report: Mapping[str, Any] | None) -> Earlier | None:
    """What a report says; None where it says nothing of its data, or is damaged."""
    try:
        assert report is not None
        recipe = Recipe.parse(report["recipe"])
        return Earlier(_of_report(report, recipe), tuple(map(str, report["content"])), bare(recipe).fingerprint())
    except (AssertionError, KeyError, TypeError, ValueError, AttributeError, MixdownError):
        return None


def _of_report(report: Mapping[str, Any], recipe: Recipe) -> Measured:
    rows = {str(row["name"]): str(row["precision"]) for row in report["layers"]}
    drop, samples = report["drop"], int(report["samples"])
    ends = drop["ci95"]
    return Measured(f"measured on {samples} samples", rows | {REST: str(recipe.precision)}, float(drop["value"]),
                    None if ends is None else (float(ends[0]), float(ends[1])), samples, None, float(report["sqnr_db"]))


def merged(measured: Iterable[Measured]) -> list[Measured]:
    """One for each recipe: the one on the most samples, the newest of these; what else is known of it is kept."""
    found: dict[str, Measured] = {}
    for entry in measured:
        old = found.get(entry.key(), entry)
        best = entry if entry.samples >= old.samples else old
        found[entry.key()] = replace(best, joint=entry.joint if old.joint is None else old.joint)
    return list(found.values())


def _read(path: Path) -> Measured | None:
    try:
        value = json.loads(path.read_text())
        ends = value["ci95"]
        return Measured(**{**value, "ci95": None if ends is None else (float(ends[0]), float(ends[1]))})
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return None


def _write(path: Path, measured: Measured) -> None:
    """Whole or not at all; a disk that is full costs the cache and nothing else."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(measured.__dict__))
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
