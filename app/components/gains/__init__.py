"""The plot of layers before and after, on a canvas: hundreds of layers in one frame; its trigger is `pick`."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.components import register

_component = register("gains", ["gains.js", "dom.js", "gains_layout.js", "gains_paint.js"], ["base.css", "gains.css"])


def gains(data: dict[str, Any], on_pick: Callable[[], None], key: str = "gains") -> Any:
    """Draws `app.repair.gains.gains_data`; `pick` carries the name of the clicked layer."""
    return _component(key=key, data=data, on_pick_change=on_pick)
