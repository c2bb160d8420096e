"""A remedy's change applied to a recipe."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.recipe import Recipe

# What the short form of an entry under these keys stands for: `conv: w4a8` is `conv: {precision: w4a8}`.
_SHORT = {"layers": "precision", "tensors": "type"}


def apply_change(recipe: Recipe, change: Mapping[str, Any]) -> Recipe:
    """The recipe with a remedy's change merged in: other entries and other settings of the same entry stay.

    Raises:
        BadInput: a value that a recipe does not know.
    """
    data = recipe.to_dict()
    for key, value in change.items():
        data[key] = _entries(data.get(key, {}), value, _SHORT[key]) if key in _SHORT else _merged(data.get(key), value)
    return Recipe.parse(data, "remedy")


def _entries(before: Mapping[str, Any], change: Mapping[str, Any], short: str) -> dict[str, Any]:
    """Named entries, each in its long form where it is changed."""
    found = dict(before)
    for name, value in change.items():
        old, new = (v if isinstance(v, Mapping) else {short: v} for v in (found.get(name, {}), value))
        found[name] = _merged(old, new)
    return found


def _merged(before: Any, change: Any) -> Any:
    if isinstance(before, Mapping) and isinstance(change, Mapping):
        found = dict(before)
        for key, value in change.items():
            found[key] = _merged(found.get(key), value)
        return found
    if isinstance(before, list) and isinstance(change, list):
        return [*before, *(value for value in change if value not in before)]
    return change
