"""The one Plotly layout of the workbench, and the few shapes that figures share."""
from __future__ import annotations

from typing import Any

from app.theme import tokens

Figure = dict[str, Any]
CONFIG = {"displayModeBar": False, "responsive": True}
FONT = "Inter, sans-serif"


def axis(theme: str) -> Figure:
    """An axis in the colours of the theme."""
    c = tokens(theme)
    return {"gridcolor": c["soft"], "linecolor": c["line"], "zeroline": False, "ticks": "outside", "ticklen": 3,
            "tickcolor": c["line"], "tickfont": {"size": 10, "color": c["text2"]}, "fixedrange": True,
            "title": {"font": {"size": 10.5, "color": c["text2"]}, "standoff": 4}}


def layout(theme: str, x: Figure | None = None, y: Figure | None = None, **more: Any) -> Figure:
    """A figure's layout; `x` and `y` add to the axes, `title` in them may be a plain text."""
    c = tokens(theme)
    out: Figure = {
        "font": {"family": FONT, "size": 11, "color": c["text"]}, "paper_bgcolor": c["surface"],
        "plot_bgcolor": c["surface"], "margin": {"l": 46, "r": 10, "t": 8, "b": 34}, "showlegend": False,
        "hoverlabel": {"font": {"family": FONT, "size": 11, "color": c["text"]}, "bgcolor": c["raised2"],
                       "bordercolor": c["line"]},
        "bargap": 0.04, "xaxis": _with(axis(theme), x), "yaxis": _with(axis(theme), y)}
    return {**out, **more}


def _with(base: Figure, more: Figure | None) -> Figure:
    added = dict(more or {})
    words = added.pop("title", None)
    out = {**base, **added}
    if words is not None:
        out["title"] = {**base["title"], "text": str(words)}
    return out


def upright(value: float, color: str, dash: str = "dash") -> Figure:
    """A vertical line over the whole height."""
    return {"type": "line", "x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "paper",
            "line": {"color": color, "width": 1.4, "dash": dash}}
