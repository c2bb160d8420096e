"""Runs a changed graph from the first node that the change touches, given the values before it.

A change is another `Quantization` beside a base. Everything before the first touched node is the same in
both, so its values are taken from the base's run: a *tail* is a small session from that node to the end
of its segment, followed by the later segments' sessions, which the chain shares among all changes.

Where the values come from, for a tensor that the tail reads:
1. the same encoding in base and change: the value that the base's readers see;
2. otherwise the value before the base's quantizer, rounded by the change's encoding where it has one.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnxruntime as ort
import torch

from engine.graph.cuts import Segment, segment_of
from engine.quant.encoding import Encoding
from engine.sim.chain import Chain, Values
from engine.sim.quantization import Quantization
from engine.sim.segment_session import RAW, SegmentSession, segment_proto


@dataclass(frozen=True)
class Place:
    """A node by its segment and its position in it."""

    segment: int
    position: int


@dataclass(frozen=True)
class _Feed:
    """Where the value of a tensor comes from, and how it is rounded."""

    name: str
    source: str
    encoding: Encoding | None


class Tail:
    """A change, ready to run."""

    def __init__(self, chain: Chain, base: Quantization, change: Quantization, place: Place) -> None:
        self.place, self._chain = place, chain
        self._wanted = frozenset(chain.output_names)
        whole = chain.segments[place.segment]
        part = tail_segment(chain, whole, place.position)
        outputs = tuple(name for name in part.produces if name in self._wanted or name in whole.live or name in _side(chain, whole))
        proto, reads, gives = segment_proto(chain.model, part, change, outputs, chain.constant, chain.nodes)
        self._session = SegmentSession(proto, reads, gives, chain.level, str(chain.model.path or chain.model.name))
        self._later = [(chain.session(s, change, self._wanted) if s.nodes else None, s.index) for s in chain.segments[place.segment + 1:]]
        made = set(part.produces)
        needed = dict.fromkeys((*reads, *(n for n in chain.needs(place.segment + 1) if n not in made)))
        self._feeds = tuple(_feed(name, base, change, chain) for name in needed)

    @property
    def sources(self) -> frozenset[str]:
        """The names of the base's values (with `RAW` where they are wanted before their quantizer) that a run needs."""
        return frozenset(feed.source for feed in self._feeds)

    def run(self, values: Mapping[str, ort.OrtValue]) -> Values:
        """The model's outputs under the change, from the base's values by name."""
        now: Values = {feed.name: values[feed.source] if feed.encoding is None else rounded(values[feed.source], feed.encoding)
                       for feed in self._feeds}
        now.update(self._session.run(now))
        for session, index in self._later:
            if session is not None:
                now.update(session.run(now))
            for name in self._chain.dead_after(index):
                if name not in self._wanted:
                    now.pop(name, None)
        return now


def _side(chain: Chain, segment: Segment) -> frozenset[str]:
    """Segment 0 hands every tensor of its own to whoever reads it; the others only what is live at their end."""
    return chain.needs(1) if segment.index == 0 else frozenset()


def _feed(name: str, base: Quantization, change: Quantization, chain: Chain) -> _Feed:
    before, after = base.activations.get(name), change.activations.get(name)
    if before is after or (before is not None and after is not None and before.key() == after.key()):
        return _Feed(name, name, None)  # rule 1
    return _Feed(name, RAW + name if before is not None else name, after)  # rule 2


def rounded(value: ort.OrtValue, encoding: Encoding) -> ort.OrtValue:
    """A value as a quantizer's readers see it."""
    return ort.OrtValue.ortvalue_from_numpy(encoding.fake_quantize(torch.from_numpy(value.numpy())).numpy())


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
        found = []
        for name in names:
            place = self._maker.get(name) if name in self._outputs else self._first.get(name)
            if place is not None:
                found.append((place.segment, place.position))
        return Place(*min(found)) if found else None


def changed(base: Quantization, change: Quantization) -> tuple[str, ...]:
    """The names whose encoding differs."""
    names = []
    for before, after in ((base.activations, change.activations), (base.constants, change.constants), (base.biases, change.biases)):
        for name in dict.fromkeys((*before, *after)):
            a, b = before.get(name), after.get(name)
            if a is not b and (a is None or b is None or a.key() != b.key()):
                names.append(name)
    return tuple(names)
