"""The search: measure a few points that matter, then repair until the target is met as cheaply as the measurements allow.

A target on the metric's drop is met by way of the KL, which is measured far more finely: the points so far say up to which
KL the drop keeps to the target (a monotone fit, so that one lucky sample does not decide), and repair looks for the
cheapest recipe up to there. What is chosen keeps to the target by its own measured drop *and* by the fit. Everything
here is measured on the validation half; what is promised comes from another one, whose samples differ. So that the promise
mostly holds there, `MARGIN` standard errors are added to a drop before it is judged here: with both halves of one size the
difference of two estimates has sqrt(2) standard errors, and with two of them a network at the limit keeps it in 92 % of cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from scipy.optimize import isotonic_regression

from engine.data.statistics import Z95
from engine.errors import BadInput
from engine.mixed.frontier import Frontier
from engine.mixed.goal import Goal
from engine.mixed.repair import Repair
from engine.mixed.space import COLUMNS, SCORE, Choice
from engine.mixed.trial import Trial
from engine.progress import Progress, part, silent
from engine.quant.precision import Precision

Judge = Literal["estimate", "bound"]
PROOF_SECONDS = 0.8  # of integer programming for the first answer to budgets; meanwhile nothing can be cancelled
MARGIN = 2.0  # standard errors of the drop
STEADY = 3  # rounds of repair after which the target's KL is read anew


@dataclass(frozen=True)
class Target:
    """What a search is to reach.

    Attributes:
        max_drop: of the metric, absolute; None where only budgets are given.
        judge: whether the drop's estimate or the upper end of its paired interval has to keep to it.
        goal: budgets, and what is made least within them (the score where no drop is given).
        points: recipes measured along the frontier, beside the uniform ones.
        rounds: measurements for repair.
    """

    max_drop: float | None = None
    judge: Judge = "estimate"
    goal: Goal = field(default_factory=Goal)
    points: int = 5
    rounds: int = 12

    def judged(self, trial: Trial) -> float:
        """The drop as it is judged, with the margin for the samples that the promise will be made on."""
        found = trial.measured
        error = 0.0 if found.ci95 is None else (found.ci95[1] - found.ci95[0]) / (2 * Z95)
        return (found.drop if self.judge == "estimate" else found.worst()) + MARGIN * error

    @property
    def column(self) -> int:
        """The number of the column that a Pareto front shows as cost: what is made least, or the first budget, or BOPs."""
        budgets = [name for name in self.goal.limits if name not in ("score", "bits")]
        return COLUMNS.index(self.goal.aim if self.goal.aim != "score" else budgets[0] if budgets else "bops")


@dataclass(frozen=True)
class Outcome:
    """What a search found: the chosen trial (None where nothing measured keeps to the target) and the KL up to which the target holds."""

    chosen: Trial | None
    cap: float | None
    nearest: Trial | None


def search(repair: Repair, target: Target, candidates: Sequence[Precision], progress: Progress = silent) -> Outcome:
    """Measures and repairs; what has been measured is in `repair.trials`, also after a `Cancelled`."""
    seeds = _seeds(repair, target, candidates)
    for n, (space, choice, why) in enumerate(seeds):
        repair.run(space, choice, why, part(progress, 0.4 * n / len(seeds), 0.4 * (n + 1) / len(seeds)))
    share = part(progress, 0.4, 1.0)
    if target.max_drop is None:
        found = repair.least(target.goal, target.rounds, share)
        return Outcome(found, None, found)
    for start in range(0, target.rounds, STEADY):
        count = min(STEADY, target.rounds - start)
        before = len(repair.trials)
        repair.cheapest(cap(repair, target), target.goal, count, part(share, start / target.rounds, (start + count) / target.rounds))
        if len(repair.trials) == before:
            break
    return outcome(repair, target)


def outcome(repair: Repair, target: Target) -> Outcome:
    """The choice among what has been measured so far."""
    if target.max_drop is None:
        found = repair.best(np.inf, target.goal)
        return Outcome(found, None, found)
    most = cap(repair, target)
    kept = [t for t in repair.trials.values() if target.judged(t) <= target.max_drop and within(repair, target, t)]
    sure = [t for t in kept if t.measured.kl <= most * (1 + 1e-9)]
    column = COLUMNS.index(target.goal.aim)
    chosen = min(sure or kept, key=lambda t: (float(t.totals[column]), t.measured.kl), default=None)
    near = [t for t in repair.trials.values() if within(repair, target, t)]
    return Outcome(chosen, most, min(near, key=lambda t: (target.judged(t), t.measured.kl), default=None))


def within(repair: Repair, target: Target, trial: Trial) -> bool:
    """Whether a trial keeps to the budgets."""
    return target.goal.met(repair.spaces[trial.space], trial.totals)


def cap(repair: Repair, target: Target) -> float:
    """The KL up to which the judged drop keeps to the target, by a monotone fit through all that was measured."""
    assert target.max_drop is not None
    rows = sorted(repair.trials.values(), key=lambda t: t.measured.kl)
    kl = np.array([0.0, *(t.measured.kl for t in rows)])
    least = min(target.judged(t) - t.measured.drop for t in rows)  # of a network that loses nothing
    drops = np.array([least, *(target.judged(t) for t in rows)])
    fitted = isotonic_regression(drops).x
    if fitted[-1] <= target.max_drop:
        return float(kl[-1] * 1.5)  # beyond what was measured, not beyond measure
    k = int(np.argmax(fitted > target.max_drop))
    if k == 0:
        return 0.0
    rise = float(fitted[k] - fitted[k - 1])
    return float(kl[k - 1] + (kl[k] - kl[k - 1]) * (target.max_drop - float(fitted[k - 1])) / rise)


def _seeds(repair: Repair, target: Target, candidates: Sequence[Precision]) -> list[tuple[int, Choice, str]]:
    """The uniform recipes, and points of the frontier spread evenly in the logarithm of their score."""
    found: dict[tuple[int, Choice], str] = {}
    for precision in candidates:
        space = next((k for k, s in enumerate(repair.spaces) if s.base.activations == precision.activations), 0)
        found.setdefault((space, repair.spaces[space].uniform(precision)), f"All layers at {precision}")
    price = np.zeros(len(COLUMNS))
    price[target.column] = 1.0
    for n in range(target.points):
        space = n % len(repair.spaces)
        frontier = Frontier(repair.spaces[space], price)
        roots = np.log(np.maximum(frontier.totals[:, SCORE] + repair.spaces[space].constant[SCORE], 1e-12))
        wanted = roots[-1] + (roots[0] - roots[-1]) * (n + 1) / (target.points + 1)
        found.setdefault((space, frontier.choice(int(np.argmin(np.abs(roots - wanted))))), f"Frontier {n + 1} of {target.points}")
    best = _budgeted(repair, target)
    if best is not None:
        found.setdefault(best, "The solver's answer")
    return [(space, choice, why) for (space, choice), why in found.items()]


def _budgeted(repair: Repair, target: Target) -> tuple[int, Choice] | None:
    """The solver's answer to the budgets. Raises `BadInput` where none keeps to them."""
    if not target.goal.limits:
        return None
    from engine.mixed.solve import Solver

    answer = Solver(repair.spaces).exact(replace(target.goal, aim="score"), PROOF_SECONDS)
    return answer.space, answer.solution.choice


def check(target: Target) -> None:
    """Raises `BadInput` for a target that says nothing or cannot be."""
    if target.max_drop is None and not target.goal.limits:
        raise BadInput("the search has no target: give a greatest drop (0.01 is one point), a size, BOPs, average bits or a latency")
    if target.max_drop is not None and not -1e9 < target.max_drop < 1e9:
        raise BadInput(f"the greatest drop is {target.max_drop!r}: expected a number such as 0.01")
    if target.rounds < 0 or target.points < 0:
        raise BadInput(f"{target.points} points and {target.rounds} rounds: expected 0 or more")
