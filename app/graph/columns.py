"""A long network broken into columns, like text, so that all of it fits a panel that is wider than it is tall.

It breaks only where a single line runs between two ranks; that line goes on at the top of the next column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.graph.level import Level

GUTTER, MOST = 30.0, 16


@dataclass(frozen=True)
class Columns:
    """`of`: the column of each rank; `shifts`: what is added to its (x, y); `gutters`: the x to the left of each column; the whole size."""

    of: tuple[int, ...]
    shifts: tuple[tuple[float, float], ...]
    gutters: tuple[float, ...]
    bottoms: tuple[float, ...]
    width: float
    height: float


def columns(level: Level, aspect: float) -> Columns:
    """The columns with which a panel of this aspect (width over height) shows the network largest."""
    best, scale = _placed(level, [0] * len(level.ranks)), 0.0
    for half in range(2, 2 * MOST + 1):  # in half steps: the last column may be a short one, but never a stub for nothing
        made = _placed(level, _split(level, 2 * level.height / half))
        fits = min(aspect / max(made.width, 1.0), 1.0 / max(made.height, 1.0))
        if fits > scale * 1.02:
            best, scale = made, fits
    return best


def _split(level: Level, height: float) -> list[int]:
    """The column of each rank, a new one begun at the last free place before a column grows over `height`."""
    found, column, top = [], 0, 0.0
    for r, (here, bottom) in enumerate(level.y):
        if r and len(level.links[r - 1]) == 1 and bottom - top > height * 1.04:
            column += 1
            top = here
        found.append(column)
    return found


def _placed(level: Level, of: Sequence[int]) -> Columns:
    spans: dict[int, list[float]] = {}
    for r, column in enumerate(of):
        top, bottom = level.y[r]
        span = spans.setdefault(column, [1e9, -1e9, top, bottom])
        for key in level.ranks[r]:
            half = level.items[key].width / 2
            span[0], span[1] = min(span[0], level.x[key] - half), max(span[1], level.x[key] + half)
        span[3] = bottom
    lefts, gutters, at = [], [], 0.0
    for left, right, _, _ in spans.values():
        gutters.append(at - GUTTER / 2)
        lefts.append(at - left)
        at += right - left + GUTTER
    shifts = tuple((lefts[c], -spans[c][2]) for c in of)
    bottoms = tuple(span[3] - span[2] for span in spans.values())
    return Columns(tuple(of), shifts, tuple(gutters), bottoms, max(at - GUTTER, 0.0), max(bottoms, default=0.0))
