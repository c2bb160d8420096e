"""Histograms of weights and of activations, with the grid and the clip lines."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from app.figures.template import Figure, layout, upright
from app.theme import tokens

MAX_GRID = 33


def middles(edges: Sequence[float]) -> list[float]:
    """The middle of each bin."""
    return [(a + b) / 2 for a, b in pairwise(edges)]


def grid_lines(low: float, high: float, step: float) -> list[float]:
    """The grid between the clip lines: every level while there are few, else every 8th, 64th, …"""
    if not step or step <= 0 or high <= low or not math.isfinite(step):
        return []
    every = grid_every(low, high, step)
    count = round((high - low) / step) // every
    return [low + k * every * step for k in range(min(count, 4 * MAX_GRID) + 1)]


def grid_every(low: float, high: float, step: float) -> int:
    """Of how many levels one is drawn."""
    every = 1
    while step > 0 and (high - low) / step / every > MAX_GRID:
        every *= 8
    return every


def outside(histogram: Mapping[str, Any], low: float, high: float) -> float:
    """The share of values in bins whose middle lies outside the clip lines."""
    counts = histogram["counts"]
    total = sum(counts) or 1
    return float(sum(n for m, n in zip(middles(histogram["edges"]), counts, strict=False) if not low <= m <= high) / total)


def histogram_figure(theme: str, histogram: Mapping[str, Any], low: float | None, high: float | None,
                     step: float | None = None, height: int = 220, title: str = "value", tone: str = "conv") -> Figure:
    """Counts on a logarithmic axis; what is clipped is drawn hot."""
    c = tokens(theme)
    edges, counts = list(histogram["edges"]), list(histogram["counts"])
    mid = middles(edges)
    inside = [low is None or high is None or low <= m <= high for m in mid]
    top = max([*counts, 1])
    data: list[Figure] = [{"type": "bar", "x": mid, "y": [n or None for n in counts], "width": _widths(edges),
                           "marker": {"color": [c[tone] if k else c["hot"] for k in inside], "line": {"width": 0}},
                           "hovertemplate": "%{x:.4g}: %{y}<extra></extra>"}]
    shapes: list[Figure] = []
    ends = [edges[0], edges[-1]]
    if low is not None and high is not None:
        shapes = [upright(low, c["hot"]), upright(high, c["hot"])]
        ends += [low, high]
        if step:
            data.append(_grid(grid_lines(low, high, step), top * (1.0 if (high - low) / step <= MAX_GRID else 0.05), c))
    pad = (max(ends) - min(ends)) * 0.03 or 1.0
    return {"data": data, "layout": layout(
        theme, {"title": title, "range": [min(ends) - pad, max(ends) + pad]},
        {"title": "count (log)", "type": "log", "range": [math.log10(0.7), math.log10(top) + 0.15], "dtick": 1},
        height=height, shapes=shapes, margin={"l": 46, "r": 8, "t": 6, "b": 32})}


def _widths(edges: Sequence[float]) -> list[float]:
    return [(b - a) * 0.96 for a, b in pairwise(edges)]


def _grid(lines: Sequence[float], top: float, c: Mapping[str, str]) -> Figure:
    x: list[float | None] = [v for g in lines for v in (g, g, None)]
    return {"type": "scatter", "x": x, "y": [v for _ in lines for v in (0.1, max(top, 1), None)], "mode": "lines",
            "line": {"color": c["text3"], "width": 0.8}, "opacity": 0.6, "hoverinfo": "skip"}


def channels_figure(theme: str, low: Sequence[float], high: Sequence[float], height: int = 150) -> Figure:
    """The range of each output channel, widest ones hot: one wide channel costs all the others under per-tensor."""
    c = tokens(theme)
    spans = [b - a for a, b in zip(low, high, strict=True)]
    usual = sorted(spans)[len(spans) // 2] if spans else 0.0
    hue = [c["hot"] if usual and s > 6 * usual else c["mid"] if usual and s > 3 * usual else c["ok"] for s in spans]
    return {"data": [{"type": "bar", "x": list(range(len(spans))), "y": spans, "base": list(low),
                      "marker": {"color": hue, "line": {"width": 0}}, "customdata": list(high),
                      "hovertemplate": "channel %{x}: %{base:.3g} to %{customdata:.3g}<extra></extra>"}],
            "layout": layout(theme, {"title": "output channel"}, {"title": "range", "nticks": 5}, height=height,
                             bargap=0.12, margin={"l": 46, "r": 8, "t": 6, "b": 32})}
