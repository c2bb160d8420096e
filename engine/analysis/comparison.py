"""Two runs on the same samples: is one really better, on which samples, and in which classes.

All differences are left minus right, as a drop: above 0 the right run is worse. `lost` are samples that only the left
run answers right, `won` those that only the right one does, `changed` those where both are wrong in different ways. Where
each position of a sample has a class, what flips are positions, and a test or an interval takes a sample as one observation.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.analysis import closeness
from engine.analysis.answers import Answers
from engine.analysis.class_losses import per_class
from engine.analysis.truth import Truth
from engine.data.dataset import Array
from engine.data.paired_tests import paired_test
from engine.data.statistics import interval, paired_drop

KINDS = ("lost", "won", "changed")
SHOWN = 20  # samples of each kind from each end of the ranking


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
    shown = [_sample(i, kind, left, right, truth if flips.decided else None, order, picture) for kind, i in flips.shown()]
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
        "positions": _positions(left, truth),
        "closeness": closeness.compared(left, right),
        "worst": closeness.worst(left, right, order, picture),
    }


def _positions(left: Answers, truth: Truth) -> dict[str, Any] | None:
    """How the positions of a sample lie, which of them were looked at, and how many count; None where a sample is one answer."""
    if not left.positions or left.predicted is None:
        return None
    counted = left.predicted.size if truth.classes is None else int((truth.classes >= 0).sum())
    return {"shape": list(left.positions), "step": left.step, "counted": counted}


@dataclass(frozen=True, eq=False)
class Flips:
    """The answers that differ, by their place in all answers, each kind ranked: closest decision of the left run first.

    `same` is the share of answers that do not differ; `decided` whether these are classes, or else scores of samples.
    """

    by_kind: dict[str, Array]
    same: float | None
    decided: bool = False

    def shown(self) -> list[tuple[str, int]]:
        """Both ends of each kind's ranking, each sample once, in its order."""
        out = []
        for kind in KINDS:
            ranked = [int(i) for i in self.by_kind[kind]]
            keep = ranked if len(ranked) <= 2 * SHOWN else ranked[:SHOWN] + ranked[-SHOWN:]
            out += [(kind, i) for i in keep]
        return out


def _flips(left: Answers, right: Answers, truth: Truth) -> Flips:
    if left.predicted is None or right.predicted is None or truth.classes is None or left.predicted.shape != truth.classes.shape:
        return _by_score(left, right)
    before, after, right_one = left.predicted.ravel(), right.predicted.ravel(), truth.classes.ravel()
    use = right_one >= 0
    differs = (before != after) & use
    was, now = (before == right_one) & use, (after == right_one) & use
    rank = np.zeros(len(differs)) if left.margin is None else left.margin.ravel()
    chosen = {"lost": was & ~now, "won": ~was & now, "changed": differs & ~was & ~now}
    return Flips({kind: _ranked(mask, rank) for kind, mask in chosen.items()}, float(1 - differs.sum() / max(1, use.sum())), True)


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


def _sample(place: int, kind: str, left: Answers, right: Answers, truth: Truth | None, order: Sequence[int] | Array | None,
            picture: Callable[[int], str] | None) -> dict[str, Any]:
    """One answer: of a sample, or of one of its positions."""
    each = 1 if truth is None or left.predicted is None or left.predicted.ndim == 1 else left.predicted.shape[1]
    i, k = divmod(place, each)
    row: dict[str, Any] = {"index": i if order is None else int(order[i]), "kind": kind}
    if truth is not None and left.positions:
        row["position"] = [int(p) for p in np.unravel_index(k * left.step, left.positions)]
    if truth is not None:
        row |= _decision(place, left, right, truth)
    if left.scores is not None and right.scores is not None:
        row |= {"score_left": float(left.scores[i]), "score_right": float(right.scores[i])}
    if picture is not None:
        row["picture"] = picture(i)
    return row


def _decision(place: int, left: Answers, right: Answers, truth: Truth) -> dict[str, Any]:
    if left.predicted is None or right.predicted is None or left.margin is None or right.margin is None:
        return {}
    return {"left": truth.name(int(left.predicted.flat[place])), "right": truth.name(int(right.predicted.flat[place])),
            "margin": float(left.margin.flat[place]), "margin_right": float(right.margin.flat[place]),
            "truth": "" if truth.classes is None else truth.name(int(truth.classes.flat[place]))}


def _margins(left: Answers, flips: Flips) -> dict[str, float | None] | None:
    """The middle margin of the left run over all samples and over each kind of flip."""
    if left.margin is None:
        return None
    every = left.margin.ravel()
    middle: dict[str, float | None] = {"all": float(np.median(every))}
    return middle | {kind: float(np.median(every[at])) if len(at) and flips.decided else None for kind, at in flips.by_kind.items()}
