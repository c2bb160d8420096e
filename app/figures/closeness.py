"""A figure of outputs without classes: how close each sample is to the float model, worst to best, on both sides."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.figures.template import Figure, layout
from app.theme import tokens

SAME = 199.9  # dB: the float model against itself


def closeness_figure(theme: str, curves: Mapping[str, Sequence[float]]) -> Figure:
    """SQNR in dB over the share of samples at or below it, in percent; `left` and `right` are percentiles 0, 1, …, 100."""
    c = tokens(theme)
    lines = [(side, width, c[colour]) for side, width, colour in (("left", 1.4, "text2"), ("right", 2.6, "accent"))]
    drawn = [_line(side, curves[side], width, colour) for side, width, colour in lines if min(curves[side]) < SAME]
    return {"data": drawn, "layout": layout(
        theme, {"title": "share of samples, worst first, %", "range": [0, 100], "nticks": 6}, {"title": "SQNR, dB", "nticks": 6},
        height=250, hovermode="closest", dragmode=False, showlegend=False, margin={"l": 46, "r": 12, "t": 6, "b": 38})}


def _line(side: str, values: Sequence[float], width: float, colour: str) -> Figure:
    at = [100 * k / max(1, len(values) - 1) for k in range(len(values))]
    return {"type": "scatter", "mode": "lines", "name": side, "x": at, "y": list(values), "line": {"width": width, "color": colour},
            "hovertemplate": f"{side}: %{{x:.0f}} % of the samples are at %{{y:.1f}} dB or below<extra></extra>"}
