"""The base of a sweep run over the batches of a pass, and the values that changes start from."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from engine.analysis.sensitivity.budget import Kept
from engine.analysis.sensitivity.kinds import Array
from engine.sim.chain import Chain, Values
from engine.sim.quantization import Quantization
from engine.sim.segment_session import RAW

Sources = Mapping[int, frozenset[str]]


class Base:
    """A graph that is walked: its sessions and what must be kept of its run.

    Args:
        sources: segment → the values of the base that the changes which start in this segment need.
    """

    def __init__(self, chain: Chain, quantization: Quantization, sources: Sources) -> None:
        self.chain, self.quantization = chain, quantization
        every = frozenset().union(*sources.values())
        outputs = frozenset(chain.output_names)
        self._line = chain.line(quantization, outputs | every)
        self._raw = tuple(name for name in every if name.startswith(RAW) and name.removeprefix(RAW) in {i.name for i in chain.model.inputs})
        self.starts = tuple(sorted(sources))
        made = [frozenset(session.gives) if session else frozenset() for session, _ in self._line]
        before = frozenset(i.name for i in chain.model.inputs).union(self._raw)
        self.alive: list[frozenset[str]] = []
        for segment in chain.segments:
            self.alive.append(before & self._needed(sources, segment.index))
            before |= made[segment.index]
        light = [chain.needs(segment.index) | outputs for segment in chain.segments]
        self._light = chain.line(quantization, outputs) if all(a <= b for a, b in zip(self.alive, light, strict=True)) else self._line
        self.kept = Kept(sum(map(self._bytes, frozenset().union(*made))), max((sum(map(self._bytes, names)) for names in made), default=0),
                         sum(self._bytes(name) for start in self.starts for name in self.alive[start]))

    def _needed(self, sources: Sources, index: int) -> frozenset[str]:
        """What the base from segment `index` on reads, and the changes that start there or later."""
        return self.chain.needs(index).union(self.chain.output_names, *(names for at, names in sources.items() if at >= index))

    def _bytes(self, name: str) -> int:
        return 4 * math.prod(self.chain.model.shapes.get(name.removeprefix(RAW), ()))

    def feeds(self, values: Values) -> Values:
        """Model inputs as fed, also under the names that ask for them before their quantizer."""
        return {**values, **{name: values[name.removeprefix(RAW)] for name in self._raw}}

    def segment(self, index: int, values: Values, cuts: bool = False) -> None:
        """Runs one segment and adds what it gives to `values`; with `cuts` what later segments need is enough."""
        session, _ = (self._light if cuts else self._line)[index]
        if session is not None:
            values.update(session.run(values))


class Walk:
    """The base's values for the batches of one pass."""

    def __init__(self, base: Base, feeds: Sequence[Values], whole: bool) -> None:
        """Runs the base to its end over every batch. `whole`: all values stay; else those at the starts of segments."""
        self._base, self._whole = base, whole
        self._kept: list[dict[int, Values]] = []
        self.outputs: list[dict[str, Array]] = []
        for batch in feeds:
            values, at = base.feeds(batch), dict[int, Values]()
            for segment in base.chain.segments:
                if not whole:
                    values = {name: value for name, value in values.items() if name in base.alive[segment.index]}
                    if segment.index in base.starts:
                        at[segment.index] = dict(values)
                base.segment(segment.index, values, cuts=not whole)
            self._kept.append({-1: values} if whole else at)
            self.outputs.append({name: values[name].numpy() for name in base.chain.output_names})

    def values(self, batch: int, segment: int) -> Values:
        """The values that changes which start in `segment` need; where they were not kept the segment runs again."""
        if self._whole:
            return self._kept[batch][-1]
        values = dict(self._kept[batch][segment])
        self._base.segment(segment, values)
        return values

    def forget(self, segment: int) -> None:
        """Frees what was kept for a segment."""
        for kept in self._kept:
            kept.pop(segment, None)
