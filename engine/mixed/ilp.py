"""The exact solution by integer programming (SciPy's HiGHS), and the prices of several limits at once by its relaxation.

One variable for each option of a layer, one for each mode of a group that has several: a layer takes one option, a group
one mode, and an option needs a mode that allows it. Where conversions are charged, the states of the places where types meet
are variables too, see `conversions.py`; their charge is added to the aim.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, vstack

from engine.mixed.conversions import rows_of
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
        equal: [rows, variables] whose products are `right` [rows].
        below: [rows, variables] whose products are at most 0.
        charge: [variables] bit operations of conversions.
        options: the variable of each option, by layer.
        choices: so many variables are choices; those after them follow, and need not be asked to be whole.
    """

    values: Array
    equal: csr_array
    right: Array
    below: csr_array
    charge: Array
    options: tuple[tuple[int, ...], ...]
    choices: int


def program_of(space: Space, charged: bool = False) -> Program:
    """The space as a linear program; `charged`: with the conversions along edges."""
    options, count = [], 0
    for place in space.places:
        options.append(tuple(range(count, count + len(place.options))))
        count += len(place.options)
    modes: list[tuple[int, ...]] = []
    for group in space.groups:
        modes.append(tuple(range(count, count + len(group.modes))) if len(group.modes) > 1 else ())
        count += len(modes[-1])
    takes = [*options, *(m for m in modes if m)]
    below = _needs(space, options, modes)
    met, right, charge = rows_of(space, options, count) if charged else (csr_array((0, count)), np.zeros(0), np.zeros(count))
    total = len(charge)
    values = np.zeros((total, len(COLUMNS)))
    for i, own in enumerate(options):
        values[list(own)] = space.table[i, : len(own)]
    equal = vstack([_matrix([[(v, 1.0) for v in own] for own in takes], total), met]).tocsr()
    return Program(values, equal, np.concatenate([np.ones(len(takes)), right]), _matrix(below, total), charge, tuple(options), count)


def _needs(space: Space, options: list[tuple[int, ...]], modes: list[tuple[int, ...]]) -> list[list[tuple[int, float]]]:
    """An option is at most the sum of the modes that allow it."""
    rows = []
    for group, own in zip(space.groups, modes, strict=True):
        for member, place in enumerate(group.places if own else ()):
            for option, variable in enumerate(options[place]):
                allowed = [m for m, mode in zip(own, group.modes, strict=True) if option in mode[member]]
                rows.append([(variable, 1.0), *((m, -1.0) for m in allowed)])
    return rows


def _matrix(rows: list[list[tuple[int, float]]], columns: int) -> csr_array:
    """Rows of (column, value) as a sparse matrix."""
    ends = np.cumsum([0, *map(len, rows)])
    flat = [entry for row in rows for entry in row]
    return csr_array(([v for _, v in flat], [c for c, _ in flat], ends), shape=(len(rows), columns))


def prices(space: Space, program: Program, goal: Goal) -> Array | None:
    """What the relaxation pays for a unit of each limited column; None where no choice keeps to the limits."""
    limited = [COLUMNS.index(name) for name in goal.limits]
    scale = np.maximum(np.abs(goal.bounds(space)[limited]), 1e-12)
    upper = program.values[:, limited].T / scale[:, None]
    aim = program.values @ goal.weights()
    size = float(np.abs(aim).max()) or 1.0
    below = program.below
    matrix = vstack([csr_array(upper), below]).tocsr() if below.shape[0] else csr_array(upper)
    upper_right = np.concatenate([np.sign(goal.bounds(space)[limited]), np.zeros(below.shape[0])])
    found = linprog(aim / size, matrix, upper_right, program.equal, program.right, bounds=(0, 1), method="highs-ds")
    if found.status != 0:
        return None
    price = np.zeros(len(COLUMNS))
    price[limited] = -found.ineqlin.marginals[: len(limited)] * size / scale
    return price


def solve_exactly(space: Space, program: Program, goal: Goal, seconds: float = 10.0, best: Solution | None = None,
                  worth: float = 0.0) -> Solution | None:
    """The best choice within all limits, or the best found in `seconds`: `best`, proven, where nothing is better. None: none is known.

    Args:
        worth: of a bit operation of conversions, in units of the aim; what is made least is the aim and that.
    """
    aim = goal.weights()
    cost = program.values @ aim + worth * program.charge
    size = float(np.abs(cost).max()) or 1.0
    rows = [LinearConstraint(program.equal, program.right, program.right)]
    if program.below.shape[0]:
        rows.append(LinearConstraint(program.below, -np.inf, 0.0))
    bounds = goal.bounds(space)
    for name in goal.limits:
        column = COLUMNS.index(name)
        scale = max(float(np.abs(program.values[:, column]).max()), 1e-12)
        rows.append(LinearConstraint(csr_array(program.values[None, :, column] / scale), -np.inf, bounds[column] / scale))
    offset = float(np.asarray(space.constant) @ aim)
    if best is not None:
        best = replace(best, charged=_charged(space, best.choice, worth))
        most = float(best.totals @ aim) + best.charged - offset
        rows.append(LinearConstraint(csr_array(cost[None] / size), -np.inf, most / size * (1 + 1e-9)))
    whole = np.zeros(len(cost))
    whole[: program.choices] = 1
    found = milp(cost / size, integrality=whole, bounds=Bounds(0, 1), constraints=rows,
                 options={"time_limit": seconds, "mip_rel_gap": TOLERANCE})
    if found.x is None:
        proven = best is not None and found.status == INFEASIBLE
        return replace(best, bound=float(best.totals @ aim) + best.charged, proven=True) if best is not None and proven else best
    choice: Choice = tuple(int(np.argmax(found.x[list(own)])) for own in program.options)
    bound = offset + size * float(found.mip_dual_bound if found.mip_dual_bound is not None else found.fun)
    return Solution(choice, space.totals(choice), bound, found.status == 0, "ilp", _charged(space, choice, worth))


def _charged(space: Space, choice: Choice, worth: float) -> float:
    return worth * space.edges.charge([place.options[o].precision for place, o in zip(space.places, choice, strict=True)]) if worth else 0.0
