"""The drop over positions of which many lie in one sample: the samples are independent of each other, their positions are not."""
from __future__ import annotations

import math

import numpy as np

from engine.data.dataset import Array
from engine.data.statistics import Drop, t_quantile, tango

METHOD = "positions, clustered by sample, t"


def clustered_drop(lost: Array, won: Array, counted: Array) -> Drop:
    """The share of positions lost minus won, with an interval that takes each sample as one observation.

    Args:
        lost, won, counted: for each sample [N], positions lost, won and looked at; samples with none are left out.

    The ratio of two sums has the variance of its linearization (Cochran, Sampling Techniques, 1977, 2.11). Where no position
    changed that would be no width at all: then it is Tango's for as many samples.
    """
    use = counted > 0
    change, weight = (lost - won)[use].astype(np.float64), counted[use].astype(np.float64)
    n, total = len(weight), float(weight.sum())
    value = float(change.sum() / total) if total else 0.0
    falls, rises = int(lost[use].sum()), int(won[use].sum())
    if not falls and not rises and n:
        return Drop(value, tango(0, 0, n), 0, 0, n, METHOD)
    if n < 2:
        return Drop(value, None, falls, rises, n, "one sample: no interval")
    rest = change - value * weight
    half = t_quantile(n - 1) * math.sqrt(n / (n - 1) * float((rest**2).sum())) / total or 1 - 0.025 ** (1 / n)
    return Drop(value, (max(-1.0, value - half), min(1.0, value + half)), falls, rises, n, METHOD)
