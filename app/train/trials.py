"""Searching the settings: what is asked of the worker, and the data of the plot of trials."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.bench import Bench
from app.repair import ask as repairs
from app.train import ask, panel, settings, words
from app.train.ask import Known
from app.train.view import View

Data = dict[str, Any]
Facts = Mapping[str, Any]
VERB = "tune"
MOST = 200
# What can be searched, and how it is drawn; the engine's list, a test holds the two equal.
OVER = {"learning_rate": "learning rate", "range_rate": "range rate", "distillation": "distillation", "epochs": "epochs",
        "ranges": "ranges", "ema": "ema", "augment": "augment"}
LOG = ("learning_rate", "range_rate")
ABOUT = ("Trains several times with other settings and compares the held-out loss; hopeless ones are ended early. What was tried is kept: "
         "a stopped search goes on.")


def arguments(found: Bench, seen: View) -> dict[str, Any]:
    """What the verb is given. What is searched is left out of the recipe's step, so that settings that were taken over do not begin
    another study."""
    fixed = {k: v for k, v in settings.stopped_at(seen.options, 0).items() if k not in seen.over}
    return {"recipe": ask.arguments(found, fixed)["recipe"], "space": {"trials": seen.count, "over": " ".join(seen.over)}}


def job(found: Bench) -> Any | None:
    """The newest search for this recipe, whatever its settings."""
    here, before = repairs.rest({"recipe": found.recipe}), settings.before(found.doc)
    return next((j for j in found.jobs if j.verb == VERB and repairs.rest(j.args) == here and _before(j) == before), None)


def _before(job: Any) -> Any:
    return repairs.lines_of(job.args)[:-1]


def answer(client: Any, found: Bench, newest: Any | None) -> Facts:
    """The trials so far: the search's answer, what it knows while it runs, or the last one's that knew any."""
    if newest is None:
        return {}
    whole = client.result(newest.id) if newest.state == "done" else newest.partial
    if whole:
        return dict(whole)
    same = (j for j in found.jobs if j.verb == VERB and j.id != newest.id and dict(j.args).get("recipe") == newest.args.get("recipe"))
    return next((r for j in same if (r := client.result(j.id) if j.state == "done" else j.partial)), {})


def trials_data(client: Any, found: Bench, seen: View, known: Known, fields: Sequence[Facts], theme: str) -> Data:
    """All that the panel shows."""
    newest = job(found)
    result = answer(client, found, newest)
    rows = [_row(t) for t in result.get("trials") or []]
    names = [n for n in OVER if any(n in r["settings"] for r in rows)]
    best = best_of(rows)
    chosen = next((r["number"] for r in rows if r["number"] == seen.trial and r["loss"] is not None), best)
    busy = newest is not None and newest.active
    return {"theme": theme, "over": [[n, w, n in seen.over] for n, w in OVER.items()], "count": seen.count, "most": MOST, "busy": busy,
            "axes": [_axis(n, rows) for n in names], "trials": rows, "best": best, "chosen": chosen, "rev": seen.rev,
            "say": _say(newest, rows), "about": ABOUT, "go": _go(found, seen, known, newest, fields),
            "take": _take(seen, rows, chosen, fields)}


def _row(trial: Facts) -> Data:
    return {"number": int(trial["number"]), "state": str(trial.get("state") or ""), "loss": trial.get("loss"),
            "settings": dict(trial.get("settings") or {}), "seconds": float(trial.get("seconds") or 0),
            "epochs": len(trial.get("curve") or [])}


def best_of(rows: Sequence[Data]) -> int:
    """The number of the finished trial with the least loss; -1 for none."""
    done = [r for r in rows if r["state"] == "complete" and r["loss"] is not None]
    return min(done, key=lambda r: r["loss"])["number"] if done else -1


def _axis(name: str, rows: Sequence[Data]) -> Data:
    """One axis of the plot: its values in words where they are no numbers."""
    values = [r["settings"][name] for r in rows if name in r["settings"]]
    kinds = sorted({str(v) for v in values}) if any(isinstance(v, str) for v in values) else None
    return {"name": name, "title": OVER.get(name, name), "log": name in LOG, "kinds": kinds}


def _say(newest: Any | None, rows: Sequence[Data]) -> str:
    done = sum(r["state"] in ("complete", "pruned") for r in rows)
    if newest is None:
        return ABOUT
    if newest.active:
        return f"{done} trainings done; now {newest.message or 'starting'}" if newest.state == "running" else "waits for the worker"
    if newest.state == "failed":
        return f"Failed: {str(newest.error)[:300]}"
    early = sum(r["state"] == "pruned" for r in rows)
    more = f", {early} of them ended early" if early else ""
    return f"{done} trainings{more}." + (" Stopped; Search goes on from there." if newest.state == "cancelled" else "")


def _go(found: Bench, seen: View, known: Known, newest: Any | None, fields: Sequence[Facts]) -> Data:
    if newest is not None and newest.active:
        done = f"{100 * float(newest.fraction):.0f} %" if newest.state == "running" else "waiting"
        return {"a": "halt", "text": f"Stop \u00b7 {done}", "title": "Stops; what was tried is kept", "off": False}
    why = words.blocked(found) or ("" if seen.over else "Choose at least one setting to search")
    epochs = int(settings.value(seen.options, fields, "epochs", 4) or 4)
    time = panel.estimate(known, epochs * seen.count)
    takes = f", about {time} at the pace of the last one" if time else ""
    return {"a": "search", "text": "Search", "off": bool(why),
            "title": why or f"{seen.count} trainings of {epochs} epochs{takes}; beside the project's other results"}


def _take(seen: View, rows: Sequence[Data], chosen: int, fields: Sequence[Facts]) -> Data:
    row = next((r for r in rows if r["number"] == chosen), None)
    if row is None:
        return {"off": True, "title": "No training of the search is finished yet"}
    there = settings.stopped_at(seen.options, 0)
    same = settings.merged(there, row["settings"], fields) == there
    told = ", ".join(f"{OVER.get(k, k)} {v:.3g}" if isinstance(v, float) else f"{OVER.get(k, k)} {v}" for k, v in row["settings"].items())
    return {"off": same, "title": f"The form has these settings: {told}" if same else f"Into the form: {told}"}
