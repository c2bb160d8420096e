"""Whether two graphs compute the same function: measured on data, as the largest difference of an output over its range."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engine.graph.model import Model
from engine.progress import Progress, silent
from engine.sim.calibration import Samples, fixed_batch
from engine.sim.chain import Chain, batches
from engine.sim.quantization import FLOAT

TOLERANCE = 1e-4  # of the output's range: what rounding in float32 may add up to
SAMPLES, BATCH = 16, 8


def feeds_of(chain: Chain, data: Samples, samples: int, batch: int = BATCH) -> Iterator[dict[str, np.ndarray]]:
    """The first samples of a data set in batches that the model takes."""
    for start, stop in batches(min(len(data), samples), 1 if fixed_batch(chain) else batch):
        yield data.batch(start, stop)


def difference(before: Model, after: Model, data: Samples, samples: int = SAMPLES, progress: Progress = silent) -> float:
    """The largest absolute difference of any output, as a share of that output's range over the samples; 0 is equal, inf is NaN."""
    first, second = Chain(before), Chain(after)
    outputs = [o.name for o in before.outputs if o.is_float]
    worst, low, high = (dict.fromkeys(outputs, value) for value in (0.0, np.inf, -np.inf))
    for done, feeds in enumerate(feeds_of(first, data, samples)):
        progress(min(done * BATCH / samples, 1.0), "Comparing the float outputs with what they were")
        a, b = first.run(FLOAT, feeds), second.run(FLOAT, feeds)
        for name in outputs:
            gap = float(np.abs(a[name] - b[name]).max(initial=0.0))
            worst[name] = max(worst[name], gap if np.isfinite(gap) else np.inf)
            low[name], high[name] = min(low[name], a[name].min(initial=np.inf)), max(high[name], a[name].max(initial=-np.inf))
    return max((worst[n] / max(high[n] - low[n], 1e-30) for n in outputs), default=0.0)
