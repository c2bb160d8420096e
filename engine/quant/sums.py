"""A histogram over bfloat16 bins as sorted arrays with prefix sums, on which ranges are searched."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 1 << 16
_SIGN = 1 << 15  # the key of negative zero; keys from here on belong to negative values


@dataclass(frozen=True, eq=False)
class Sums:
    """A histogram as sorted arrays (on the CPU, float64 where not stated), ready for searching.

    `centers, lower, upper, counts` `[B]`: the occupied bins from the least to the greatest value, in the
    tensor's units; `prefix` `[3, B+1]`: sums of count, count·x and count·x² over the bins before each
    index; `rank` int32 `[65536]`: see `index`.
    """

    centers: Tensor
    lower: Tensor
    upper: Tensor
    counts: Tensor
    prefix: Tensor
    rank: Tensor

    def index(self, values: Tensor) -> Tensor:
        """How many bins have centres below each of `values`, int32: a table look-up, no search.

        Ten times faster than a binary search. Rounding a value to the nearest bfloat16 (ties away from
        zero) decides on which side of the centre of its bin it lies.
        """
        bits = values.to(torch.float32).view(torch.int32)
        keys = bits.add(_SIGN).bitwise_right_shift_(16).bitwise_and_(BINS - 1)
        return self.rank.index_select(0, keys.view(-1)).view(values.shape)

    def before(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The sums of count, count·x and count·x² over the bins before each index, each of its shape."""
        # Row by row: three times as fast as one look-up in the matrix.
        flat = index.view(-1)
        n, x, xx = (row.index_select(0, flat).view(index.shape) for row in self.prefix)
        return n, x, xx


def prefix_sums(bins: Tensor, minimum: float, maximum: float) -> Sums:
    """The sums of the counts `bins` (index: upper 16 bits of the float32), with the exact extremes."""
    bins = torch.nn.functional.pad(bins, (0, BINS - len(bins)))
    # Positive and negative zero, with the subnormals that share their keys, are one bin at exactly 0.
    bins[0] += bins[_SIGN]
    bins[_SIGN] = 0
    positive = bins[:_SIGN].nonzero().view(-1)
    negative = (bins[_SIGN:].nonzero().view(-1) + _SIGN).flip(0)
    keys = torch.cat([negative, positive])
    inner = _value(keys)
    outer = torch.where(keys == 0, 0.0, _value(keys + 1))
    # The extremes are exact, so the outermost bins shrink to them (6 after a ReLU6, not 6.016).
    lower = torch.minimum(inner, outer).clamp(minimum, maximum)
    upper = torch.maximum(inner, outer).clamp(minimum, maximum)
    counts = bins[keys].to(torch.float64)
    centers = (lower + upper) / 2
    parts = torch.stack([counts, counts * centers, counts * centers * centers])
    prefix = torch.nn.functional.pad(parts.cumsum(1), (1, 0))
    return Sums(centers, lower, upper, counts, prefix, _rank(bins > 0, len(negative)))


def ascending(keys: Tensor) -> Tensor:
    """Keys as numbers in the order of their values, negative zero being -1.

    It is its own inverse: `ascending(ascending(keys)) == keys`.
    """
    return torch.where((keys >= _SIGN) | (keys < 0), _SIGN - 1 - keys, keys)


def _rank(occupied: Tensor, negatives: int) -> Tensor:
    """For each key the occupied bins of lesser value; a negative key counts itself (see `Sums.index`)."""
    before = torch.cumsum(occupied, 0, dtype=torch.int32)
    rank = before - occupied.to(torch.int32)
    rank[:_SIGN] += negatives
    rank[_SIGN:] = before[-1] - rank[_SIGN:]
    return rank


def _value(keys: Tensor) -> Tensor:
    """The float64 value of the bfloat16 numbers with these bit patterns (0..65535)."""
    return (keys.to(torch.int32) << 16).view(torch.float32).to(torch.float64)
