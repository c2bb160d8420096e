"""What the rack needs to foresee a move: the engine's data of the last resolved recipe, for as long as only moves were made since."""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app import recipes
from app.bench import Bench

KEY = "foresight"
MOVES = ("precision", "bypass")  # what the rack's faders, keys and master change, beside the lines of single layers


@dataclass
class Foreseen:
    """The data that were taken over last, and the rest of the recipe that they belong to."""

    rest: str = ""
    data: Mapping[str, Any] | None = None


def foreseen(last: Foreseen, bench: Bench) -> Mapping[str, Any] | None:
    """The data for the recipe on the desk; None while it is not resolved and differs in more than moves from the last one that was."""
    rest = _rest(bench)
    if bench.resolved is not None:
        last.rest, last.data = rest, bench.resolved.get(KEY)
    return last.data if rest == last.rest else None


def _rest(bench: Bench) -> str:
    """The recipe without what a move changes. Lines of single layers that say more than a precision stay in it."""
    names = {str(layer["name"]) for layer in bench.layers}
    lines = {k: v for k, v in dict(bench.doc.get("layers") or {}).items() if k not in names or isinstance(v, Mapping)}
    kept = {k: v for k, v in bench.doc.items() if k not in (*MOVES, "layers")}
    return json.dumps([bench.project.id, recipes.candidates(bench.doc), kept, lines], sort_keys=True, default=str)
