"""Racing: more samples only where the top of a ranking is undecided.

What it must find is the top that all samples would give. Three things make that cheap.

* *The samples that say most come first* (see `sizes.py`).
* *What has been seen is no longer in doubt.* Only the samples to come are: with s² the mean of (d - b size)² / size over the n
  samples seen of a difference d, b its ratio to the sizes, H the sum of all sizes, Hs and Hr of those seen and to come, the sum
  over all samples is b H with the variance s² Hr H / Hs. Outputs that are no class scores have equal sizes, and this is then the
  mean with its correction for a finite set.
* *Pairs across the border alone are compared*, sample by sample. A cell is decided once it is apart from every cell on the
  other side that still runs, and then costs nothing more.

A comparison errs with a probability of `ERROR / (cells x looks)`, so the whole top is wrong with at most `ERROR` as far as
Student's t holds. Cells across the border whose difference is surely below `RESOLUTION`, or that are equal on every sample, are
*tied*: they stop too, and the answer names them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import stdtrit

from engine.analysis.sensitivity.confidence import TOP, worse
from engine.analysis.sensitivity.kinds import Array
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset
from engine.progress import Progress, part, silent

ERROR = 0.02  # the probability of a top that is not that of all samples
RESOLUTION = 0.05  # differences below this share of what lies between the border and the least sensitive cell are no differences
FIRST, GROWTH, STEP = 16, 1.5, 8  # samples at the first look, and how they grow: many looks are dear, few overshoot


@dataclass(frozen=True)
class Race:
    """What racing found and spent.

    Attributes:
        spent, full: sample evaluations run, and what all of them would have been.
        decided: whether every top was settled before the samples ran out.
        best: for each precision, the items of the top in no order. tied: those on either side of its border that are tied.
    """

    spent: int
    full: int
    decided: bool
    top: int
    best: tuple[frozenset[str], ...]
    tied: tuple[tuple[str, ...], ...]

    @property
    def saved(self) -> float:
        """The share of sample evaluations that were not needed."""
        return 1.0 - self.spent / max(self.full, 1)

    def to_json(self, precisions: Sequence[object]) -> dict[str, Any]:
        """Plain values, with a sentence."""
        tied = {str(p): list(names) for p, names in zip(precisions, self.tied, strict=True) if names}
        return {"spent": self.spent, "full": self.full, "saved": self.saved, "decided": self.decided, "top": self.top,
                "error": ERROR, "resolution": RESOLUTION, "tied": tied, "words": self._words(tied)}

    def _words(self, tied: dict[str, list[str]]) -> str:
        sure = f" with {100 * (1 - ERROR):.0f} % confidence." if self.decided else ": it needed them."
        said = (f"Racing ran {self.spent:,} of {self.full:,} sample evaluations ({100 * self.saved:.0f} % saved); "
                f"the top {self.top} is that of all samples{sure}")
        for precision, names in tied.items():
            said += f" At {precision} {', '.join(names)} are tied at its border: their difference is below resolution."
        return said + " A cell that left early shows what its samples, the most uncertain first, say of all." * (self.saved > 0)


def looks(total: int) -> list[int]:
    """After how many samples a race is judged."""
    found = [min(FIRST, total)]
    while found[-1] < total:
        found.append(min(total, int(np.ceil(found[-1] * GROWTH / STEP)) * STEP))
    return found


@dataclass
class Heat:
    """The race at one precision: the cells that still run, the places of the top that are open, who has one, who is tied for one."""

    runs: Array
    places: int
    held: set[int] = field(default_factory=set)
    tied: set[int] = field(default_factory=set)
    least: float = np.inf

    def judge(self, scores: Array, sizes: Array, level: float) -> None:
        """Takes out the cells that are decided.

        Args:
            scores: [running cells, samples seen], worse is larger. sizes: of all samples, the seen ones first.
            level: the probability with which one comparison may err.
        """
        means = scores.sum(1) / sizes[: scores.shape[1]].sum()
        self.least = min(self.least, float(means.min()))
        inside, outside = self._sides(means)
        resolution = RESOLUTION * (float(means[inside[-1]]) - self.least)
        apart, tied = _compared(scores[inside], scores[outside], sizes, level, resolution)
        done = apart | tied
        kept, left = np.asarray(done.all(1)), np.asarray(done.all(0))
        for i, j in zip(*np.nonzero(tied & ~apart & kept[:, None] & left), strict=True):
            self.tied |= {int(self.runs[inside[i]]), int(self.runs[outside[j]])}
        self._hold(inside[kept], outside[left])
        if self.places in (0, len(self.runs)):
            self._hold(np.arange(self.places), np.arange(self.places, len(self.runs)))

    def finish(self, scores: Array) -> None:
        """All samples are there: what runs is ranked by its scores."""
        self._hold(*self._sides(scores.sum(1)))

    def _sides(self, means: Array) -> tuple[Array, Array]:
        order = np.argsort(-means, kind="stable")
        return order[: self.places], order[self.places :]

    def _hold(self, inside: Array, outside: Array) -> None:
        self.held |= {int(i) for i in self.runs[inside]}
        self.places -= len(inside)
        self.runs = np.delete(self.runs, np.concatenate([inside, outside]))


def _compared(inside: Array, outside: Array, sizes: Array, level: float, resolution: float) -> tuple[Array, Array]:
    """Whether each pair [inside, outside] is apart, and whether it is surely closer than `resolution`; all by unit of size."""
    seen = inside.shape[1]
    held, whole = sizes[:seen].sum(), sizes.sum()
    pairs = inside[:, None] - outside[None]
    ratio = pairs.sum(2) / held
    variance = (np.square(pairs - ratio[..., None] * sizes[:seen]) / sizes[:seen]).sum(2) / max(seen - 1, 1)
    doubt = float(stdtrit(max(seen - 1, 1), 1 - level)) * np.sqrt(variance * (whole - held) / (held * whole))
    return ratio > doubt, (ratio + doubt < resolution) | ~pairs.any(2)


def race(
    sweep: Sweep, data: Dataset, table: Table, progress: Progress = silent, top: int = TOP, after: Callable[[], None] | None = None
) -> Race:
    """Scores more and more samples; a cell drops out once it is clearly inside or outside the `top` of its precision.

    `data` are in the order of `sizes.hardest_first`; the table holds their sizes.
    """
    total = min(len(data), table.question.samples)
    items, precisions = len(table.items), len(table.question.precisions)
    sizes = np.ones(total) if table.sizes is None else table.sizes[:total]
    heats = [Heat(np.arange(items), min(top, items)) for _ in range(precisions)]
    steps, spent, start, decided = looks(total), 0, 0, False
    for stop in steps:
        running = {(int(i), p) for p, heat in enumerate(heats) for i in heat.runs}
        spent += len(running) * (stop - start)
        sweep.run(data, table, start, stop, part(progress, start / total, stop / total), wants=_among(running), after=after)
        for p, heat in enumerate(heats):
            scores = worse(table, "kl") * table.parts["kl"][heat.runs, p, :stop]
            if len(heat.runs) and stop < total:
                heat.judge(scores, sizes, ERROR / (items * len(steps)))
            elif stop == total:
                heat.finish(scores)
        start, decided = stop, stop < total and not any(len(heat.runs) for heat in heats)
        if decided:
            break
    progress(1.0, "The top is settled" if decided else "All samples were needed")
    best, tied = ([[table.items[i].name for i in sorted(found)] for found in group]
                  for group in ([h.held for h in heats], [h.tied for h in heats]))
    return Race(spent, items * precisions * total, decided, top, tuple(map(frozenset, best)), tuple(map(tuple, tied)))


def _among(running: set[tuple[int, int]]) -> Callable[[int, int], bool]:
    """Whether a cell still runs."""
    return lambda item, precision: (item, precision) in running
