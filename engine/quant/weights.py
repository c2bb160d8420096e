"""Encodings of weights, read off the weights themselves: no histogram, all channels or blocks at once."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from engine.errors import BadInput
from engine.quant.encoding import Encoding, encode_range
from engine.quant.entropy import FINE
from engine.quant.granularity import Granularity, PerBlock, PerChannel, PerTensor, scale_shape
from engine.quant.grid import Grid, Symmetry
from engine.quant.histogram import Histogram
from engine.quant.precision import DataType, Float
from engine.quant.ranges import Entropy, MinMax, Mse, Percentile, RangeMethod, Sqnr, find_range

_Ranges = tuple[Tensor, Tensor]  # lows and highs [groups], float32
_CHUNK = 1 << 17  # values searched at once: the passes over them stay in cache
_COARSE = torch.logspace(0, 1, 25, base=1 / 16)  # shares of the full range; 12 % apart
_FINE = torch.linspace(0.91, 1.09, 7)  # around the best of them; 3 % apart


def weight_encoding(weight: Tensor, dtype: DataType, symmetry: Symmetry, granularity: Granularity,
                    method: RangeMethod = MinMax()) -> Encoding:  # noqa: B008 (frozen)
    """The encoding of `weight` (any shape, float), one range per tensor, channel or block.

    The searching methods try shares of each group's full range on the raw weights; on asymmetric grids
    both ends first shrink together, then each is refined alone. `Entropy` needs a distribution: groups
    of fewer than 2,048 values get min-max. Raises `BadInput` for an empty weight, one that is not finite,
    or a granularity that does not fit its shape.
    """
    if isinstance(dtype, Float):
        return Encoding(dtype, granularity)
    if not weight.numel():
        raise BadInput(f"a weight of shape {list(weight.shape)} has no values to quantize")
    shape = scale_shape(granularity, weight.shape)
    groups = _groups(weight.detach().to("cpu", torch.float32), granularity)
    low, high = (end.clamp(**bound) for end, bound in zip(
        torch.aminmax(groups, dim=1), ({"max": 0.0}, {"min": 0.0}), strict=True))
    if not bool((torch.isfinite(low) & torch.isfinite(high)).all()):
        raise BadInput(f"{int((~torch.isfinite(weight)).sum())} of {weight.numel()} weights are NaN or infinite")
    grid = Grid(dtype.bits, symmetry).for_low(float(low.min()))
    low, high = _METHODS[type(method)](groups, grid, low, high, method)
    return encode_range(low.reshape(shape), high.reshape(shape), grid, granularity)


def _groups(weight: Tensor, granularity: Granularity) -> Tensor:
    """The values that share a scale as rows `[groups, n]`, in the order of the flattened scale."""
    if isinstance(granularity, PerTensor):
        return weight.reshape(1, -1)
    axis = granularity.axis % weight.dim()
    if isinstance(granularity, PerBlock):
        split = [*weight.shape[:axis], -1, granularity.size, *weight.shape[axis + 1:]]
        return weight.reshape(split).movedim(axis + 1, -1).reshape(-1, granularity.size)
    return weight.movedim(axis, 0).reshape(weight.shape[axis], -1)


def _min_max(groups: Tensor, grid: Grid, low: Tensor, high: Tensor, method: MinMax) -> _Ranges:
    return low, high


def _percentile(groups: Tensor, grid: Grid, low: Tensor, high: Tensor, method: Percentile) -> _Ranges:
    n = groups.shape[1]
    rank = min(n, max(1, -int(-method.value / 100 * n * (1 - 1e-12) // 1)))  # rounded up, never fewer
    return (groups.kthvalue(n - rank + 1, dim=1).values.clamp(max=0.0),
            groups.kthvalue(rank, dim=1).values.clamp(min=0.0))


def _entropy(groups: Tensor, grid: Grid, low: Tensor, high: Tensor, method: Entropy) -> _Ranges:
    if groups.shape[1] < FINE:
        return low, high
    ranges = []
    for row in groups:
        histogram = Histogram()
        histogram.update(row)
        ranges.append(find_range(histogram, grid, method))
    found = torch.tensor(ranges, dtype=torch.float32)
    return found[:, 0], found[:, 1]


def _sqnr(groups: Tensor, grid: Grid, low: Tensor, high: Tensor, method: Sqnr) -> _Ranges:
    return _search(groups, grid, low, high, method.clip_weight)


def _mse(groups: Tensor, grid: Grid, low: Tensor, high: Tensor, method: Mse) -> _Ranges:
    return _search(groups, grid, low, high, 1.0)


_METHODS: dict[type[RangeMethod], Callable[[Tensor, Grid, Tensor, Tensor, Any], _Ranges]] = {
    MinMax: _min_max, Percentile: _percentile, Sqnr: _sqnr, Mse: _mse, Entropy: _entropy}


def _search(groups: Tensor, grid: Grid, low: Tensor, high: Tensor, clip_weight: float) -> _Ranges:
    """Per group the range of least (clip-weighted) squared error."""
    rows = max(1, _CHUNK // groups.shape[1])
    parts = [_search_rows(groups[i:i + rows], grid, low[i:i + rows], high[i:i + rows], clip_weight)
             for i in range(0, len(groups), rows)]
    return torch.cat([low for low, _ in parts]), torch.cat([high for _, high in parts])


def _search_rows(rows: Tensor, grid: Grid, low: Tensor, high: Tensor, clip_weight: float) -> _Ranges:
    best_low, best_high = low.clone(), high.clone()
    best = torch.full_like(low, float("inf"))

    def attempt(candidate_low: Tensor, candidate_high: Tensor) -> None:
        error = _error(rows, grid, candidate_low, candidate_high, clip_weight)
        better = error < best
        for kept, new in ((best, error), (best_low, candidate_low), (best_high, candidate_high)):
            torch.where(better, new, kept, out=kept)

    for share in _COARSE.tolist():
        attempt(low * share, high * share)
    sides = [(1, 1)] if grid.symmetric else [(1, 1), (1, 0), (0, 1), (1, 0), (0, 1)]
    for move_low, move_high in sides:
        from_low, from_high = best_low.clone(), best_high.clone()
        for share in _FINE.tolist():
            attempt((from_low * share if move_low else from_low).maximum(low),
                    (from_high * share if move_high else from_high).minimum(high))
    return best_low, best_high


def _error(rows: Tensor, grid: Grid, low: Tensor, high: Tensor, clip_weight: float) -> Tensor:
    """The squared error `[groups]` of the rows on the grid of each range."""
    encoding = encode_range(low, high, grid, PerChannel(0))
    assert encoding.scale is not None and encoding.zero_point is not None
    scale, zero = encoding.scale[:, None], encoding.zero_point[:, None]
    y = torch.div(rows, scale).round_().clamp_(grid.qmin - zero, grid.qmax - zero).mul_(scale)
    error: Tensor = torch.linalg.vecdot(y.sub_(rows), y)
    if clip_weight != 1.0:
        beyond = torch.clamp(rows, encoding.low[:, None], encoding.high[:, None]).sub_(rows)
        error += (clip_weight - 1.0) * torch.linalg.vecdot(beyond, beyond)
    return error
