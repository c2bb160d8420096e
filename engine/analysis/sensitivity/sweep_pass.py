"""One pass of a sweep: all cells that are asked for, on some of the samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import onnxruntime as ort

from engine.analysis.sensitivity.budget import Plan, groups
from engine.analysis.sensitivity.candidates import Branch, Candidate
from engine.analysis.sensitivity.kinds import Array, Item
from engine.analysis.sensitivity.table import Table
from engine.analysis.sensitivity.walk import Walk
from engine.data import Dataset
from engine.progress import Progress
from engine.sim.allocator import give_back
from engine.sim.chain import Chain, Values, batches
from engine.sim.quantization import FLOAT
from engine.sim.tails import Suffix, Tail

TOGETHER = 1 << 17  # output values that are scored in one go: more would not stay in the cache
TELL_SECONDS = 0.2
Score = Callable[[Array, Array, Array], dict[str, Array]]
Span = tuple[int, int]


@dataclass(frozen=True)
class Tools:
    """What all passes of a sweep share.

    Attributes:
        group: bytes of weights in sessions that are held together where not all stay.
        make: makes a session. after: called as scores come in.
    """

    chain: Chain
    items: tuple[Item, ...]
    score: Score
    plan: Plan
    group: int
    make: Callable[[Tail | Suffix], None]
    after: Callable[[], None]


class Pass:
    """All wanted cells on the samples `first`..`last`."""

    def __init__(self, tools: Tools, data: Dataset, table: Table, first: int, last: int, tick: Ticker) -> None:
        self._tools, self._table, self._tick = tools, table, tick
        self._spans: list[Span] = [(first + a, first + b) for a, b in batches(last - first, tools.plan.size)]
        self._feeds = [{n: ort.OrtValue.ortvalue_from_numpy(a) for n, a in data.batch(*span).items()} for span in self._spans]
        self._name = tools.chain.output_names[0]
        self._references: list[Array] = []

    def run(self, jobs: Sequence[tuple[Branch, list[Candidate]]]) -> None:
        """Branch by branch, the candidates that are to be scored."""
        self._tick.total = sum(len(candidates) for _, candidates in jobs) * len(self._spans)
        for branch, candidates in jobs:
            if candidates:
                self._branch(branch, candidates)

    def _branch(self, branch: Branch, candidates: list[Candidate]) -> None:
        assert branch.walked is not None
        walk = Walk(branch.walked, self._feeds, self._tools.plan.whole)
        if not self._references:
            self._references = self._float(walk if branch.quantization is FLOAT else None)
        for k, span in enumerate(self._spans):
            for candidate in (c for c in candidates if c.tail is None):
                self._keep([candidate], [walk.outputs[k][self._name]], k, span)
        for segment, members in groupby((c for c in candidates if c.tail is not None), lambda c: _tail(c).place.segment):
            for _, alike in groupby(members, lambda c: _tail(c).suffix.start):
                for group in self._groups(list(alike)):
                    self._group(walk, segment, group)
                    last = _tail(group[0]).suffix
                last.drop()
            walk.forget(segment)

    def _float(self, walk: Walk | None) -> list[Array]:
        """The float model's outputs."""
        if walk is not None:
            return [outputs[self._name] for outputs in walk.outputs]
        chain, wanted = self._tools.chain, frozenset(self._tools.chain.output_names)
        return [chain.run_from(0, FLOAT, feeds, wanted)[self._name].numpy() for feeds in self._feeds]

    def _groups(self, candidates: list[Candidate]) -> Iterator[list[Candidate]]:
        """Candidates whose sessions may be held at once."""
        sizes = [0 if _tail(c).stays else _tail(c).bytes for c in candidates]
        for members in groups(sizes, self._tools.group):
            yield [candidates[i] for i in members]

    def _group(self, walk: Walk, segment: int, candidates: list[Candidate]) -> None:
        """One group over all batches."""
        for k, span in enumerate(self._spans):
            values = walk.values(k, segment)
            todo = [c for c in candidates if not known(self._table, c, *span)]
            self._keep(todo, [self._output(c, values, span) for c in todo], k, span)
            self._tools.after()
        for candidate in candidates:
            _tail(candidate).drop()
        if not self._tools.plan.resident:
            give_back()

    def _output(self, candidate: Candidate, values: Values, span: Span) -> Array:
        tail = _tail(candidate)
        self._tick(f"{self._tools.items[candidate.item].name}, sample {span[0] + 1}")
        for session in (tail.suffix, tail):
            self._tools.make(session)
        output: Array = tail.run(values)[self._name].numpy()
        return output

    def _keep(self, candidates: list[Candidate], outputs: list[Array], batch: int, span: Span) -> None:
        """Scores outputs, as many in one go as stay in the cache: small ones cost more in calls than in numbers."""
        reference = self._references[batch]
        count = max(1, TOGETHER // max(reference.size, 1))
        for start in range(0, len(outputs), count):
            some = outputs[start : start + count]
            tiled = np.broadcast_to(reference, (len(some), *reference.shape)).reshape(-1, *reference.shape[1:])
            parts = self._tools.score(tiled, np.concatenate(some), np.tile(np.arange(*span), len(some)))
            for i, candidate in enumerate(candidates[start : start + count]):
                rows = slice(i * len(reference), (i + 1) * len(reference))
                for cell in candidate.cells:
                    self._table.put(*cell, span[0], {name: values[rows] for name, values in parts.items()})
        if candidates:
            self._table.samples = max(self._table.samples, span[1])


class Ticker:
    """Progress of a pass among all samples, told a few times a second."""

    def __init__(self, progress: Progress, before: float, share: float) -> None:
        self._progress, self.total, self._done = progress, 1, 0
        self._before, self._share, self._told = before, share, 0.0

    def __call__(self, message: str) -> None:
        """One change is about to run."""
        self._done += 1
        now = time.monotonic()
        if now - self._told > TELL_SECONDS:
            self._told = now
            self._progress(min(self._before + self._share * self._done / self.total, 1.0), message)


def _tail(candidate: Candidate) -> Tail:
    assert candidate.tail is not None
    return candidate.tail


def known(table: Table, candidate: Candidate, first: int, last: int) -> bool:
    """Whether the cell already has its scores at these samples, from a cache or an earlier run."""
    kl = table.parts.get("kl")
    return kl is not None and bool(np.isfinite(kl[candidate.item, candidate.precision, first:last]).all())
