"""A short tag of a recipe, for the folder of its export."""
from __future__ import annotations

import hashlib


def tag(recipe: str) -> str:
    """Eight letters that change with the recipe's text."""
    return hashlib.sha256(recipe.encode()).hexdigest()[:8]
