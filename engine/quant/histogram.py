"""What calibration keeps of a tensor: a histogram that serves every bit-width, or only its extremes.

The bins are the bfloat16 numbers: the upper 16 bits of a float32 are the bin's number. No range has to
be known beforehand, so one pass over the data suffices, and a bin is never wider than 1/128 of its
values. (A linear histogram of 2,048 bins needs the range first and loses more on tensors with outliers.)
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from engine.errors import BadInput
from engine.quant.sums import BINS, Sums, ascending, prefix_sums

if TYPE_CHECKING:
    import numpy

_CHUNK = 1 << 19  # values counted at once, so that clearing and adding 65,536 counts costs little beside
_SMALL = 1 << 18  # tensors up to this wait for others of theirs, and are counted together


class MinMax:
    """The least and the greatest value and the number of values of all updates."""

    def __init__(self) -> None:
        self.minimum = float("inf")
        self.maximum = float("-inf")
        self.count = 0

    def update(self, x: Tensor) -> None:
        """Takes in the values of `x`, of any shape; `BadInput` if one is NaN or infinite."""
        if x.numel() == 0:
            return
        low, high = (float(v) for v in torch.aminmax(x.detach()))
        # NaN spreads into both results of aminmax, so this one comparison finds NaN and infinities.
        if not (low > float("-inf") and high < float("inf")):
            raise BadInput(_not_finite(x))
        self.minimum = min(self.minimum, low)
        self.maximum = max(self.maximum, high)
        self.count += x.numel()

    def merge(self, other: MinMax) -> None:
        """Takes in what `other` has seen."""
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.count += other.count

    def clipped(self, low: float, high: float) -> MinMax:
        """What would have been seen had every value been clipped to `low`..`high`: exact, without data."""
        made = type(self)()
        made.minimum, made.maximum = (min(max(value, low), high) for value in (self.minimum, self.maximum))
        made.count = self.count
        return made

    def to_arrays(self) -> dict[str, numpy.ndarray[Any, Any]]:
        """The contents as a few small arrays, for a cache file."""
        extremes = torch.tensor([self.minimum, self.maximum], dtype=torch.float64)
        return {"range": extremes.numpy(), "count": torch.tensor(self.count).numpy()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> MinMax:
        """The inverse of `to_arrays`."""
        made = cls()
        made._restore(arrays)
        return made

    def _restore(self, arrays: Mapping[str, Any]) -> None:
        try:
            self.minimum, self.maximum = (float(v) for v in torch.as_tensor(arrays["range"]).tolist())
            self.count = int(arrays["count"])
            if self.count and not float("-inf") < self.minimum <= self.maximum < float("inf"):
                raise ValueError(f"range {self.minimum} to {self.maximum}")
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BadInput(f"these arrays are no kept calibration result ({error!r}): calibrate again") from error


class Histogram(MinMax):
    """Counts of all values in 65,536 bins, beside the exact extremes."""

    def __init__(self) -> None:
        super().__init__()
        self._bins: Tensor | None = None
        self._pending: list[Tensor] = []
        self._pending_size = 0
        self._sums: Sums | None = None

    def update(self, x: Tensor) -> None:
        """Takes in the values of `x`, of any shape; `BadInput` if one is NaN or infinite."""
        x = x.detach().to("cpu", torch.float32)
        super().update(x)
        self._sums = None
        flat = x.contiguous().view(torch.int32).view(-1)
        if flat.numel() > _SMALL:
            # One buffer for all chunks: fresh memory for each would cost a fifth of the time in page faults.
            buffer = torch.empty(min(_CHUNK, flat.numel()), dtype=torch.int32)
            for start in range(0, flat.numel(), _CHUNK):
                chunk = flat[start:start + _CHUNK]
                keys = torch.bitwise_right_shift(chunk, 16, out=buffer[:len(chunk)])
                self._count(keys.bitwise_and_(BINS - 1))
        elif flat.numel():
            # Little-endian: the second half of each float32 holds its upper 16 bits.
            self._pending.append(flat.view(torch.int16)[1::2].clone())
            self._pending_size += flat.numel()
            if self._pending_size >= _SMALL:
                self._flush()

    def merge(self, other: MinMax) -> None:
        """Takes in what `other` has seen; `BadInput` if that kept no histogram."""
        if not isinstance(other, Histogram):
            raise BadInput("a histogram can only be merged with a histogram, not with extremes alone")
        super().merge(other)
        other._flush()
        self._flush()
        self._sums = None
        if other._bins is not None:
            self._add(other._bins.clone())

    def clipped(self, low: float, high: float) -> Histogram:
        """As in `MinMax`: the bins beyond a bound fall into the bin that holds it."""
        made = super().clipped(low, high)
        assert isinstance(made, Histogram)
        self._flush()
        if self._bins is not None:
            keys = self._bins.nonzero().view(-1)
            bounds = torch.tensor([low, high], dtype=torch.float32).view(torch.int32)
            first, last = ascending((bounds >> 16) & (BINS - 1)).tolist()
            moved = ascending(ascending(keys).clamp_(first, last))
            made._bins = torch.zeros(BINS, dtype=torch.int64).index_add_(0, moved, self._bins[keys])
        return made

    def sums(self) -> Sums:
        """The sorted arrays and prefix sums, kept until the next update; `BadInput` if nothing was seen."""
        if self._sums is None:
            self._flush()
            if self._bins is None:
                raise BadInput("nothing was calibrated here: the histogram has seen no values")
            self._sums = prefix_sums(self._bins, self.minimum, self.maximum)
        return self._sums

    def centers(self) -> Tensor:
        """The middles of the occupied bins, ascending, float64 `[B]`, in the tensor's units."""
        return self.sums().centers

    def counts(self) -> Tensor:
        """How many values each bin of `centers()` holds, int64 `[B]`."""
        return self.sums().counts.to(torch.int64)

    def to_arrays(self) -> dict[str, numpy.ndarray[Any, Any]]:
        """The contents as a few small arrays (occupied keys and their counts), for a cache file."""
        self._flush()
        bins = torch.zeros(0, dtype=torch.int64) if self._bins is None else self._bins
        keys = bins.nonzero().view(-1)
        return super().to_arrays() | {"keys": keys.to(torch.int32).numpy(), "counts": bins[keys].numpy()}

    def _restore(self, arrays: Mapping[str, Any]) -> None:
        super()._restore(arrays)
        try:
            keys = torch.as_tensor(arrays["keys"]).to(torch.int64)
            counts = torch.as_tensor(arrays["counts"]).to(torch.int64)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise BadInput(f"these arrays are no kept histogram ({error!r}): calibrate again") from error
        fits = keys.dim() == 1 and keys.shape == counts.shape and int(counts.sum()) == self.count
        if not fits or bool(((keys < 0) | (keys >= BINS) | (counts < 1)).any()):
            raise BadInput("these arrays are no kept histogram (keys and counts do not fit): calibrate again")
        if len(keys):
            self._bins = torch.zeros(BINS, dtype=torch.int64).index_put_((keys,), counts)

    def _flush(self) -> None:
        if self._pending:
            keys = torch.cat(self._pending).to(torch.int32).bitwise_and_(BINS - 1)
            self._pending, self._pending_size = [], 0
            self._count(keys)

    def _count(self, keys: Tensor) -> None:
        self._add(torch.bincount(keys))

    def _add(self, found: Tensor) -> None:
        # Only as long as the highest key: 130 kB for a tensor without negative values, 400 kB for others.
        kept = self._bins
        if kept is None:
            self._bins = found
            return
        longer, shorter = (kept, found) if len(kept) >= len(found) else (found, kept)
        longer[: len(shorter)] += shorter
        self._bins = longer


def _not_finite(x: Tensor) -> str:
    bad = int((~torch.isfinite(x)).sum())
    nans = int(torch.isnan(x).sum())
    return (f"{bad} of {x.numel()} values are not finite ({nans} NaN, {bad - nans} infinite): "
            "expected finite numbers; check the input data and the float model")
