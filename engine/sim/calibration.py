"""One pass over calibration data: what every tensor's values look like in the float model."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
import torch

from engine.errors import BadInput
from engine.graph.model import Model
from engine.progress import Progress, silent
from engine.quant.histogram import Histogram, MinMax
from engine.sim.chain import Chain, batches
from engine.sim.clips import clipped_tensors
from engine.sim.padding import Padding
from engine.sim.quantization import FLOAT

Statistics = dict[str, MinMax]
RUN_BYTES, MAX_BATCH = 128 * 1024**2, 16  # watched values of one run: more falls out of the cache, fewer pay for calls


class Samples(Protocol):
    """What the simulation needs of a dataset (`engine.data.Dataset` is one)."""

    def __len__(self) -> int: ...
    def batch(self, start: int, stop: int) -> dict[str, np.ndarray]: ...


def gather(chain: Chain, data: Samples, tensors: Iterable[str], progress: Progress = silent, histograms: bool = True,
           batch: int | None = None) -> Statistics:
    """Statistics of `tensors` over all samples of `data`, in the float model.

    What a Relu or Clip makes of another of the tensors is not watched but derived from that one.

    Args:
        histograms: False gathers minimum and maximum alone, at half the cost; then no range method but
            `min_max` can be derived later.

    Raises:
        BadInput: a tensor holds NaN or infinity; the message names it and the sample.
    """
    inputs = {i.name for i in chain.model.inputs}
    tensors = dict.fromkeys(tensors)
    clips = clipped_tensors(chain.model, frozenset(tensors) - inputs)
    wanted = [t for t in tensors if t not in inputs and t not in clips]
    found: Statistics = {name: Histogram() if histograms else MinMax() for name in (*wanted, *(inputs & set(tensors)))}
    padding = Padding.of(chain.model)
    batch = 1 if fixed_batch(chain) else batch or samples_per_run(chain.model, wanted)
    for start, stop in batches(len(data), batch):
        progress(start / len(data), f"Calibrating: sample {start} of {len(data)}")
        feeds = data.batch(start, stop)
        values = chain.run(FLOAT, feeds, wanted)
        for name, observer in found.items():
            array = feeds[name] if name in inputs else values[name]
            _observe(observer, padding.valid(array, feeds, name), name, start)
        values.clear()  # before the next run makes as much again
    for name, clip in clips.items():
        found[name] = found[clip.source].clipped(clip.low, clip.high)
    progress(1.0, f"Calibrated on {len(data)} samples")
    return {name: found[name] for name in tensors}


def samples_per_run(model: Model, tensors: Iterable[str]) -> int:
    """How many samples fit a run whose watched tensors should stay in the cache."""
    values = sum(math.prod(model.shapes[name]) for name in tensors)
    return max(1, min(MAX_BATCH, RUN_BYTES // max(4 * values, 1)))


def _observe(observer: MinMax, array: np.ndarray, name: str, sample: int) -> None:
    try:
        observer.update(torch.from_numpy(np.ascontiguousarray(array)))
    except BadInput as error:
        raise BadInput(f"tensor {name!r} at calibration sample {sample}: {error}") from None


def fixed_batch(chain: Chain) -> bool:
    """Whether the model takes one sample at a time (its first dimension is fixed at 1)."""
    return any(i.shape and i.shape[0] == 1 for i in chain.model.inputs if i.is_float) or all(
        not i.shape or isinstance(i.shape[0], int) for i in chain.model.inputs)


def merged(statistics: Mapping[str, MinMax], names: Iterable[str]) -> MinMax | None:
    """The statistics of several tensors that share one encoding, as one; None where none was gathered."""
    have = [statistics[name] for name in names if name in statistics]
    if len(have) <= 1:
        return have[0] if have else None
    total = type(have[0])()
    for one in have:
        total.merge(one)
    return total
