"""Two runs on the same samples: is one really better, on which samples, and in which classes.

All differences are left minus right, as a drop: above 0 the right run is worse. `lost` are samples that only the left
run answers right, `won` those that only the right one does, `changed` those where both are wrong in different ways.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.analysis.answers import Answers
from engine.data.dataset import Array
from engine.data.paired_tests import paired_test
from engine.data.statistics import interval, paired_drop

KINDS = ("lost", "won", "changed")
SHOWN = 20  # samples of each kind from each end of the ranking
MAX_CLASSES = 200


@dataclass(frozen=True, eq=False)
class Truth:
    """What counts as right: the labels, or without labels the float model's classes.

    Attributes:
        classes: [N] class numbers, or None where neither says one class a sample.
        source: `labels`, `float` or empty.
        names: of the classes, by number; may be empty.
    """

    classes: Array | None
    source: str
    names: tuple[str, ...] = ()

    def name(self, number: int) -> str:
        """A class in words."""
        return self.names[number] if 0 <= number < len(self.names) else f"class {number}"


def truth_of(labels: Array | None, names: tuple[str, ...], reference: Answers) -> Truth:
    """The labels where they are one class a sample, else what the float model answers."""
    if labels is not None and labels.ndim == 1 and labels.dtype.kind in "biu":
        return Truth(labels.astype(np.int64), "labels", names)
    if labels is None and reference.predicted is not None:
        return Truth(reference.predicted.astype(np.int64), "float", names)
    return Truth(None, "", names)


def compare(left: Answers, right: Answers, truth: Truth, order: Sequence[int] | Array | None = None,
            picture: Callable[[int], str] | None = None) -> dict[str, Any]:
    """Everything that tells two runs apart.

    Args:
        order: each sample's place in the data as they came, to name it by.
        picture: sample → data address of a small picture.
    """
    before, after = (a.value if a.scores is None else a.scores for a in (left, right))
    samples = 0 if left.scores is None else len(left.scores)
    flips = _flips(left, right, truth)
    shown = [_sample(i, kind, left, right, truth, order, picture) for kind, i in flips.shown()]
    return {
        "samples": samples or (0 if left.predicted is None else len(left.predicted)),
        "left": {"score": interval(before).to_json()},
        "right": {"score": interval(after).to_json()},
        "drop": paired_drop(before, after).to_json(),
        "test": paired_test(before, after).to_json(),
        "same_answer": flips.same,
        "truth": truth.source,
        "ranked_by": "margin" if left.margin is not None else "score",
        "flips": {"counts": {kind: len(flips.by_kind[kind]) for kind in KINDS}, "samples": shown},
        "margins": _margins(left, flips),
        "per_class": per_class(left, right, truth),
    }


@dataclass(frozen=True, eq=False)
class Flips:
    """The samples whose answer differs, each kind ranked: closest decision of the left run first."""

    by_kind: dict[str, Array]
    same: float | None

    def shown(self) -> list[tuple[str, int]]:
        """Both ends of each kind's ranking, each sample once, in its order."""
        out = []
        for kind in KINDS:
            ranked = [int(i) for i in self.by_kind[kind]]
            keep = ranked if len(ranked) <= 2 * SHOWN else ranked[:SHOWN] + ranked[-SHOWN:]
            out += [(kind, i) for i in keep]
        return out


def _flips(left: Answers, right: Answers, truth: Truth) -> Flips:
    if left.predicted is None or right.predicted is None or truth.classes is None:
        return _by_score(left, right)
    differs = left.predicted != right.predicted
    was, now = left.predicted == truth.classes, right.predicted == truth.classes
    rank = np.zeros(len(differs)) if left.margin is None else left.margin
    chosen = {"lost": was & ~now, "won": ~was & now, "changed": differs & ~was & ~now}
    return Flips({kind: _ranked(mask, rank) for kind, mask in chosen.items()}, float(1 - differs.mean()))


def _by_score(left: Answers, right: Answers) -> Flips:
    """Where there are no classes: samples whose score fell or rose, the largest change first."""
    none = np.array([], np.int64)
    if left.scores is None or right.scores is None:
        return Flips(dict.fromkeys(KINDS, none), None)
    change = right.scores.astype(np.float64) - left.scores
    return Flips({"lost": _ranked(change < 0, change), "won": _ranked(change > 0, -change), "changed": none}, None)


def _ranked(mask: Array, rank: Array) -> Array:
    places = np.flatnonzero(mask)
    return places[np.argsort(rank[places], kind="stable")]


def _sample(i: int, kind: str, left: Answers, right: Answers, truth: Truth, order: Sequence[int] | Array | None,
            picture: Callable[[int], str] | None) -> dict[str, Any]:
    row: dict[str, Any] = {"index": i if order is None else int(order[i]), "kind": kind}
    if left.predicted is not None and right.predicted is not None and left.margin is not None and right.margin is not None:
        row |= {"left": truth.name(int(left.predicted[i])), "right": truth.name(int(right.predicted[i])),
                "margin": float(left.margin[i]), "margin_right": float(right.margin[i]),
                "truth": "" if truth.classes is None else truth.name(int(truth.classes[i]))}
    if left.scores is not None and right.scores is not None:
        row |= {"score_left": float(left.scores[i]), "score_right": float(right.scores[i])}
    if picture is not None:
        row["picture"] = picture(i)
    return row


def _margins(left: Answers, flips: Flips) -> dict[str, float | None] | None:
    """The middle margin of the left run over all samples and over each kind of flip."""
    if left.margin is None:
        return None
    middle: dict[str, float | None] = {"all": float(np.median(left.margin))}
    return middle | {kind: float(np.median(left.margin[at])) if len(at) else None for kind, at in flips.by_kind.items()}


def per_class(left: Answers, right: Answers, truth: Truth) -> list[dict[str, Any]]:
    """For each true class: samples, right answers of both runs, and the paired drop with its interval, in class order.

    Classes are those of the labels; with more than 200 the ones whose drop is largest, either way, are kept.
    """
    if truth.classes is None or left.predicted is None or right.predicted is None:
        return []
    was, now = (np.asarray(a.predicted == truth.classes, np.float64) for a in (left, right))
    numbers = np.unique(truth.classes[truth.classes >= 0])
    change = {int(c): float((was - now)[truth.classes == c].mean()) for c in numbers}
    kept = sorted(sorted(change, key=lambda c: -abs(change[c]))[:MAX_CLASSES])
    rows = []
    for c in kept:
        mine = truth.classes == c
        drop = paired_drop(was[mine], now[mine])
        rows.append({"class": c, "name": truth.name(c), "samples": int(mine.sum()), "left": float(was[mine].mean()),
                     "right": float(now[mine].mean()), "drop": drop.to_json(), "resolved": drop.significant})
    return rows
