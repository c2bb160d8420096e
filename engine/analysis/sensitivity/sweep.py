"""The exact sweep: the graph is walked once a batch, and at each item only what follows it runs again.

Results come batch by batch for all items, so the first numbers are there after the first batch and
their intervals shrink while one watches. Stopping keeps what is there.

* one-on: the base is the float model, a change switches one item on;
* one-off: the base has everything on (once per precision), a change switches one item off;
both read at the model's output, against the float model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import onnxruntime as ort

from engine.analysis.sensitivity.items import switched_off, switched_on
from engine.analysis.sensitivity.kinds import Array, Item, Question
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset
from engine.progress import Progress, part, silent
from engine.sim.calibration import fixed_batch
from engine.sim.chain import Chain, Values, batches
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.segment_session import RAW
from engine.sim.tails import Places, Tail, changed

BATCH = 2  # samples a run on convolutional nets; the tensors of one segment are all that is held
Wants = Callable[[int, int], bool]


@dataclass
class Candidate:
    """One cell of the table: an item at a precision, as a change of a base."""

    item: int
    precision: int
    change: Quantization
    key: tuple[str, ...]
    tail: Tail | None = None
    twins: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Base:
    """A graph that is walked, and the candidates that leave it at each segment."""

    quantization: Quantization
    candidates: list[Candidate]
    at: dict[int, list[Candidate]] = field(default_factory=dict)
    wanted: frozenset[str] = frozenset()
    alive: list[frozenset[str]] = field(default_factory=list)


class Sweep:
    """An exact sweep over items and precisions.

    Args:
        quantizations: one for each precision of the question, everything on.
        score: per-sample parts from (float output, output, first sample): name → array of [n] or [n, 2].
    """

    def __init__(
        self,
        chain: Chain,
        question: Question,
        items: tuple[Item, ...],
        quantizations: list[Quantization],
        score: Callable[[Array, Array, int], dict[str, Array]],
        batch: int = BATCH,
    ) -> None:
        self.chain, self.question, self.items = chain, question, items
        self.score = score
        self.batch = 1 if fixed_batch(chain) else batch
        switch = switched_on if question.mode == "one-on" else switched_off
        self.bases = self._bases(quantizations, switch)

    def _bases(self, quantizations: list[Quantization], switch: Callable[[Quantization, Item], Quantization]) -> list[Base]:
        """One base for one-on (float), one per precision for one-off; equal changes are run once and shared by their cells."""
        bases: list[Base] = []
        for p, quantization in enumerate(quantizations):
            if self.question.mode == "one-off" or not bases:
                bases.append(Base(quantization if self.question.mode == "one-off" else FLOAT, []))
            base = bases[-1]
            known = {c.key: c for c in base.candidates}
            for i, item in enumerate(self.items):
                change = switch(quantization, item)
                key = _content(change, base.quantization)
                if key in known:
                    known[key].twins.append((i, p))
                else:
                    known[key] = Candidate(i, p, change, key)
                    base.candidates.append(known[key])
        return bases

    def prepare(self, progress: Progress = silent, wants: Wants = lambda item, precision: True) -> None:
        """Makes the sessions of all candidates that are wanted and not yet made."""
        places = Places(self.chain)
        todo = [(b, c) for b in self.bases for c in b.candidates if c.tail is None and self._wanted(c, wants)]
        for n, (base, candidate) in enumerate(todo):
            progress(n / len(todo), f"Preparing {self.items[candidate.item].name}")
            place = places.first(changed(base.quantization, candidate.change))
            if place is not None:
                candidate.tail = Tail(self.chain, base.quantization, candidate.change, place)
        for base in self.bases:
            self._index(base)

    def _index(self, base: Base) -> None:
        base.at = defaultdict(list)
        sources: set[str] = set()
        for candidate in base.candidates:
            if candidate.tail is not None:
                base.at[candidate.tail.place.segment].append(candidate)
                sources |= candidate.tail.sources
        base.wanted = frozenset((*self.chain.output_names, *sources))
        base.alive = [self._alive(base, segment.index) for segment in self.chain.segments]

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
        """Scores samples `start`..`stop` into the table, all wanted cells batch by batch."""
        self.prepare(lambda f, m: progress(0.15 * f, m), wants)
        for begin, end in batches(stop - start, self.batch):
            first, last = start + begin, start + end
            if all(_known(table, c, first) for b in self.bases for c in b.candidates if self._wanted(c, wants)):
                table.samples = max(table.samples, last)
                continue
            feeds = {n: ort.OrtValue.ortvalue_from_numpy(a) for n, a in data.batch(first, last).items()}
            name = self.chain.output_names[0]
            reference = self.chain.run_from(0, FLOAT, feeds, frozenset(self.chain.output_names))[name].numpy()
            share = part(progress, 0.15 + 0.85 * begin / (stop - start), 0.15 + 0.85 * end / (stop - start))
            for base in self.bases:
                self._walk(base, feeds, reference, first, table, wants, share)
            table.samples = max(table.samples, last)
            if after is not None:
                after()

    def _walk(
        self, base: Base, feeds: Values, reference: Array, first: int, table: Table, wants: Wants, progress: Progress
    ) -> None:
        """One batch: the base's segments in order, each item's tail as soon as the values that it needs are there."""
        values = dict(feeds)
        count = len(self.chain.segments)
        name = self.chain.output_names[0]
        for segment in self.chain.segments:
            progress(segment.index / count, f"Sample {first}")
            held = dict(values)
            session, _ = self.chain.line(base.quantization, base.wanted)[segment.index]
            if session is not None:
                values.update(session.run(values))
            here = {**held, **values}
            for candidate in base.at[segment.index]:
                if candidate.tail is not None and self._wanted(candidate, wants) and not _known(table, candidate, first):
                    found = candidate.tail.run(_with_raw(here, candidate.tail.sources))[name].numpy()
                    self._keep(candidate, reference, found, first, table)
            values = {n: v for n, v in values.items() if n in base.alive[segment.index]}
        untouched = values[name].numpy() if name in values else reference
        for candidate in base.candidates:
            if candidate.tail is None and self._wanted(candidate, wants) and not _known(table, candidate, first):
                self._keep(candidate, reference, untouched, first, table)

    def _alive(self, base: Base, index: int) -> frozenset[str]:
        """What a later segment of the base, or a tail that starts there, reads."""
        later = set(self.chain.needs(index + 1)) | set(self.chain.output_names)
        for segment, candidates in base.at.items():
            if segment > index:
                later |= {s for c in candidates if c.tail for s in c.tail.sources}
        return frozenset(later)

    def _keep(self, candidate: Candidate, reference: Array, found: Array, first: int, table: Table) -> None:
        parts = self.score(reference, found, first)
        for item, precision in ((candidate.item, candidate.precision), *candidate.twins):
            table.put(item, precision, first, parts)

    def _wanted(self, candidate: Candidate, wants: Wants) -> bool:
        return any(wants(i, p) for i, p in ((candidate.item, candidate.precision), *candidate.twins))


def _with_raw(values: Values, sources: Iterable[str]) -> Values:
    """Model inputs before their quantizer are the fed values themselves."""
    missing = [s for s in sources if s not in values and s.startswith(RAW)]
    return {**values, **{s: values[s.removeprefix(RAW)] for s in missing}} if missing else values


def _known(table: Table, candidate: Candidate, first: int) -> bool:
    """Whether the cell already has its score at this sample, from a cache or an earlier run."""
    kl = table.parts.get("kl")
    return kl is not None and bool(np.isfinite(kl[candidate.item, candidate.precision, first]))


def _content(change: Quantization, base: Quantization) -> tuple[str, ...]:
    names = changed(base, change)
    every = {**change.activations, **change.constants, **change.biases}
    return tuple(sorted(f"{n}={every[n].key() if n in every else 'float'}" for n in names))
