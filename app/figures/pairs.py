"""Figures of two runs: what each class loses, and the noise at each layer on both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.figures.template import Figure, layout
from app.theme import tokens

ROW, MOST, NAMED = 20, 24, 60
Row = Mapping[str, Any]


def shown_classes(rows: Sequence[Row]) -> list[Row]:
    """Classes by drop, the largest loss first; of many the ends."""
    ranked = sorted(rows, key=lambda r: -float(r["drop"]["value"]))
    return ranked if len(ranked) <= MOST else [*ranked[: MOST - 8], *ranked[-8:]]


def classes_figure(theme: str, rows: Sequence[Row]) -> Figure:
    """The drop of each class in points with its 95 % interval; what includes zero is a hollow dot without a bar."""
    c, drawn = tokens(theme), shown_classes(rows)
    count = len(drawn)
    sure = [r for r in drawn if r.get("resolved")]
    place = {int(r["class"]): count - 1 - i for i, r in enumerate(drawn)}
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [100 * r["drop"]["value"] for r in sure],
        "y": [place[int(r["class"])] for r in sure],
        "width": 0.6,
        "marker": {"color": [c["hot"] if r["drop"]["value"] > 0 else c["ok"] for r in sure], "line": {"width": 0}},
        "hoverinfo": "skip",
    }
    y = {
        "range": [-0.6, count - 0.4],
        "tickvals": list(place.values()),
        "showgrid": False,
        "ticks": "",
        "ticktext": [f"<b>{_name(r)}</b>" if r.get("resolved") else _name(r) for r in drawn],
    }
    wide = 18 + 6 * max((len(_name(r)) for r in drawn), default=4)
    return {
        "data": [bars, _dots(theme, drawn, place)],
        "layout": layout(
            theme,
            {"title": "points lost (left of 0: won)", "nticks": 6, "zeroline": True, "zerolinecolor": c["text3"], "zerolinewidth": 1.2},
            y,
            height=max(count, 5) * ROW + 46,
            hovermode="closest",
            dragmode=False,
            margin={"l": min(wide, 160), "r": 12, "t": 4, "b": 36},
        ),
    }


def _dots(theme: str, drawn: Sequence[Row], place: Mapping[int, int]) -> Figure:
    c = tokens(theme)
    ends = [r["drop"].get("ci95") or (r["drop"]["value"], r["drop"]["value"]) for r in drawn]
    value = [100 * float(r["drop"]["value"]) for r in drawn]
    tone = [(c["hot"] if r["drop"]["value"] > 0 else c["ok"]) if r.get("resolved") else c["text3"] for r in drawn]
    words = [
        f"{100 * r['left']:.1f} % \u2192 {100 * r['right']:.1f} % of {_many(r)}<br>"
        f"{100 * e[0]:.1f} to {100 * e[1]:.1f} points, 95 % paired{'' if r.get('resolved') else ': below resolution'}"
        for r, e in zip(drawn, ends, strict=True)
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": value,
        "y": [place[int(r["class"])] for r in drawn],
        "customdata": words,
        "text": [_name(r) for r in drawn],
        "hovertemplate": "<b>%{text}</b><br>%{customdata}<extra></extra>",
        "marker": {
            "size": 8,
            "opacity": 1,
            "symbol": ["circle" if r.get("resolved") else "circle-open" for r in drawn],
            "color": tone,
            "line": {"width": 1.5},
        },
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [100 * e[1] - v for e, v in zip(ends, value, strict=True)],
            "arrayminus": [v - 100 * e[0] for e, v in zip(ends, value, strict=True)],
            "thickness": 1.2,
            "width": 3,
            "color": c["text2"],
        },
    }


def _many(row: Row) -> str:
    samples = f"{row['samples']:,} samples"
    return samples if "positions" not in row else f"{row['positions']:,} positions in {samples}"


def _name(row: Row) -> str:
    words = str(row["name"]).replace("<", "\u2039").replace(">", "\u203a")
    return words if len(words) <= 22 else words[:21] + "\u2026"


def noise_figure(theme: str, layers: Sequence[Any], names: Sequence[str], selected: str = "") -> Figure:
    """SQNR at every layer: hollow dots left, filled dots right, joined; columns of layers whose precision differs are shaded."""
    c, at = tokens(theme), list(range(len(layers)))
    joined = [v for x in layers for v in (x.left_db, x.right_db, None)]
    joins: Figure = {
        "type": "scatter",
        "mode": "lines",
        "x": [v for i in at for v in (i, i, None)],
        "y": joined,
        "hoverinfo": "skip",
        "line": {"width": 1.6, "color": c["tick"]},
    }
    left = _sides(layers, [x.left_db for x in layers]) | {
        "marker": {"size": 8, "symbol": "circle-open", "opacity": 1, "color": c["text2"], "line": {"width": 1.6}}
    }
    right = _sides(layers, [x.right_db for x in layers]) | {"marker": {"size": 8, "opacity": 1, "color": [_tone(c, x) for x in layers]}}
    ticks, below = _ticks(names)
    x = {"range": [-0.7, len(layers) - 0.3], "showgrid": False, "ticks": "", **ticks}
    return {
        "data": [joins, left, right],
        "layout": layout(
            theme,
            x,
            {"title": "SQNR, dB", "rangemode": "tozero", "nticks": 6},
            height=190 + below,
            hovermode="closest",
            dragmode=False,
            shapes=_marks(c, layers, selected),
            margin={"l": 46, "r": 8, "t": 6, "b": below},
        ),
    }


def _ticks(names: Sequence[str]) -> tuple[Figure, int]:
    """Upright names where there is room for them, and the height that they take."""
    if len(names) > NAMED:
        return {"showticklabels": False, "title": f"{len(names)} layers in network order"}, 32
    shown = [name if len(name) < 19 else name[:8] + "\u2026" + name[-9:] for name in names]
    ticks = {"tickvals": list(range(len(shown))), "ticktext": shown, "tickangle": -90, "tickfont": {"size": 9}}
    return ticks, 14 + 5 * max((len(name) for name in shown), default=0)


def _sides(layers: Sequence[Any], values: Sequence[float | None]) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(range(len(layers))),
        "y": list(values),
        "customdata": [[x.name] for x in layers],
        "text": [f"{x.left.upper()}, {_db(x.left_db)} \u2192 {x.right.upper()}, {_db(x.right_db)}" for x in layers],
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{text}<extra></extra>",
        "selected": {"marker": {"opacity": 1}},
        "unselected": {"marker": {"opacity": 1}},
    }


def _tone(c: Mapping[str, str], layer: Any) -> str:
    db = layer.right_db
    return c["text3"] if db is None else c["hot"] if db < 20 else c["mid"] if db < 30 else c["ok"]


def _marks(c: Mapping[str, str], layers: Sequence[Any], selected: str) -> list[Figure]:
    """Shades where the precision differs (unless it does everywhere, as against float), and the chosen layer's frame."""
    every = all(x.changed for x in layers)
    out = [_column(i, c["chassis"], {"width": 0}, "below") for i, x in enumerate(layers) if x.changed and not every]
    frame = {"width": 1.5, "color": c["accent"]}
    return out + [_column(i, c["select"], frame, "above") for i, x in enumerate(layers) if x.name == selected]


def _column(at: int, fill: str, line: Figure, where: str) -> Figure:
    place = {"x0": at - 0.5, "x1": at + 0.5, "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "rect", **place, "layer": where, "fillcolor": fill, "line": line}


def _db(value: float | None) -> str:
    return "float" if value is None else f"{value:.1f} dB"
