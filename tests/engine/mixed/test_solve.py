"""The solver: never outside its limits, exact against trying everything, its bounds are bounds, and quick."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from engine.errors import BadInput
from engine.mixed.frontier import budgets
from engine.mixed.goal import Goal
from engine.mixed.solve import Solver
from engine.mixed.space import COLUMNS, Array, Space
from tests.engine.mixed.spaces import made_up


def everything(space: Space) -> Array:
    """Totals of all allowed choices."""
    ways = itertools.product(*(range(len(p.options)) for p in space.places))
    return np.array([space.totals(c) for c in ways if space.allows(c)])


def goals(totals: Array, share: float) -> list[Goal]:
    """One of each kind, at a share of the way from the least to the most."""
    low, high = totals.min(0), totals.max(0)
    size, bops = (float(low[c] + share * (high[c] - low[c])) for c in (1, 2))
    score = float(np.quantile(totals[:, 0], share))
    return [Goal({"bops": bops}), Goal({"size_bytes": size}), Goal({"bops": bops, "size_bytes": size}), Goal({"score": score}, "bops"),
            Goal({"score": score, "size_bytes": size}, "bops")]


@pytest.mark.parametrize("seed", range(4))
def test_against_trying_everything(seed: int) -> None:
    space = made_up(7, seed, 3)
    totals, solver, asked = everything(space), Solver([space]), 0
    for goal in (g for share in (0.3, 0.5, 0.7) for g in goals(totals, share)):
        kept = [row for row in totals if goal.met(space, row)]
        aim = goal.weights()
        if not kept:
            with pytest.raises(BadInput, match="limit"):
                solver.fast(goal)
            continue
        asked += 1
        best = min(float(row @ aim) for row in kept)
        fast, exact = solver.fast(goal).solution, solver.exact(goal).solution
        for found in (fast, exact):
            assert space.allows(found.choice)
            assert goal.met(space, found.totals)
            assert found.totals == pytest.approx(space.totals(found.choice))
            assert found.bound <= best * (1 + 1e-6)
        assert exact.proven
        assert float(exact.totals @ aim) == pytest.approx(best, rel=1e-6)
        assert float(fast.totals @ aim) <= best * 1.1
    assert asked >= 12


def test_the_average_of_bits_is_one_of_the_limits() -> None:
    space = made_up(7, 5, 3)
    goal = Goal({"bits": 0.9 * space.average_bits(space.totals((0,) * 7))})
    found = Solver([space]).exact(goal).solution
    assert space.average_bits(found.totals) <= goal.limits["bits"] * (1 + 1e-9)


def test_of_several_spaces_the_best_is_taken() -> None:
    dear, cheap = made_up(6, 1, 3), made_up(6, 1, 3)
    cheap = cheap.with_scores(cheap.table[:, :, 0] * 0.5, 0.0)
    goal = Goal({"bops": float(dear.totals(dear.uniform(dear.base))[2])})
    assert Solver([dear, cheap]).fast(goal).space == 1


def test_two_hundred_budgets_in_a_second_and_a_sliders_move_in_fifty_milliseconds() -> None:
    space = made_up(300, 1)
    begin = time.process_time()
    found = budgets(space, "bops", 200)
    assert time.process_time() - begin < 1.0
    assert len(found) == 200
    scores = [float(s.totals[0]) for s in found]
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(scores))
    assert np.median([s.gap(0) for s in found]) < 0.005
    solver, times = Solver([space]), []
    solver.fast(Goal({"bops": float(found[10].totals[2])}))
    for middle in (60, 100, 140):
        begin = time.process_time()
        solver.fast(Goal({"bops": float(found[middle].totals[2]) * 1.001}))
        times.append(time.process_time() - begin)
    assert max(times) < 0.05


def test_the_programme_proves_what_the_frontier_found_on_three_hundred_layers() -> None:
    space = made_up(300, 2)
    most = budgets(space, "bops", 3)[1].totals
    goal = Goal({"bops": float(most[COLUMNS.index("bops")])})
    solver = Solver([space])
    fast, exact = solver.fast(goal).solution, solver.exact(goal, 20.0).solution
    assert float(exact.totals[0]) <= float(fast.totals[0]) * (1 + 1e-9)
    assert fast.bound <= float(exact.totals[0]) * (1 + 1e-6)


def test_impossible_limits_say_what_is_possible() -> None:
    space = made_up(5, 0, 3)
    with pytest.raises(BadInput, match="the least possible is"):
        Solver([space]).fast(Goal({"size_bytes": 1.0}))
    with pytest.raises(BadInput, match="summed score"):
        Solver([space]).fast(Goal({"score": 1e-12}, "bops"))
    for wrong in ({"sise": 1.0}, {"bops": -1.0}, {"bops": float("nan")}):
        with pytest.raises(BadInput):
            Goal(wrong)
