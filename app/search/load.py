"""A mix written into the recipe on the desk: its base and its layers, one line of history; all else stays."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import recipes

Result = Mapping[str, Any]


def merged(doc: recipes.Doc, recipe: Result) -> recipes.Doc:
    """The recipe with the bits of another one, which the engine wrote."""
    layers = dict(recipe.get("layers") or {})
    return {**doc, "precision": str(recipe["precision"]), "layers": layers}


def written(doc: recipes.Doc, base: str, held: Mapping[str, str], layers: Sequence[Result]) -> recipes.Doc:
    """The recipe with these effective precisions, a line where one differs from the base; bypassed layers stay in float."""
    own = dict(doc.get("layers") or {})
    asked = recipes.requests(doc, layers)
    patterns = {k: v for k, v in own.items() if k not in held}
    rest: recipes.Doc = {**doc, "precision": base, "layers": patterns}
    lines: recipes.Doc = dict(patterns)
    for layer, here, meant in zip(layers, asked, recipes.requests(rest, layers), strict=True):
        name = str(layer["name"])
        wanted, line = held.get(name), own.get(name)
        if wanted is None or here.bypassed:
            if line is not None:
                lines[name] = line
        elif isinstance(line, Mapping) and set(line) - {"precision"}:
            lines[name] = {**line, "precision": wanted}
        elif wanted != meant.precision:
            lines[name] = wanted
    return {**doc, "precision": base, "layers": lines}


def moved(doc: recipes.Doc, move: Result) -> recipes.Doc:
    """The recipe with a move of 'what does it take?': its bits, its way of calibrating, or its steps."""
    recipe = move["recipe"]
    if move["kind"] == "bits":
        return merged(doc, recipe)
    key = "steps" if move["kind"] == "step" else "calibration"
    return {**doc, key: recipe[key]}
