"""What is said about a job: its name, how far it is, how long it took, where its result stands, and details to copy."""
from __future__ import annotations

import json
import platform
import re
import time
from collections.abc import Sequence
from typing import Any

from app import numbers, state
from app.bench import SUPERSEDED
from app.readouts import VERBS
from app.repair.ask import lines_of

# Where the result of a verb is shown; a page that this version lacks is never linked.
PAGES = {"open": "model", "float": "model", "resolve": "desk", "measure": "desk", "ready": "desk", "calibrate": "desk", "layer": "desk",
         "graph": "desk", "curve": "desk", "additivity": "desk", "sensitivity": "sensitivity", "diagnose": "sensitivity",
         "repair": "repair", "train": "train", "trained": "train", "tune": "train", "technique": "repair", "steps": "repair",
         "search": "search", "solve": "search", "takes": "search", "frontier": "search", "compare": "compare", "quantize": "export",
         "verify": "export", "report": "report"}
# Looked up by a page itself: told only if they fail.
QUIET = ("ready", "trained", "layer", "resolve", "open", "graph", "curve", "additivity", "steps", "frontier", "solve")
LONGEST = 1500


def name(job: Any) -> str:
    """What the job does, as a heading."""
    return "Training" if trains(job) else VERBS.get(job.verb, str(job.verb).replace("_", " ").capitalize())


def trains(job: Any) -> bool:
    """Whether it is a chain of steps that ends with training."""
    return job.verb == "train" or (job.verb == "repair" and [line.name for line in lines_of(job.args)][-1:] == ["qat"])


def plain(error: str) -> str:
    """An error without the folder of a project's own files: their names are enough."""
    return re.sub(r"(?<![\w/])/[^\s:'\"]*/inputs/", "", error)


def without_echoes(jobs: Sequence[Any]) -> list[Any]:
    """Jobs, newest first, without those that failed only because of what made an older one fail: the first one tells it."""
    told = []
    for job, older in zip(jobs, [*jobs[1:], None], strict=True):
        same = older is not None and job.state == older.state == "failed" and (job.project, job.error) == (older.project, older.error)
        if not same:
            told.append(job)
    return told


def page(job: Any) -> str:
    """The page that shows the job's result; empty where there is none."""
    where = "train" if trains(job) else PAGES.get(job.verb, "desk")
    return where if job.state == "done" and where in state.PAGES else ""


def told(job: Any) -> bool:
    """Whether a finished job is told in the tray."""
    if job.state == "failed":
        return True
    return job.verb not in QUIET and not (job.state == "cancelled" and SUPERSEDED in job.message)


def left(job: Any) -> str:
    """How far an unfinished job is: percent and time left."""
    if job.state == "queued":
        return "waiting"
    eta = numbers.seconds(job.eta)
    return f"{100 * job.fraction:.0f} %" + (f" · {eta}" if eta else "")


def took(job: Any) -> str:
    """From being asked for to the end."""
    seconds = max(job.updated - job.created, 0.0)
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def ago(then: float, now: float | None = None) -> str:
    """How long ago, in one or two words."""
    seconds = max((time.time() if now is None else now) - then, 0.0)
    for limit, size, unit in ((90, 1, ""), (5400, 60, "min"), (129_600, 3600, "h"), (5_184_000, 86_400, "days")):
        if seconds < limit:
            return "just now" if not unit else f"{seconds / size:.0f} {unit} ago"
    return time.strftime("%d %b %Y", time.localtime(then))


def details(job: Any, project: Any, log: str = "") -> str:
    """Everything that helps somebody else to understand what happened, as plain text."""
    clock = [time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(t)) for t in (job.created, job.updated)]
    lines = [f"Mixdown job {job.id}: {name(job)} ({job.verb})", f"project: {getattr(project, 'name', '?')} ({job.project})",
             f"state: {job.state}{f', {job.kind}' if job.kind else ''}; asked {clock[0]}, ended {clock[1]}, at {100 * job.fraction:.0f} %",
             f"said: {(job.error or job.message)[:LONGEST]}", f"system: Python {platform.python_version()}, {platform.platform()}"]
    for key, value in dict(job.args).items():
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        lines.append(f"{key}:\n{text[:LONGEST].rstrip()}" if "\n" in text else f"{key}: {text[:LONGEST]}")
    return "\n".join(lines + ([f"worker.log ends with:\n{log.strip()}"] if log.strip() else []))
