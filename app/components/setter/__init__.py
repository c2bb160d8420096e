"""The desk's control that sets many layers at once, or the model's ends; its trigger `act` says what."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.components import register

_component = register("setter", ["setter.js", "dom.js"], ["base.css", "setter.css"])


def setter(data: dict[str, Any], on_act: Callable[[], None], key: str = "setter") -> Any:
    """Draws `app.app_pages.rules_panel.setter_data`."""
    return _component(key=key, data=data, on_act_change=on_act)
