"""Runs data through a chain and keeps the outputs, with the samples per run that the model likes best."""
from __future__ import annotations

import time
from collections.abc import Iterable
from functools import cached_property, partial

import numpy as np

from engine.errors import BadInput
from engine.progress import Progress, silent
from engine.sim.calibration import Samples, fixed_batch, samples_per_run
from engine.sim.chain import Chain, batches, best_batch
from engine.sim.kept_cuts import KeptCuts
from engine.sim.kept_run import Boundaries, KeptRun
from engine.sim.quantization import FLOAT, Quantization

TRIAL = (1, 2, 4, 8, 16)
MAX_OUTPUT_BYTES = 4 * 1024**3
Outputs = dict[str, np.ndarray]


class Runner:
    """A chain with the batch size that a short trial found fastest on it."""

    def __init__(self, chain: Chain, data: Samples) -> None:
        self.chain = chain
        self.batch = self._trial(data)

    def _trial(self, data: Samples) -> int:
        if fixed_batch(self.chain):
            return 1
        most = min(len(data), samples_per_run(self.chain.model, self.chain.model.shapes))  # more would cost memory and never wins
        sizes = [size for size in TRIAL if size <= most] or [1]
        feeds = {size: data.batch(0, size) for size in sizes}
        return best_batch(lambda size: self.chain.run(FLOAT, feeds[size]), sizes, time.process_time)

    @cached_property
    def boundaries(self) -> Boundaries:
        """What a cut of this chain holds and saves."""
        return Boundaries(self.chain)

    def kept_run(self, quantization: Quantization, kept: KeptCuts, scope: str) -> KeptRun:
        """The quantization, to be run from kept cuts; `scope` tells this graph and its data from others in `kept`."""
        return KeptRun(self.chain, quantization, kept, self.boundaries, scope)

    def run(self, quantization: Quantization, data: Samples, start: int, stop: int, progress: Progress = silent,
            watch: Iterable[str] = (), kept: KeptRun | None = None) -> Outputs:
        """Outputs and watched tensors of samples `start`..`stop`, along the first axis; with `kept` outputs alone, from kept cuts."""
        wanted = tuple(dict.fromkeys((*self.chain.output_names, *watch)))
        parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
        total = 0
        for begin, end in batches(stop - start, self.batch):
            progress(begin / max(stop - start, 1), f"sample {start + begin} of {stop}")
            feeds = partial(data.batch, start + begin, start + end)
            values = self.chain.run(quantization, feeds(), watch) if kept is None else kept.run((start + begin, start + end), feeds)
            for name in wanted:
                parts[name].append(_per_sample(values[name], end - begin, name))
                total += values[name].nbytes
            if total > MAX_OUTPUT_BYTES:
                raise BadInput(f"the outputs of {stop - start} samples need more than {MAX_OUTPUT_BYTES / 1e9:.0f} GB; "
                               "use fewer evaluation samples")
        progress(1.0, f"sample {stop} of {stop}")
        return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _per_sample(array: np.ndarray, count: int, name: str) -> np.ndarray:
    """An output's rows, one per sample; outputs without a batch axis (a final state) are kept once per run."""
    if array.ndim and array.shape[0] == count:
        return array
    return array[None] if count == 1 else np.repeat(array[None], count, axis=0)
