"""Words of the page Train: which data serve and how, what runs, and why something cannot be done."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import numbers
from app.bench import Bench, measurable
from app.repair import words as repairs
from app.train import settings
from app.train.ask import Known

Facts = Mapping[str, Any]
NO_DATA = ("Training needs samples like those the network was trained on. Bring them on the page Model: a training set, or calibration "
           "data, which then serve. Labels are needed only where the loss is to follow them.")
NO_MEASURE = "What training gives is measured on evaluation data; there are none yet. Bring them on the page Model."
BEGIN = "Press Start: the curves appear with the first epoch, beside the start (after the steps before it) and the float model."


def sets(found: Bench) -> tuple[str, Facts] | None:
    """The data that training takes: its own set, else the calibration data; None where there are neither.

    A set that the project has and the reading of the model did not count has a name alone.
    """
    data = dict((found.model or {}).get("data") or {})
    if found.project.training is not None and not data.get("training"):
        data["training"] = {"name": found.project.training.name}
    for role in ("training", "calibration"):
        if data.get(role):
            return role, data[role]
    return None


def unable(found: Bench) -> str:
    """Why this model cannot be trained here; empty where it can."""
    blocked = [op for op in (found.model or {}).get("ops") or [] if not op.get("differentiable")]
    if not blocked:
        return ""
    names = ", ".join(f"{op['op_type']} ({op['count']}\u00d7)" for op in blocked[:4])
    more = f" and {len(blocked) - 4} more" if len(blocked) > 4 else ""
    return (f"Training runs in torch, which has no kernel for {names}{more}: no gradient passes there. The model can still be repaired "
            "by the steps that need none, mixed and exported.")


def data_lines(found: Bench, options: Mapping[str, Any], fields: Sequence[Facts]) -> list[dict[str, str]]:
    """Which data are used and what for, line by line; `tone` is `mid` where something is worth knowing."""
    chosen = sets(found)
    if chosen is None:
        return []
    role, about = chosen
    count, share = int(about.get("samples") or 0), float(settings.value(options, fields, "validation", 0.1))
    held = min(max(round(count * share), 1), max(count - 1, 1))
    said = {"training": "Training set", "calibration": "No training set: the calibration data serve"}[role]
    parts = f"{count:,} samples of {about.get('name') or 'a file'}. {count - held:,} train, {held:,} are held out" if count else \
        f"{about.get('name') or 'a file'}. {100 * share:.0f} % of it are held out"
    lines = [{"tone": "" if role == "training" else "mid",
              "text": f"{said}: {parts} and choose the best epoch. The evaluation data are never looked at."}]
    return [*lines, _follows(about.get("labels"), float(settings.value(options, fields, "distillation", 1.0)))]


def _follows(labels: bool | None, share: float) -> dict[str, str]:
    """What the loss follows: the float model, the labels, or both; `labels` is None where it is not known whether there are any."""
    if share >= 1:
        more = " Labels are there, and only tell the score." if labels else " It needs no labels."
        return {"tone": "", "text": f"The loss follows the float model's outputs (distillation).{more}"}
    if labels is False:
        return {"tone": "mid", "text": "Distillation is below 1, but these data have no labels: set it to 1, or bring labels."}
    rest = "The loss follows the labels alone." if share <= 0 else \
        f"The loss follows the float model by {100 * share:.0f} %, the labels by {100 * (1 - share):.0f} %."
    return {"tone": "", "text": rest}


def blocked(found: Bench) -> str:
    """Why nothing can be started; empty where it can."""
    return found.stopped or unable(found) or (NO_DATA if sets(found) is None else "") or ("" if measurable(found) else NO_MEASURE)


def moving(known: Known) -> str:
    """What the job is at."""
    if known.job is None:
        return ""
    if known.job.state == "queued":
        return "waits for the worker"
    if known.live is None:
        return str(known.job.message or "starts")
    return f"epoch {known.live.get('epoch')} of {known.live.get('epochs')}"


def pace(known: Known) -> str:
    """Throughput and time left."""
    live, job = known.live, known.job
    if job is None or job.state != "running":
        return ""
    rate = "" if live is None else f"{float(live.get('samples_per_second') or 0):,.0f} samples/s"
    return " \u00b7 ".join(part for part in (rate, left(known)) if part)


def left(known: Known) -> str:
    """The time that the training itself still takes, from its own pace; else what the job says."""
    live = known.live or {}
    steps, step, seconds = int(live.get("steps") or 0), int(live.get("step") or 0), _a_step(known)
    if steps and seconds:
        return numbers.seconds((steps - step) * seconds)
    return numbers.seconds(known.job.eta) if known.job is not None else ""


def _a_step(known: Known) -> float:
    """Seconds a step, the held-out samples included, from the epochs that are done."""
    live, done = known.live or {}, known.epochs
    each = int(live.get("steps") or 0) / max(int(live.get("epochs") or 1), 1)
    return sum(float(e.get("seconds") or 0) for e in done) / (len(done) * each) if done and each else 0.0


def said(found: Bench, known: Known, options: Mapping[str, Any], unit: str, fields: Sequence[Facts] = ()) -> str:
    """One sentence over the curves: what came out, what runs, or what to do."""
    if known.job is not None:
        return f"Running: {moving(known)}"
    if known.after is not None:
        return gained(known, unit)
    if known.ended is not None:
        return _ended(known, options, fields)
    if known.epochs:
        return f"{kept(known, options, fields)}: Continue goes on from there."
    return blocked(found) or BEGIN


def _ended(known: Known, options: Mapping[str, Any], fields: Sequence[Facts]) -> str:
    job = known.ended
    more = f" {kept(known, options, fields)}: Continue goes on from there, or keep the best so far." if known.epochs else \
        " Continue goes on from what is kept." if job.state == "cancelled" or job.interrupted else ""
    if job.interrupted:
        return f"It ended with the workbench.{more}"
    return f"Stopped.{more}" if job.state == "cancelled" else f"Failed: {str(job.error)[:400]}{more}"


def kept(known: Known, options: Mapping[str, Any], fields: Sequence[Facts]) -> str:
    """Which epochs are kept: `1 epoch of 8 is kept`."""
    count, planned = len(known.epochs), int(settings.value(options, fields, "epochs", 0) or 0)
    return f"{count} {'epoch' if count == 1 else 'epochs'}{f' of {planned}' if planned else ''} {'is' if count == 1 else 'are'} kept"


def gained(known: Known, unit: str) -> str:
    """What training gave, in one sentence."""
    row = known.after or {}
    best = int((known.figures or {}).get("best") or 0)
    if not best:
        return "No epoch was better than the start on the held-out samples: nothing was changed."
    what, drop = repairs.change(row, unit), numbers.figure((row.get("drop") or {}).get("value"), unit)
    open_ = "" if repairs.resolved(row) else ", which these samples cannot tell from nothing"
    return f"{what} {repairs.points(unit)} by training{open_}: the drop is now {drop} {repairs.points(unit)}. Epoch {best} was kept."


def notes(known: Known) -> list[str]:
    """What happened on the way, and what to know of the result."""
    own = [str(n)[:1].upper() + str(n)[1:] + "." for n in (known.figures or {}).get("notes") or []]
    best, done = int((known.figures or {}).get("best") or 0), known.epochs
    if known.after is not None and best and best == len(done) and not (known.after.get("options") or {}).get(settings.STOP):
        own.append("The last epoch was the best: more epochs may give more.")
    return own
