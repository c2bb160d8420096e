"""Repair on a network that is no sum: it learns from what it measures, and beats the solver's own answer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.mixed.belief import Belief
from engine.mixed.goal import Goal
from engine.mixed.repair import Repair
from engine.mixed.search import Target, cap, outcome, search
from engine.mixed.solve import Solver
from engine.mixed.space import Array, Choice, Space
from engine.mixed.trial import Measured, front
from engine.progress import Progress
from tests.engine.mixed.spaces import FIVE, made_up


class Network:
    """A measured KL that differs from the sum: wrong single scores, and pairs of layers that act together."""

    def __init__(self, space: Space, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        scores = np.where(np.isfinite(space.table[:, :, 0]), space.table[:, :, 0], 0.0)
        self.true: Array = scores * rng.uniform(0.6, 1.6, scores.shape)
        self.roots = np.sqrt(self.true)
        self.together: Array = np.triu(rng.uniform(-0.3, 0.3, (len(scores), len(scores))), 1)
        self.runs = 0

    def kl(self, choice: Choice) -> float:
        rows = np.arange(len(choice))
        own, roots = self.true[rows, list(choice)], self.roots[rows, list(choice)]
        return float(max(own.sum() + 2 * roots @ self.together @ roots, 0.05 * own.sum()))

    def measure(self, space: int, choice: Choice, progress: Progress) -> Measured:
        self.runs += 1
        kl = self.kl(choice)
        drop = 0.5 * kl
        return Measured(kl, drop, (drop - 0.002, drop + 0.002), 1000, 0.9 - drop, 20.0, None, (10, 8))


@pytest.fixture
def space() -> Space:
    return made_up(16, 7, 3)


def test_what_was_measured_is_expected_and_neighbours_are_surer(space: Space) -> None:
    network, belief = Network(space), Belief([space])
    choices = [space.uniform(p) for p in FIVE[:3]]
    before = belief.expected(0, np.array(choices))[1]
    for choice in choices:
        belief.learn(0, choice, network.kl(choice))
    mean, deviation = belief.expected(0, np.array(choices))
    assert mean == pytest.approx([network.kl(c) for c in choices], rel=0.05)
    assert (deviation < 0.1 * before).all()
    near = (*choices[0][:-1], (choices[0][-1] + 1) % 3)
    assert belief.expected(0, np.array([near]))[1][0] < before[0]


def by_scores_alone(space: Space, network: Network, most: float) -> float:
    """The cheapest of the solver's answers that keeps to the cap, at any reading of the scores' scale."""
    found, floor = np.inf, float(space.totals(space.uniform(FIVE[0]))[0])
    for share in np.linspace(0.2, 2.0, 40):
        choice = Solver([space]).fast(Goal({"score": max(most * share, floor)}, "bops")).solution.choice
        if network.kl(choice) <= most:
            found = min(found, float(space.totals(choice)[2]))
    return found


def test_repair_keeps_to_the_measured_cap_and_beats_what_the_scores_alone_would_have_chosen() -> None:
    ratios = []
    for seed in range(4):
        space = made_up(16, seed, 3, spread=1.0)
        network = Network(space, seed)
        low, high = (network.kl(space.uniform(p)) for p in (FIVE[1], FIVE[2]))
        most = float(np.sqrt(low * high))
        repair = Repair([space], network.measure)
        for precision in FIVE[:3]:
            repair.run(0, space.uniform(precision), "uniform")
        found = repair.cheapest(most, Goal({}, "bops"), 25)
        assert found is not None
        assert network.kl(found.choice) <= most
        assert network.runs <= 28
        ratios.append(float(found.totals[2]) / by_scores_alone(space, network, most))
    assert max(ratios) <= 1.0
    assert np.mean(ratios) < 0.985


def test_within_budgets_the_measured_kl_only_falls(space: Space) -> None:
    network = Network(space)
    middle = float(np.mean([space.totals(space.uniform(p))[2] for p in FIVE[:2]]))
    goal = Goal({"bops": middle})
    first = Solver([space]).fast(goal).solution.choice
    repair = Repair([space], network.measure)
    repair.run(0, first, "solver")
    found = repair.least(goal, 15)
    assert found is not None
    assert goal.met(space, found.totals)
    assert found.measured.kl < network.kl(first)


def test_a_drop_is_met_with_its_margin_and_the_front_falls(space: Space) -> None:
    network = Network(space)
    repair, told = Repair([space], network.measure), []
    repair._tell = lambda trials: told.append(len(trials))
    target = Target(max_drop=0.02, goal=Goal({}, "bops"))
    found = search(repair, target, FIVE[:3])
    assert found.chosen is not None
    assert target.judged(found.chosen) <= 0.02
    assert found.chosen.measured.kl <= cap(repair, target) * (1 + 1e-9)
    assert told == list(range(1, len(repair.trials) + 1))
    best = front(repair.trials.values(), 2)
    assert all(a.totals[2] < b.totals[2] and a.measured.kl > b.measured.kl for a, b in itertools.pairwise(best))
    assert outcome(repair, Target(max_drop=-1.0, goal=Goal({}, "bops"))).chosen is None
