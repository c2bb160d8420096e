"""Kept cuts: tensors at segment boundaries, so that a later run starts there and not at the beginning.

A cut is one boundary of one graph under given encodings before it; it holds the tensors of many batches. What is kept is decided
by worth: the work saved by starting there, for each byte. A cut that was not of use for `HALF_LIFE` runs is worth half, so that
the recipe on the desk wins over those before it. Within a cut the first samples are kept the longest: they are asked for first.
"""
from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field

import onnxruntime as ort

BUDGET = 512 * 1024**2  # bytes of kept tensors in all
HALF_LIFE = 4
Values = dict[str, ort.OrtValue]
Span = tuple[int, int]


@dataclass
class Counts:
    """What the last run did: how many batches it asked for, how many began at a kept cut, the work it skipped of the whole."""

    batches: int = 0
    hits: int = 0
    skipped: float = 0.0
    whole: float = 0.0


@dataclass
class _Cut:
    rate: float  # work saved for each byte
    used: int  # the run that last had to do with it
    batches: dict[Span, tuple[Values, int]] = field(default_factory=dict)


class KeptCuts:
    """Batches of tensors by cut, within a budget of bytes."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget, self.bytes, self.counts = budget, 0, Counts()
        self._cuts: dict[str, _Cut] = {}
        self._order: list[tuple[float, str]] = []  # by worth, the least first
        self._full: set[str] = set()  # cuts for which there is no room in this run
        self._run = 0

    def begin(self, cuts: tuple[str, ...]) -> None:
        """A run begins, on a graph with these cuts: what is kept of them stays young, the others age."""
        self._run += 1
        self.counts = Counts()
        self._full.clear()
        for key in cuts:
            if key in self._cuts:
                self._cuts[key].used = self._run
        self._order = sorted((self._worth(cut), key) for key, cut in self._cuts.items())

    def get(self, key: str, span: Span) -> Values | None:
        """The tensors of a batch at a cut, where they are kept; not to be changed."""
        cut = self._cuts.get(key)
        found = None if cut is None else cut.batches.get(span)
        return None if found is None else found[0]

    def put(self, key: str, span: Span, values: Mapping[str, ort.OrtValue], work: float) -> None:
        """Keeps a batch, if it is worth more than what would have to go. `work`: what starting here saves for it, in any unit."""
        size = sum(int(value.tensor_size_in_bytes()) for value in values.values())
        if key in self._full or size > self.budget or self.get(key, span) is not None:
            return
        rate = work / max(size, 1)
        cut = self._cuts.get(key)
        if not self._make_room(size, rate if cut is None else self._worth(cut)):
            self._full.add(key)
            return
        if cut is None:
            cut = self._cuts[key] = _Cut(rate, self._run)
            insort(self._order, (self._worth(cut), key))
        cut.batches[span] = dict(values), size
        self.bytes += size

    def facts(self) -> dict[str, float]:
        """The last run for a report: the share of batches that began at a kept cut, the share of the work skipped, bytes kept."""
        c = self.counts
        return {"hit_rate": c.hits / max(c.batches, 1), "skipped": c.skipped / max(c.whole, 1.0), "bytes": self.bytes}

    def _worth(self, cut: _Cut) -> float:
        return float(cut.rate * 0.5 ** ((self._run - cut.used) / HALF_LIFE))

    def _make_room(self, size: int, worth: float) -> bool:
        """Drops what is worth less, the last samples first, until there is room; false where that does not do."""
        while self.bytes + size > self.budget:
            least, key = self._order[0] if self._order else (worth, "")
            if least >= worth:
                return False
            batches = self._cuts[key].batches
            self.bytes -= batches.pop(max(batches))[1]
            if not batches:
                del self._cuts[key], self._order[0]
        return True
