"""Conversions in the integer programme: what it charges is what the recipe has, and no choice is better with them charged."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest

from engine.graph import Model
from engine.mixed.conversions import meetings
from engine.mixed.goal import Goal
from engine.mixed.ilp import program_of, solve_exactly
from engine.mixed.solve import Solver
from engine.mixed.space import Choice, Space
from engine.recipe import Recipe
from tests.engine.mixed.spaces import drawn, made_up, of_model
from tests.engine.targets.graphs import build

CANDIDATES = ("w8a16", "w8a8", "w4a8")


def joins() -> Model:
    """Two branches that meet in an Add, a tensor with two readers, and a chain behind it."""
    lines = ["c0 = Conv(x, w0) -> a", "c1 = Conv(a, w1) -> b", "c2 = Conv(a, w2) -> c", "r = Relu(c) -> c_", "add = Add(b, c_) -> d",
             "c3 = Conv(d, w3) -> e", "c4 = Conv(e, w4) -> y"]
    return build(lines, {"x": (1, 4, 4, 4)}, ["y"], {f"w{i}": (4, 4, 1, 1) for i in range(5)})


def scored(seed: int, candidates: tuple[str, ...] = CANDIDATES, target: str = "generic") -> Space:
    """The graph's problem, with scores that fall with the bits."""
    rng = np.random.default_rng(seed)
    size = {"w8a16": 0.05, "w8a8": 0.3, "w4a8": 1.0, "fp16": 0.01}
    scores = {f"c{i}": {p: size[p] * float(10 ** rng.uniform(-1, 1)) for p in candidates} for i in range(5)}
    return of_model(joins(), Recipe(target=target), candidates, scores)[1]  # type: ignore[arg-type]


def every(space: Space) -> list[Choice]:
    return [c for c in itertools.product(*(range(len(p.options)) for p in space.places)) if space.allows(c)]


def charge(space: Space, choice: Choice) -> float:
    return space.edges.charge([p.options[o].precision for p, o in zip(space.places, choice, strict=True)])


@pytest.mark.parametrize(("target", "candidates"), [("generic", CANDIDATES), ("htp_v73", ("w8a16", "w8a8", "fp16"))])
def test_the_states_of_all_meetings_add_up_to_the_conversions_of_any_choice(target: str, candidates: tuple[str, ...]) -> None:
    space = scored(0, candidates, target)
    found, rng, seen = meetings(space), random.Random(0), set()
    fixed = charge(space, every(space)[0]) - _of_states(space, every(space)[0])
    for _ in range(60):
        choice = drawn(space, rng)
        assert _of_states(space, choice) + fixed == charge(space, choice)
        seen.add(charge(space, choice))
    assert found
    assert len(seen) > 2


def _of_states(space: Space, choice: Choice) -> float:
    types = [p.options[o].precision.activations for p, o in zip(space.places, choice, strict=True)]
    return float(sum(m.charge[m.states.index(tuple(types[k] for k in m.layers))] for m in meetings(space)))


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_bit_operations_with_conversions_are_the_least_of_all_choices(seed: int) -> None:
    space = scored(seed)
    dear = replace(space.edges, values={t: 20 * n for t, n in space.edges.values.items()})  # so that conversions decide
    space = replace(space, edges=dear)
    choices, plain = every(space), 0
    for share in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8):
        most = float(np.quantile([space.totals(c)[0] for c in choices], share))
        kept = [c for c in choices if space.totals(c)[0] <= most * (1 + 1e-9)]
        best = min(float(space.totals(c)[2]) + charge(space, c) for c in kept)
        found = Solver([space]).exact(Goal({"score": most}, "bops")).solution
        assert found.proven
        assert found.charged == charge(space, found.choice)
        assert float(found.totals[2]) + found.charged == pytest.approx(best, rel=1e-6)
        assert found.bound <= best * (1 + 1e-6)
        blind = min(kept, key=lambda c: float(space.totals(c)[2]))
        plain += float(space.totals(blind)[2]) + charge(space, blind) > best * (1 + 1e-6)
    assert plain  # without the charge the answer is another one, for these scores


@pytest.mark.parametrize("seed", range(3))
def test_a_score_with_conversions_at_a_price_is_the_least_of_all_choices(seed: int) -> None:
    space = scored(seed)
    choices = every(space)
    most = float(np.median([space.totals(c)[2] for c in choices]))
    for worth in (0.0, 1e-5, 1e-3):
        found = solve_exactly(space, program_of(space, True), Goal({"bops": most}), worth=worth)
        best = min(float(space.totals(c)[0]) + worth * charge(space, c) for c in choices if space.totals(c)[2] <= most)
        assert found is not None
        assert float(found.totals[0]) + found.charged == pytest.approx(best, rel=1e-6)
    answer = Solver([space]).exact(Goal({"bops": most})).solution
    assert answer.proven
    assert Goal({"bops": most}).met(space, answer.totals)


def test_limits_on_several_columns_are_kept_and_the_gap_is_shown() -> None:
    space = made_up(120, 4)
    widest, solver = space.totals(space.uniform(space.places[0].options[0].precision)), Solver([space])
    for share in (0.4, 0.5, 0.6):
        goal = Goal({"bops": share * float(widest[2]), "size_bytes": 0.75 * float(widest[1])})
        fast, exact = solver.fast(goal).solution, solver.exact(goal, 20.0).solution
        assert goal.met(space, fast.totals)
        assert fast.bound <= float(exact.totals[0]) * (1 + 1e-6)
        assert float(exact.totals[0]) <= float(fast.totals[0]) <= float(exact.totals[0]) * (1 + fast.gap(0) + 1e-6)
        assert fast.gap(0) < 0.05
