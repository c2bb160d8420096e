"""One answer to one goal, over several spaces (base precisions): at once by the frontier, proven by integer programming."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.errors import BadInput
from engine.mixed.frontier import Frontier, Solution
from engine.mixed.goal import Goal
from engine.mixed.ilp import Program, prices, program_of, solve_exactly
from engine.mixed.settle import settle
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
        self._programs: dict[tuple[int, bool], Program] = {}

    def fast(self, goal: Goal) -> Answer:
        """A good answer in milliseconds, with a bound.

        Raises:
            BadInput: no choice keeps to the limits.
        """
        return self._best(goal, self._fast)

    def exact(self, goal: Goal, seconds: float = 10.0) -> Answer:
        """The best answer, or the best found in `seconds` for each space. Conversions along edges are charged: as bit operations where
        these are made least; at the price of a bit operation where they are limited and the score is made least; else nothing says
        what they are worth, and they are not.
        """
        return self._best(goal, lambda number, g: self._exact(number, g, seconds))

    def frontier(self, number: int, price: Array) -> Frontier:
        """The frontier of a space at a price."""
        key = (number, price.tobytes())
        if key not in self._frontiers:
            self._frontiers[key] = Frontier(self.spaces[number], price)
        return self._frontiers[key]

    def _program(self, number: int, charged: bool = False) -> Program:
        if (number, charged) not in self._programs:
            self._programs[number, charged] = program_of(self.spaces[number], charged)
        return self._programs[number, charged]

    def _worth(self, number: int, goal: Goal) -> float:
        """What a bit operation of conversions is worth, in units of the aim."""
        if goal.aim == "bops" or goal.aim != "score" or "bops" not in goal.limits or not self.spaces[number].edges.nodes:
            return 1.0 if goal.aim == "bops" else 0.0
        paid = prices(self.spaces[number], self._program(number), goal)
        return 0.0 if paid is None else float(max(paid[COLUMNS.index("bops")], 0.0))

    def _best(self, goal: Goal, solve: Callable[[int, Goal], Solution]) -> Answer:
        found, aim, refused = [], goal.weights(), []
        for number in range(len(self.spaces)):
            try:
                found.append(Answer(number, solve(number, goal)))
            except BadInput as error:
                refused.append(error)
        if not found:
            raise refused[0]
        return min(found, key=lambda a: float(a.solution.totals @ aim) + a.solution.charged)

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
        """Limits on several columns: the relaxation prices them, and the exchanges lead from its frontier into them."""
        space, aim, bounds = self.spaces[number], goal.weights(), goal.bounds(self.spaces[number])
        paid = prices(space, self._program(number), goal)
        if paid is None:
            raise BadInput("no choice keeps to all limits at once: raise one of them, or add a cheaper candidate")
        # `paid` is of each limit. As a trade between score and the rest: all but the score's share is the price.
        price = np.where(np.arange(len(COLUMNS)) == SCORE, 0.0, paid + (aim if goal.aim != "score" else 0.0))
        if not price.any():
            price = _unit(COLUMNS.index("bops"))
        frontier = self.frontier(number, price)
        weight = aim + np.where(np.isfinite(bounds), paid, 0.0)
        found = frontier.exchanged(bounds, aim, weight, frontier.relaxed(weight, paid, bounds))
        return self._exact(number, goal, 2.0, bare=True) if found is None else found

    def _exact(self, number: int, goal: Goal, seconds: float, bare: bool = False) -> Solution:
        first = None if bare else self._fast(number, goal)
        worth = self._worth(number, goal)
        if first is not None and worth:
            settled = settle(self.spaces[number], first.choice, goal)
            first = replace(first, choice=settled, totals=self.spaces[number].totals(settled))
        found = solve_exactly(self.spaces[number], self._program(number, worth > 0), goal, seconds, first, worth)
        if found is None:
            raise BadInput("no choice keeps to all limits at once: raise one of them, or add a cheaper candidate")
        return found


def _unit(column: int) -> Array:
    found = np.zeros(len(COLUMNS))
    found[column] = 1.0
    return found
