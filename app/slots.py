"""The switch A|B of the bar: on which side the desk stands, and what is known of the other."""
from __future__ import annotations

from typing import Any

from app import numbers
from app.bench import Bench

Data = dict[str, Any]


def slots_data(client: Any, found: Bench, unit: str) -> Data:
    """The switch: the active side, and for each side what a hover says."""
    slots = client.slots(found.project.id)
    here = "the recipe on the desk; edits go here"
    if slots.other is None:
        other = "begins where the desk is now; then one click goes back and forth"
    else:
        other = f"{slots.other.label}: {_known(client, found, slots.other.recipe, unit)}"
    return {"active": slots.active, "there": slots.other is not None, slots.active: f"{slots.active}: {here}",
            slots.passive: f"{slots.passive}: {other}", "copy": f"Put this recipe in {slots.passive} too", "passive": slots.passive}


def _known(client: Any, found: Bench, recipe: str, unit: str) -> str:
    report = client.latest(found.project.id, "measure", recipe)
    if report is None:
        return "not measured yet"
    drop, size = (report.get("drop") or {}).get("value"), (report.get("cost") or {}).get("size_bytes")
    words = [] if drop is None else [f"drop {numbers.figure(drop, unit)}{' pp' if unit == '%' else ''}"]
    return ", ".join([*words, numbers.size_text(size)] if size else words) or "measured"
