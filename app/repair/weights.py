"""The weights of the chosen layer before and after: two looks of the worker into the layer, and the plots made from them."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app import layer_plots, numbers
from app.bench import STOPPED, Bench
from app.repair import ask
from app.repair.draft import Lines

VERB = "layer"
Facts = Mapping[str, Any]
Plot = dict[str, Any]


def first_steps(lines: Lines, count: int) -> Lines:
    """The first steps of the draft, without those that are off."""
    return tuple(line for line in lines if line.on)[:count]


def arguments(found: Bench, lines: Lines, count: int, name: str) -> dict[str, Any]:
    """The look into a layer after the first `count` steps."""
    return {"recipe": ask.text(found.doc, first_steps(lines, count)), "name": name}


def look(client: Any, found: Bench, lines: Lines, count: int, name: str, begin: bool) -> Facts | None:
    """What is known of the layer after the first `count` steps; with `begin`, the worker is asked where nothing is, once."""
    asked = arguments(found, lines, count, name)
    known: Facts | None = client.latest(found.project.id, VERB, asked["recipe"], name=name)
    if known is None and begin and not found.stopped:
        job = next((j for j in found.jobs if j.verb == VERB and dict(j.args) == asked), None)
        if job is None or (job.state not in STOPPED and not job.active):
            client.submit(found.project.id, VERB, asked)
    return known


def plots(before: Facts | None, after: Facts | None, height: int) -> list[Plot]:
    """Histograms back to back, and the channels' ranges one over the other."""
    if before is None or after is None:
        return [{**layer_plots.waiting(height), "half": 0}]
    drawn = [mirror(before, after, height), spans(before, after, 92)]
    return [d for d in drawn if d is not None]


def mirror(before: Facts, after: Facts, height: int) -> Plot | None:
    """Weights before above the line, after below it, on one axis."""
    sides = [_side(facts) for facts in (before, after)]
    if None in sides:
        return None
    return {"kind": "mirror", "before": sides[0], "after": sides[1], "height": height, "half": 0, "title": "weight value",
            "left": "Weights, before above, after below", "right": _grids(before, after)}


def _side(facts: Facts) -> Plot | None:
    found = layer_plots.weights(facts)
    return None if found is None else {key: found[key] for key in ("edges", "counts", "clip")}


def _grids(before: Facts, after: Facts) -> str:
    steps = [(f.get("encoding") or {}).get("step") for f in (before, after)]
    return "" if None in steps else f"grid step {numbers.short(steps[0])} \u2192 {numbers.short(steps[1])}"


def spans(before: Facts, after: Facts, height: int) -> Plot | None:
    """The weight's range in each output channel, before as an outline, after filled."""
    one, other = (f.get("channels") or {} for f in (before, after))
    low, high = list(one.get("low") or []), list(one.get("high") or [])
    if len(low) < 2 or len(other.get("low") or []) != len(low):
        return None
    ratios = [_evenness(f.get("channels") or {}) for f in (before, after)]
    return {"kind": "spans", "before": {"low": low, "high": high}, "after": {"low": list(other["low"]), "high": list(other["high"])},
            "height": height, "half": 0, "title": "output channel", "left": "Channel ranges; outline: before",
            "right": f"widest to median {ratios[0]:.1f} \u2192 {ratios[1]:.1f}"}


def _evenness(channels: Facts) -> float:
    """How many times the median channel the widest one is."""
    widths = sorted(h - w for w, h in zip(channels.get("low") or [], channels.get("high") or [], strict=True))
    middle = widths[len(widths) // 2] if widths else 0.0
    return widths[-1] / middle if middle > 0 else 1.0
