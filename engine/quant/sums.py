"""A histogram over bfloat16 bins as sorted arrays with prefix sums, on which ranges are searched."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 1 << 16
_SIGN = 1 << 15  # the key of negative zero; keys from here on belong to negative values


@dataclass(frozen=True, eq=False)
class Sums:
    """A histogram as sorted arrays (float64, on the CPU), ready for searching.

    `centers, lower, upper` `[B]`: the occupied bins from the least to the greatest value, in the
    tensor's units; `n, s1, s2` `[B+1]`: sums of count, count·x and count·x² over the bins before each
    index; `zeros`: the number of values that are zero (or subnormal).
    """

    centers: Tensor
    lower: Tensor
    upper: Tensor
    counts: Tensor
    n: Tensor
    s1: Tensor
    s2: Tensor
    zeros: float


def prefix_sums(bins: Tensor, minimum: float, maximum: float) -> Sums:
    """The sums of the counts `bins` (index: upper 16 bits of the float32), with the exact extremes."""
    bins = torch.nn.functional.pad(bins, (0, BINS - len(bins)))
    # Positive and negative zero, with the subnormals that share their keys, are one bin at exactly 0.
    positive = bins[1:_SIGN].nonzero().view(-1) + 1
    negative = (bins[_SIGN + 1:].nonzero().view(-1) + _SIGN + 1).flip(0)
    zeros = int(bins[0] + bins[_SIGN])
    at_zero = torch.zeros(1 if zeros else 0, dtype=torch.int64)
    keys = torch.cat([negative, at_zero, positive])
    inner = _value(keys)
    outer = torch.where(keys == 0, 0.0, _value(keys + 1))
    # The extremes are exact, so the outermost bins shrink to them (6 after a ReLU6, not 6.016).
    lower = torch.minimum(inner, outer).clamp(minimum, maximum)
    upper = torch.maximum(inner, outer).clamp(minimum, maximum)
    counts = bins[keys].to(torch.float64)
    if zeros:
        counts[len(negative)] = zeros
    centers = (lower + upper) / 2
    n, s1, s2 = (_cumulative(counts * power) for power in (torch.ones_like(centers), centers, centers**2))
    return Sums(centers, lower, upper, counts, n, s1, s2, float(zeros))


def _value(keys: Tensor) -> Tensor:
    """The float64 value of the bfloat16 numbers with these bit patterns (0..65535)."""
    bits = torch.where(keys >= _SIGN, keys - BINS, keys).to(torch.int32) << 16
    return bits.view(torch.float32).to(torch.float64)


def _cumulative(values: Tensor) -> Tensor:
    return torch.cat([values.new_zeros(1), values.cumsum(0)])
