"""The changes that a sweep runs: one for each cell, equal ones once."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engine.analysis.sensitivity.items import switched_off, switched_on
from engine.analysis.sensitivity.kinds import Item, Mode
from engine.analysis.sensitivity.walk import Base
from engine.sim.chain import Chain
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.tails import Places, Suffix, Tail, changed

Wants = Callable[[int, int], bool]


@dataclass
class Candidate:
    """One cell of the table: an item at a precision, as a change of a base. `tail` is None where the change touches nothing."""

    item: int
    precision: int
    change: Quantization
    key: tuple[str, ...]
    tail: Tail | None = None
    twins: list[tuple[int, int]] = field(default_factory=list)

    @property
    def cells(self) -> tuple[tuple[int, int], ...]:
        """The cells that have this change's score: (item, precision) each."""
        return ((self.item, self.precision), *self.twins)

    def wanted(self, wants: Wants) -> bool:
        """Whether any of its cells is wanted."""
        return any(wants(*cell) for cell in self.cells)


@dataclass
class Branch:
    """A base and the candidates that leave it, in the order of their places.

    `walked` is made by `place`; before that the tails are not known.
    """

    quantization: Quantization
    candidates: list[Candidate]
    walked: Base | None = None
    suffixes: dict[int, Suffix] = field(default_factory=dict)

    def place(self, chain: Chain, places: Places) -> Base:
        """Finds where each candidate leaves the base; makes no session but the base's own."""
        if self.walked is not None:
            return self.walked
        self.suffixes = {start: Suffix(chain, self.quantization, start) for start in range(len(chain.segments) + 1)}
        sources: dict[int, frozenset[str]] = {}
        for candidate in self.candidates:
            place = places.first(changed(self.quantization, candidate.change))
            if place is not None:
                candidate.tail = Tail(chain, self.quantization, candidate.change, place, self.suffixes)
                sources[place.segment] = sources.get(place.segment, frozenset()) | candidate.tail.sources
        self.candidates.sort(key=_order)
        self.walked = Base(chain, self.quantization, sources)
        return self.walked

    def sessions(self) -> list[Tail | Suffix]:
        """What holds weights: every tail, and every suffix once."""
        tails = [c.tail for c in self.candidates if c.tail is not None]
        return [*tails, *{id(t.suffix): t.suffix for t in tails}.values()]


def _order(candidate: Candidate) -> tuple[int, int, int]:
    """Those that touch nothing first; then by segment, and in it those that share a suffix together."""
    tail = candidate.tail
    return (-1, -1, -1) if tail is None else (tail.place.segment, tail.suffix.start, tail.place.position)


def branches(mode: Mode, items: tuple[Item, ...], quantizations: list[Quantization]) -> list[Branch]:
    """One base for one-on (float), one per precision for one-off; equal changes are run once and shared by their cells."""
    switch = switched_on if mode == "one-on" else switched_off
    found: list[Branch] = []
    for p, quantization in enumerate(quantizations):
        if mode == "one-off" or not found:
            found.append(Branch(quantization if mode == "one-off" else FLOAT, []))
        branch = found[-1]
        known = {c.key: c for c in branch.candidates}
        for i, item in enumerate(items):
            change = switch(quantization, item)
            key = _content(change, branch.quantization)
            if key in known:
                known[key].twins.append((i, p))
            else:
                known[key] = Candidate(i, p, change, key)
                branch.candidates.append(known[key])
    return found


def _content(change: Quantization, base: Quantization) -> tuple[str, ...]:
    names = changed(base, change)
    every = {**change.activations, **change.constants, **change.biases}
    return tuple(sorted(f"{n}={every[n].key() if n in every else 'float'}" for n in names))
