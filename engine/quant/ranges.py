"""Range methods at work: the way from a histogram to the range of a grid.

A method is a frozen config (`engine.quant.methods`); its handler is registered by the config's type. One
histogram serves every grid: `find_ranges` takes many at once, so that all bit-widths cost little more than one.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.errors import BadInput
from engine.quant.entropy import entropy_ranges
from engine.quant.grid import Grid
from engine.quant.histogram import Histogram
from engine.quant.histogram import MinMax as Observer
from engine.quant.methods import (
    METHODS,
    Entropy,
    MinMax,
    Mse,
    Percentile,
    RangeMethod,
    Sqnr,
    method_name,
    needs_histogram,
    parse_method,
)
from engine.quant.search import Range, percentile_range, search_ranges

__all__ = ["METHODS", "Entropy", "MinMax", "Mse", "Percentile", "RangeMethod", "Sqnr", "find_range", "find_ranges",
           "method_name", "needs_histogram", "parse_method"]
_ANY = Callable[[Observer, Sequence[Grid], Any], list[Range]]
_HANDLERS: dict[type[RangeMethod], _ANY] = {}


def find_range(histogram: Observer, grid: Grid, method: RangeMethod) -> Range:
    """The range `(low, high)` of `grid` in the tensor's units, for `encode_range`; as `find_ranges`."""
    return find_ranges(histogram, [grid], method)[0]


def find_ranges(histogram: Observer, grids: Sequence[Grid], method: RangeMethod) -> list[Range]:
    """The range of each grid, `low <= 0 <= high`; `encode_range` puts its ends on the grid.

    Raises `BadInput` if nothing was seen, or if the method searches and only the extremes were kept.
    """
    if not histogram.count:
        raise BadInput("nothing was calibrated here: no values were seen")
    return _HANDLERS[type(method)](histogram, grids, method)


def _full(histogram: Observer) -> Histogram:
    if not isinstance(histogram, Histogram):
        raise BadInput("this range method needs a histogram, and only the extremes were kept: calibrate again")
    return histogram


def _register(kind: type[RangeMethod]) -> Callable[[_ANY], _ANY]:
    def add(handler: _ANY) -> _ANY:
        _HANDLERS[kind] = handler
        return handler
    return add


@_register(MinMax)
def _min_max(histogram: Observer, grids: Sequence[Grid], method: MinMax) -> list[Range]:
    return [(min(histogram.minimum, 0.0), max(histogram.maximum, 0.0))] * len(grids)


@_register(Percentile)
def _percentile(histogram: Observer, grids: Sequence[Grid], method: Percentile) -> list[Range]:
    return [percentile_range(_full(histogram).sums(), method.value / 100.0)] * len(grids)


@_register(Sqnr)
def _sqnr(histogram: Observer, grids: Sequence[Grid], method: Sqnr) -> list[Range]:
    return search_ranges(_full(histogram).sums(), grids, method.clip_weight)


@_register(Mse)
def _mse(histogram: Observer, grids: Sequence[Grid], method: Mse) -> list[Range]:
    return search_ranges(_full(histogram).sums(), grids, 1.0)


@_register(Entropy)
def _entropy(histogram: Observer, grids: Sequence[Grid], method: Entropy) -> list[Range]:
    return entropy_ranges(_full(histogram).sums(), grids)
