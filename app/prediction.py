"""What a recipe will do before it is run: the formula, the same as in static/predict.js.

A prediction is g(sum of the scores of the effective precisions). The worker's job `curve` takes the scores and fits g (`curves`
finds it). Sums are of one kind, estimate or exact, and say which. Everything that no layer reads has a row of its own, `REST`,
at the base precision.
"""
from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

REST = "*"
MAX_DB = 200.0
Curve = Mapping[str, Any]
Rows = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Predicted:
    """A predicted drop of the metric, float minus quantized, with its interval; None where there is no telling.

    Attributes:
        sum: of the scores.
        beyond: whether the sum lies above everything that was measured; the interval is wider there.
        kind: of the scores, `estimate` or `exact`.
        missing: layers without a score at their precision: then nothing is predicted.
        sqnr_db: at the output; all that is predicted until the curve has enough points.
        fp32: the float model's score.
    """

    value: float | None
    low: float | None
    high: float | None
    sum: float
    beyond: bool
    kind: str
    missing: tuple[str, ...] = ()
    sqnr_db: float | None = None
    fp32: float | None = None

    @property
    def score(self) -> float | None:
        """The predicted metric itself: the float model's less the drop."""
        return None if self.value is None or self.fp32 is None else self.fp32 - self.value


def counts(precision: str) -> bool:
    """Whether a layer at this precision adds to the sum: not where it reads floats."""
    return precision != "fp32" and not precision.endswith("afp32")


def missing(scores: Rows, precisions: Mapping[str, str]) -> tuple[str, ...]:
    """The layers without a score at their precision; layers without any row have nothing to quantize."""
    return tuple(n for n, p in precisions.items() if counts(p) and n in scores and p not in scores[n])


def total(scores: Rows, precisions: Mapping[str, str]) -> float:
    """The sum of the scores that there are."""
    found = 0.0
    for name, precision in precisions.items():
        if counts(precision):
            found += scores.get(name, {}).get(precision, 0.0)
    return found


def at(curve: Curve, summed: float) -> tuple[float, float, float, bool] | None:
    """(drop, low, high, beyond) at a sum; None while the curve has too few points."""
    knots = curve["knots"]
    if not curve["enough"] or not knots:
        return None
    if summed <= 0:
        return 0.0, 0.0, 0.0, False
    last = knots[-1]
    if summed > last[0]:
        slope, cap = curve["beyond"]["slope"], curve["beyond"]["cap"]
        high = last[3] + slope * (summed - last[0])
        return last[1], last[2], high if cap is None else max(min(high, cap), last[1]), True
    i = bisect_right([k[0] for k in knots], summed)
    if i == 0 or i == len(knots):
        return *knots[0 if i == 0 else -1][1:4], False
    a, b = knots[i - 1], knots[i]
    share = (summed - a[0]) / (b[0] - a[0])
    drop, low, high = (a[k] + (b[k] - a[k]) * share for k in (1, 2, 3))
    return drop, low, high, False


def sqnr(curve: Curve, precisions: Mapping[str, str], summed: float) -> float | None:
    """Predicted SQNR in dB: by summed noise power where scores are exact, else by the noise that a unit of score has brought."""
    noise = curve["noise"]
    if noise["rows"]:
        power = total(noise["rows"], precisions)
    elif noise["per_score"] is not None:
        power = noise["per_score"] * summed
    else:
        return None
    return MAX_DB if power <= 0 else min(-10 * math.log10(power), MAX_DB)


def predict(curve: Curve, precisions: Mapping[str, str]) -> Predicted:
    """The prediction for effective precisions, as `precisions_of` gives them."""
    lacking = missing(curve["scores"], precisions)
    summed = total(curve["scores"], precisions)
    fp32 = curve["fp32"].get("value")
    found = None if lacking else at(curve, summed)
    decibels = None if lacking else sqnr(curve, precisions, summed)
    if found is None:
        return Predicted(None, None, None, summed, False, str(curve["kind"]), lacking, decibels, fp32)
    value, low, high, beyond = found
    return Predicted(value, low, high, summed, beyond, str(curve["kind"]), (), decibels, fp32)


def precisions_of(layers: Sequence[Mapping[str, Any]], base: str) -> dict[str, str]:
    """Layer → effective precision, from the rows of a resolved recipe or a report, and the base for the rest."""
    return {str(row["name"]): str(row["precision"]) for row in layers} | {REST: base}
