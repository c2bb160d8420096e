"""What the inspector's plots show, made from a layer's facts and its scores. Pure functions."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import numbers, words
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
            "clip": [low, high] if clipped else None, "grid": _short(lines), "sparse": sparse, "left": left, "right": right,
            "title": "weight value"}


def activations(facts: Mapping[str, Any], height: int = 150) -> list[Plot]:
    """The calibration's values of what the layer reads and makes, with their grids and clip lines; side by side."""
    drawn = []
    for tensor in facts.get("tensors") or []:
        found, low, high, step = tensor.get("histogram"), tensor.get("low"), tensor.get("high"), tensor.get("step")
        if not found or not found.get("counts"):
            continue
        known = low is not None and high is not None and bool(step)
        lines = grid_lines(low, high, step) if known else []
        every = grid_every(low, high, step) if known else 1
        share = f", {numbers.share(tensor.get('saturated'))} saturated" if tensor.get("saturated") is not None else ""
        levels = f", every {every}th level" if every > 1 else ""
        what = {"reads": "Reads", "output": "Makes"}.get(str(tensor.get("role")), "Reads")
        drawn.append({"kind": "histogram", "edges": _short(found["edges"]), "counts": list(found["counts"]), "height": height, "half": 0.5,
                      "clip": [low, high] if known else None, "grid": _short(lines), "sparse": every > 1, "title": "activation value",
                      "left": f"{what} {tensor.get('name')}", "right": f"{tensor.get('dtype')}{levels}{share}" if known else "in float"})
    return beside(drawn)


def beside(drawn: Sequence[Plot | None]) -> list[Plot]:
    """Those that are there; one alone takes the whole width."""
    found = [d for d in drawn if d is not None]
    return found if len(found) != 1 else [found[0] | {"half": 0}]


def waiting(height: int = HEIGHT) -> Plot:
    """The place of the weights' histogram while the worker looks into the layer: nothing jumps when it comes."""
    return {"kind": "waiting", "height": height, "half": 0.55, "left": "Weights", "right": "looking into the layer\u2026"}


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
    """The weight's range in each output channel, with the ends of its grid, what it saturates and its noise."""
    found = facts.get("channels") or {}
    low, high = list(found.get("low") or []), list(found.get("high") or [])
    if len(low) < 2:
        return None
    limits = found.get("limits") or {}
    ends = {key: _short(limits[key]) for key in ("low", "high") if limits.get(key)}
    return {"kind": "channels", "low": _short(low), "high": _short(high), "height": height, "half": 0, "title": "output channel",
            "limits": ends or None, "notes": [_note(found, i) for i in range(len(low))], "left": "Weight ranges by output channel",
            "right": _told(found, len(low)) + "amber 3 times, red 6 times the usual" + ("; ticks: ends of the grid" if ends else "")}


def activation_channels(facts: Mapping[str, Any], height: int = 120) -> list[Plot]:
    """The range of each channel of what the layer reads: one wide channel costs the others on a shared grid."""
    drawn = []
    for tensor in facts.get("tensors") or []:
        found = tensor.get("channels") or {}
        if tensor.get("role") == "reads" and len(found.get("low") or []) > 1:
            drawn.append({"kind": "channels", "low": _short(found["low"]), "high": _short(found["high"]), "height": height, "half": 0,
                          "title": "channel", "left": f"Ranges by channel of {tensor.get('name')}",
                          "right": f"{len(found['low'])} channels, {found.get('samples')} samples; one grid serves all"})
    return drawn


def _told(found: Mapping[str, Any], count: int) -> str:
    """How many channels there are, and how many of them saturate."""
    cut = sum(1 for share in found.get("saturated") or [] if share)
    return f"{count} channels, {cut} saturate; " if found.get("saturated") else f"{count} channels; "


def _note(found: Mapping[str, Any], i: int) -> str:
    """One channel's saturation, rounding and SQNR in words."""
    if not found.get("saturated"):
        return ""
    rounding, level = found["rounding"][i], found["sqnr_db"][i]
    said = [f"{numbers.share(found['saturated'][i])} saturated"]
    said += [] if rounding is None else [f"rounding {100 * rounding:.0f} % of its noise"]
    return ", ".join([*said, *([] if level is None else [f"SQNR {level:.1f} dB"])])


def _short(values: Sequence[float]) -> list[float]:
    return [float(f"{v:.5g}") for v in values]
