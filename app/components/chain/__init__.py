"""The chain of steps: cards that are moved, switched and set; its state document is `doc`, its trigger `act` carries it too."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.components import register

SCRIPTS = ["chain.js", "dom.js", *(f"chain_{part}.js" for part in ("lines", "card", "form", "menu", "drag", "live", "auto"))]
_component = register("chain", SCRIPTS, ["base.css", "chain.css"])


def chain(data: dict[str, Any], on_doc: Callable[[], None], on_act: Callable[[], None], key: str = "chain") -> Any:
    """Draws `app.repair.chain.chain_data`; `doc` carries the whole draft with a sequence number, never a delta."""
    return _component(key=key, data=data, on_doc_change=on_doc, on_act_change=on_act)
