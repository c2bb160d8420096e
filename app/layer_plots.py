"""What the inspector's plots show, made from a layer's facts and its scores. Pure functions."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import words
from app.figures.histogram import grid_every, grid_lines
from app.figures.scores import Row

Plot = dict[str, Any]
HEIGHT = 204


def weights(facts: Mapping[str, Any], height: int = HEIGHT) -> Plot | None:
    """The weights' histogram with grid and clip lines."""
    found = facts.get("histogram")
    if not found or not found.get("counts"):
        return None
    low, high, step = words.clip(facts)
    clipped = low is not None and high is not None
    left, right = words.weights_caption(facts)
    if not facts.get("encoding") and not str(facts.get("precision")).startswith(("fp", "bf")):
        left, right = "Weights", "their grid follows with the next calibration or measurement"
    lines = grid_lines(low, high, step) if low is not None and high is not None and step else []
    sparse = low is not None and high is not None and bool(step) and grid_every(low, high, step or 1.0) > 1
    return {"kind": "histogram", "edges": _short(found["edges"]), "counts": list(found["counts"]), "height": height, "half": 0.55,
            "clip": [low, high] if clipped else None, "grid": _short(lines), "sparse": sparse, "left": left, "right": right}


def ladder(rows: Sequence[Row], fair: float | None, title: str, height: int = HEIGHT) -> Plot | None:
    """The score at every precision, with its interval, and the fair share."""
    if not rows:
        return None
    shown = [{"id": r.item, "value": r.value, "low": r.low, "high": r.high, "estimate": r.estimate, "prior": r.prior,
              "step": r.step, "now": r.mark == "now", "no": r.mark == "illegal", "title": r.hover.replace("<br>", "\n")} for r in rows]
    kinds = {r.estimate for r in rows if r.value is not None}
    kind = "estimates" if kinds == {True} else "exact" if kinds == {False} else "exact, hollow: estimates"
    return {"kind": "ladder", "rows": shown, "fair": fair, "title": title, "height": height, "half": 0.45,
            "left": "Sensitivity by precision", "right": f"{kind}; dotted: fair share"}


def channels(facts: Mapping[str, Any], height: int = 140) -> Plot | None:
    """The range of each output channel."""
    found = facts.get("channels") or {}
    low, high = list(found.get("low") or []), list(found.get("high") or [])
    if len(low) < 2:
        return None
    return {"kind": "channels", "low": _short(low), "high": _short(high), "height": height, "half": 0,
            "left": "Ranges by output channel", "right": f"{len(low)} channels; amber 3 times, red 6 times the usual"}


def _short(values: Sequence[float]) -> list[float]:
    return [float(f"{v:.5g}") for v in values]
