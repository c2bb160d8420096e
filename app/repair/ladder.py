"""'Repair for me': the data of its box, and what to do when the ladder has ended."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app import numbers
from app.bench import Bench, measurable
from app.repair import ask, words
from app.repair.view import View

Data = dict[str, Any]
GOALS = ("goal", "max_drop")
ABOUT = "Tries what suits this model, the cheapest first, measures each, keeps what helps and stops at the goal."


def goal_field(listed: Mapping[str, Any]) -> str:
    """The option of the ladder that says how much may be lost; empty where this version has no ladder."""
    fields = [str(f.get("name")) for f in (listed.get("ladder") or {}).get("fields", [])]
    return next((name for name in GOALS if name in fields), "")


def ladder_data(client: Any, found: Bench, view: View, listed: Mapping[str, Any], unit: str) -> Data | None:
    """What the box shows; None where there is no ladder."""
    if not goal_field(listed):
        return None
    job = ask.ladder_job(found)
    busy = job is not None and job.active
    result = answer(client, job)
    why = found.stopped or ("" if measurable(found) else words.NO_DATA)
    shown = f"{view.goal * numbers.scale(unit):g}"
    return {"goal": shown, "unit": words.points(unit), "busy": busy, "off": bool(why) and not busy,
            "text": f"Cancel \u00b7 {100 * float(job.fraction):.0f} %" if busy and job is not None else "Repair for me",
            "title": why or ("Stop; what was found so far stays" if busy else "The steps that it finds are written into the chain"),
            "words": _words(job, result), "lines": _lines(result)}


def answer(client: Any, job: Any | None) -> Mapping[str, Any]:
    """The ladder's answer, whole or as far as it is known."""
    if job is None:
        return {}
    return (client.result(job.id) if job.state == "done" else None) or job.partial or {}


def _words(job: Any | None, result: Mapping[str, Any]) -> str:
    if job is None:
        return ABOUT
    if job.state in ("queued", "running"):
        return str(job.message or "starting")
    if job.state == "failed":
        return str(job.error)[:300]
    if job.state == "cancelled":
        return "Cancelled. " + ABOUT
    return str(result.get("words") or ABOUT)


def _lines(result: Mapping[str, Any]) -> list[Data]:
    """One line for each thing that was tried."""
    tried = [t for row in result.get("rows") or [] for t in row.get("tried") or []]
    tried = tried or list((result.get("running") or {}).get("tried") or [])
    return [{"tone": "kept" if t.get("kept") else "tried", "text": str(t.get("words") or _steps(t)), "title": _title(t)} for t in tried]


def _steps(tried: Mapping[str, Any]) -> str:
    return ", ".join(s if isinstance(s, str) else next(iter(s), "") for s in tried.get("steps") or [])


def _title(tried: Mapping[str, Any]) -> str:
    parts = [_steps(tried), words.decibels(tried.get("sqnr_db")), words.took(tried.get("seconds"))]
    return " \u00b7 ".join(p for p in parts if p)
