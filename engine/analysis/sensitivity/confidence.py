"""How sure a ranking is.

All comparisons are paired: two items are compared on the samples that both were scored on, because a
hard sample is hard for all. Rank intervals come from the bootstrap over samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.analysis.sensitivity.kinds import Array
from engine.analysis.sensitivity.table import Table

TOP = 10
SURE = 0.95


@dataclass(frozen=True)
class Rank:
    """An item's rank among all (1 is the worst), with its 95 % interval."""

    item: str
    rank: int
    low: int
    high: int


@dataclass(frozen=True)
class Ranking:
    """Items from the worst on. `ties` are runs of neighbours whose order the samples do not settle."""

    precision: str
    score: str
    ranks: tuple[Rank, ...]
    ties: tuple[tuple[str, ...], ...]
    samples: int
    settled: int
    noise: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "precision": self.precision,
            "score": self.score,
            "samples": self.samples,
            "settled_top": self.settled,
            "noise": self.noise,
            "ranks": [{"layer": r.item, "rank": r.rank, "low": r.low, "high": r.high} for r in self.ranks],
            "ties": [list(t) for t in self.ties],
            "words": self.words(),
        }

    def words(self) -> str:
        """What the samples do and do not settle, in a sentence."""
        if self.noise:
            return f"At {self.precision} the order of the items is noise at {self.samples} samples: no rank is settled."
        tied = {name: len(run) for run in self.ties for name in run}
        lead = next((i for i, r in enumerate(self.ranks) if r.item in tied), len(self.ranks))
        first = f"At {self.precision}, {self.samples} samples settle the order of " + (
            "all items" if lead == len(self.ranks) else f"the {lead} worst" if lead > 1 else f"the worst item, {self.ranks[0].item}"
        )
        if lead == len(self.ranks):
            return first + "."
        run = tied[self.ranks[lead].item]
        return (
            f"{first}; the next {run} are tied."
            if lead
            else f"At {self.precision} the {run} worst items are tied at {self.samples} samples."
        )


def worse(table: Table, score: str) -> float:
    """The sign that makes a greater value a worse item.

    One-off scores what is left when the item is *not* quantized: there the item whose score is best hurts most.
    """
    sign = -1.0 if table.kinds[score].higher_is_better else 1.0
    return -sign if table.question.mode == "one-off" else sign


def ranking(table: Table, precision: int, score: str = "kl") -> Ranking:
    """The order of the items at one precision of the table, worst first, and how sure it is."""
    sign = worse(table, score)
    value = sign * table.value(score)[:, precision]
    known = np.flatnonzero(np.isfinite(value))
    order = known[np.argsort(-value[known], kind="stable")]
    draws = sign * table.bootstrap(score)[:, order, precision]
    places = np.argsort(np.argsort(-draws, axis=1, kind="stable"), axis=1) + 1
    low, high = np.percentile(places, [2.5, 97.5], axis=0) if len(order) else (np.empty(0), np.empty(0))
    names = [table.items[i].name for i in order]
    ranks = tuple(Rank(n, r + 1, int(np.floor(low[r])), int(np.ceil(high[r]))) for r, n in enumerate(names))
    sure = [float((draws[:, r] > draws[:, r + 1]).mean()) >= SURE for r in range(len(order) - 1)]
    return Ranking(
        str(table.question.precisions[precision]),
        score,
        ranks,
        _ties(names, sure),
        int(table.count(score)[order, precision].max(initial=0)),
        _settled(draws),
        _is_noise(table, score, precision, order),
    )


def _ties(names: list[str], sure: list[bool]) -> tuple[tuple[str, ...], ...]:
    runs, run = [], names[:1]
    for name, settled in zip(names[1:], sure, strict=True):
        if settled:
            runs.append(tuple(run))
            run = []
        run.append(name)
    return tuple(r for r in (*runs, tuple(run)) if len(r) > 1)


def _settled(draws: Array) -> int:
    """The greatest k for which the set of the k worst is the same in 95 % of the draws."""
    best = 0
    for k in range(1, draws.shape[1]):
        worst = draws[:, :k].min(1) > draws[:, k:].max(1)
        if float(worst.mean()) >= SURE:
            best = k
    return best


def _is_noise(table: Table, score: str, precision: int, order: Array) -> bool:
    """Whether the order is no better than chance: random halves of the samples do not rank alike.

    The correlation r of two halves says 2r / (1 + r) of the whole (Spearman-Brown); below 0.5 it is noise. After a race the
    few samples that all items share say nothing of that.
    """
    counts = table.count(score)[order, precision]
    if table.sizes is not None and len(counts) and counts.min() < counts.max():
        return False
    halves = table.halves(score)[:, :, order, precision]
    if len(order) < 4 or not len(halves) or not np.isfinite(halves).all():
        return False
    ranks = np.argsort(np.argsort(halves, axis=2, kind="stable"), axis=2)
    r = float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in ranks]))
    return 2 * r / (1 + r) < 0.5 if r > -1 else True
