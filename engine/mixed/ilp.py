"""The exact solution by integer programming (SciPy's HiGHS), and the prices of several limits at once by its relaxation.

One variable for each option of a layer, one for each mode of a group that has several: a layer takes one option, a group
one mode, and an option needs a mode that allows it. Changes of type along edges are no part of it, see `settle.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, lil_array, vstack

from engine.mixed.frontier import Solution
from engine.mixed.goal import Goal
from engine.mixed.space import COLUMNS, Array, Choice, Space

INFEASIBLE = 2  # HiGHS: nothing keeps to all rows
TOLERANCE = 1e-6  # relative gap at which a solution counts as proven


@dataclass(frozen=True)
class Program:
    """The linear part of a space.

    Attributes:
        values: [variables, columns] what a variable adds to each column.
        equal: [rows, variables] whose products are 1.
        below: [rows, variables] whose products are at most 0.
        options: the variable of each option, by layer.
    """

    values: Array
    equal: csr_array
    below: csr_array
    options: tuple[tuple[int, ...], ...]


def program_of(space: Space) -> Program:
    """The space as a linear program."""
    options, count = [], 0
    for place in space.places:
        options.append(tuple(range(count, count + len(place.options))))
        count += len(place.options)
    modes: list[tuple[int, ...]] = []
    for group in space.groups:
        modes.append(tuple(range(count, count + len(group.modes))) if len(group.modes) > 1 else ())
        count += len(modes[-1])
    values = np.zeros((count, len(COLUMNS)))
    for i, own in enumerate(options):
        values[list(own)] = space.table[i, : len(own)]
    several = [m for m in modes if m]
    equal = lil_array((len(options) + len(several), count))
    for row, own in enumerate([*options, *several]):
        equal[row, list(own)] = 1.0
    below = _needs(space, options, modes, count)
    return Program(values, csr_array(equal), below, tuple(options))


def _needs(space: Space, options: list[tuple[int, ...]], modes: list[tuple[int, ...]], count: int) -> csr_array:
    """An option is at most the sum of the modes that allow it."""
    rows: list[tuple[int, list[int]]] = []
    for group, own in zip(space.groups, modes, strict=True):
        for member, place in enumerate(group.places if own else ()):
            for option, variable in enumerate(options[place]):
                rows.append((variable, [m for m, mode in zip(own, group.modes, strict=True) if option in mode[member]]))
    found = lil_array((len(rows), count))
    for row, (variable, allowed) in enumerate(rows):
        found[row, variable] = 1.0
        found[row, allowed] = -1.0
    return csr_array(found)


def prices(space: Space, program: Program, goal: Goal) -> Array | None:
    """What the relaxation pays for a unit of each limited column; None where no choice keeps to the limits."""
    limited = [COLUMNS.index(name) for name in goal.limits]
    scale = np.maximum(np.abs(goal.bounds(space)[limited]), 1e-12)
    upper = program.values[:, limited].T / scale[:, None]
    aim = program.values @ goal.weights()
    size = float(np.abs(aim).max()) or 1.0
    below = program.below
    matrix = vstack([csr_array(upper), below]).tocsr() if below.shape[0] else csr_array(upper)
    right = np.concatenate([np.sign(goal.bounds(space)[limited]), np.zeros(below.shape[0])])
    found = linprog(aim / size, matrix, right, program.equal, np.ones(program.equal.shape[0]), bounds=(0, 1), method="highs")
    if found.status != 0:
        return None
    price = np.zeros(len(COLUMNS))
    price[limited] = -found.ineqlin.marginals[: len(limited)] * size / scale
    return price


def solve_exactly(space: Space, program: Program, goal: Goal, seconds: float = 10.0, best: Solution | None = None) -> Solution | None:
    """The best choice within all limits, or the best found in `seconds`: `best`, proven, where nothing is better. None: none is known."""
    aim = goal.weights()
    cost = program.values @ aim
    size = float(np.abs(cost).max()) or 1.0
    rows = [LinearConstraint(program.equal, 1.0, 1.0)]
    if program.below.shape[0]:
        rows.append(LinearConstraint(program.below, -np.inf, 0.0))
    bounds = goal.bounds(space)
    for name in goal.limits:
        column = COLUMNS.index(name)
        scale = max(float(np.abs(program.values[:, column]).max()), 1e-12)
        rows.append(LinearConstraint(csr_array(program.values[None, :, column] / scale), -np.inf, bounds[column] / scale))
    offset = float(np.asarray(space.constant) @ aim)
    if best is not None:
        rows.append(LinearConstraint(csr_array(cost[None] / size), -np.inf, (float(best.totals @ aim) - offset) / size * (1 + 1e-9)))
    found = milp(cost / size, integrality=np.ones(len(cost)), bounds=Bounds(0, 1), constraints=rows,
                 options={"time_limit": seconds, "mip_rel_gap": TOLERANCE})
    if found.x is None:
        return replace(best, bound=float(best.totals @ aim), proven=True) if best is not None and found.status == INFEASIBLE else best
    choice: Choice = tuple(int(np.argmax(found.x[list(own)])) for own in program.options)
    bound = offset + size * float(found.mip_dual_bound if found.mip_dual_bound is not None else found.fun)
    return Solution(choice, space.totals(choice), bound, found.status == 0, "ilp")
