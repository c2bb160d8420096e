"""What a sweep may keep in memory, and what follows from that: how many samples a run and a pass, and which sessions stay.

Two things take memory: the weights in the sessions of all changes, and the tensors that are kept between runs. Neither
may grow with the number of samples.

* Where the weights of all sessions fit, they stay, and a pass is one run: every run completes the table.
* Where they do not, the small ones stay (they cost the same time to make and hold less) and the others are made, run and
  dropped in groups. A pass then walks over many samples with one group after the other. The first pass is short, so that
  a coarse table is there soon; the others as long as the kept tensors allow, because every pass makes sessions again.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CACHE, MOST, LEAST = 16 << 20, 16, 2  # see `samples_a_run`
FIRST = 16  # samples of the first pass where some sessions are made once a pass


@dataclass(frozen=True)
class Budget:
    """Bytes that a sweep may hold beyond the float model.

    Attributes:
        stay: weights in sessions that stay.
        group: weights in sessions that are made and dropped together, beside those of the one suffix that they share.
        values: tensors that are kept between runs.
    """

    stay: int = 24 << 20
    group: int = 32 << 20
    values: int = 64 << 20


@dataclass(frozen=True)
class Kept:
    """Bytes of the base's tensors for one sample.

    Attributes:
        whole: all that changes start from.
        segment: those made in the largest segment.
        cuts: those that live between segments, over all cuts.
    """

    whole: int
    segment: int
    cuts: int


@dataclass(frozen=True)
class Plan:
    """How a sweep keeps to its budget.

    Attributes:
        size: samples a run.
        resident: whether all sessions stay.
        whole: whether all tensors of a pass are kept; else those at the cuts, and each segment of the base runs again.
        longest: samples of a pass at most.
    """

    size: int
    resident: bool
    whole: bool
    longest: int

    def passes(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Consecutive passes over samples `start`..`stop`, the first one short."""
        length = self.size if self.resident else max(self.size, FIRST)
        while start < stop:
            end = min(stop, start + min(length, self.longest))
            yield start, end
            start, length = end, self.longest


def plan(budget: Budget, kept: Kept, resident: bool, batch: int) -> Plan:
    """The plan for runs of at most `batch` samples; one sample a run is the least, whatever the budget."""
    if resident and kept.whole <= budget.values:
        size = _clamp(budget.values // max(kept.whole, 1), batch)
        return Plan(size, True, True, size)
    size = _clamp(budget.values * 2 // 3 // max(kept.segment, 1), batch)
    if resident:
        return Plan(size, True, False, size)
    free = budget.values - size * kept.segment
    return Plan(size, False, False, max(size, free // max(kept.cuts, 1) // size * size))


def samples_a_run(tried: int, whole: int) -> int:
    """Samples a run for a sweep, where a trial of the float model liked `tried` and one sample's tensors have `whole` bytes.

    A sweep makes many short runs, so small nets take as many samples as stay in the cache, and no net fewer than two:
    one alone pays for reading all weights.
    """
    return max(tried, LEAST, min(MOST, CACHE // max(whole, 1)))


def staying(sizes: Sequence[int], limit: int) -> frozenset[int]:
    """The positions of the smallest sizes that add up to `limit` at most."""
    found, total = set[int](), 0
    for i in sorted(range(len(sizes)), key=lambda i: sizes[i]):
        total += sizes[i]
        if total > limit:
            break
        found.add(i)
    return frozenset(found)


def _clamp(fits: int, batch: int) -> int:
    return max(1, min(batch, fits))


def groups(sizes: Sequence[int], limit: int) -> Iterator[range]:
    """Consecutive runs of positions whose sizes add up to `limit` at most; one that is larger stands alone."""
    start, total = 0, 0
    for i, size in enumerate(sizes):
        if i > start and total + size > limit:
            yield range(start, i)
            start, total = i, 0
        total += size
    if sizes:
        yield range(start, len(sizes))
