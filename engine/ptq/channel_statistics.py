"""The smallest and largest value of each channel of some tensors, in the float model, from one pass over calibration data."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.graph.model import Model
from engine.progress import Progress
from engine.sim.calibration import MAX_BATCH, Samples, fixed_batch, samples_per_run
from engine.sim.chain import Chain, batches
from engine.sim.padding import Padding
from engine.sim.quantization import FLOAT


@dataclass(frozen=True, eq=False)
class Extremes:
    """Smallest and largest value of each channel, both [channels]."""

    low: np.ndarray
    high: np.ndarray

    @property
    def largest(self) -> np.ndarray:
        """max|x| of each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


def channel_extremes(model: Model, tensors: Mapping[str, int], data: Samples, samples: int, progress: Progress) -> dict[str, Extremes]:
    """Of each tensor along its channel axis, on the first `samples` of `data`; padded positions of sequences are left out.

    Args:
        tensors: name → axis of its channels.
    """
    chain, padding, found = Chain(model), Padding.of(model), dict[str, Extremes]()
    back = {name: axis % len(model.shapes[name]) - len(model.shapes[name]) for name, axis in tensors.items()}
    count = min(len(data), samples)
    size = 1 if fixed_batch(chain) else min(MAX_BATCH, samples_per_run(model, tensors))
    for start, stop in batches(count, size):
        progress(start / max(count, 1), f"Ranges of channels: sample {start} of {count}")
        feeds = data.batch(start, stop)
        values = chain.run(FLOAT, feeds, tensors)
        for name, axis in back.items():
            array = padding.valid(values[name], feeds, name)
            if array.size:
                found[name] = _joined(found.get(name), np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis]))
    return found


def _joined(before: Extremes | None, rows: np.ndarray) -> Extremes:
    low, high = rows.min(axis=0).astype(np.float64), rows.max(axis=0).astype(np.float64)
    return Extremes(low, high) if before is None else Extremes(np.minimum(before.low, low), np.maximum(before.high, high))
