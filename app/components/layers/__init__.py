"""The layer table: filters, selection and precision caps; its state document is `doc`, its trigger `act`."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.components import register

_component = register("layers", ["layers.js", "dom.js", "layers_paint.js"], ["base.css", "layers.css"])


def layers(data: dict[str, Any], on_doc: Callable[[], None], on_act: Callable[[], None], key: str = "layers") -> Any:
    """Draws the table; `doc` carries the whole selection with a sequence number, never a delta."""
    return _component(key=key, data=data, on_doc_change=on_doc, on_act_change=on_act)
