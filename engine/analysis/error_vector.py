"""The error of a measured recipe's output as a vector whose squared length is its KL: errors of layers add as vectors.

Near the float output the KL is a squared length: half the error of the logits by the Fisher information of the softmax, that is
sum p (dz - sum p dz)² / 2 for each sample (half the plain squared error where outputs are no class scores). What that leaves
out is put right by the length, which is made to be the KL. Long vectors are folded into `MOST` numbers by random signs
(a count sketch: inner products keep their value up to about 1 / sqrt(MOST)).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.analysis.sensitivity.kinds import class_axis, logits

Array = np.ndarray[Any, np.dtype[Any]]
MOST = 2048  # numbers of one vector
LOOKED_AT = 1 << 20  # numbers of an output that are folded; of longer ones every k-th


def error_vector(reference: Array, outputs: Array, kl: float) -> Array:
    """[at most MOST] float32. `kl`: as measured, nats per sample."""
    with np.errstate(invalid="ignore", over="ignore"):
        found = _error(reference, outputs).ravel()
    found = found[:: max(1, -(-found.size // LOOKED_AT))]
    if found.size > MOST:
        rng = np.random.default_rng(found.size)
        found = np.bincount(rng.integers(0, MOST, found.size), found * rng.choice((-1.0, 1.0), found.size), MOST)
    length = float(np.linalg.norm(found))
    if not np.isfinite(length) or length == 0:
        return np.zeros(found.size, np.float32)
    return (found * (np.sqrt(max(kl, 0.0)) / length)).astype(np.float32)


def _error(reference: Array, outputs: Array) -> Array:
    axis = class_axis(reference)
    if axis is None:
        return outputs.astype(np.float64) - reference
    before, after = (a.astype(np.float64) for a in logits(reference, outputs))
    p = np.exp(before - before.max(axis, keepdims=True))
    p /= p.sum(axis, keepdims=True)
    error = after - before
    found: Array = np.sqrt(p) * (error - (p * error).sum(axis, keepdims=True))
    return found
