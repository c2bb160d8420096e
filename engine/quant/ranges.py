"""From a histogram to the range of a grid: the registered range methods."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import BadInput
from engine.quant.grid import Grid
from engine.quant.histogram import MinMax as Observer

Range = tuple[float, float]


@dataclass(frozen=True)
class MinMax:
    """The least and the greatest value seen."""


RangeMethod = MinMax
METHODS: dict[str, type[RangeMethod]] = {"min_max": MinMax}


def find_range(histogram: Observer, grid: Grid, method: RangeMethod) -> Range:
    """The range for one grid."""
    return find_ranges(histogram, [grid], method)[0]


def find_ranges(histogram: Observer, grids: Sequence[Grid], method: RangeMethod) -> list[Range]:
    """The ranges for many grids at once."""
    if not histogram.count:
        raise BadInput("nothing was calibrated here: no values were seen")
    return [(min(histogram.minimum, 0.0), max(histogram.maximum, 0.0))] * len(grids)
