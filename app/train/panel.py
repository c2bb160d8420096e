"""The data of the form: groups of fields, what data are used, buttons that say why they cannot be pressed."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from app import numbers
from app.bench import Bench
from app.train import settings, view, words
from app.train.ask import Known
from app.train.view import View

Data = dict[str, Any]
Facts = Mapping[str, Any]


def panel_data(found: Bench, seen: View, known: Known, fields: Sequence[Facts], theme: str) -> Data:
    """All that the form shows. Its fields travel once; the component keeps them under their hash."""
    groups = settings.grouped(fields)
    part = hashlib.sha256(json.dumps(groups, sort_keys=True, default=str).encode()).hexdigest()[:10] if groups else ""
    out: Data = {"theme": theme, "options": settings.stopped_at(seen.options, 0), "ack": seen.ack, "rev": seen.rev, "part": part,
                 "head": head(seen), "data": words.data_lines(found, seen.options, fields), "why": words.blocked(found),
                 "buttons": buttons(found, seen, known, fields), "live": live(known), "busy": known.job is not None}
    if part and part not in seen.parts:
        out["form"] = {"hash": part, "groups": groups}
        seen.parts.add(part)
    return out


def head(seen: View) -> Data:
    """Whether the recipe has this training."""
    inside = view.inside(seen)
    return {"state": "in the recipe" if inside else "draft", "inside": inside,
            "title": "The recipe ends with this training" if inside else "Only on this page so far: Accept puts it into the recipe"}


def live(known: Known) -> Data | None:
    """The line over the buttons while a job runs."""
    if known.job is None:
        return None
    share = None
    if known.live is not None and known.live.get("steps"):
        share = min(1.0, int(known.live.get("step") or 0) / int(known.live["steps"]))
    return {"text": words.moving(known), "pace": words.pace(known), "share": share}


def buttons(found: Bench, seen: View, known: Known, fields: Sequence[Facts]) -> Data:
    """Start, Stop, Continue, 'Keep the best so far', Accept and Reject."""
    return {"run": _run(found, seen, known, fields), "keep": _keep(seen, known), "accept": _accept(seen, known), "reject": _reject(seen)}


def _run(found: Bench, seen: View, known: Known, fields: Sequence[Facts]) -> Data:
    why = words.blocked(found)
    if known.job is not None:
        return {"a": "stop", "text": "Stop", "title": "Stops after this batch; finished epochs are kept", "off": False, "primary": False}
    stop = int(seen.options.get(settings.STOP) or 0)
    if known.after is not None and not stop:
        return {"a": "", "text": "Trained", "title": "This training is done and measured; another setting is another training",
                "off": True, "primary": False}
    begun = known.ended is not None or bool(known.epochs)
    title = f"{words.kept(known, seen.options, fields)}; goes on from there" if known.epochs else \
        "Goes on from the last finished epoch" if begun else "Trains with the recipe's rounding in the loop, then measures"
    return {"a": "continue" if stop else "run", "text": "Continue" if begun else "Start", "title": why or title, "off": bool(why),
            "primary": known.after is None}


def _keep(seen: View, known: Known) -> Data | None:
    """Offered where a training was stopped and has epochs."""
    if known.job is not None or known.after is not None or not known.epochs:
        return None
    return {"a": "keep", "text": "Keep best", "off": False,
            "title": f"Keeps the best so far: ends it after the {len(known.epochs)} epochs that are done, and measures at once"}


def _accept(seen: View, known: Known) -> Data:
    done, inside = known.after is not None, view.inside(seen)
    title = "The recipe has it already" if inside else "Puts it into the recipe as the last step; undo takes it out" if done else \
        "Nothing is measured of it yet: train first"
    return {"text": "Accept", "off": inside or not done, "title": title, "primary": done and not inside}


def _reject(seen: View) -> Data:
    clean = seen.options == (seen.follows or {})
    back = "the defaults" if seen.follows is None else "the recipe's settings"
    return {"text": "Reject", "off": clean, "title": f"Back to {back}"}


def estimate(known: Known, epochs: int) -> str:
    """What a training takes, from the pace of the last one; empty where there was none."""
    done = known.epochs
    if not done:
        return ""
    seconds = epochs * sum(float(e.get("seconds") or 0) for e in done) / len(done)
    return numbers.seconds(seconds).removesuffix(" left")
