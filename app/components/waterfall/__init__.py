"""The waterfall of a chain: what each step gave; its trigger `act` selects a step or leaves one out."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.components import register

_component = register("falls", ["falls.js", "dom.js", "falls_draw.js"], ["base.css", "falls.css"])


def waterfall(data: dict[str, Any], on_act: Callable[[], None], key: str = "falls") -> Any:
    """Draws `app.repair.falls.falls_data`."""
    return _component(key=key, data=data, on_act_change=on_act)
