"""What a move brings with it, before it is made: the difference of two resolutions of one graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.analysis.resolved import changes
from engine.errors import BadInput, IllegalPrecision, nearest
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim
from engine.targets import Plan, resolve
from engine.targets.cost import cost_of

BASE = "base"
FLOAT = "float"


def moved_recipe(sim: QuantSim, recipe: Recipe, moves: Mapping[str, str]) -> Recipe:
    """The recipe after moves of the hand: layer → precision, `base` (its own line goes) or `float` (kept in float); the key `base`
    moves the base itself, unless a layer is called so.

    Raises:
        BadInput: no layer of that name, or no precision.
    """
    known = [layer.name for layer in sim.model.layers]
    for name, to in moves.items():
        if name == BASE and name not in known:
            recipe = replace(recipe, precision=Precision.parse(to))
        elif name not in known:
            raise BadInput(f"no layer {name!r} to move. {nearest(name, [BASE, *known])}")
        elif to == FLOAT:
            recipe = recipe.with_bypass(name)
        else:
            recipe = recipe.with_layer(name, None if to == BASE else Precision.parse(to)).with_bypass(name, False)
    return recipe


def consequences(before: QuantSim, after: QuantSim) -> dict[str, Any]:
    """All that differs, nothing is run.

    `layers`: those whose effective or requested precision changes, by `index` in the order of execution; `follows` is True where a
    layer asks for what it asked before and gets something else. `tensors`: those whose type changes. `boundaries` and `cost`:
    both counts, and what was added and removed. `refused`: the error that `strict` would raise after the move, empty where none.
    """
    refused = _refusal(after)
    old, new = _plan(before), _plan(after)
    rows = [{"index": i, "name": b.name, "from": str(a.precision), "to": str(b.precision), "requested": str(b.requested),
             "follows": a.requested == b.requested and a.bypassed == b.bypassed, "legal": b.legal, "reason": b.reason}
            for i, (a, b) in enumerate(zip(old.layers, new.layers, strict=True))
            if (a.precision, a.requested, a.bypassed, a.legal) != (b.precision, b.requested, b.bypassed, b.legal)]
    reasons = {name: plan.reason for name, plan in new.activations.items()}
    tensors = [{"name": n, "from": str(old.types[n]), "to": str(t), "reason": reasons.get(n, "")}
               for n, t in new.types.items() if old.types[n] != t]
    costs = [cost_of(sim.model, plan).to_json() for sim, plan in ((before, old), (after, new))]
    return {"layers": rows, "tensors": tensors, "boundaries": _boundaries(old, new), "refused": refused,
            "cost": {key: {"before": costs[0][key], "after": costs[1][key]} for key in ("size_bytes", "bops")}}


def _plan(sim: QuantSim) -> Plan:
    """The resolution as far as it goes: what `strict` refuses is told, not raised."""
    return resolve(sim.model, sim.recipe, sim.target, sim.placement) if sim.strict else sim.plan


def _refusal(sim: QuantSim) -> str:
    try:
        resolve(sim.model, sim.recipe, sim.target, sim.placement, strict=True)
    except IllegalPrecision as error:
        return str(error)
    return ""


def _boundaries(old: Plan, new: Plan) -> dict[str, Any]:
    was, now = (Counter(tuple(row.items()) for row in changes(plan)) for plan in (old, new))
    return {"before": len(old.boundaries), "after": len(new.boundaries), "added": [dict(row) for row in (now - was).elements()],
            "removed": [dict(row) for row in (was - now).elements()]}
