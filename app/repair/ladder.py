"""'Repair for me': the data of its box, from the ladder's own fields and from what it decided."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.bench import Bench, measurable
from app.repair import ask, words
from app.repair.view import View

Data = dict[str, Any]
CLASSES = ("goal", "%", "answers changed at most")  # the ladder's option, its unit, and what it means in the box
DECIBELS = ("goal_db", "dB", "SQNR at least")
ABOUT = ("Tries what suits this model, the cheapest first, and keeps what helps. It judges on calibration samples that it keeps aside; "
         "the evaluation data are not looked at.")


def goal_of(listed: Mapping[str, Any], unit: str) -> tuple[Mapping[str, Any], tuple[str, str, str]] | None:
    """The ladder's field for its goal, with unit and words; None where this version has no ladder."""
    told = CLASSES if unit == "%" else DECIBELS
    fields = (listed.get("ladder") or {}).get("fields", [])
    field = next((f for f in fields if f.get("name") == told[0]), None)
    return None if field is None else (field, told)


def value_of(field: Mapping[str, Any], view: View) -> float:
    """The goal: what was typed, within the field's bounds, else its default."""
    asked = float(field.get("default") or 0.0) if view.goal is None else view.goal
    low, high = field.get("minimum"), field.get("maximum")
    return min(max(asked, asked if low is None else float(low)), asked if high is None else float(high))


def ladder_data(client: Any, found: Bench, view: View, listed: Mapping[str, Any], unit: str) -> Data | None:
    """What the box shows; None where there is no ladder."""
    goal = goal_of(listed, unit)
    if goal is None:
        return None
    field, (_, symbol, meaning) = goal
    job = ask.ladder_job(found)
    busy = job is not None and job.active
    why = found.stopped or ("" if measurable(found) else words.NO_DATA)
    return {"goal": f"{value_of(field, view):g}", "unit": symbol, "meaning": meaning, "doc": str(field.get("doc") or ""), "busy": busy,
            "off": bool(why) and not busy,
            "text": f"Cancel \u00b7 {100 * float(job.fraction):.0f} %" if busy and job is not None else "Repair for me",
            "title": why or ("Stop; the chain stays as it is" if busy else "The steps that it finds are written into the chain"),
            "words": _words(job), "lines": _lines(answer(client, job))}


def answer(client: Any, job: Any | None) -> Mapping[str, Any]:
    """The ladder's answer, whole or as far as it is known."""
    if job is None:
        return {}
    return (client.result(job.id) if job.state == "done" else None) or job.partial or {}


def _words(job: Any | None) -> str:
    if job is None:
        return ABOUT
    if job.active:
        return str(job.message or "starting")
    ended = {"failed": str(job.error)[:300], "cancelled": f"Cancelled. {ABOUT}"}
    return ended.get(job.state, "What it decided, in its order; the steps that it kept are in the chain.")


def _lines(result: Mapping[str, Any]) -> list[Data]:
    """Each decision in a line, with a sign for what was kept."""
    live = (result.get("running") or {}).get("live") or {}
    rows = [row for row in result.get("rows") or [] if row.get("instead") is not None]
    said = [str(line) for row in rows for line in row.get("changes") or []] or [str(line) for line in live.get("lines") or []]
    tried = [t for row in rows for t in row.get("tried") or []] or list(live.get("tried") or [])
    kept = {str(t.get("words")) for t in tried if t.get("kept") and t.get("steps")}  # without steps it is where it began
    return [{"tone": "goal" if line.startswith("kept:") else "kept" if line in kept else "tried", "text": line} for line in said]
