"""The data of the chain: cards of the draft's lines with what each gave, the menu of techniques, and what the buttons can do."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from app import numbers, tooltips
from app.bench import Bench, measurable
from app.repair import draft, words
from app.repair.ask import Known
from app.repair.draft import Lines
from app.repair.view import View

Data = dict[str, Any]
PART = "catalog"


def chain_data(found: Bench, view: View, known: Known, listed: Mapping[str, Any], unit: str, theme: str) -> Data:
    """All that the chain shows. The menu of techniques travels once; the component keeps it under its hash."""
    part = hashlib.sha256(json.dumps(listed, sort_keys=True, default=str).encode()).hexdigest()[:10] if listed else ""
    out: Data = {"theme": theme, "lines": draft.sent(view.lines), "sel": view.place, "ack": view.ack, "rev": view.rev, "part": part,
                 "status": statuses(view.lines, known, unit), "head": head(found, view, known), "buttons": buttons(found, view, known),
                 "unit": words.points(unit), "tip": tooltips.tip("gain")}
    if part and part not in view.parts:
        out[PART] = {"hash": part, **listed}
        view.parts.add(part)
    return out


def statuses(lines: Lines, known: Known, unit: str) -> list[Data]:
    """What each line of the draft says of itself."""
    out: list[Data] = [{"state": "off", "sub": "off: left out of what runs"} for _ in lines]
    for k, place in enumerate(draft.places(lines), start=1):
        out[place] = _status(known, k, unit, words.options_told(lines[place]))
    return out


def _status(known: Known, k: int, unit: str, sets: str) -> Data:
    if k < len(known.rows):
        row = known.rows[k]
        return {"state": "known", "tone": words.tone(row), "gain": words.change(row, unit), "sub": words.sub(row, unit),
                "open": not words.resolved(row), "title": words.hover(row, str(row.get("step") or ""), unit),
                "warnings": [str(w) for w in row.get("warnings") or []][:4], "changes": _changes(row)}
    running, job = known.running, known.job
    if job is not None and job.state == "running" and running.get("index", 1) == k:
        live, share = dict(running.get("live") or {}), words.share(running, str(job.message or ""))
        return {"state": "running", "sub": words.moving(running, str(job.message or "starting")), "share": share,
                "loss": live.get("loss"), "layer": live.get("layer"), "left": numbers.seconds(job.eta), "job": job.id,
                "unit": str(live.get("unit") or "loss")}
    if job is not None:
        return {"state": "waiting", "sub": "waits for the steps before it"}
    if known.ended is not None and known.ended.state == "failed" and k == max(len(known.rows), 1):
        return {"state": "failed", "sub": str(known.ended.error)[:300]}
    return {"state": "new", "sub": sets or "not run yet"}


def _changes(row: Mapping[str, Any]) -> list[str]:
    """The first few changes in words, and how many more there are."""
    found = [str(c) for c in row.get("changes") or []]
    return found if len(found) <= 4 else [*found[:3], f"and {len(found) - 3} more"]


def head(found: Bench, view: View, known: Known) -> Data:
    """The line beside the title."""
    count = len(draft.to_steps(view.lines))
    steps = "no steps" if not count else "1 step" if count == 1 else f"{count} steps"
    inside = view.follows is not None and draft.same(view.lines, view.follows)
    return {"note": steps, "state": "in the recipe" if inside else "draft", "inside": inside,
            "title": "The recipe has these steps" if inside else "Only on this page so far: Accept puts the steps into the recipe"}


def buttons(found: Bench, view: View, known: Known) -> Data:
    """Run or Cancel, Accept and Reject: their words, and why one cannot be pressed."""
    inside = view.follows is not None and draft.same(view.lines, view.follows)
    why = found.stopped or ("" if measurable(found) else words.NO_DATA)
    if known.job is not None:
        done = f"{100 * float(known.job.fraction):.0f} %" if known.job.state == "running" else "waiting"
        run = {"a": "cancel", "text": f"Cancel \u00b7 {done}", "title": "Stop; what is finished stays", "off": False, "primary": False}
    elif known.whole:
        run = {"a": "", "text": "Measured", "title": "Every step of this chain is measured", "off": True, "primary": False}
    else:
        begun = len(known.rows) > 1 and bool(view.lines)
        run = {"a": "run", "text": "Run the rest" if begun else "Run", "off": bool(why), "primary": True,
               "title": why or "Run the steps one after the other and measure after each"}
    done, steps = len(known.rows) - 1, len(draft.places(view.lines))
    part = known.ended is not None and 0 < done < steps
    accept = {"text": f"Accept {done} of {steps}" if part else "Accept", "off": inside and not part, "part": part,
              "title": "The recipe has these steps already" if inside and not part else
              "Put the steps that are measured into the recipe" if part else "Put these steps into the recipe; undo takes them out"}
    reject = {"off": inside and all(line.on for line in view.lines), "title": "Back to the recipe's steps"}
    return {"run": run, "accept": accept, "reject": reject}


def names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The steps of the rows, the first one in words."""
    return [str(r.get("step") or words.START) for r in rows]
