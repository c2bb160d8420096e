"""The trials of a search over settings, by loss; its trigger is `act`."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.components import register

_component = register("trials", ["trials.js", "dom.js", "trials_draw.js", "plots_axes.js"], ["base.css", "trials.css"])


def trials(data: dict[str, Any], on_act: Callable[[], None], key: str = "trials") -> Any:
    """Draws `app.train.trials.trials_data`."""
    return _component(key=key, data=data, on_act_change=on_act)
