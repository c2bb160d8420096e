"""What each class loses between two runs on the same samples, with a paired interval."""
from __future__ import annotations

from typing import Any

import numpy as np

from engine.analysis.answers import Answers
from engine.analysis.truth import Truth
from engine.data.clustered import clustered_drop
from engine.data.dataset import Array
from engine.data.statistics import Drop, paired_drop

MAX_CLASSES = 200


def per_class(left: Answers, right: Answers, truth: Truth) -> list[dict[str, Any]]:
    """For each true class: samples, right answers of both runs, and the paired drop with its interval, in class order.

    Classes are those of the labels; with more than 200 the ones whose drop is largest, either way, are kept. Where each
    position of a sample has a class, `positions` counts them, and the interval takes each sample as one observation.
    """
    classes = truth.classes
    if classes is None or left.predicted is None or right.predicted is None:
        return []
    if not classes.shape == left.predicted.shape == right.predicted.shape:
        return []
    was, now = (np.asarray(a.predicted == classes) for a in (left, right))
    rows = []
    for c in _kept(classes, was, now):
        mine = classes == c
        drop = paired_drop(was[mine].astype(float), now[mine].astype(float)) if classes.ndim == 1 else _clustered(was, now, mine)
        row = {"class": c, "name": truth.name(c), "samples": int(mine.any(1).sum()) if classes.ndim > 1 else int(mine.sum()),
               "left": float(was[mine].mean()), "right": float(now[mine].mean()), "drop": drop.to_json(), "resolved": drop.significant}
        rows.append(row | ({"positions": int(mine.sum())} if classes.ndim > 1 else {}))
    return rows


def _kept(classes: Array, was: Array, now: Array) -> list[int]:
    """The class numbers, in order; of many those whose share of right answers changes most."""
    use = classes >= 0
    numbers, where = np.unique(classes[use], return_inverse=True)
    change = np.bincount(where, weights=was[use].astype(float) - now[use]) / np.bincount(where)
    return sorted(int(numbers[k]) for k in np.argsort(-np.abs(change), kind="stable")[:MAX_CLASSES])


def _clustered(was: Array, now: Array, mine: Array) -> Drop:
    return clustered_drop((was & ~now & mine).sum(1), (~was & now & mine).sum(1), mine.sum(1))
