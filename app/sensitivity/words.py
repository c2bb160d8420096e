"""Sentences and short labels of the page Sensitivity."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from app import numbers
from app.sensitivity import scale
from app.sensitivity.cells import Cell, Scores, is_noise, rank_text
from app.sensitivity.view import MODES, SCORES


def plain(value: float | None, score: str) -> str:
    """A score as a number, without its unit."""
    if value is None or not math.isfinite(value):
        return "\u2013"
    if score == "sqnr_db":
        return numbers.minus(f"{value:.1f}")
    if score in ("agreement", "metric_drop"):
        return numbers.minus(f"{100 * value:.2f}")
    if score == "cosine":
        return f"{value:.5f}"
    return numbers.minus(f"{value:.2g}" if abs(value) < 0.001 else f"{value:.3g}")


def unit(scores: Scores) -> str:
    """The unit as it stands beside the number."""
    return {"agreement": "%", "metric_drop": "points", "sqnr_db": "dB", "kl": "nats"}.get(scores.score, scores.unit)


def direction(scores: Scores) -> str:
    """Unit and direction of the score, in a few words."""
    if not scores.items:
        return ""
    better = "higher is better" if scores.higher_is_better else "lower is better"
    if scores.mode == "one-off":
        better += "; the best value marks the item that hurts most"
    return f"{SCORES.get(scores.score, scores.score)} in {scores.unit}, {better}"


def kind_of(cell: Cell, mode: str) -> str:
    """The kind of number: estimate, exact, or what the mode reads."""
    if cell.estimate:
        return "estimate"
    return {"one-on": "exact", "one-off": "exact, one-off"}.get(mode, MODES.get(mode, mode).lower())


def cell_text(scores: Scores, item: str, precision: str) -> str:
    """A cell in words, for its hover card."""
    cell = scores.cell(item, precision)
    if cell is None:
        return "not scored yet"
    if cell.below:
        return f"below resolution: {interval(scores, cell)} includes zero at {cell.samples:,} samples"
    share = scale.relative(scores, item, precision)
    lines = [f"{plain(cell.value, scores.score)} {unit(scores)} {interval(scores, cell)}".strip()]
    if share is not None and scores.score in ("kl", "metric_drop", "agreement"):
        lines.append(f"{times(share)} fair share")
    seen = "" if scores.mode == "data-free" else f", {cell.samples:,} samples"
    lines.append(kind_of(cell, scores.mode) + seen)
    if cell.rough:
        lines.append("too large for an estimate: trust its rank, not its size")
    rank = _rank(scores, item, precision)
    return "<br>".join([*lines, rank] if rank else lines)


def _rank(scores: Scores, item: str, precision: str) -> str:
    if is_noise(scores, precision):
        return "order is noise at this precision"
    text = rank_text(scores, precision, item)
    return f"rank {text} of {len(scores.items)}" if text else ""


def interval(scores: Scores, cell: Cell) -> str:
    """The 95 % interval in brackets."""
    if cell.low is None or cell.high is None:
        return ""
    return f"[{plain(cell.low, scores.score)}, {plain(cell.high, scores.score)}]"


def times(value: float) -> str:
    """A multiple: 9.5×, 0.04×."""
    return ("< 0.01" if value < 0.01 else f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:,.0f}") + "\u00d7"


def short_names(items: Sequence[str]) -> list[str]:
    """Names without the first and last part that most of them share; full where two would become alike."""
    parts = [name.split(".") for name in items]
    first, last = (Counter(p[k] for p in parts if len(p) > 2).most_common(1) for k in (0, -1))
    out = []
    for name, words in zip(items, parts, strict=True):
        if len(words) > 2 and first and first[0][1] > 0.6 * len(items) and words[0] == first[0][0]:
            words = words[1:]
        if len(words) > 1 and last and last[0][1] > 0.6 * len(items) and words[-1] == last[0][0]:
            words = words[:-1]
        out.append(".".join(words) or name)
    twice = {n for n, k in Counter(out).items() if k > 1}
    return [name if short in twice else short for name, short in zip(items, out, strict=True)]
