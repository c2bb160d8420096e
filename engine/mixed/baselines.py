"""Two procedures to compare with, on the same groups, the same recipes and the same way of measuring.

`amp` is the procedure of AIMET's automatic mixed precision. Phase 1 scores each group at each candidate alone; phase 2 goes
down the list, from the least harmful entry on, puts each group to its candidate on top of what was changed before, and
measures each time. `reverse` begins with all groups at the cheapest candidate and goes up the list.
`lite` keeps the cheapest candidate and puts the worst share of the groups at the widest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.mixed.space import COLUMNS, Choice, Space
from engine.mixed.trial import Measure, Trial
from engine.progress import Progress, part, silent
from engine.quant.precision import Precision

Entry = tuple[float, int, int]  # score alone (KL), group, candidate
Scores = Mapping[tuple[int, int], float]  # (group, candidate) → KL with that group alone quantized


@dataclass(frozen=True)
class Baseline:
    """What a procedure measured, in its order, and what that cost: runs of the whole network on all samples."""

    trials: tuple[Trial, ...]
    evaluations: int


def widest_first(candidates: Sequence[Precision]) -> tuple[Precision, ...]:
    """The candidates as a procedure goes through them."""
    return tuple(sorted(candidates, key=lambda p: -p.weights.bits * p.activations.bits))


class Moves:
    """The candidates of every group, the widest first; a group moves as a whole."""

    def __init__(self, space: Space, candidates: Sequence[Precision]) -> None:
        self.space = space
        self.uniform = [space.uniform(p) for p in widest_first(candidates)]

    def put(self, choice: Choice, group: int, candidate: int) -> Choice:
        """The choice with one group at a candidate."""
        found = list(choice)
        for place in self.space.groups[group].places:
            found[place] = self.uniform[candidate][place]
        return tuple(found)

    def entries(self, scores: Scores) -> list[Entry]:
        """Phase 1's list: every group at every candidate but the widest, the least harmful first, of equals the one that saves more."""
        bops = COLUMNS.index("bops")
        found = []
        for group, members in enumerate(self.space.groups):
            for candidate in range(1, len(self.uniform)):
                own, table = list(members.places), self.space.table[:, :, bops]
                saved = sum(table[p, self.uniform[0][p]] - table[p, self.uniform[candidate][p]] for p in own)
                if saved > 0 and (group, candidate) in scores:
                    found.append((scores[group, candidate], -float(saved), group, candidate))
        return [(score, group, candidate) for score, _, group, candidate in sorted(found)]


def amp(space: Space, number: int, candidates: Sequence[Precision], scores: Scores, measure: Measure, cap: float = np.inf,
        reverse: bool = False, progress: Progress = silent) -> Baseline:
    """The procedure, measured at every step until the KL passes `cap` (in reverse: until it is within).

    Args:
        number: of the space, as `measure` knows it.
        scores: phase 1, the KL of each group alone; it counts as one evaluation for each.
    """
    moves = Moves(space, candidates)
    entries = moves.entries(scores)
    now = moves.uniform[-1 if reverse else 0]
    trials = [_trial(space, number, now, measure, "AMP: begins", silent)]
    level = dict.fromkeys(range(len(space.groups)), len(moves.uniform) - 1 if reverse else 0)
    for n, (_, group, candidate) in enumerate(reversed(entries) if reverse else entries):
        wanted = candidate - 1 if reverse else candidate
        if (wanted >= level[group]) if reverse else (wanted <= level[group]):
            continue
        if (trials[-1].measured.kl <= cap) if reverse else (trials[-1].measured.kl > cap):
            break
        level[group], now = wanted, moves.put(now, group, wanted)
        trials.append(_trial(space, number, now, measure, f"AMP: {n + 1} of {len(entries)}", part(progress, n / len(entries), 1.0)))
    return Baseline(tuple(trials), len(scores) + len(trials))


def lite(space: Space, number: int, candidates: Sequence[Precision], scores: Scores, measure: Measure, percent: float,
         progress: Progress = silent) -> Baseline:
    """The cheapest candidate everywhere but in the worst `percent` of the groups, which get the widest."""
    moves = Moves(space, candidates)
    last = len(moves.uniform) - 1
    worst = sorted(range(len(space.groups)), key=lambda g: -scores.get((g, last), 0.0))[: round(len(space.groups) * percent / 100)]
    now = moves.uniform[-1]
    for group in worst:
        now = moves.put(now, group, 0)
    return Baseline((_trial(space, number, now, measure, f"lite: the worst {percent:g} %", progress),), len(space.groups) + 1)


def _trial(space: Space, number: int, choice: Choice, measure: Measure, why: str, progress: Progress) -> Trial:
    totals = space.totals(choice)
    return Trial(number, choice, totals, float(totals[0]), measure(number, choice, progress), why)
