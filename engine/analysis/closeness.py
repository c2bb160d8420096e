"""How close each sample's output is to the float model's, for outputs that decide for no class: cosine and SQNR."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.analysis.answers import Answers
from engine.data.builtin_metrics import cosine
from engine.data.dataset import Array
from engine.data.metrics import MAX_DB

AT_ONCE = 4_000_000  # values looked at together
WORST = 20
POINTS = 101  # of the curve: percentiles 0 to 100


def closeness(output: Array, reference: Array, mask: Array | None = None) -> tuple[Array, Array]:
    """Cosine (-1 to 1) and SQNR in dB (at most 200) of each sample [N], against the float model's outputs [N, …]; higher is
    better. `mask` [N, positions] is 0 where there is padding."""
    rows = max(1, AT_ONCE // max(1, output[:1].size))
    parts = []
    for k in range(0, len(output), rows):
        a, b, use = output[k: k + rows], reference[k: k + rows], None if mask is None else mask[k: k + rows]
        parts.append((cosine(a, b, use), _sqnr(a, b, use)))
    angle, decibel = (np.concatenate([part[i] for part in parts]).astype(np.float32) for i in (0, 1))
    return angle, decibel


def _sqnr(output: Array, reference: Array, mask: Array | None) -> Array:
    a, b = output.astype(np.float64), reference.astype(np.float64)
    if mask is not None and a.ndim > mask.ndim and a.shape[: mask.ndim] == mask.shape:
        use = mask.astype(bool).reshape(mask.shape + (1,) * (a.ndim - mask.ndim))
        a, b = np.where(use, a, 0.0), np.where(use, b, 0.0)
    axes = tuple(range(1, a.ndim))
    signal, noise = (b**2).sum(axis=axes), ((a - b) ** 2).sum(axis=axes)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(noise > 0, 10 * np.log10(signal / noise), MAX_DB)
    return np.clip(np.nan_to_num(found, nan=-MAX_DB), -MAX_DB, MAX_DB)


def compared(left: Answers, right: Answers) -> dict[str, Any] | None:
    """Both sides' cosine and SQNR over the samples: percentiles 0, 1, …, 100; None where a side was not looked at this way."""
    if left.cosine is None or left.sqnr_db is None or right.cosine is None or right.sqnr_db is None:
        return None
    return {"cosine": {"left": _curve(left.cosine), "right": _curve(right.cosine)},
            "sqnr_db": {"left": _curve(left.sqnr_db), "right": _curve(right.sqnr_db)}}


def worst(left: Answers, right: Answers, order: Sequence[int] | Array | None,
          picture: Callable[[int], str] | None) -> list[dict[str, Any]]:
    """The samples whose output is furthest from the float model's on the right, the furthest first."""
    if right.sqnr_db is None or right.cosine is None or left.sqnr_db is None or left.cosine is None:
        return []
    out = []
    for i in np.argsort(right.sqnr_db, kind="stable")[:WORST]:
        row: dict[str, Any] = {"index": int(i) if order is None else int(order[i]), "kind": "worst"}
        row |= {"sqnr_left": float(left.sqnr_db[i]), "sqnr_right": float(right.sqnr_db[i]),
                "cosine_left": float(left.cosine[i]), "cosine_right": float(right.cosine[i])}
        out.append(row if picture is None else row | {"picture": picture(int(i))})
    return out


def _curve(values: Array) -> list[float]:
    return [float(v) for v in np.percentile(values, np.linspace(0, 100, POINTS))]
