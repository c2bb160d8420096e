"""What does it take? Moves that bring a recipe nearer to its target, each with what it wins and costs, ranked.

Bits are predicted: the corrected sum of scores says what wider layers win. Other moves (a calibration method, a step) change the
scores themselves, so they are tried, and their gain is measured; what takes minutes is estimated from a brief run. Either way
a move is a recipe: trying it is one edit, and so is taking it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from engine.errors import BadInput
from engine.mixed.goal import Goal
from engine.mixed.solve import Solver
from engine.mixed.space import COLUMNS, SCORE, Choice, Group, Space

BITS = (1, 2, 3, 5, 8)  # so many groups are widened at once
Kind = Literal["bits", "method", "step"]


@dataclass(frozen=True)
class Move:
    """One thing to try.

    Attributes:
        title: for a person.
        recipe: the whole recipe with the move, as plain values.
        changes: (key, before, after) of what differs.
        kl: the recipe's KL with it, predicted, measured or estimated; None where it is not known.
        gain: what it takes off the KL, in nats per sample; above 0 is better.
        size_bytes, bops: what it adds (below 0 it saves).
        seconds: that it takes to run once; None for bits, which take none.
        known: whether `kl` and `seconds` are predicted from scores, measured, or estimated from a brief run.
        reaches: whether the KL comes within the target's.
    """

    kind: Kind
    title: str
    recipe: Mapping[str, Any]
    changes: tuple[tuple[str, str, str], ...]
    kl: float | None
    gain: float | None
    size_bytes: float
    bops: float
    seconds: float | None
    known: Literal["predicted", "measured", "estimate", "unknown"]
    reaches: bool = False

    def to_json(self) -> dict[str, Any]:
        plain = {**self.__dict__, "recipe": dict(self.recipe)}
        return plain | {"changes": [{"key": k, "before": b, "after": a} for k, b, a in self.changes]}


def ranked(moves: Iterable[Move], cap: float) -> list[Move]:
    """Those that reach the target first, the cheapest in bytes, then in seconds, foremost; the others by their gain; unknown ones last."""
    def order(move: Move) -> tuple[bool, bool, float, float]:
        cheap = (move.size_bytes, move.seconds or 0.0) if move.reaches else (-(move.gain or 0.0), 0.0)
        return not move.reaches, move.gain is None, *cheap

    return sorted((replace(m, reaches=m.kl is not None and m.kl <= cap) for m in moves), key=order)


def wider(space: Space, choice: Choice) -> Space:
    """The space in which no layer gets fewer bits than it has, of weights or activations."""
    def keeps(place: int, option: int) -> bool:
        have, other = (space.places[place].options[o].precision for o in (choice[place], option))
        return other.weights.bits >= have.weights.bits and other.activations.bits >= have.activations.bits

    groups = []
    for group in space.groups:
        modes = [tuple(tuple(o for o in allowed if keeps(p, o)) for p, allowed in zip(group.places, mode, strict=True))
                 for mode in group.modes]
        groups.append(Group(group.places, tuple(m for m in modes if all(m)), group.why))
    return replace(space, groups=tuple(groups))


def wider_choices(space: Space, choice: Choice, cap: float) -> list[tuple[str, Choice]]:
    """Choices that widen the few groups that win the most for their bytes, and the cheapest one within the cap if bits alone can do it."""
    open_space = wider(space, choice)
    found: list[tuple[str, Choice]] = []
    single = []
    for number, group in enumerate(open_space.groups):
        for mode in group.modes:
            for option in _ways(group, mode, choice, open_space):
                delta = sum(space.table[p, o] - space.table[p, choice[p]] for p, o in zip(group.places, option, strict=True))
                if delta[SCORE] < 0:
                    single.append((-float(delta[SCORE]), float(delta[1]), float(delta[2]), number, option))
    best: dict[int, tuple[float, float, float, int, Choice]] = {}
    for entry in sorted(single, key=lambda e: (-e[0], e[1], e[2])):
        best.setdefault(entry[3], entry)
    order = sorted(best.values(), key=lambda e: -e[0] / max(e[1] + e[2] / 1e3, 1.0))
    by_gain = sorted(best.values(), key=lambda e: -e[0])
    for count in BITS:
        for entries in (by_gain[:count], order[:count]):
            if len(entries) == count:
                found.append((f"{count} wider", _with(space, choice, entries)))
    try:
        solved = Solver([open_space]).exact(Goal({"score": cap}, "size_bytes"), 2.0).solution.choice
        found.append(("bits alone", solved))
    except BadInput:
        pass
    return list({c: (t, c) for t, c in found if c != choice}.values())


def _ways(group: Group, mode: tuple[tuple[int, ...], ...], choice: Choice, space: Space) -> list[Choice]:
    """For each option of the first layer, the others at theirs where they may have it, else the least noisy."""
    if len(group.places) == 1:
        return [(o,) for o in mode[0] if o != choice[group.places[0]]]
    now = tuple(choice[p] if choice[p] in allowed else min(allowed, key=lambda o: float(space.table[p, o, 1]))
                for p, allowed in zip(group.places, mode, strict=True))
    best = tuple(min(allowed, key=lambda o: float(space.table[p, o, SCORE])) for p, allowed in zip(group.places, mode, strict=True))
    return [w for w in dict.fromkeys((now, best)) if any(w[i] != choice[p] for i, p in enumerate(group.places))]


def _with(space: Space, choice: Choice, entries: list[tuple[float, float, float, int, Choice]]) -> Choice:
    found = list(choice)
    for _, _, _, number, option in entries:
        for place, o in zip(space.groups[number].places, option, strict=True):
            found[place] = o
    return tuple(found)


def differences(space: Space, before: Choice, after: Choice) -> tuple[tuple[str, str, str], ...]:
    """(layer, precision before, after) of what a choice changes."""
    pairs = zip(space.places, before, after, strict=True)
    return tuple((f"layers.{p.name}", str(p.options[a].precision), str(p.options[b].precision)) for p, a, b in pairs if a != b)


def column(totals: np.ndarray, name: str) -> float:
    """A total by the name of its column."""
    return float(totals[COLUMNS.index(name)])
