"""The inspector's plots, drawn in the component: histogram, ladder of precisions, ranges of channels."""
from __future__ import annotations

from typing import Any

from app.components import register

_component = register("plots", ["plots.js", "dom.js"], ["base.css", "plots.css"])


def plots(data: dict[str, Any], key: str = "plots") -> Any:
    """Draws them; those that say `half` stand side by side where there is room."""
    return _component(key=key, data=data)
