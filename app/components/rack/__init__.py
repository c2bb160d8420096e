"""The rack: one channel strip a layer; its state document is `doc`, its trigger `act` (parts that it lacks)."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.components import register

_component = register("rack", ["rack.js", "dom.js"], ["base.css", "rack.css"])


def rack(data: dict[str, Any], on_doc: Callable[[], None], on_act: Callable[[], None], key: str = "rack") -> Any:
    """Draws the rack; `doc` carries its whole state with a sequence number, never a delta."""
    return _component(key=key, data=data, on_doc_change=on_doc, on_act_change=on_act)
