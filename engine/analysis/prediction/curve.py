"""The curve g: from the sum of the additive scores of a recipe's layers to the drop of the metric.

Isotonic regression (a greater sum never has a smaller drop), weighted by samples, through measured recipes and the
float model, which loses nothing at sum 0. Pooled points are drawn together at their weighted mean ("centred isotonic
regression", Oron and Flournoy, Statistics in Biopharmaceutical Research 9, 2017), and between these knots the
curve is a straight line.

How sure it is: the sampling error of the measured points, s(x), itself made monotone in the sum, times a factor q. Each
point is predicted from the others; with z the root mean square of these residuals in units of s,

    q = t(95 %, number of points - 1) * max(1, z)

so an interval is never narrower than what the samples leave open, and wider where layers do not add up. Beyond the
greatest measured sum the curve stays flat, and its upper end goes on rising as steeply as it did on the way there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from engine.analysis.sensitivity.kinds import Array
from engine.data.statistics import Z95, t_quantile

ENOUGH = 5  # points, the float model among them, below which no drop is predicted
Ends = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """A measured recipe.

    Attributes:
        label: what it is, for a person.
        sum: of the scores of its effective precisions.
        drop: float minus quantized, in units of the metric; greater is worse.
        ci95: the drop's paired 95 % interval, where the metric gives one.
        samples: how many it was measured on; the float model has 0, being exact.
        joint: the score of the whole recipe run at once, per sample, where it was taken.
        sqnr_db: at the first output.
    """

    label: str
    sum: float
    drop: float
    ci95: Ends | None
    samples: int
    joint: float | None = None
    sqnr_db: float | None = None

    @property
    def error(self) -> float | None:
        """Standard error of the drop by sampling."""
        return None if self.ci95 is None else max(self.ci95[1] - self.ci95[0], 0.0) / (2 * Z95)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ci95": None if self.ci95 is None else list(self.ci95)}


FLOAT_POINT = Point("float", 0.0, 0.0, (0.0, 0.0), 0, 0.0)


@dataclass(frozen=True)
class Curve:
    """A fitted curve as straight lines between knots.

    Attributes:
        knots: (sum, drop, low, high), each rising.
        slope: drop per score by which the upper end rises beyond the last knot.
        cap: the greatest possible drop; None where the metric has no bound.
        loo: what leaving each point out showed: `rms` in sampling errors, `median_abs` and `worst` in units of the
            metric, `points`, and the factor `q`.
    """

    knots: tuple[tuple[float, float, float, float], ...]
    slope: float
    cap: float | None
    loo: Mapping[str, float | int | None]

    def at(self, total: float) -> tuple[float, float, float]:
        """(drop, low, high) at a sum; a sum of 0 is the float model."""
        if total <= 0:
            return 0.0, 0.0, 0.0
        x, *columns = np.array(self.knots).T
        value, low, high = (float(np.interp(total, x, column)) for column in columns)
        if total > x[-1]:
            high += self.slope * (total - float(x[-1]))
            high = max(min(high, self.cap), value) if self.cap is not None else high
        return value, low, high


def fit(points: Sequence[Point], cap: float | None = None) -> Curve | None:
    """The curve through these points; None with fewer than `ENOUGH`."""
    if len(points) < ENOUGH:
        return None
    rows = sorted(points, key=lambda p: p.sum)
    errors = sampling_errors(rows)
    loo = leave_one_out(rows, errors)
    x = np.unique([p.sum for p in rows])
    value = np.interp(x, *centred(rows))
    half = float(loo["q"] or 0.0) * np.interp(x, [p.sum for p in rows], errors)
    low = np.minimum.accumulate((value - half)[::-1])[::-1]
    high = np.maximum.accumulate(value + half)
    slope = _steepness(x, value, high)
    return Curve(tuple(zip(*(c.tolist() for c in (x, value, low, high)), strict=True)), slope, cap, loo)


def centred(rows: Sequence[Point]) -> tuple[Array, Array]:
    """(sums, drops) of the monotone curve through points in order of their sums, pooled points at their mean sum.

    The float model's point is certain: from there the curve can only rise, so what lies below is pooled with it.
    """
    measured = [p for p in rows if p.samples]
    exact = [0.0] if len(measured) < len(rows) else []
    x, y = np.array([p.sum for p in measured]), np.array([p.drop for p in measured])
    weight = np.array([float(p.samples) for p in measured])
    fitted = isotonic_regression(y, weights=weight)
    blocks = [slice(int(a), int(b)) for a, b in zip(fitted.blocks[:-1], fitted.blocks[1:], strict=True)]
    drop = np.array([float(fitted.x[b][0]) for b in blocks])
    centre = np.array([float(np.average(x[b], weights=weight[b])) for b in blocks])
    above = drop > 0 if exact else np.ones(len(blocks), dtype=bool)
    centres, drops = np.array([*exact, *centre[above]]), np.array([*exact, *drop[above]])
    # The ends are kept, so that the curve covers all that was measured.
    return np.array([min(x[0], centres[0]), *centres, max(x[-1], centres[-1])]), np.array([drops[0], *drops, drops[-1]])


def sampling_errors(rows: Sequence[Point]) -> Array:
    """The sampling error at each point, monotone in the sum; all 1 where the metric gives no intervals.

    Below the least measured sum it stays: the float model is exact, but next to it even one sample may flip.
    """
    measured = [p for p in rows if p.samples]
    known = [p.error for p in measured if p.error]
    if not known or any(p.error is None for p in measured):
        return np.ones(len(rows))
    own = np.array([p.error or min(known) for p in measured])
    smooth = isotonic_regression(own, weights=[float(p.samples) for p in measured]).x
    return np.interp([p.sum for p in rows], [p.sum for p in measured], smooth)


def leave_one_out(rows: Sequence[Point], errors: Array) -> dict[str, float | int | None]:
    """How far each measured point is from the curve through the others.

    The point with the greatest sum is not asked: without it the curve would have to be carried on, which it says of itself.
    """
    residuals, scaled = [], []
    for i, point in enumerate(rows[:-1]):
        if point.samples:
            others = [p for k, p in enumerate(rows) if k != i]
            residuals.append(point.drop - float(np.interp(point.sum, *centred(others))))
            scaled.append(residuals[-1] / max(float(errors[i]), 1e-12))
    if not residuals:
        return {"rms": None, "median_abs": None, "worst": None, "points": 0, "q": None}
    rms, away = float(np.sqrt(np.mean(np.square(scaled)))), np.abs(residuals)
    least = 1.0 if any(p.error for p in rows) else 0.0
    return {
        "rms": rms,
        "median_abs": float(np.median(away)),
        "worst": float(away.max()),
        "points": len(residuals),
        "q": t_quantile(max(len(residuals) - 1, 1)) * max(rms, least),
    }


def _steepness(x: Array, value: Array, high: Array) -> float:
    """Drop per score beyond the last knot: the mean up to there, or what the upper half of the sums showed if that is more."""
    if x[-1] <= 0:
        return 0.0
    middle = int(np.searchsorted(x, x[-1] / 2))
    run = float(x[-1] - x[middle])
    recent = float(value[-1] - value[middle]) / run if run > 0 else 0.0
    return max(float(high[-1]) / float(x[-1]), recent, 0.0)
