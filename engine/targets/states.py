"""The states of recurrent layers, which stay float.

They are what only feeds `initial_h` and `initial_c` (through ops that move values), every `Y_c`, and
a `Y_h` that leads nowhere but to states and model outputs.
"""

from __future__ import annotations

import onnx_ir as ir

from engine.graph import Model
from engine.targets.facts import Target
from engine.targets.floats import BLIND, float_reads, is_float, outputs
from engine.targets.units import is_recurrent

STATE_INPUTS = (5, 6)
WHY = "a state of a recurrent layer, which stays float"
_MOVERS = frozenset({"Concat", "Identity", "Cast"})


def find_states(model: Model, target: Target) -> dict[str, str]:
    """All states by tensor, with the reason."""
    if not any(is_recurrent(node) for node in model.graph):
        return {}
    movers = target.grid_preserving | _MOVERS
    only, reaches = _uses(model, movers)
    values = [*model.graph.inputs, *(v for v in outputs(model) if not v.is_graph_output())]
    found = {str(v.name): WHY for v in values if is_float(v) and only[id(v)] and reaches[id(v)]}
    for node in model.graph:
        if is_recurrent(node):
            made = [v for i, v in enumerate(node.outputs) if v.name and (i == 2 or (i == 1 and only[id(v)]))]
            found.update((str(v.name), WHY) for v in made)
        elif node.op_type in movers and float_reads(node) and all(str(v.name) in found for v in float_reads(node)):
            found.update((str(v.name), WHY) for v in node.outputs if is_float(v))
    return found


def _uses(model: Model, movers: frozenset[str]) -> tuple[dict[int, bool], dict[int, bool]]:
    """For each value: whether all its uses lead to states (or nowhere), and whether one reaches a state."""
    only: dict[int, bool] = {}
    reaches: dict[int, bool] = {}
    for value in (*reversed(list(outputs(model))), *model.graph.inputs):
        fates = [_fate(user, index, movers, only, reaches) for user, index in value.uses()]
        only[id(value)] = all(fate[0] for fate in fates)
        reaches[id(value)] = any(fate[1] for fate in fates)
    return only, reaches


def _fate(
    user: ir.Node, index: int, movers: frozenset[str], only: dict[int, bool], reaches: dict[int, bool]
) -> tuple[bool, bool]:
    if is_recurrent(user) and index in STATE_INPUTS:
        return True, True
    if user.op_type in BLIND:
        return True, False
    if user.op_type not in movers:
        return False, False
    made = [id(v) for v in user.outputs if v.name]
    return all(only.get(v, False) for v in made), any(reaches.get(v, False) for v in made)
