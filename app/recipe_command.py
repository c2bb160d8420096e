"""A short tag of a recipe, and the folder of its export."""
from __future__ import annotations

import hashlib


def tag(recipe: str) -> str:
    """Eight letters that change with the recipe's text."""
    return hashlib.sha256(recipe.encode()).hexdigest()[:8]


def export_folder(recipe: str) -> str:
    """The folder of this recipe's export inside the project's `exports`."""
    return f"mix-{tag(recipe)}"
