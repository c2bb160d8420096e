"""How bad a score is, on the scale of the meters: in fair shares of the whole model's budget.

The additive score has a real scale: a sum over all items that the accuracy can bear, shared evenly. The others
are put on the same three steps by their own usual marks, said in `words`.
"""

from __future__ import annotations

import math

from app.sensitivity.cells import Cell, Scores

POINTS = 0.02  # two points, for scores that count samples
WATCH, HOT = 2.0, 6.0
WATCH_DB, HOT_DB = 30.0, 20.0
STEPS = ("ok", "mid", "hot")
GLYPHS = {"ok": "", "mid": "\u25b2", "hot": "\u25cf"}


def fair_share(scores: Scores) -> float:
    """One item's part of the budget, in nats."""
    return scores.budget.nats / max(len(scores.items), 1)


def relative(scores: Scores, item: str, precision: str) -> float | None:
    """The score in fair shares: below 2 is fine, above 6 is hot; None where it is not known."""
    cell = scores.cell(item, precision)
    if cell is None:
        return None
    if scores.mode == "one-off":
        return _won(scores, precision, cell)
    count = max(len(scores.items), 1)
    if scores.score == "kl":
        return max(cell.value, 0.0) / fair_share(scores)
    if scores.score == "sqnr_db":
        return from_decibels(cell.value)
    if scores.score == "mse":
        level = scores.decibels.get((item, precision))
        return None if level is None else from_decibels(level)
    if scores.score == "cosine":
        return from_decibels(-10 * math.log10(max(2 * (1 - cell.value), 1e-12)))
    lost = 1 - cell.value if scores.score == "agreement" else cell.value
    return 0.0 if cell.below else max(lost, 0.0) * count / POINTS


def from_decibels(level: float) -> float:
    """SQNR on the same scale: 30 dB is where watching begins, 20 dB is hot."""
    return WATCH * (HOT / WATCH) ** ((WATCH_DB - min(max(level, -40.0), 120.0)) / (WATCH_DB - HOT_DB))


def _won(scores: Scores, precision: str, cell: Cell) -> float:
    """One-off: what leaving this item in float wins, against the item that wins least, in fair shares of all gains."""
    values = [c.value for (_, p), c in scores.cells.items() if p == precision and not c.estimate]
    if not values or cell.estimate:
        return 0.0
    worst = min(values) if scores.higher_is_better else max(values)
    spread = sum(abs(worst - v) for v in values)
    return 0.0 if spread <= 0 else abs(worst - cell.value) * len(values) / spread


def step(value: float | None) -> str:
    """The colour token of a relative score."""
    if value is None:
        return "off"
    return "hot" if value > HOT else "mid" if value > WATCH else "ok"


def strength(value: float | None) -> float:
    """How strong the cell is painted, 0.12..1: two and a half decades below `WATCH`, full from there."""
    if value is None or value <= 0:
        return 0.12
    return min(1.0, max(0.12, 1 + math.log10(value / WATCH) / 2.5))


def fair_line(scores: Scores) -> float | None:
    """Where the fair share lies on the axis of the score; None for scores that have none."""
    count = max(len(scores.items), 1)
    if scores.mode in ("one-off", "cumulative"):
        return None
    return {"kl": fair_share(scores), "metric_drop": POINTS / count}.get(scores.score)
