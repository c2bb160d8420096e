"""A long network broken into columns, like text, so that all of it fits a panel that is wider than it is tall.

It breaks only where a single line runs between two ranks; that line goes on at the top of the next column.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.graph.level import Level

GUTTER, TRIES = 30.0, 24


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
    spans = [_span(level, rank) for rank in level.ranks]
    best, scale = _placed(level, spans, [0] * len(level.ranks)), 0.0
    ideal = math.sqrt(aspect * level.height / max(level.width + GUTTER, 1.0))
    for step in range(TRIES + 1):
        made = _placed(level, spans, _split(level, level.height / max(1.0, ideal * (0.5 + 1.5 * step / TRIES))))
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


def _span(level: Level, rank: Sequence[str]) -> tuple[float, float]:
    """From the leftmost edge of a rank to its rightmost."""
    halves = [(level.x[key], level.items[key].width / 2) for key in rank]
    return min((x - half for x, half in halves), default=1e9), max((x + half for x, half in halves), default=-1e9)


def _placed(level: Level, spans: Sequence[tuple[float, float]], of: Sequence[int]) -> Columns:
    found: dict[int, list[float]] = {}
    for r, column in enumerate(of):
        top, bottom = level.y[r]
        span = found.setdefault(column, [1e9, -1e9, top, bottom])
        span[0], span[1], span[3] = min(span[0], spans[r][0]), max(span[1], spans[r][1]), bottom
    lefts, gutters, at = [], [], 0.0
    for left, right, _, _ in found.values():
        gutters.append(at - GUTTER / 2)
        lefts.append(at - left)
        at += right - left + GUTTER
    shifts = tuple((lefts[c], -found[c][2]) for c in of)
    bottoms = tuple(span[3] - span[2] for span in found.values())
    return Columns(tuple(of), shifts, tuple(gutters), bottoms, max(at - GUTTER, 0.0), max(bottoms, default=0.0))
