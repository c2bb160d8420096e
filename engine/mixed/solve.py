"""One answer to one goal, over several spaces (base precisions): at once by the frontier, proven by integer programming."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.errors import BadInput
from engine.mixed.frontier import Frontier, Solution
from engine.mixed.goal import Goal
from engine.mixed.ilp import Program, prices, program_of, solve_exactly
from engine.mixed.space import COLUMNS, SCORE, Array, Space


@dataclass(frozen=True)
class Answer:
    """A solution, and the number of the space that it is of."""

    space: int
    solution: Solution


class Solver:
    """Keeps what several goals share: frontiers by price, linear programs."""

    def __init__(self, spaces: Sequence[Space]) -> None:
        self.spaces = tuple(spaces)
        self._frontiers: dict[tuple[int, bytes], Frontier] = {}
        self._programs: dict[int, Program] = {}

    def fast(self, goal: Goal) -> Answer:
        """A good answer in milliseconds, with a bound.

        Raises:
            BadInput: no choice keeps to the limits.
        """
        return self._best(goal, self._fast)

    def exact(self, goal: Goal, seconds: float = 10.0) -> Answer:
        """The best answer, or the best found in `seconds` for each space."""
        return self._best(goal, lambda number, g: self._exact(number, g, seconds))

    def frontier(self, number: int, price: Array) -> Frontier:
        """The frontier of a space at a price."""
        key = (number, price.tobytes())
        if key not in self._frontiers:
            self._frontiers[key] = Frontier(self.spaces[number], price)
        return self._frontiers[key]

    def _program(self, number: int) -> Program:
        if number not in self._programs:
            self._programs[number] = program_of(self.spaces[number])
        return self._programs[number]

    def _best(self, goal: Goal, solve: Callable[[int, Goal], Solution]) -> Answer:
        found, aim, refused = [], goal.weights(), []
        for number in range(len(self.spaces)):
            try:
                found.append(Answer(number, solve(number, goal)))
            except BadInput as error:
                refused.append(error)
        if not found:
            raise refused[0]
        return min(found, key=lambda a: float(a.solution.totals @ aim))

    def _fast(self, number: int, goal: Goal) -> Solution:
        space = self.spaces[number]
        bounds, aim = goal.bounds(space), goal.weights()
        costs = [COLUMNS.index(n) for n in goal.limits if n != "score"]
        if goal.aim == "score" and len(costs) == 1:
            return self.frontier(number, _unit(costs[0])).within_price(float(bounds[costs[0]]), bounds, aim)
        if goal.aim == "score" and not costs:
            return self.frontier(number, _unit(COLUMNS.index("bops"))).within_price(np.inf, bounds, aim)
        if goal.aim != "score" and not costs:
            return self.frontier(number, aim).within_score(float(bounds[SCORE]), bounds, aim)
        return self._several(number, goal)

    def _several(self, number: int, goal: Goal) -> Solution:
        """Limits on several columns: the relaxation prices them, and the frontier of that price is searched for a point within all."""
        space, aim, bounds = self.spaces[number], goal.weights(), goal.bounds(self.spaces[number])
        paid = prices(space, self._program(number), goal)
        if paid is None:
            raise BadInput("no choice keeps to all limits at once: raise one of them, or add a cheaper candidate")
        # `paid` is of each limit. As a trade between score and the rest: all but the score's share is the price.
        price = np.where(np.arange(len(COLUMNS)) == SCORE, 0.0, paid + (aim if goal.aim != "score" else 0.0))
        if not price.any():
            price = _unit(COLUMNS.index("bops"))
        frontier = self.frontier(number, price)
        within = np.flatnonzero((frontier.totals <= bounds).all(1))
        bound = self._relaxed(space, goal, paid)
        if not len(within):
            return self._exact(number, goal, 2.0, bare=True)
        k = int(min(within, key=lambda i: float(frontier.totals[i] @ aim)))
        return replace(frontier._filled(k, bounds, aim, 0.0), bound=bound)

    @staticmethod
    def _relaxed(space: Space, goal: Goal, paid: Array) -> float:
        """The Lagrangian bound at these prices: each group at its cheapest, less what the limits are worth."""
        bounds, aim = goal.bounds(space), goal.weights()
        limited = np.isfinite(bounds)
        weight = aim + np.where(limited, paid, 0.0)
        total = -float(paid[limited] @ bounds[limited]) + float(np.asarray(space.constant) @ aim)
        for group in space.groups:
            rows = [np.nan_to_num(space.table[p], posinf=0.0) @ weight for p in group.places]  # modes name real options alone
            total += min(sum(min(row[o] for o in allowed) for row, allowed in zip(rows, mode, strict=True)) for mode in group.modes)
        return float(total)

    def _exact(self, number: int, goal: Goal, seconds: float, bare: bool = False) -> Solution:
        first = None if bare else self._fast(number, goal)
        found = solve_exactly(self.spaces[number], self._program(number), goal, seconds, first)
        if found is None:
            raise BadInput("no choice keeps to all limits at once: raise one of them, or add a cheaper candidate")
        return found


def _unit(column: int) -> Array:
    found = np.zeros(len(COLUMNS))
    found[column] = 1.0
    return found
