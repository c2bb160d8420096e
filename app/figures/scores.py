"""Scores with their intervals: bars of one precision, the ladder of one item, weight share against sensitivity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.figures.shades import mix, shade
from app.figures.template import Figure, layout, upright
from app.theme import tokens

SYMBOLS = {"conv": "square", "pw": "circle", "dw": "line-ns", "gemm": "triangle-up", "se": "diamond"}
ROW = 18


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


def bars_figure(
    theme: str, rows: Sequence[Row], title: str, selected: str = "", noise: bool = False, fair: float | None = None, scale: float = 1.0
) -> Figure:
    """Horizontal bars, the first on top. Under noise all are grey; what is below resolution has words and no bar."""
    c, count = tokens(theme), len(rows)
    drawn = [r for r in rows if r.value is not None and not r.below]
    place = {r.item: count - 1 - i for i, r in enumerate(rows)}
    full = [shade(theme, "off" if noise else r.step, 1.0) if not noise else c["tick"] for r in drawn]
    bar = {
        "type": "bar",
        "orientation": "h",
        "x": [(r.value or 0) * scale for r in drawn],
        "y": [place[r.item] for r in drawn],
        "width": 0.66,
        "marker": {
            "color": [mix(c["surface"], f, 0.26) if r.estimate else f for r, f in zip(drawn, full, strict=True)],
            "line": {"width": 1.2, "color": full},
        },
        "customdata": [[r.item, "", r.hover] for r in drawn],
        "selected": {"marker": {"opacity": 1}},
        "unselected": {"marker": {"opacity": 1}},
        "error_x": _scaled(errors(drawn, theme), scale),
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[2]}<extra></extra>",
    }
    top = max((r.high or r.value or 0.0 for r in drawn), default=0.0)
    shapes = [upright(fair * scale, c["text3"], "dot")] if fair and fair < 1.6 * top else []  # far beyond the bars it would flatten them
    if selected in place:
        shapes.append(
            {
                "type": "rect",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": place[selected] - 0.5,
                "y1": place[selected] + 0.5,
                "layer": "below",
                "fillcolor": c["select"],
                "line": {"width": 0},
            }
        )
    y = {
        "range": [-0.6, count - 0.4],
        "tickvals": list(place.values()),
        "showgrid": False,
        "ticks": "",
        "ticktext": [f"<b>{r.label}</b>" if r.item == selected else r.label for r in rows],
    }
    wide = 16 + 6 * max((len(r.label) for r in rows), default=4)
    x = {"title": title, "nticks": 6, "rangemode": "tozero", "exponentformat": "power"}
    return {
        "data": [bar, *_words(theme, rows, place)],
        "layout": layout(
            theme,
            x,
            y,
            height=max(count, 6) * ROW + 44,
            shapes=shapes,
            annotations=_notes(theme, rows, place),
            hovermode="closest",
            dragmode=False,
            margin={"l": min(wide, 170), "r": 46, "t": 4, "b": 36},
        ),
    }


def _scaled(error: Figure, scale: float) -> Figure:
    return error | {k: [v * scale for v in error[k]] for k in ("array", "arrayminus")}


def _words(theme: str, rows: Sequence[Row], place: Mapping[str, int]) -> list[Figure]:
    named = [r for r in rows if r.below]
    if not named:
        return []
    return [
        {
            "type": "scatter",
            "mode": "text",
            "x": [0] * len(named),
            "y": [place[r.item] for r in named],
            "text": ["  below resolution"] * len(named),
            "textposition": "middle right",
            "textfont": {"size": 10.5, "color": tokens(theme)["text3"]},
            "customdata": [[r.item, "", r.hover] for r in named],
            "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[2]}<extra></extra>",
        }
    ]


def _notes(theme: str, rows: Sequence[Row], place: Mapping[str, int]) -> list[Figure]:
    return [
        {
            "x": 1,
            "xref": "paper",
            "xanchor": "left",
            "y": place[r.item],
            "text": r.note,
            "showarrow": False,
            "xshift": 6,
            "font": {"size": 10.5, "color": tokens(theme)["text2"]},
        }
        for r in rows
        if r.note
    ]


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
        "error_x": _scaled(error, scale),
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
    x: Figure = {"title": title, "nticks": 6} | ({"type": "log", "dtick": 1, "exponentformat": "power"} if log else {})
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
    c = tokens(theme)
    shown = [r for r in rows if r.value is not None and not r.below and r.share > 0 and (r.value > 0 or not log)]
    names = [SYMBOLS[r.kind] + ("-open" if r.estimate or r.kind == "dw" else "") for r in shown]
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": [r.share * 100 for r in shown],
        "y": [(r.value or 0) * scale for r in shown],
        "customdata": [[r.item, "", r.hover] for r in shown],
        "selected": {"marker": {"opacity": 1}},
        "unselected": {"marker": {"opacity": 1}},
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{x:.2f} % of the size<br>%{customdata[2]}<extra></extra>",
        "marker": {
            "symbol": names,
            "size": [13 if r.item == selected else 9 for r in shown],
            "opacity": 1,
            "color": [c[r.kind] for r in shown],
            "line": {"width": 1.8, "color": [c["accent"] if r.item == selected else c[r.kind] for r in shown]},
        },
    }
    top = max((r.value or 0.0 for r in shown), default=0.0)
    fair = fair if fair and fair < 10 * top else None
    shapes: list[Figure] = (
        [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": fair * scale,
                "y1": fair * scale,
                "line": {"width": 1, "dash": "dot", "color": c["text3"]},
            }
        ]
        if fair
        else []
    )
    for r in shown:
        if r.item == selected:
            px, py = math.log10(r.share * 100), math.log10((r.value or 1) * scale) if log else (r.value or 0) * scale
            ring = {
                "type": "scatter",
                "mode": "markers",
                "x": [r.share * 100],
                "y": [(r.value or 0) * scale],
                "hoverinfo": "skip",
                "marker": {"symbol": "circle-open", "size": 20, "opacity": 1, "color": c["accent"], "line": {"width": 1.6}},
            }
            note = {"x": px, "y": py, "text": r.label, "showarrow": False, "yshift": 18, "font": {"size": 10.5, "color": c["text"]}}
            return _scatter(theme, [ring, trace], title, log, height, shapes, [note])
    return _scatter(theme, [trace], title, log, height, shapes, [])


def _scatter(theme: str, data: list[Figure], title: str, log: bool, height: int, shapes: list[Figure], notes: list[Figure]) -> Figure:
    y: Figure = {"title": title} | ({"type": "log", "dtick": 1, "exponentformat": "power"} if log else {"nticks": 6})
    return {
        "data": data,
        "layout": layout(
            theme,
            {"title": "share of the weights' size, %", "type": "log", "dtick": 1},
            y,
            height=height,
            shapes=shapes,
            annotations=notes,
            hovermode="closest",
            dragmode=False,
            margin={"l": 56, "r": 12, "t": 8, "b": 36},
        ),
    }
