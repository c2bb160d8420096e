"""Ranges of channels: how much of a shared grid each one uses."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from engine.analysis.diagnosis.kinds import Array, Transform
from engine.analysis.diagnosis.operands import Operand, quantized
from engine.quant.encoding import encode_range
from engine.quant.granularity import PerChannel


@dataclass(frozen=True)
class Channels:
    """The least and greatest value of each channel."""

    low: Array
    high: Array

    @property
    def reach(self) -> Array:
        """The greatest distance from zero, by channel."""
        found: Array = np.maximum(np.abs(self.low), np.abs(self.high))
        return found

    @property
    def count(self) -> int:
        return len(self.low)

    def merged(self, other: Channels) -> Channels:
        """Of both sets of samples."""
        return Channels(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def shared(self, groups: Iterable[Array]) -> Channels:
        """Each group of channels (index arrays) with the union of its members' ranges."""
        low, high = self.low.copy(), self.high.copy()
        for group in groups:
            if len(group):
                low[group], high[group] = low[group].min(), high[group].max()
        return Channels(low, high)


def channels_of(array: Array, axis: int) -> Channels | None:
    """Of one array; None where it has no such axis, or a single channel."""
    if array.ndim < 2 or not -array.ndim <= axis < array.ndim or array.shape[axis] < 2:
        return None
    rows = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    return Channels(rows.min(1), rows.max(1)) if rows.shape[1] else None


class ChannelWatch:
    """Collects the channels' ranges of activations over batches. Keys are (tensor, axis)."""

    def __init__(self, keys: Iterable[tuple[str, int]]) -> None:
        self.keys = tuple(dict.fromkeys(keys))
        self.found: dict[tuple[str, int], Channels] = {}

    def visit(self, values: Mapping[str, Array], valid: Callable[[Array], Array]) -> None:
        """Takes in one batch, without padding positions."""
        for tensor, axis in self.keys:
            array = values[tensor]
            kept = array if axis >= 0 else valid(array)
            now = channels_of(kept, axis)
            if now is not None:
                before = self.found.get((tensor, axis))
                self.found[tensor, axis] = now if before is None else before.merged(now)


def own_grids(operand: Operand, channels: Channels) -> Transform:
    """What-if: the same grid with a range for each channel, none wider than the present one (so that clipping stays)."""
    encoding = operand.encoding
    assert encoding is not None and encoding.grid is not None and operand.axis is not None
    scale = operand.factor
    low, high = (float(v) for v in (encoding.low.min(), encoding.high.max()))
    lows = torch.from_numpy(np.clip(channels.low / scale, low, 0.0).astype(np.float64))
    highs = torch.from_numpy(np.clip(channels.high / scale, 0.0, high).astype(np.float64))
    axis = operand.axis

    def run(x: Array) -> Array:
        finer = encode_range(lows, highs, encoding.grid, PerChannel(axis % x.ndim))  # type: ignore[arg-type]
        return quantized(finer, scale)(x)
    return run
