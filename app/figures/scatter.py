"""Share of the size against sensitivity."""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.figures.scores import Row
from app.figures.template import Figure, layout
from app.theme import tokens

SYMBOLS = {"conv": "square", "pw": "circle", "dw": "line-ns", "gemm": "triangle-up", "se": "diamond"}


def scatter_figure(
    theme: str,
    rows: Sequence[Row],
    title: str,
    log: bool,
    selected: str = "",
    fair: float | None = None,
    scale: float = 1.0,
    height: int = 330,
) -> Figure:
    """Share of the size against the score, so that what is cheap to protect stands apart from what is not."""
    shown = [r for r in rows if r.value is not None and not r.below and r.share > 0 and (r.value > 0 or not log)]
    trace = _points(theme, shown, selected, scale)
    top = max((r.value or 0.0 for r in shown), default=0.0)
    shapes = [_level(theme, fair * scale)] if fair and fair < 10 * top else []
    chosen = next((r for r in shown if r.item == selected), None)
    if chosen is None:
        return _scatter(theme, [trace], title, log, height, shapes, [])
    ring, note = _marked(theme, chosen, log, scale)
    return _scatter(theme, [ring, trace], title, log, height, shapes, [note])


def _points(theme: str, shown: Sequence[Row], selected: str, scale: float) -> Figure:
    """One glyph an item: its kind of op; open where the score is an estimate."""
    c = tokens(theme)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [r.share * 100 for r in shown],
        "y": [(r.value or 0) * scale for r in shown],
        "customdata": [[r.item, "", r.hover] for r in shown],
        "selected": {"marker": {"opacity": 1}},
        "unselected": {"marker": {"opacity": 1}},
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{x:.2f} % of the size<br>%{customdata[2]}<extra></extra>",
        "marker": {
            "symbol": [SYMBOLS[r.kind] + ("-open" if r.estimate or r.kind == "dw" else "") for r in shown],
            "size": [13 if r.item == selected else 9 for r in shown],
            "opacity": 1,
            "color": [c[r.kind] for r in shown],
            "line": {"width": 1.8, "color": [c["accent"] if r.item == selected else c[r.kind] for r in shown]},
        },
    }


def _level(theme: str, y: float) -> Figure:
    """The dotted line of the fair share."""
    dotted = {"width": 1, "dash": "dot", "color": tokens(theme)["text3"]}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": dotted}


def _marked(theme: str, row: Row, log: bool, scale: float) -> tuple[Figure, Figure]:
    """The ring around the selected item, and its name above."""
    c, value = tokens(theme), row.value or 0.0
    ring = {
        "type": "scatter",
        "mode": "markers",
        "x": [row.share * 100],
        "y": [value * scale],
        "hoverinfo": "skip",
        "marker": {"symbol": "circle-open", "size": 20, "opacity": 1, "color": c["accent"], "line": {"width": 1.6}},
    }
    at = {"x": math.log10(row.share * 100), "y": math.log10(value * scale) if log else value * scale}
    return ring, at | {"text": row.label, "showarrow": False, "yshift": 18, "font": {"size": 10.5, "color": c["text"]}}


def _scatter(theme: str, data: list[Figure], title: str, log: bool, height: int, shapes: list[Figure], notes: list[Figure]) -> Figure:
    sizes = [float(v) for trace in data for v in trace["x"]]
    wide = bool(sizes) and max(sizes) > 20 * min(sizes)  # less may hold no power of ten, and then there were no ticks
    y: Figure = {"title": title} | ({"type": "log", "dtick": 1, "exponentformat": "power"} if log else {"nticks": 6})
    return {
        "data": data,
        "layout": layout(
            theme,
            {"title": "share of the weights' size, %", "type": "log"} | ({"dtick": 1} if wide else {"nticks": 4}),
            y,
            height=height,
            shapes=shapes,
            annotations=notes,
            hovermode="closest",
            dragmode=False,
            margin={"l": 56, "r": 12, "t": 8, "b": 36},
        ),
    }
