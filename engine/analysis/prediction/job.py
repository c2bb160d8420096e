"""The job `curve`: takes the scores, measures what is missing, and fits after every point."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.analysis.prediction.curve import ENOUGH, FLOAT_POINT, Curve, Point, fit
from engine.analysis.prediction.measured import Bench, Measured, merged
from engine.analysis.prediction.mixtures import mixtures, uniform
from engine.analysis.prediction.scores import Scores
from engine.data.metrics import Metric
from engine.errors import BadInput
from engine.progress import Progress, part, silent
from engine.quant.precision import Precision
from engine.recipe import Recipe

MIXTURES = 16
SAMPLES = 512
SHARES = ("top1", "top5", "agreement", "miou")  # metrics from 0 to 1: no drop is greater than the float model's score
Partial = Callable[[dict[str, Any]], None]


@dataclass
class Fitting:
    """All that a curve is made from, and what has been measured so far.

    Attributes:
        recipe: what all recipes that the curve serves share; its precisions do not matter.
        fp32: the float model's score, as a report gives it.
        skipped: recipes that could not be run, with the reason.
    """

    recipe: Recipe
    scores: Scores
    metric: Metric
    fp32: Mapping[str, Any]
    measured: list[Measured] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    begun: float = field(default_factory=time.perf_counter)

    def points(self) -> list[Point]:
        """The float model and every measured recipe, in order of their sums."""
        found = [p for m in merged(self.measured) if (p := m.point(self.scores)) is not None]
        return sorted([FLOAT_POINT, *found], key=lambda p: p.sum)

    def to_json(self, complete: bool) -> dict[str, Any]:
        """The result of the verb; `knots` is empty until there are enough points."""
        points = self.points()
        curve = fit(points, float(self.fp32["value"]) if self.metric.name in SHARES else None)
        return {
            "kind": self.scores.kind,
            "metric": self.metric.name,
            "unit": "dB" if self.metric.name == "sqnr" else "share" if self.metric.name in SHARES else "units of the metric",
            "direction": "lower is better",
            "score": {"unit": "nats per sample", "samples": self.scores.samples, "direction": "lower is better"},
            "fp32": dict(self.fp32),
            "scores": {name: dict(row) for name, row in self.scores.values.items()},
            "noise": self._noise(points),
            "points": [p.to_json() for p in points],
            "enough": curve is not None,
            "needed": ENOUGH,
            "complete": complete,
            "recipe": self.recipe.to_dict(),
            "seconds": time.perf_counter() - self.begun,
            "skipped": list(self.skipped),
            **_curve_json(curve),
        }

    def _noise(self, points: Sequence[Point]) -> dict[str, Any]:
        """How SQNR follows from scores: by summed noise power (exact), else by the noise that a unit of score has brought."""
        if self.scores.noise:
            return {"rows": {name: dict(row) for name, row in self.scores.noise.items()}, "per_score": None}
        ratios = sorted(10 ** (-p.sqnr_db / 10) / p.sum for p in points if p.sqnr_db is not None and p.samples and p.sum > 0)
        return {"rows": {}, "per_score": ratios[len(ratios) // 2] if ratios else None}


def _curve_json(curve: Curve | None) -> dict[str, Any]:
    if curve is None:
        return {"knots": [], "beyond": {"slope": 0.0, "cap": None}, "loo": None}
    return {"knots": [list(k) for k in curve.knots], "beyond": {"slope": curve.slope, "cap": curve.cap}, "loo": dict(curve.loo)}


def run(fitting: Fitting, bench: Bench, precisions: Sequence[Precision], earlier: Iterable[Measured] = (),
        samples: int = SAMPLES, count: int = MIXTURES, progress: Progress = silent, partial: Partial | None = None) -> None:
    """Measures the uniform recipes and `count` random mixtures beside `earlier` ones; `partial` gets the curve as it grows."""
    fitting.measured += earlier
    sim, _ = bench.enter(fitting.recipe, part(progress, 0.0, 0.05))
    todo = [*uniform(fitting.recipe, precisions), *mixtures(sim, fitting.recipe, fitting.scores, precisions, count)]
    for n, (label, wanted) in enumerate(todo):
        share = part(progress, 0.05 + 0.95 * n / len(todo), 0.05 + 0.95 * (n + 1) / len(todo))
        share(0.0, f"Measuring {label}")
        try:
            fitting.measured.append(bench.measure(label, wanted, samples, share))
        except BadInput as error:  # a float16 overflow, say: that recipe gives no point, the others do
            fitting.skipped.append({"label": label, "reason": str(error)})
        if partial is not None and n + 1 < len(todo):
            partial(fitting.to_json(False))
    progress(1.0, f"Fitted through {len(fitting.points())} points")
