"""The readout bar: its data are words made in `app.readouts`; its one trigger is `act`."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.components import register

_component = register("readout", ["readout.js", "dom.js", "gauge.js"], ["base.css", "readout.css"])


def readout(data: dict[str, Any], on_act: Callable[[], None], key: str = "readout") -> Any:
    """Draws the bar; `on_act` is called when a control in it was used (`st.session_state[key].act`)."""
    return _component(key=key, data=data, on_act_change=on_act)
