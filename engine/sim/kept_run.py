"""Runs a quantized graph batch by batch from the latest kept cut, and keeps the cuts that it passes.

Cut `i` lies behind segment `i`. Two recipes have it in common when all encodings of the segments up to it are equal, so its key is a
hash of these: an edit leaves the cuts before it valid, and going back finds those that were kept then. Segment 0, the side, is run
again where a later one reads it; it costs next to nothing. Every number is the one that a full run gives, bit by bit.
"""
from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

import numpy as np
import onnxruntime as ort

from engine.graph.cuts import Segment
from engine.sim.chain import Chain
from engine.sim.kept_cuts import KeptCuts, Span, Values
from engine.sim.quantization import Quantization

Feeds = Callable[[], Mapping[str, np.ndarray]]


class Boundaries:
    """Facts of a chain that no encoding changes: which tensors a cut must hold, and the work that lies before it."""

    def __init__(self, chain: Chain) -> None:
        first = chain.segments[0]
        self.side = frozenset((*first.produces, *(i.name for i in chain.model.inputs)))
        self.needs = [chain.needs(segment.index + 1) for segment in chain.segments]
        macs = {layer.name: layer.macs for layer in chain.model.layers}
        self.work: list[float] = []
        total = 0.0
        for segment in chain.segments:
            values = sum(math.prod(chain.model.shapes.get(name, ())) for name in segment.produces)
            total += values + sum(macs.get(name, 0) for name in segment.nodes)
            self.work.append(total)


class KeptRun:
    """One quantization on one chain. `scope` names the graph and the data: what has another one is never mixed up."""

    def __init__(self, chain: Chain, quantization: Quantization, kept: KeptCuts, boundaries: Boundaries, scope: str) -> None:
        self.chain, self.quantization, self.kept = chain, quantization, kept
        self._boundaries, self._scope = boundaries, scope
        self._wanted = frozenset(chain.output_names)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The key of each cut."""
        digest = hashlib.sha256(self._scope.encode())
        found = []
        for segment in self.chain.segments:
            digest.update(repr(self.chain.contents(segment, self.quantization)).encode())
            found.append(digest.hexdigest()[:32])
        return tuple(found)

    def run(self, span: Span, feeds: Feeds) -> dict[str, np.ndarray]:
        """The model's outputs on the samples `span`; `feeds` gives its inputs, and is not asked where they are not needed."""
        last, start = len(self.keys) - 1, self._latest(span, len(self.keys))
        counts, work = self.kept.counts, self._boundaries.work
        counts.batches, counts.hits, counts.whole = counts.batches + 1, counts.hits + (start >= 0), counts.whole + work[last]
        counts.skipped += work[start] if start >= 0 else 0.0
        values = self._at(start, span, feeds)
        for index in range(start + 1, last + 1):
            values = self._through(index, span, values)
        return {name: values[name].numpy() for name in self.chain.output_names}

    def walk(self, first: int, span: Span, feeds: Feeds) -> Iterator[tuple[Segment, Values]]:
        """Segments from `first` on, each with the values before it."""
        start = self._latest(span, first)
        values = self._at(start, span, feeds)
        for index in range(start + 1, len(self.keys)):
            if index >= first:
                yield self.chain.segments[index], values
            if index + 1 == len(self.keys):
                return
            held = self.kept.get(self.keys[index], span) if index else None
            values = self._through(index, span, values) if held is None else self._beside(values) | held

    def _latest(self, span: Span, stop: int) -> int:
        """The last cut before cut `stop` that is kept for a batch; -1 without any."""
        return next((i for i in reversed(range(stop)) if self.kept.get(self.keys[i], span) is not None), -1)

    def _at(self, cut: int, span: Span, feeds: Feeds) -> Values:
        """The values behind a kept cut, with those of the side that are still to be read; the model's inputs for -1."""
        held = None if cut < 0 else self.kept.get(self.keys[cut], span)
        if held is not None and not self._boundaries.needs[cut] & self._boundaries.side:
            return dict(held)
        values = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in feeds().items()}
        if held is None:
            return values
        return self._beside(self._pass(0, values)) | held

    def _beside(self, values: Values) -> Values:
        return {name: value for name, value in values.items() if name in self._boundaries.side}

    def _through(self, index: int, span: Span, values: Values) -> Values:
        """Runs a segment and keeps the cut behind it."""
        values = self._pass(index, values)
        needed = self._boundaries.needs[index] - self._boundaries.side
        live = {name: value for name, value in values.items() if name in needed or name in self._wanted}
        if index and (live or index + 1 == len(self.keys)):
            self.kept.put(self.keys[index], span, live, self._boundaries.work[index] * (span[1] - span[0]))
        return values

    def _pass(self, index: int, values: Values) -> Values:
        session, dead = self.chain.line(self.quantization, self._wanted)[index]
        values = values if session is None else values | session.run(values)
        return {name: value for name, value in values.items() if name not in dead}
