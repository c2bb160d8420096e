"""What the page needs to foresee a move, beside a resolved recipe: made once for all recipes that differ in moves alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.recipe import Recipe
from engine.room import Room, digest
from engine.targets.foresight import foresight


class Foreseeing:
    """Keeps the data of the last recipe: an edit of bits costs a comparison, not another pass over the graph."""

    def __init__(self) -> None:
        self._known: tuple[str, Mapping[str, Any]] = ("", {})

    def of(self, room: Room, recipe: Recipe) -> Mapping[str, Any]:
        """`engine.targets.foresight` for a recipe in its room, with a `name` that stands for their content."""
        key = _key(room, recipe)
        if self._known[0] != key:
            sim = room.enter(recipe)
            data = foresight(sim.model, sim.target, sim.placement, recipe)
            self._known = (key, {"name": digest(data)[:12], **data})
        return self._known[1]


def _key(room: Room, recipe: Recipe) -> str:
    """All that the data depend on: what a recipe says of single layers is in it only by the precisions that it names."""
    names = {layer.name for layer in room.sim.model.layers}
    lines = [(name, request) for name, request in recipe.layers if name not in names or request.weights is not None]
    asked = sorted({str(p) for p in (recipe.precision, *recipe.candidates, *(r.precision for _, r in recipe.layers))})
    rest = replace(recipe, layers=tuple(lines), bypass=(), calibration=Recipe().calibration, steps=(), precision=Recipe().precision)
    return digest([room.graph, rest.fingerprint(), asked])
