"""The heatmap of items and precisions: filled cells are exact, hollow ones estimates, crossed ones illegal.

An exact cell fills as its samples come in.
Cells are bars, so that each has an outline, a fill and a mark of its own. Columns come in three densities,
as on the rack: numbers in the cells, glyphs, or (below 9 px) bars whose height says the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.figures.shades import ink, mix, shade
from app.figures.template import FONT, Figure, layout
from app.theme import tokens

WIDTH = 1270  # of the plot at 1440; at 1024 the steps below come at fewer columns
NUMBERS, GLYPHS = 34, 9  # px a column needs for numbers, and for glyphs
HEIGHTS = {"ok": 0.34, "mid": 0.6, "hot": 0.86, "off": 0.08}
FULL = 0.75
MARKS = {"mid": "triangle-up", "hot": "diamond"}


@dataclass(frozen=True)
class HeatCell:
    """One cell: where it is, how bad, what kind of number, and its words."""

    column: int
    row: int
    item: str
    precision: str
    step: str
    strength: float
    estimate: bool
    known: bool
    text: str
    hover: str
    illegal: bool = False
    filled: float = 1.0


def density(columns: int, width: int = WIDTH) -> str:
    """`numbers`, `glyphs` or `bars`, by the room for a column."""
    room = width / max(columns, 1)
    return "numbers" if room >= NUMBERS else "glyphs" if room >= GLYPHS else "bars"


def heatmap_figure(
    theme: str,
    cells: Sequence[HeatCell],
    columns: Sequence[str],
    rows: Sequence[str],
    selected: int = -1,
    chosen: int = -1,
    width: int = WIDTH,
    noisy: Sequence[int] = (),
) -> Figure:
    """Cells by column and row; the first row is at the top."""
    how = density(len(columns), width)
    data = [_bars(theme, cells, len(rows), how)]
    if how == "numbers":
        data.append(_numbers(theme, cells, len(rows)))
    data += [trace for trace in (_marks(theme, cells, len(rows), how), _crosses(theme, cells, len(rows), how)) if trace["x"]]
    ticks, below = _ticks(columns, how, width / max(len(columns), 1))
    x = {"range": [-0.55, len(columns) - 0.45], "showgrid": False, "ticks": "", "linecolor": "rgba(0,0,0,0)", **ticks}
    y = {
        "range": [-0.5, len(rows) - 0.5],
        "showgrid": False,
        "ticks": "",
        "linecolor": "rgba(0,0,0,0)",
        "ticklabelstandoff": 4,
        "tickvals": list(range(len(rows))),
        "ticktext": [_row(r, len(rows) - 1 - i == chosen) for i, r in enumerate(reversed(rows))],
    }
    return {
        "data": data,
        "layout": layout(
            theme,
            x,
            y,
            height=len(rows) * 32 + below + 6,
            bargap=0,
            barmode="overlay",
            hovermode="closest",
            dragmode=False,
            shapes=_frames(theme, len(columns), len(rows), selected, chosen, noisy),
            margin={"l": 62, "r": 4, "t": 4, "b": below},
        ),
    }


def _row(name: str, chosen: bool) -> str:
    return f"<b>{name.upper()}</b>" if chosen else name.upper()


def _ticks(columns: Sequence[str], how: str, room: float) -> tuple[Figure, int]:
    """Names under the columns, in two lines where they fit, else upright; blocks alone under narrow columns. And their height."""
    if how == "bars":
        firsts: dict[str, int] = {}
        for i, name in enumerate(columns):
            firsts.setdefault(name.split(".")[0], i)
        spread = list(firsts.items())[:: max(1, len(firsts) // 30)]
        return {"tickvals": [i for _, i in spread], "ticktext": [n[:10] for n, _ in spread], "tickangle": 0, "tickfont": {"size": 9}}, 22
    tight = len(columns) >= 40 or max(map(len, columns), default=0) * 5.5 > 0.7 * room  # 0.7: the same columns at 1024
    ticks: Figure = {"tickvals": list(range(len(columns))), "tickfont": {"size": 9 if tight else 10, "family": FONT}}
    lines = [c.rpartition(".") for c in columns]
    if how == "numbers" and max((len(w) for head, _, tail in lines for w in (head, tail)), default=0) * 5.5 < room:
        return ticks | {"tickangle": 0, "ticktext": [f"{head}<br>{tail}" if head else f"{tail}<br> " for head, _, tail in lines]}, 32
    return ticks | {"tickangle": -90, "ticktext": [c if len(c) < 19 else c[:8] + "\u2026" + c[-8:] for c in columns]}, 12 + 5 * min(
        19, max(map(len, columns), default=0)
    )


def _bars(theme: str, cells: Sequence[HeatCell], rows: int, how: str) -> Figure:
    c = tokens(theme)
    fill, edge, height = [], [], []
    for cell in cells:
        color = shade(theme, cell.step, cell.strength) if cell.known else c["surface"]
        done = 0.0 if cell.estimate or not cell.known else cell.filled
        hollow, empty = done < 1, 0.26 if how != "bars" else 0.5
        fill.append(mix(c["surface"], color, empty + (1 - empty) * done))
        edge.append(mix(color, c[cell.step], 0.45) if cell.known and hollow else color if cell.known else c["line"])
        height.append(HEIGHTS[cell.step] if how == "bars" else 0.86)
    line = 1.3 if how == "numbers" else 0.8 if how == "glyphs" else 0
    return {
        "type": "bar",
        "x": [x.column for x in cells],
        "y": height,
        "base": [rows - 1 - x.row - 0.43 for x in cells],
        "width": 0.92 if how != "bars" else 0.86,
        "marker": {"color": fill, "line": {"width": line, "color": edge}},
        "customdata": [[x.item, x.precision, x.hover] for x in cells],
        "selected": {"marker": {"opacity": 1}},
        "unselected": {"marker": {"opacity": 1}},
        "hovertemplate": "<b>%{customdata[0]}</b> at %{customdata[1]}<br>%{customdata[2]}<extra></extra>",
    }


def _numbers(theme: str, cells: Sequence[HeatCell], rows: int) -> Figure:
    c, shown = tokens(theme), [x for x in cells if x.known and x.text]
    ink_of = [c["text3"] if x.illegal else _ink(theme, x) for x in shown]
    return {
        "type": "scatter",
        "mode": "text",
        "x": [x.column for x in shown],
        "y": [rows - 1 - x.row for x in shown],
        "text": [f"<i>{x.text}</i>" if x.estimate else f"<b>{x.text}</b>" if x.step != "ok" else x.text for x in shown],
        "textfont": {"size": 10.5, "family": FONT, "color": ink_of},
        "hoverinfo": "skip",
    }


def _ink(theme: str, cell: HeatCell) -> str:
    """The colour of a text on a cell: as on the panel until the cell is nearly full."""
    return ink(theme, cell.step, cell.strength) if cell.filled > FULL and not cell.estimate else tokens(theme)["text"]


def _marks(theme: str, cells: Sequence[HeatCell], rows: int, how: str) -> Figure:
    """A glyph for amber and red, so that colour is not alone; narrow columns say it by height."""
    c = tokens(theme)
    shown = [x for x in cells if x.known and x.step in MARKS and not x.illegal] if how != "bars" else []
    corner = how == "numbers"
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [x.column + (0.36 if corner else 0) for x in shown],
        "y": [rows - 1 - x.row + (0.27 if corner else 0) for x in shown],
        "hoverinfo": "skip",
        "cliponaxis": False,
        "marker": {
            "symbol": [MARKS[x.step] for x in shown],
            "size": 6,
            "opacity": 1,
            "line": {"width": 0},
            "color": [_ink(theme, x) if x.filled > FULL and not x.estimate else c[x.step] for x in shown],
        },
    }


def _crosses(theme: str, cells: Sequence[HeatCell], rows: int, how: str) -> Figure:
    c, shown = tokens(theme), [x for x in cells if x.illegal]
    size = {"numbers": 22, "glyphs": 11, "bars": 3}[how]
    color = [c["text3"] if x.estimate or not x.known else c["surface"] for x in shown]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [x.column for x in shown],
        "y": [rows - 1 - x.row for x in shown],
        "hoverinfo": "skip",
        "marker": {"symbol": "x-thin", "size": size, "opacity": 0.85, "color": color, "line": {"width": 1.2, "color": color}},
    }


def _frames(theme: str, columns: int, rows: int, selected: int, chosen: int, noisy: Sequence[int]) -> list[Figure]:
    c = tokens(theme)
    out: list[Figure] = [
        {
            "type": "rect",
            "x0": -0.52,
            "x1": columns - 0.48,
            "y0": rows - 1.49 - row,
            "y1": rows - 0.51 - row,
            "layer": "below",
            "fillcolor": c["chassis"],
            "line": {"width": 0},
        }
        for row in noisy
    ]
    if 0 <= chosen < rows:
        out.append(
            {
                "type": "line",
                "x0": -0.53,
                "x1": -0.53,
                "y0": rows - 1.43 - chosen,
                "y1": rows - 0.57 - chosen,
                "line": {"width": 3, "color": c["accent"]},
            }
        )
    if 0 <= selected < columns:
        out.append(
            {
                "type": "rect",
                "x0": selected - 0.5,
                "x1": selected + 0.5,
                "y0": -0.48,
                "y1": rows - 0.52,
                "fillcolor": c["select"],
                "line": {"width": 1.5, "color": c["accent"]},
            }
        )
    return out
