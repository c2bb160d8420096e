"""How much of the score each sample holds, known before anything is quantized; and the order that takes the largest first.

Near the float output a sample's KL is `1/2 dz' F dz` with `F = diag(p) - p p'` (see `curvature.py`), so it grows with F's trace
`1 - sum p²`: with how torn the float model is over the sample. That *size* costs one float run of the data. On the bundled
samples a fifth of the images holds four fifths of the KL. For terms that grow with a known size, taking the largest and scaling
their sum by the sizes (a ratio estimate, `Table.sizes`) is the best plan there is (Royall, Biometrika 57, 1970).
"""
from __future__ import annotations

import numpy as np

from engine.analysis.sensitivity.curvature import SLACK, class_axis
from engine.analysis.sensitivity.kinds import Array
from engine.data import Dataset
from engine.progress import Progress, silent
from engine.sim.calibration import fixed_batch
from engine.sim.chain import Chain, batches
from engine.sim.quantization import FLOAT

FLOOR = 1e-3  # of the mean size: no sample counts as nothing


def sizes_of(outputs: Array) -> Array | None:
    """How much of the KL each sample is expected to hold [n], mean 1, from the float output [n, …]; None where all are alike."""
    axis = class_axis(outputs.shape)
    if axis is None:
        return None
    p = np.moveaxis(outputs.astype(np.float64), axis, -1).reshape(len(outputs), -1, outputs.shape[axis])
    if not ((p >= 0).all() and (np.abs(p.sum(-1) - 1) < SLACK).all()):
        p = np.exp(p - p.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
    traces = (1.0 - np.square(p).sum(-1)).mean(1)
    mean = float(traces.mean())
    if not np.isfinite(traces).all() or mean <= 0:
        return None
    sizes: Array = (traces / mean + FLOOR) / (1.0 + FLOOR)
    return sizes


def hardest_first(chain: Chain, data: Dataset, batch: int, progress: Progress = silent) -> tuple[Array, Array | None]:
    """The samples by falling size, and their sizes in that order (None: as they are, all alike). One float run."""
    name, parts = chain.output_names[0], []
    for start, stop in batches(len(data), 1 if fixed_batch(chain) else batch):
        progress(start / len(data), f"Looking for the samples that say most: {start} of {len(data)}")
        parts.append(chain.run(FLOAT, data.batch(start, stop))[name])
    whole = all(len(p) == len(parts[0]) for p in parts[:-1]) and sum(map(len, parts)) == len(data)
    sizes = sizes_of(np.concatenate(parts)) if whole else None
    if sizes is None:
        return np.arange(len(data)), None
    order = np.argsort(-sizes, kind="stable")
    return order, sizes[order]
