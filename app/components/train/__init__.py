"""The form of a training with its buttons; its state document is `doc`, its trigger `act` carries it too."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.components import register

SCRIPTS = ["train.js", "dom.js", "chain_lines.js", "chain_form.js"]
_component = register("train", SCRIPTS, ["base.css", "chain.css", "train.css"])


def train(data: dict[str, Any], on_doc: Callable[[], None], on_act: Callable[[], None], key: str = "train") -> Any:
    """Draws `app.train.panel.panel_data`; `doc` carries all settings with a sequence number, never a delta."""
    return _component(key=key, data=data, on_doc_change=on_doc, on_act_change=on_act)
