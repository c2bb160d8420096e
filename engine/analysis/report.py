"""Reports: what was measured, for JSON. The keys are those that all results share."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.analysis.layer_noise import SAMPLES as LAYER_SAMPLES
from engine.analysis.measure import Measurement
from engine.graph.model import Model
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim
from engine.targets.cost import Cost, cost_of


def measured(metric: str, found: Measurement) -> dict[str, Any]:
    """The measured numbers of a report: `fp32`, `quantized`, `drop`, `sqnr_db`, `agreement`, `samples`."""
    return {
        "samples": found.samples,
        "fp32": {"metric": metric, **found.fp32.to_json()},
        "quantized": {"metric": metric, **found.quantized.to_json()},
        "drop": found.drop.to_json(),
        "sqnr_db": found.sqnr_db,
        **({"sqnr_db_by_output": dict(found.sqnr_db_by_output)} if found.sqnr_db_by_output else {}),
        "agreement": found.agreement,
    }


def layer_rows(sim: QuantSim, cost: Cost, sqnr: Mapping[str, float] | None = None) -> list[dict[str, Any]]:
    """One row per layer: what was asked, what it has, why they differ, what it costs."""
    costs = {entry.name: entry for entry in cost.layers}
    plans = {entry.name: entry for entry in sim.plan.layers}
    rows = []
    for layer in sim.model.layers:
        plan, own = plans[layer.name], costs[layer.name]
        rows.append({
            "name": layer.name, "weight": layer.weight, "module": layer.module, "op_type": layer.op_type, "kind": layer.kind,
            "requested": str(plan.requested), "precision": str(plan.precision), "legal": plan.legal, "reason": plan.reason,
            "bypassed": plan.bypassed, "sqnr_db": None if sqnr is None else sqnr.get(layer.name), "params": layer.params,
            "macs": layer.macs, "size_bytes": own.size_bytes, "fp32_size_bytes": own.fp32_size_bytes, "bops": own.bops})
    return rows


def report(model: Model, sim: QuantSim, recipe: Recipe, metric: str, found: Measurement, sqnr: Mapping[str, float] | None,
           extra: Mapping[str, Any]) -> dict[str, Any]:
    """The whole report of a measured recipe."""
    cost = cost_of(sim.model, sim.plan)
    return {
        "model": {"name": model.name, "sha256": model.sha256, "opset": model.opset},
        **measured(metric, found),
        "layers": layer_rows(sim, cost, sqnr),
        "layer_sqnr_samples": None if sqnr is None else min(LAYER_SAMPLES, found.samples),
        "cost": cost.to_json(),
        "boundaries": len(sim.plan.boundaries),
        "target": sim.target.name,
        "fingerprint": recipe.fingerprint(),
        "recipe": recipe.to_dict(),
        **extra,
    }
