"""The graph view: the network on a canvas; its one trigger is `act`, which carries the whole of what the hand wants."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.components import register

SCRIPTS = ["graph.js", "dom.js", *(f"graph_{part}.js" for part in ("view", "paint", "boxes", "actions", "input", "card"))]
_component = register("graph", SCRIPTS, ["base.css", "graph.css"])


def graph(data: dict[str, Any], on_act: Callable[[], None], key: str = "graph") -> Any:
    """Draws the network; `on_act` is called when a node was selected, or a block folded (`st.session_state[key].act`)."""
    return _component(key=key, data=data, on_act_change=on_act)
