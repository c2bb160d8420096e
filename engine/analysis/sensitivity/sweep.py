"""The exact sweep: the graph is walked once a pass, and at each item only what follows it runs again.

Coarse to fine: a pass scores all items on some samples, so the table is complete after the first, short one, and its
intervals shrink with each that follows. Within a pass items come in the order of the graph. Stopping keeps what is there.

* one-on: the base is the float model, a change switches one item on;
* one-off: the base has everything on (once per precision), a change switches one item off;
both read at the model's output, against the float model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np
import onnxruntime as ort

from engine.analysis.sensitivity.budget import Budget, Kept, Plan, groups, plan, samples_a_run, staying
from engine.analysis.sensitivity.candidates import Branch, Candidate, Wants, branches
from engine.analysis.sensitivity.kinds import Array, Item, Question
from engine.analysis.sensitivity.table import Table
from engine.analysis.sensitivity.walk import Walk
from engine.data import Dataset
from engine.progress import Progress, silent
from engine.sim.allocator import give_back
from engine.sim.calibration import fixed_batch
from engine.sim.chain import Chain, Values, batches
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.tails import Places, Suffix, Tail

BATCH = 2  # samples a run on convolutional nets
TOGETHER = 1 << 17  # output values that are scored in one go: more would not stay in the cache
TELL_SECONDS = 0.2
GIVE_BACK = 16 << 20  # bytes of weights
Score = Callable[[Array, Array, Array], dict[str, Array]]
Span = tuple[int, int]


class Sweep:
    """An exact sweep over items and precisions.

    Args:
        quantizations: one for each precision of the question, everything on.
        score: per-sample parts from (float output, output, numbers of the samples), each along the first axis:
            name → array of [n] or [n, 2].
        batch: samples a run that a trial of the float model liked best; the plan has the number for the sweep.
    """

    def __init__(
        self,
        chain: Chain,
        question: Question,
        items: tuple[Item, ...],
        quantizations: list[Quantization],
        score: Score,
        batch: int = BATCH,
        budget: Budget = Budget(),  # noqa: B008 (frozen)
    ) -> None:
        self.chain, self.question, self.items = chain, question, items
        self.score, self.budget = score, budget
        self.branches = branches(question.mode, items, quantizations)
        self._batch = None if fixed_batch(chain) else batch
        self._plan: Plan | None = None
        self._made, self._released = 0, False

    @property
    def plan(self) -> Plan:
        """How the sweep keeps to its budget; the first call finds where each change leaves its base."""
        if self._plan is None:
            places = Places(self.chain)
            kept = [branch.place(self.chain, places).kept for branch in self.branches]
            sessions = [s for branch in self.branches for s in branch.sessions()]
            stay = staying([s.bytes for s in sessions], self.budget.stay)
            for i, session in enumerate(sessions):
                session.stays = i in stay
            most = Kept(*(max(sizes) for sizes in zip(*((k.whole, k.segment, k.cuts) for k in kept), strict=True)))
            batch = 1 if self._batch is None else samples_a_run(self._batch, most.whole)
            self._plan = plan(self.budget, most, len(stay) == len(sessions), batch)
        return self._plan

    def prepare(self) -> None:
        """Makes all sessions that stay now; else each is made when it is first needed."""
        assert self.plan
        for session in (s for branch in self.branches for s in branch.sessions() if s.stays):
            self.make(session)

    def make(self, session: Tail | Suffix) -> None:
        """Makes a session and now and then gives back what making them left: as much again as they hold."""
        self._made += session.make()
        if self._made > GIVE_BACK:
            give_back()
            self._made = 0

    def run(
        self,
        data: Dataset,
        table: Table,
        start: int,
        stop: int,
        progress: Progress = silent,
        wants: Wants = lambda item, precision: True,
        after: Callable[[], None] | None = None,
    ) -> None:
        """Scores samples `start`..`stop` into the table, all wanted cells pass by pass; `after` is called as scores come in."""
        progress(0.0, "Preparing the sweep")
        self._release(data, start)
        for first, last in self.plan.passes(start, stop):
            if any(self._jobs(branch, table, first, last, wants) for branch in self.branches):
                _Pass(self, data, table, first, last, _Ticker(progress, start, stop, first, last), after).run(wants)
            table.samples = max(table.samples, last)
            if after is not None:
                after()

    def _release(self, data: Dataset, sample: int) -> None:
        """Gives back what earlier jobs left in the arena, by one run of the float model on one sample."""
        if not self._released:
            values = {n: ort.OrtValue.ortvalue_from_numpy(a) for n, a in data.batch(sample, sample + 1).items()}
            for session, _ in self.chain.line(FLOAT, frozenset(self.chain.output_names)):
                if session is not None:
                    values.update(session.run(values, shrink=True))
            give_back()
            self._released = True

    def _jobs(self, branch: Branch, table: Table, first: int, last: int, wants: Wants) -> list[Candidate]:
        """The candidates with a wanted cell that lacks a score at one of the samples."""
        return [c for c in branch.candidates if c.wanted(wants) and not _known(table, c, first, last)]


class _Pass:
    """All wanted cells on the samples `first`..`last`."""

    def __init__(
        self, sweep: Sweep, data: Dataset, table: Table, first: int, last: int, tick: _Ticker, after: Callable[[], None] | None
    ) -> None:
        self._sweep, self._table, self._tick, self._after = sweep, table, tick, after
        self._first, self._last = first, last
        self._spans: list[Span] = [(first + a, first + b) for a, b in batches(last - first, sweep.plan.size)]
        self._feeds = [{n: ort.OrtValue.ortvalue_from_numpy(a) for n, a in data.batch(*span).items()} for span in self._spans]
        self._name = sweep.chain.output_names[0]
        self._references: list[Array] = []

    def run(self, wants: Wants) -> None:
        """Branch by branch."""
        jobs = [self._sweep._jobs(branch, self._table, self._first, self._last, wants) for branch in self._sweep.branches]
        self._tick.total = sum(map(len, jobs)) * len(self._spans)
        for branch, candidates in zip(self._sweep.branches, jobs, strict=True):
            if candidates:
                self._branch(branch, candidates)

    def _branch(self, branch: Branch, candidates: list[Candidate]) -> None:
        assert branch.walked is not None
        walk = Walk(branch.walked, self._feeds, self._sweep.plan.whole)
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
            if not self._sweep.plan.resident:
                give_back()

    def _float(self, walk: Walk | None) -> list[Array]:
        """The float model's outputs."""
        if walk is not None:
            return [outputs[self._name] for outputs in walk.outputs]
        chain, wanted = self._sweep.chain, frozenset(self._sweep.chain.output_names)
        return [chain.run_from(0, FLOAT, feeds, wanted)[self._name].numpy() for feeds in self._feeds]

    def _groups(self, candidates: list[Candidate]) -> Iterator[list[Candidate]]:
        """Candidates whose sessions may be held at once."""
        sizes = [0 if _tail(c).stays else _tail(c).bytes for c in candidates]
        for members in groups(sizes, self._sweep.budget.group):
            yield [candidates[i] for i in members]

    def _group(self, walk: Walk, segment: int, candidates: list[Candidate]) -> None:
        """One group over all batches."""
        for k, span in enumerate(self._spans):
            values = walk.values(k, segment)
            todo = [c for c in candidates if not _known(self._table, c, *span)]
            self._keep(todo, [self._output(c, values, span) for c in todo], k, span)
            if self._after is not None:
                self._after()
        for candidate in candidates:
            _tail(candidate).drop()

    def _output(self, candidate: Candidate, values: Values, span: Span) -> Array:
        tail = _tail(candidate)
        self._tick(f"{self._sweep.items[candidate.item].name}, sample {span[0] + 1}")
        for session in (tail.suffix, tail):
            self._sweep.make(session)
        output: Array = tail.run(values)[self._name].numpy()
        return output

    def _keep(self, candidates: list[Candidate], outputs: list[Array], batch: int, span: Span) -> None:
        """Scores outputs, as many in one go as stay in the cache: small ones cost more in calls than in numbers."""
        reference = self._references[batch]
        count = max(1, TOGETHER // max(reference.size, 1))
        for start in range(0, len(outputs), count):
            some = outputs[start : start + count]
            tiled = np.broadcast_to(reference, (len(some), *reference.shape)).reshape(-1, *reference.shape[1:])
            parts = self._sweep.score(tiled, np.concatenate(some), np.tile(np.arange(*span), len(some)))
            for i, candidate in enumerate(candidates[start : start + count]):
                rows = slice(i * len(reference), (i + 1) * len(reference))
                for cell in candidate.cells:
                    self._table.put(*cell, span[0], {name: values[rows] for name, values in parts.items()})


class _Ticker:
    """Progress of a pass among all samples, told a few times a second."""

    def __init__(self, progress: Progress, start: int, stop: int, first: int, last: int) -> None:
        self._progress, self.total, self._done = progress, 1, 0
        self._from, self._share = (first - start) / (stop - start), (last - first) / (stop - start)
        self._told = 0.0

    def __call__(self, message: str) -> None:
        """One change is about to run."""
        self._done += 1
        now = time.monotonic()
        if now - self._told > TELL_SECONDS:
            self._told = now
            self._progress(min(self._from + self._share * self._done / self.total, 1.0), message)


def _tail(candidate: Candidate) -> Tail:
    assert candidate.tail is not None
    return candidate.tail


def _known(table: Table, candidate: Candidate, first: int, last: int) -> bool:
    """Whether the cell already has its scores at these samples, from a cache or an earlier run."""
    kl = table.parts.get("kl")
    return kl is not None and bool(np.isfinite(kl[candidate.item, candidate.precision, first:last]).all())
