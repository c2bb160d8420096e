"""A score to draw, and its error bars: shared by the figures of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.figures.template import Figure
from app.theme import tokens


@dataclass(frozen=True)
class Row:
    """One score to draw; `note` stands at its right, `below` says that there is nothing to draw."""

    item: str
    label: str
    value: float | None
    low: float | None
    high: float | None
    step: str
    estimate: bool
    hover: str
    note: str = ""
    below: bool = False
    prior: float | None = None
    kind: str = "se"
    share: float = 0.0
    mark: str = ""


def errors(rows: Sequence[Row], theme: str, width: float = 1.2) -> Figure:
    """95 % error bars, one-sided lengths."""
    plus = [0.0 if r.high is None or r.value is None else max(r.high - r.value, 0.0) for r in rows]
    less = [0.0 if r.low is None or r.value is None else max(r.value - r.low, 0.0) for r in rows]
    return {
        "type": "data",
        "symmetric": False,
        "array": plus,
        "arrayminus": less,
        "thickness": width,
        "width": 3,
        "color": tokens(theme)["text2"],
    }


def scaled(error: Figure, scale: float) -> Figure:
    return error | {k: [v * scale for v in error[k]] for k in ("array", "arrayminus")}
