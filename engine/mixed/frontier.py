"""Any budget at once: the convex frontier of score against a price, and a fill of what is left to a budget.

Every group's lower hull is cut into steps; the steps of all groups by falling gain per price are the frontier (Shoham and
Gersho, IEEE Trans. ASSP 36, 1988). Each point on it is the best there is for its own price, and the straight line to
the next one is a bound for every budget between (the Lagrangian bound, that of the linear relaxation). A budget takes
the last point within it and then fills what is left with the single changes that help most; `gap` says how far
that may be from the best.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from engine.errors import BadInput
from engine.mixed.exchange import exchanged
from engine.mixed.goal import Goal
from engine.mixed.points import Points, choice_of, lower_hull, points_of
from engine.mixed.space import COLUMNS, SCORE, WORDS, Array, Choice, Space

MOST_FILLS = 400
NEAR = 2e-3  # of the bound: an answer this near is not looked for any better


@dataclass(frozen=True)
class Solution:
    """A choice with its totals (in the order of `COLUMNS`).

    Attributes:
        bound: the aim cannot be less than this within the limits.
        proven: whether nothing better exists (within the solver's tolerance).
        method: `frontier` or `ilp`.
        charged: what conversions along edges add to the aim, in its units; 0 where they were not charged.
    """

    choice: Choice
    totals: Array
    bound: float
    proven: bool
    method: str
    charged: float = 0.0

    def gap(self, aim: int) -> float:
        """How far the aim, with what conversions were charged, may be above the best, relative to it."""
        value = float(self.totals[aim]) + self.charged
        return max(value - self.bound, 0.0) / max(abs(self.bound), 1e-12) if not self.proven else 0.0


class Frontier:
    """The frontier of a space for one price on its columns."""

    def __init__(self, space: Space, price: Array) -> None:
        self.space, self.price = space, price
        self.points: Points = points_of(space, price)
        starts, steps = [], []
        for number, (a, b) in enumerate(zip(self.points.first[:-1], self.points.first[1:], strict=True)):
            hull = lower_hull([(float(self.points.price[i]), float(self.points.values[i, SCORE]), int(i)) for i in range(a, b)])
            starts.append(hull[0][2])
            steps += [((q[1] - p[1]) / (q[0] - p[0]), number, p[2], q[2]) for p, q in itertools.pairwise(hull)]
        steps.sort()
        self.start = np.array(starts)
        self.group = np.array([s[1] for s in steps], dtype=int)
        self.before, self.after = (np.array([s[k] for s in steps], dtype=int) for k in (2, 3))
        self.slope = np.array([s[0] for s in steps])
        delta = self.points.values[self.after] - self.points.values[self.before]
        self.totals = np.vstack([np.zeros((1, len(COLUMNS))), np.cumsum(delta, axis=0)]) + self.points.values[self.start].sum(0)

    @property
    def prices(self) -> Array:
        """The price of every point of the frontier, rising."""
        found: Array = self.totals @ self.price
        return found

    def __len__(self) -> int:
        return len(self.totals)

    def state(self, point: int) -> Array:
        """The ways of all groups at a point."""
        found = self.start.copy()
        found[self.group[:point]] = self.after[:point]  # of one group the later step stands
        return found

    def choice(self, point: int) -> Choice:
        """The options of all layers at a point."""
        return choice_of(self.space, self.points, self.state(point))

    def within_price(self, most: float, bounds: Array, aim: Array) -> Solution:
        """The least score within a price, other bounds kept by the fill where the point keeps them."""
        k = int(np.searchsorted(self.prices, most, side="right")) - 1
        if k < 0:
            raise BadInput(_least(self, most))
        bound = float(self.totals[k, SCORE])
        if k < len(self.slope):
            bound += float(self.slope[k]) * (most - float(self.prices[k]))
        return self._filled(self.state(k), bounds, aim, bound)

    def within_score(self, most: float, bounds: Array, aim: Array) -> Solution:
        """The least price within a score; the score falls along the frontier."""
        scores = self.totals[:, SCORE]
        k = int(np.searchsorted(-scores, -most, side="left"))
        if k >= len(scores):
            raise BadInput(f"no choice has a summed score of {most + self.space.constant[SCORE]:.4g} or less: the best has "
                           f"{scores[-1] + self.space.constant[SCORE]:.4g}. Ask for less accuracy, or add a wider candidate")
        bound = float(self.prices[k])
        if k > 0:
            bound = float(self.prices[k - 1]) + (most - float(scores[k - 1])) / float(self.slope[k - 1])
        return self._filled(self.state(k), bounds, aim, bound)

    def relaxed(self, weight: Array, paid: Array, bounds: Array) -> float:
        """The Lagrangian bound at prices of limits: each group at its least by `weight`, less what the limits are worth."""
        limited = np.isfinite(bounds)
        least = np.minimum.reduceat(self.points.values @ weight, self.points.first[:-1])
        return float(least.sum() - paid[limited] @ bounds[limited])

    def exchanged(self, bounds: Array, aim: Array, weight: Array, bound: float) -> Solution | None:
        """The best within several bounds that exchanges find from the points next to them; None where they find none.

        Args:
            weight: the aim with the prices of the bounds.
            bound: what the aim cannot be less than; one that comes near to it is not looked for any better.
        """
        limited = np.isfinite(bounds)
        outside = np.maximum((self.totals[:, limited] - bounds[limited]) / np.maximum(np.abs(bounds[limited]), 1e-12), 0.0).sum(1)
        near = int(np.lexsort((self.totals @ aim, outside))[0])
        best: Solution | None = None
        for point in (near, near + 1, near - 1):
            state = exchanged(self.points, self.state(point), bounds, aim, weight) if 0 <= point < len(self) else None
            found = None if state is None else self._filled(state, bounds, aim, bound)
            if found is not None and (best is None or found.totals @ aim < best.totals @ aim):
                best = found
            if best is not None and float(best.totals @ aim) - bound <= NEAR * abs(bound):
                break
        return best

    def _filled(self, state: Array, bounds: Array, aim: Array, bound: float) -> Solution:
        """A state with what is left to the bounds spent on the single changes that help most."""
        points = self.points
        totals = points.values[state].sum(0)
        cost = points.values @ aim
        for _ in range(MOST_FILLS):
            delta = points.values - points.values[state][points.group]
            gain = cost - cost[state][points.group]
            allowed = (totals + delta <= bounds + 1e-9 * np.abs(np.where(np.isfinite(bounds), bounds, 0))).all(1) & (gain < -1e-15)
            if not allowed.any():
                break
            best = int(np.argmin(np.where(allowed, gain, np.inf)))
            totals = totals + delta[best]
            state[points.group[best]] = best
        offset = np.asarray(self.space.constant)
        return Solution(choice_of(self.space, points, state), totals + offset, bound + float(offset @ aim), False, "frontier")


def _least(frontier: Frontier, most: float) -> str:
    names = [(c, p) for c, p in zip(COLUMNS, frontier.price, strict=True) if p]
    if len(names) == 1:
        column = COLUMNS.index(names[0][0])
        least = frontier.totals[0, column] + frontier.space.constant[column]
        return (f"no choice keeps to the limit: the least possible is {least:,.6g} ({WORDS[names[0][0]]}), and "
                f"{most / names[0][1] + frontier.space.constant[column]:,.6g} was asked for. Raise the limit, or add a cheaper candidate")
    return "no choice keeps to all limits at once: raise one of them, or add a cheaper candidate"


def budgets(space: Space, column: str, count: int = 200) -> list[Solution]:
    """The least score for `count` budgets of a column, spread evenly from the least to the most that a recipe can have."""
    price = np.zeros(len(COLUMNS))
    price[COLUMNS.index(column)] = 1.0
    frontier, aim = Frontier(space, price), Goal().weights()
    found = []
    for most in np.linspace(float(frontier.prices[0]), float(frontier.prices[-1]), count):
        bounds = np.full(len(COLUMNS), np.inf)
        bounds[COLUMNS.index(column)] = most
        found.append(frontier.within_price(float(most) * (1 + 1e-12), bounds, aim))
    return found
