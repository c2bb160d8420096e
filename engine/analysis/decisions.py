"""Which class an output decides for, sample by sample or position by position, and how close each decision was."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data.dataset import Array
from engine.data.metrics import class_axis
from engine.errors import BadInput

MOST = 1_000_000  # decisions kept of one run; of more, every second, third, … position
AT_ONCE = 4_000_000  # values looked at together


@dataclass(frozen=True, eq=False)
class Decisions:
    """Decisions of N samples, each at P positions; [N] where a sample is one decision, else [N, P].

    Attributes:
        predicted: the class with the greatest output, int32; of equal ones the lower.
        second: the class that came second, int32.
        margin: greatest output minus the second, float32, in the output's own unit: small is a close decision.
        positions: how the positions of a sample lie, such as (T,) or (H, W); () where a sample is one decision.
        step: every how many of these positions, in reading order, is kept.
    """

    predicted: Array
    second: Array
    margin: Array
    positions: tuple[int, ...] = ()
    step: int = 1


def axis_of_classes(output: Array, labels: Array | None, likely: bool) -> int | None:
    """The axis of the classes in a float output [N, …], or None where there are none.

    Labels that are class numbers say where it is by their own shape; without labels it is there only if `likely`, by what
    the output is called.
    """
    if output.ndim < 2 or output.dtype.kind != "f" or not len(output):
        return None
    if labels is None:
        axis = 1 if output.ndim == 4 else output.ndim - 1
        return axis if likely and output.shape[axis] > 1 else None
    if labels.dtype.kind not in "biu":
        return None
    try:
        return class_axis(output, labels.shape, "compare")
    except BadInput:
        return None


def decide(output: Array, axis: int) -> Decisions:
    """The decisions in an output [N, …] whose classes lie along `axis`."""
    last = np.moveaxis(output, axis, -1)
    count, positions, classes = len(last), last.shape[1:-1], last.shape[-1]
    each = int(np.prod(positions, dtype=np.int64))
    step = max(1, -(-count * each // MOST)) if positions else 1
    rows = max(1, AT_ONCE // max(1, each * classes))
    parts = [_top_two(last[k: k + rows].reshape(-1, each, classes)[:, ::step]) for k in range(0, count, rows)]
    found = (np.concatenate([part[k] for part in parts]) for k in range(3))
    predicted, second, margin = (a if positions else a[:, 0] for a in found)
    return Decisions(predicted, second, margin, tuple(int(p) for p in positions), step)


def _top_two(values: Array) -> tuple[Array, Array, Array]:
    """Best, second best and their distance along the last axis; NaN wins nothing."""
    clean = np.where(np.isnan(values), -np.inf, values)
    best = clean.argmax(-1)
    top = np.take_along_axis(clean, best[..., None], -1)[..., 0].astype(np.float64)
    np.put_along_axis(clean, best[..., None], -np.inf, -1)
    second = clean.argmax(-1)
    second = np.where(second == best, (best == 0).astype(second.dtype), second)  # where all the others are -inf
    with np.errstate(invalid="ignore"):
        away = top - np.take_along_axis(clean, second[..., None], -1)[..., 0]
    margin = np.nan_to_num(away, nan=0.0, posinf=float(np.finfo(np.float32).max))
    return best.astype(np.int32), second.astype(np.int32), np.minimum(margin, np.finfo(np.float32).max).astype(np.float32)
