"""A session's proven answer to budgets, over scores alone: nothing is measured, so all of it is predicted."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from engine.errors import BadInput
from engine.mixed.goal import Goal
from engine.mixed.shape import costs, layers
from engine.mixed.solve import Answer, Solver
from engine.mixed.space import COLUMNS, SCORE
from engine.progress import Progress, silent
from engine.searching import Searching

SECONDS = 2.0  # of integer programming for each base precision


def solve(searching: Searching, max_score: float | None, progress: Progress = silent) -> dict[str, Any]:
    """The best choice within the budgets of a search that is prepared.

    Args:
        max_score: the summed score, nats per sample, up to which the drop is predicted to keep to the target; needed where
            the search has a greatest drop, which nothing but a measurement or a curve translates into scores.

    Raises:
        BadInput: no choice keeps to all limits at once, or `max_score` is missing.
    """
    begin = time.perf_counter()
    goal = searching.goal()
    if searching.ask.max_drop is not None and max_score is None:
        raise BadInput("a greatest drop came without max_score: scores are solved for, so the sum that it allows has to be given")
    if max_score is not None:
        goal = Goal({**goal.limits, "score": max_score}, goal.aim)
    progress(0.5, "Solving")
    answer = Solver(searching.spaces).exact(goal, SECONDS)
    return _told(searching, answer, goal) | {"seconds": time.perf_counter() - begin}


def _told(searching: Searching, answer: Answer, goal: Goal) -> dict[str, Any]:
    space, found = searching.spaces[answer.space], answer.solution
    recipe = replace(searching.recipe_for(answer.space, found.choice), steps=searching.whole.steps)
    return {"kind": "predicted", "unit": "nats per sample", "direction": "lower is better", "base": str(space.base),
            "recipe": recipe.to_dict(), "layers": layers(space, found.choice), "score": float(found.totals[SCORE]),
            **costs(space, found.totals, found.choice),
            "aim": goal.aim, "gap": found.gap(COLUMNS.index(goal.aim)), "proven": found.proven, "scores": searching.kind}
