"""From a choice to the recipe that asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from engine.quant.precision import Precision
from engine.recipe import LayerRequest, Recipe
from engine.sim.quantsim import QuantSim
from engine.targets.requests import match_requests


def written(sim: QuantSim, precisions: Mapping[str, Precision], fixed: Iterable[str] = ()) -> Recipe:
    """The simulation's recipe with an exact line for each layer that the rest of it would not give its precision.

    Layers in `fixed` keep what they have. Lines that also mean ops without weights stay, since exact names beat them; what
    a line says of a weight's grid is carried over.
    """
    recipe, layers, kept = sim.recipe, sim.model.layers, set(fixed)
    known = {layer.name for layer in layers}
    plain = replace(recipe, layers=tuple((n, r) for n, r in recipe.layers if n not in known or n in kept))
    patterns = any(n not in known for n, _ in plain.layers)
    meant = match_requests(sim.model, plain, sim.placement).nodes if patterns else dict(plain.layers)
    before = match_requests(sim.model, recipe, sim.placement).nodes if recipe.layers else {}
    lines = dict(plain.layers)
    for layer in layers:
        if layer.name in kept or layer.name not in precisions:
            continue
        wanted, weights = precisions[layer.name], before[layer.name].weights if layer.name in before else None
        have = meant[layer.name].precision if layer.name in meant else recipe.precision
        if wanted != have or weights is not None:
            lines[layer.name] = LayerRequest(wanted, weights)
    return replace(recipe, layers=tuple(lines.items()))
