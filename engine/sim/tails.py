"""Runs a changed graph from the first node that the change touches, given the values before it.

A change is another `Quantization` beside a base. Everything before the first touched node is the same in
both, so its values are taken from the base's run: a *tail* is a small session from that node to the end
of its segment, followed by the *suffix*, one session of all that comes after, which all changes share.
Segments in between that the change touches too have sessions of their own.

Where the values come from, for a tensor that the tail reads:
1. the same encoding in base and change: the value that the base's readers see;
2. otherwise the value before the base's quantizer, rounded in the tail by the change's encoding where it has one.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnxruntime as ort

from engine.graph.cuts import Segment, segment_of
from engine.sim.chain import Chain, Values
from engine.sim.quantization import Quantization
from engine.sim.segment_session import RAW, SegmentSession


@dataclass(frozen=True, order=True)
class Place:
    """A node by its segment and its position in it."""

    segment: int
    position: int


class Suffix:
    """All nodes from the start of a segment on, in one session, as the base has them.

    One session rather than one a segment: each cut that a run crosses costs about a hundredth of the whole graph.
    `bytes` are those of its weights; `stays` is for its owner to say that it is not to be dropped.
    """

    stays = True

    def __init__(self, chain: Chain, base: Quantization, start: int) -> None:
        self._chain, self._base, self.start = chain, base, start
        self._session: SegmentSession | None = None
        nodes = [chain.model.nodes[name] for segment in chain.segments[start:] for name in segment.nodes]
        self._part = segment_of(start, nodes, set())
        self.bytes = chain.bytes(self._part)
        self.made = frozenset(self._part.produces)

    def make(self) -> int:
        """Makes the session; returns the bytes of weights that it took."""
        if self._session is not None or not self._part.nodes:
            return 0
        outputs = tuple(name for name in self._chain.output_names if name in self.made)
        self._session = self._chain.make(self._part, self._base, outputs, ())
        return self.bytes

    def drop(self) -> None:
        """Frees the session, unless it stays."""
        if not self.stays:
            self._session = None

    def run(self, values: Values) -> Values:
        """The outputs that are made here, from the values that are live before the segment."""
        self.make()
        return {} if self._session is None else self._session.run(values)


class Tail:
    """A change, ready to run. Its sessions are made at the first run, or by `make`; `bytes` and `stays` as for a suffix."""

    stays = True

    def __init__(self, chain: Chain, base: Quantization, change: Quantization, place: Place, suffixes: Mapping[int, Suffix]) -> None:
        """`suffixes` are those of the base by the segment they start at, one for each segment and one behind the last."""
        self.place, self._chain, self._change = place, chain, change
        self._sessions: list[SegmentSession] = []
        last = _last_touched(chain, base, change, place.segment)
        self._parts = (tail_segment(chain, chain.segments[place.segment], place.position), *chain.segments[place.segment + 1 : last + 1])
        self.suffix = suffixes[last + 1]
        self.bytes = sum(chain.bytes(part) for part in self._parts)
        made = {name for part in self._parts for name in part.produces}
        needed = {*self._parts[0].reads, *chain.needs(place.segment + 1), *chain.output_names} - made - self.suffix.made
        self._sources, self._entering = _sources(sorted(needed), base, change)

    @property
    def sources(self) -> frozenset[str]:
        """The names of the base's values (with `RAW` where they are wanted before their quantizer) that a run needs."""
        return frozenset(self._sources.values())

    def make(self) -> int:
        """Makes the sessions; returns the bytes of weights that they took."""
        if self._sessions:
            return 0
        for i, part in enumerate(self._parts):
            later = {*self._chain.needs(part.index + 1), *self._chain.output_names}
            entering = self._entering if i == 0 else ()
            outputs = tuple(name for name in (*part.produces, *entering) if name in later)
            if part.nodes or entering:
                self._sessions.append(self._chain.make(part, self._change, outputs, entering))
        return self.bytes

    def drop(self) -> None:
        """Frees the sessions, unless they stay."""
        if not self.stays:
            self._sessions = []

    def run(self, values: Mapping[str, ort.OrtValue]) -> Values:
        """The model's outputs under the change, from the base's values by name."""
        self.make()
        now: Values = {name: values[source] for name, source in self._sources.items()}
        for session in self._sessions:
            now.update(session.run(now))
        now.update(self.suffix.run(now))
        return {name: now[name] for name in self._chain.output_names}


def _last_touched(chain: Chain, base: Quantization, change: Quantization, first: int) -> int:
    """The last segment from `first` on whose contents the change touches."""
    touched = (s.index for s in chain.segments[first + 1 :] if chain.contents(s, base) != chain.contents(s, change))
    return max(touched, default=first)


def _sources(names: Iterable[str], base: Quantization, change: Quantization) -> tuple[dict[str, str], tuple[str, ...]]:
    """By the rules above: tensor → name of the base's value, and the tensors that the tail rounds."""
    sources: dict[str, str] = {}
    entering = []
    for name in names:
        before, after = base.activations.get(name), change.activations.get(name)
        if before is after or (before is not None and after is not None and before.key() == after.key()):
            sources[name] = name  # rule 1
            continue
        sources[name] = RAW + name if before is not None else name  # rule 2
        if after is not None:
            entering.append(name)
    return sources, tuple(entering)


def tail_segment(chain: Chain, segment: Segment, position: int) -> Segment:
    """The nodes of a segment from `position` on, as a segment of their own."""
    nodes = [chain.model.nodes[name] for name in segment.nodes[position:]]
    return segment_of(segment.index, nodes, set(segment.live))


class Places:
    """Where each tensor and initializer is first read."""

    def __init__(self, chain: Chain) -> None:
        self._first: dict[str, Place] = {}
        self._maker: dict[str, Place] = {}
        for segment in chain.segments:
            for position, name in enumerate(segment.nodes):
                node, place = chain.model.nodes[name], Place(segment.index, position)
                for value in node.inputs:
                    if value is not None:
                        self._first.setdefault(str(value.name), place)
                for value in node.outputs:
                    self._maker[str(value.name)] = place
        self._outputs = frozenset(chain.output_names)

    def first(self, names: Iterable[str]) -> Place | None:
        """The first node that a change of these encodings touches; None when none of them is read.

        An output's quantizer changes what the graph gives, so there the change begins at the node that makes it.
        """
        return min(filter(None, (self._maker.get(n) if n in self._outputs else self._first.get(n) for n in names)), default=None)


def changed(base: Quantization, change: Quantization) -> tuple[str, ...]:
    """The names whose encoding differs."""
    names = []
    for before, after in ((base.activations, change.activations), (base.constants, change.constants), (base.biases, change.biases)):
        for name in dict.fromkeys((*before, *after)):
            a, b = before.get(name), after.get(name)
            if a is not b and (a is None or b is None or a.key() != b.key()):
                names.append(name)
    return tuple(names)
