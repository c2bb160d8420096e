"""A remedy's change applied to a recipe."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.recipe import Recipe
from engine.recipe.merge import merged


def apply_change(recipe: Recipe, change: Mapping[str, Any]) -> Recipe:
    """The recipe with a remedy's change merged in; raises `BadInput` for a value that a recipe does not know."""
    return Recipe.parse(merged(recipe.to_dict(), change), "remedy")
