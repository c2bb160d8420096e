"""How many nats the whole model can bear: where the fitted curve says that two points are lost; a usual figure before it is there."""
from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from app.sensitivity.cells import USUAL, Budget

POINTS = 0.02


def budget_of(curve: Mapping[str, Any] | None) -> Budget:
    """The budget that a curve gives; without a usable one, the usual figure. Scores that are no shares have no points."""
    if curve is None or not curve["enough"] or curve.get("unit") != "share":
        return USUAL
    found = sum_at([(float(k[0]), float(k[1])) for k in curve["knots"]], POINTS)
    return USUAL if found is None else Budget(found, True)


def sum_at(knots: list[tuple[float, float]], drop: float) -> float | None:
    """The sum at which a rising curve reaches this drop; None where it does not get there, or does so at once."""
    for (x0, y0), (x1, y1) in pairwise([(0.0, 0.0), *knots]):
        if y0 < drop <= y1:
            return x0 + (x1 - x0) * (drop - y0) / (y1 - y0) or None
    return None
