"""The mixer of the page Search: targets, plot, mix and reasons; its state document is `doc`, its trigger `act` carries it too."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.components import register

PARTS = ("solve", "plot", "strip", "targets", "picture", "why", "takes")
SCRIPTS = ["mix.js", "dom.js", "predict.js", *(f"mix_{part}.js" for part in PARTS)]
_component = register("mix", SCRIPTS, ["base.css", "mix.css"])


def mixer(data: dict[str, Any], on_doc: Callable[[], None], on_act: Callable[[], None], key: str = "mix") -> Any:
    """Draws `app.search.data.mixer_data`; `doc` carries all targets with a sequence number, never a delta."""
    return _component(key=key, data=data, on_doc_change=on_doc, on_act_change=on_act)
