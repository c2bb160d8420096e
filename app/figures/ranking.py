"""The ranking at one precision: bars with 95 % error bars and rank intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.figures.scores import Row, errors, scaled
from app.figures.shades import mix, shade
from app.figures.template import Figure, layout, upright
from app.theme import tokens

ROW = 18


def bars_figure(
    theme: str, rows: Sequence[Row], title: str, selected: str = "", noise: bool = False, fair: float | None = None, scale: float = 1.0
) -> Figure:
    """Horizontal bars, the first on top. Under noise all are grey; what is below resolution has words and no bar."""
    c, count = tokens(theme), len(rows)
    drawn = [r for r in rows if r.value is not None and not r.below]
    place = {r.item: count - 1 - i for i, r in enumerate(rows)}
    top = max((r.high or r.value or 0.0 for r in drawn), default=0.0)
    shapes = [upright(fair * scale, c["text3"], "dot")] if fair and fair < 1.6 * top else []  # far beyond the bars it would flatten them
    y = {
        "range": [-0.6, count - 0.4],
        "tickvals": list(place.values()),
        "showgrid": False,
        "ticks": "",
        "ticktext": [f"<b>{r.label}</b>" if r.item == selected else r.label for r in rows],
    }
    wide = 16 + 6 * max((len(r.label) for r in rows), default=4)
    return {
        "data": [_bars(theme, drawn, place, noise, scale), *_words(theme, rows, place)],
        "layout": layout(
            theme,
            {"title": title, "nticks": 6, "rangemode": "tozero", "exponentformat": "power"},
            y,
            height=max(count, 6) * ROW + 44,
            shapes=[*shapes, *_band(theme, place, selected)],
            annotations=_notes(theme, rows, place),
            hovermode="closest",
            dragmode=False,
            margin={"l": min(wide, 170), "r": 46, "t": 4, "b": 36},
        ),
    }


def _bars(theme: str, drawn: Sequence[Row], place: Mapping[str, int], noise: bool, scale: float) -> Figure:
    """Filled bars are exact, hollow ones estimates; grey where the order is noise."""
    c = tokens(theme)
    full = [c["tick"] if noise else shade(theme, r.step, 1.0) for r in drawn]
    return {
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
        "error_x": scaled(errors(drawn, theme), scale),
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[2]}<extra></extra>",
    }


def _band(theme: str, place: Mapping[str, int], selected: str) -> list[Figure]:
    """Behind the selected bar."""
    if selected not in place:
        return []
    ends = {"y0": place[selected] - 0.5, "y1": place[selected] + 0.5}
    across = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "layer": "below"}
    return [across | ends | {"fillcolor": tokens(theme)["select"], "line": {"width": 0}}]


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
