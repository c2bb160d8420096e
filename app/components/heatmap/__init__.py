"""The heatmap of items and precisions on a canvas: thousands of cells in one frame; its trigger is `pick`."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.components import register

_component = register("heat", ["heatmap.js", "dom.js", "heatmap_layout.js", "heatmap_paint.js"], ["base.css", "heatmap.css"])


def heatmap(data: dict[str, Any], on_pick: Callable[[], None], key: str) -> Any:
    """Draws `app.sensitivity.heat.heat_data`; `pick` carries the item and the precision of the clicked cell."""
    return _component(key=key, data=data, on_pick_change=on_pick)
