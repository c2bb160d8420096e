"""Repair: propose, measure, correct the scores by what was measured, and propose again.

A proposal is the recipe that is most worth a measurement by the corrected scores: the solver's answer, or a change of one or
two groups of it or of the best so far. If it keeps what was asked it is better than all before; if it does not, the belief
about what it changed has become worse. So the rounds close in on the cheapest recipe whose *measured* KL keeps to a cap
(or on the least measured KL within budgets), and may be stopped after any of them with the best so far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from engine.errors import BadInput
from engine.mixed.belief import Belief
from engine.mixed.goal import Goal
from engine.mixed.proposals import Nearby, improves, keeps
from engine.mixed.settle import settle
from engine.mixed.solve import Solver
from engine.mixed.space import COLUMNS, SCORE, Array, Choice, Space
from engine.mixed.trial import Measure, Tell, Trial
from engine.progress import Progress, part, silent

CLIMBS = 5  # from the most worthy recipe on, how often its own surroundings are looked at
STARTS = 4  # measured recipes next to the cap from which proposals are looked for
LITTLE = 1e-4  # of the cost or the KL: less is not worth a measurement
Proposal = tuple[int, Choice]
Worth = Callable[[int, Array], Array]  # space, choices [n, layers] → worth [n]


class Repair:
    """Measured recipes of some spaces, the belief that they make, and proposals by it."""

    def __init__(self, spaces: Sequence[Space], measure: Measure, tell: Tell | None = None) -> None:
        self.spaces, self.belief = tuple(spaces), Belief(spaces)
        self.trials: dict[Proposal, Trial] = {}
        self._measure, self._tell = measure, tell
        self._near = [Nearby(space) for space in spaces]

    def run(self, space: int, choice: Choice, why: str, progress: Progress = silent) -> Trial:
        """Measures a choice, or says what is known of it."""
        if (space, choice) not in self.trials:
            expected = float(self.belief.expected(space, np.array([choice]))[0][0])
            measured = self._measure(space, choice, lambda fraction, message: progress(fraction, f"{why}: {message}"))
            self.belief.learn(space, choice, measured.kl, measured.error)
            self.trials[space, choice] = Trial(space, choice, self.spaces[space].totals(choice), expected, measured, why)
            if self._tell is not None:
                self._tell(tuple(self.trials.values()))
        return self.trials[space, choice]

    def know(self, trial: Trial) -> None:
        """Takes over what was measured elsewhere."""
        if (trial.space, trial.choice) not in self.trials:
            self.belief.learn(trial.space, trial.choice, trial.measured.kl, trial.measured.error)
            self.trials[trial.space, trial.choice] = trial

    def cheapest(self, cap: float, goal: Goal, rounds: int, progress: Progress = silent) -> Trial | None:
        """The cheapest recipe with a measured KL of at most `cap` after that many measurements; None where none was found.

        `goal.aim` says what is cheap, and its limits (other than on the score) hold.
        """
        column = COLUMNS.index(goal.aim)
        for n in range(rounds):
            best = self.best(cap, goal)
            have = None if best is None else float(best.totals[column])
            lowest = min((t.measured.kl for t in self.trials.values()), default=np.inf)

            def worth(space: int, choices: Array, have: float | None = have, lowest: float = lowest) -> Array:
                found, (mean, deviation) = self._sums(space, choices), self.belief.expected(space, choices)
                if have is not None:
                    value = np.maximum(have - found[:, column], 0.0) * keeps(mean, deviation, cap)
                else:  # at first anything within the cap will do
                    value = improves(mean, deviation, lowest) if np.isfinite(lowest) else 1.0 / np.maximum(mean, 1e-15)
                return np.where(self._within(goal, space, found), value, 0.0)

            wanted = replace(goal, limits={**goal.limits, "score": cap})
            share = part(progress, n / rounds, (n + 1) / rounds)
            proposal = self._propose(wanted, self._starts(best, cap), worth, LITTLE * (min(lowest, 1.0) if have is None else have), share)
            if proposal is None:
                break
            self.run(*proposal, f"Repair {n + 1}", share)
        return self.best(cap, goal)

    def least(self, goal: Goal, rounds: int, progress: Progress = silent) -> Trial | None:
        """The least measured KL within the goal's limits after that many measurements."""
        for n in range(rounds):
            best = self.best(np.inf, goal)

            def worth(space: int, choices: Array, best: Trial | None = best) -> Array:
                mean, deviation = self.belief.expected(space, choices)
                value = 1.0 / np.maximum(mean, 1e-15) if best is None else improves(mean, deviation, best.measured.kl)
                return np.where(self._within(goal, space, self._sums(space, choices)), value, 0.0)

            share = part(progress, n / rounds, (n + 1) / rounds)
            proposal = self._propose(goal, [] if best is None else [best], worth, 0.0 if best is None else LITTLE * best.measured.kl, share)
            if proposal is None:
                break
            self.run(*proposal, f"Repair {n + 1}", share)
        return self.best(np.inf, goal)

    def best(self, cap: float, goal: Goal) -> Trial | None:
        """Of what was measured and keeps to the cap and the goal's other limits, the least in the goal's aim (a score is the KL)."""
        kept = [t for t in self.trials.values() if t.measured.kl <= cap and self._within(goal, t.space, t.totals[None])[0]]
        return min(kept, key=lambda t: t.measured.kl if goal.aim == "score" else float(t.totals[COLUMNS.index(goal.aim)]), default=None)

    def _starts(self, best: Trial | None, cap: float) -> list[Trial]:
        """The best so far, and what was measured next to the cap."""
        near = sorted(self.trials.values(), key=lambda t: abs(np.log(max(t.measured.kl, 1e-15) / max(cap, 1e-15))))
        return [*([] if best is None else [best]), *near[:STARTS]]

    def _propose(self, goal: Goal, best: list[Trial], worth: Worth, least: float, progress: Progress) -> Proposal | None:
        """The recipe most worth a measurement; None where none is worth more than `least`."""
        starts = [(t.space, t.choice) for t in best]
        for space in range(len(self.spaces)):
            progress(0.0, "Solving with what was measured")
            starts += self._solved(space, goal, [t.choice for t in best if t.space == space])
        top, found = least, None
        for space, start in dict.fromkeys(starts):
            choice, rates = start, self._rates(space, start)
            for _ in range(CLIMBS + 1):
                progress(0.0, "Choosing what to measure next")
                near = [choice, *self._near[space].around(choice, rates)]
                values = worth(space, np.array(near))
                fresh = np.array([(space, c) not in self.trials for c in near])
                values = np.where(fresh, values, 0.0)
                at = int(np.argmax(values))
                if values[at] <= top:
                    break
                top, found, choice = float(values[at]), (space, near[at]), near[at]
        return found

    def _solved(self, space: int, goal: Goal, beside: Sequence[Choice]) -> list[Proposal]:
        """The solver's answers in one space, by scores that hold at what was measured near by, and at the answer itself."""
        found: list[Proposal] = []
        choice = beside[0] if beside else self._nearest(space, goal)
        for _ in range(2):
            try:
                near = self.belief.around(space, choice)
                choice = settle(near, Solver([near]).fast(goal).solution.choice, goal)
            except BadInput:
                break
            found.append((space, choice))
        return found

    def _nearest(self, space: int, goal: Goal) -> Choice:
        """The measured choice of a space with a KL next to the cap; any choice where none was measured."""
        cap = goal.limits.get("score", 0.0)
        own = [t for t in self.trials.values() if t.space == space]
        if not own:
            return (0,) * len(self.spaces[space].places)
        return min(own, key=lambda t: abs(np.log(max(t.measured.kl, 1e-15) / max(cap, 1e-15)))).choice

    def _rates(self, space: int, choice: Choice) -> Array:
        """For each way of a group the KL that it adds for what it saves, by the belief's scores near a choice; lower is better."""
        near, points, here = self.belief.around(space, choice), self._near[space].points, self.spaces[space]
        rates = np.zeros(len(points.ways))
        for number, members in enumerate(here.groups):
            own = [choice[p] for p in members.places]
            places = list(members.places)
            before = near.table[places, own].sum(0)
            for way in range(points.first[number], points.first[number + 1]):
                change = near.table[places, list(points.ways[way])].sum(0) - before
                rates[way] = change[SCORE] / max(abs(change[COLUMNS.index("bops")]), 1.0)
        return rates

    def _sums(self, space: int, choices: Array) -> Array:
        """[n, columns]"""
        here = self.spaces[space]
        found: Array = here.table[np.arange(choices.shape[1])[None, :], choices].sum(1) + np.asarray(here.constant)
        return found

    def _within(self, goal: Goal, space: int, totals: Array) -> Array:
        """[n] whether totals keep to the goal's limits other than that on the score."""
        limits = replace(goal, limits={k: v for k, v in goal.limits.items() if k != "score"})
        found: Array = (totals - np.asarray(self.spaces[space].constant) <= limits.bounds(self.spaces[space])).all(1)
        return found
