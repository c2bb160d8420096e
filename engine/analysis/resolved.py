"""A recipe resolved on a model without data: layers, cost, what is legal, and where quantizers stand."""
from __future__ import annotations

from typing import Any

from engine.analysis.report import layer_rows
from engine.quant.precision import Float
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim
from engine.targets import Plan
from engine.targets.cost import cost_of


def resolved(sim: QuantSim, state: str) -> dict[str, Any]:
    """Everything that follows from the recipe alone.

    Args:
        state: of the calibration (`fresh`, `stale` or `never`), shown with each tensor that needs one.
    """
    cost = cost_of(sim.model, sim.plan)
    return {
        "layers": layer_rows(sim, cost),
        "cost": cost.to_json(),
        "boundaries": len(sim.plan.boundaries),
        "changes": changes(sim.plan),
        "options": options(sim, sim.recipe),
        "tensors": tensors(sim, state),
        "groups": [sorted(group) for group in sim.placement.groups],
        "target": {"name": sim.target.name, "title": sim.target.title, "precisions": sorted(str(p) for p in sim.target.precisions)
                   if len(sim.target.precisions) <= 16 else []},
        "fingerprint": sim.recipe.fingerprint(),
    }


def changes(plan: Plan) -> list[dict[str, str]]:
    """Every boundary: the tensor, both types, and the node that reads or makes it in the other one."""
    return [{"tensor": b.tensor, "from": str(b.from_type), "to": str(b.to_type), "reader": b.reader, "writer": b.writer}
            for b in plan.boundaries]


def options(sim: QuantSim, recipe: Recipe) -> dict[str, dict[str, str]]:
    """Layer → candidate precision → why the target does not run it (empty where it does)."""
    kinds: dict[tuple[str, str], dict[str, str]] = {}
    found = {}
    for layer in sim.model.layers:
        key = (layer.op_type, layer.kind)
        if key not in kinds:
            kinds[key] = {str(p): sim.target.why_illegal(p, layer.op_type, layer.kind) for p in recipe.candidates}
        found[layer.name] = kinds[key]
    return found


def tensors(sim: QuantSim, state: str) -> list[dict[str, Any]]:
    """Every float tensor with or without a quantizer, and why, in the order of execution."""
    rows = []
    for name, slot in sim.placement.slots.items():
        plan = sim.plan.activations.get(name)
        calibrated = None
        if plan is not None and not isinstance(plan.dtype, Float):
            calibrated = "constant" if slot.kind == "constant" else "fixed" if plan.fixed_range or name in sim.fixed else state
        rows.append({"name": name, "kind": slot.kind, "quantized": plan is not None, "dtype": str(plan.dtype) if plan else "fp32",
                     "symmetry": plan.symmetry if plan else None, "reason": plan.reason if plan and plan.reason else slot.reason,
                     "explain": sim.placement.explain(name), "tied": slot.tied, "carries": slot.carries, "calibrated": calibrated})
    return rows
