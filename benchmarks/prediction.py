"""Predicted against measured: `python -m benchmarks.prediction`.

The curve is fitted as the workbench does it (uniform recipes and seeded mixtures on 512 evaluation samples), from
estimates and from exact scores; then 20 other random mixtures are predicted and measured on all 2,000 samples. Errors are
in accuracy points. `inside` counts the measured drops in the predicted 95 % interval, `sampling` is the half width of the
measurements' own intervals at the median: an error of that size is no error of the prediction. `zero` is what
predicting no drop at all would have got. `joint/sum` is the score of a whole mixture over the sum of its layers'.
`+10` fits the curve to ten of the measurements as well and predicts the other ten.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine import Recipe, Session, load_data, load_model
from engine.analysis.prediction.curve import FLOAT_POINT, Curve, Point, fit
from engine.analysis.prediction.measured import Measured
from engine.analysis.prediction.scores import Scores
from engine.predicting import Ask, Predicting
from engine.quant.precision import Precision

FOLDER = Path(__file__).parents[1] / "sample_models"
CANDIDATES = ("fp16", "w8a16", "w8a8", "w4a8")
MIXTURES, SEED = 20, 1000
Row = dict[str, object]


def main(quick: bool = False) -> list[Row]:
    """One row per sample, kind of scores and fit."""
    rows: list[Row] = []
    for name in ("fashion_mobilenet",) if quick else ("fashion_mobilenet", "fashion_vit"):
        session = Session(load_model(FOLDER / name / "model.onnx"), load_data(FOLDER / name / "evaluation.npz"),
                          load_data(FOLDER / name / "calibration.npz"))
        fresh = [measured(session, recipe) for recipe in mixtures(session, MIXTURES)]
        for kind in ("estimate", "exact"):
            rows += predicted(name, session, kind, fresh)  # type: ignore[arg-type]
    return rows


def mixtures(session: Session, count: int) -> list[Recipe]:
    """Random mixtures over a base of w8a8, as a person makes them; none of them is in the fit."""
    rng = np.random.default_rng(SEED)
    layers = [layer.name for layer in session.model.layers]
    found = []
    for _ in range(count):
        shares = rng.dirichlet([0.6] * len(CANDIDATES))
        found.append(Recipe().with_layers(dict(zip(layers, map(str, rng.choice(CANDIDATES, len(layers), p=shares)), strict=True))))
    return found


def measured(session: Session, recipe: Recipe) -> Measured:
    """A mixture on all evaluation samples."""
    assert session.evaluation is not None
    return session._predictions(lambda fraction, message: None).bench().measure("mixture", recipe, len(session.evaluation))


def predicted(name: str, session: Session, kind: str, fresh: Sequence[Measured]) -> list[Row]:
    """The rows of one kind of scores: the fit as it begins, and with ten measurements more."""
    predicting: Predicting = session._predictions(lambda fraction, message: None)
    ask = Ask(tuple(Precision.parse(p) for p in CANDIDATES), kind)  # type: ignore[arg-type]
    begin = time.process_time()
    result = predicting.curve(Recipe(), ask)
    seconds = time.process_time() - begin
    scores = predicting.scores(Recipe(), ask)
    points = [Point(**{**p, "ci95": tuple(p["ci95"])}) for p in result["points"] if p["label"] != "float"]
    half = len(fresh) // 2
    more = [m.point(scores) for m in fresh[:half]]
    grown = [*points, *(p for p in more if p)]
    told = [row(name, kind, "fresh", points, fresh, scores), row(name, kind, "+10", grown, fresh[half:], scores)]
    told[0]["cpu_s"] = round(seconds, 1)
    return told


def row(name: str, kind: str, which: str, points: Sequence[Point], fresh: Sequence[Measured], scores: Scores) -> Row:
    """Errors of a fit on measurements that it has not seen."""
    curve = fit([FLOAT_POINT, *points], 1.0)
    assert isinstance(curve, Curve)
    sums = np.array([scores.total(m.precisions) for m in fresh])
    drops = np.array([m.drop for m in fresh])
    said = np.array([curve.at(float(s)) for s in sums])
    error = 100 * np.abs(said[:, 0] - drops)
    ratio = np.array([m.joint for m in fresh], dtype=float) / sums
    own = [50 * (m.ci95[1] - m.ci95[0]) for m in fresh if m.ci95 is not None]
    values: dict[str, Any] = {
        "points": len(points) + 1, "mixtures": len(fresh), "median": np.median(error), "worst": error.max(), "sampling": np.median(own),
        "zero_median": np.median(100 * np.abs(drops)), "zero_worst": 100 * np.abs(drops).max(),
        "half_width": np.median(50 * (said[:, 2] - said[:, 1])),
    }
    return {
        "model": name, "scores": kind, "fit": which,
        **{k: round(float(v), 2) if isinstance(v, np.floating) else v for k, v in values.items()},
        "inside": int(((said[:, 1] <= drops) & (drops <= said[:, 2])).sum()),
        "joint/sum": f"{np.median(ratio):.2f} ({ratio.min():.2f}-{ratio.max():.2f})", "cpu_s": None,
    }


if __name__ == "__main__":
    from benchmarks.table import show

    show(main())
