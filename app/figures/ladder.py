"""The ladder of one item: its score at every precision."""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.figures.scores import Row, errors, scaled
from app.figures.template import Figure, layout, upright
from app.theme import tokens


def ladder_figure(theme: str, rows: Sequence[Row], title: str, log: bool, fair: float | None = None, scale: float = 1.0) -> Figure:
    """The precisions of one item: filled dots are exact, hollow ones estimates, an amber tick an estimate that was replaced."""
    c, count = tokens(theme), len(rows)
    shown = [r for r in rows if r.value is not None and not r.below and (r.value > 0 or not log)]
    place = {r.item: count - 1 - i for i, r in enumerate(rows)}
    color = [c["accent"] if r.mark == "now" else c[r.step] for r in shown]
    symbol = [
        ("x-thin" if r.mark == "illegal" else "diamond" if r.mark == "now" else "circle") + ("-open" if r.estimate else "") for r in shown
    ]
    error = errors(shown, theme)
    if log:
        error["arrayminus"] = [min(e, r.value * 0.999) if r.value else 0 for e, r in zip(error["arrayminus"], shown, strict=True)]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": [(r.value or 0) * scale for r in shown],
        "y": [place[r.item] for r in shown],
        "error_x": scaled(error, scale),
        "customdata": [[r.hover] for r in shown],
        "hovertemplate": "%{customdata[0]}<extra></extra>",
        "marker": {
            "size": [11 if r.mark == "now" else 9 for r in shown],
            "opacity": 1,
            "symbol": symbol,
            "color": color,
            "line": {"width": 1.8, "color": color},
        },
    }
    prior = [r for r in rows if r.prior is not None and (r.prior > 0 or not log)]
    ticks = {
        "type": "scatter",
        "mode": "markers",
        "x": [(r.prior or 0) * scale for r in prior],
        "y": [place[r.item] for r in prior],
        "hovertemplate": "estimate %{x:.3g}<extra></extra>",
        "marker": {"symbol": "line-ns", "size": 13, "opacity": 1, "line": {"width": 2, "color": c["mid"]}, "color": c["mid"]},
    }
    x: Figure = {"title": title, "nticks": 6} | ({"type": "log", "dtick": _every(shown, fair), "exponentformat": "power"} if log else {})
    y = {"range": [-0.6, count - 0.4], "tickvals": list(place.values()), "ticktext": [r.label for r in rows], "ticks": ""}
    return {
        "data": [ticks, dots],
        "layout": layout(
            theme,
            x,
            y,
            height=count * 26 + 46,
            dragmode=False,
            margin={"l": 54, "r": 12, "t": 4, "b": 36},
            shapes=[upright(fair * scale, c["text3"], "dot")] if fair else [],
        ),
    }


def _every(rows: Sequence[Row], fair: float | None) -> int:
    """Every how many decades there is a tick, so that no more than seven stand side by side."""
    values = [v for r in rows for v in (r.value, r.low, r.high, fair) if v is not None and v > 0]
    return max(1, math.ceil(math.log10(max(values) / min(values)) / 7)) if values else 1
