"""The switch A|B of the bar: on which side the desk stands, what is known of the other, and which classes tell them apart."""
from __future__ import annotations

from typing import Any

from app import classes_moved, numbers, state
from app.bench import Bench
from app.compare import view

Data = dict[str, Any]


def slots_data(client: Any, found: Bench, unit: str) -> Data:
    """The switch: the active side, and for each side what a hover says."""
    slots = client.slots(found.project.id)
    here, classes = "the recipe on the desk; edits go here", None
    if slots.other is None:
        other = "begins where the desk is now; then one click goes back and forth"
    else:
        report = client.latest(found.project.id, "measure", slots.other.recipe)
        other = f"{slots.other.label}: {_known(report, unit)}"
        if not found.audition and slots.other.recipe != found.recipe:
            classes = classes_moved.strip(classes_moved.moved(found.report, report), slots.active, slots.passive)
    return {"classes": classes, "active": slots.active, "there": slots.other is not None, slots.active: f"{slots.active}: {here}",
            slots.passive: f"{slots.passive}: {other}", "copy": f"Put this recipe in {slots.passive} too", "passive": slots.passive}


def to_compare(project: str) -> None:
    """Compare with the other side at the left and the desk at the right."""
    seen = view.of(project)
    seen.left, seen.right, seen.rev = "side", "desk", seen.rev + 1
    state.window().goto = "compare"


def _known(report: Any, unit: str) -> str:
    if report is None:
        return "not measured yet"
    drop, size = (report.get("drop") or {}).get("value"), (report.get("cost") or {}).get("size_bytes")
    words = [] if drop is None else [f"drop {numbers.figure(drop, unit)}{' pp' if unit == '%' else ''}"]
    return ", ".join([*words, numbers.size_text(size)] if size else words) or "measured"
