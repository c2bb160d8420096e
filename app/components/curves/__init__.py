"""The curves of a training: loss and held-out score by epoch."""
from __future__ import annotations

from typing import Any

from app.components import register

_component = register("curves", ["curves.js", "dom.js", "curves_draw.js", "plots_axes.js"], ["base.css", "curves.css"])


def curves(data: dict[str, Any], key: str = "curves") -> Any:
    """Draws `app.train.curves.curves_data`."""
    return _component(key=key, data=data)
