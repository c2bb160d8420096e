"""The question to the worker, and what is known of its answer: epochs so far, live figures, and what was measured around it."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.bench import Bench
from app.repair import ask as repairs
from app.train import settings
from app.train.settings import Options

VERB = repairs.TRAINING
KEPT = "trained"
Row = Mapping[str, Any]
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Known:
    """What is known of the training with these settings.

    Attributes:
        first: the recipe without steps, measured; `start` with all steps but the training; `after` with it. None: not measured.
        figures: the training's own: start, epochs, best, notes, as `engine.qat.Training` tells them; empty before its first step.
        live: what the step that runs said last.
        job: the job that is making the answer.
        ended: the newest job for these settings that did not finish.
        result: the answer that the rows come from.
    """

    first: Row | None = None
    start: Row | None = None
    after: Row | None = None
    figures: Facts | None = None
    live: Facts | None = None
    job: Any | None = None
    ended: Any | None = None
    result: Facts | None = None

    @property
    def epochs(self) -> Sequence[Facts]:
        """The finished epochs."""
        return list((self.figures or {}).get("epochs") or [])


def arguments(found: Bench, options: Mapping[str, Any]) -> dict[str, Any]:
    """What the verb is given: the recipe on the desk, with this training as its last step."""
    return {"recipe": repairs.text(found.doc, settings.lines(found.doc, options))}


def gather(client: Any, found: Bench, options: Mapping[str, Any]) -> Known:
    """All that is known of the training with these settings."""
    steps = settings.lines(found.doc, options)
    chain = repairs.gather(client, found, steps, VERB)
    rows, place = list(chain.rows), len(steps)
    live = _told(chain.running.get("live"))
    after = rows[place] if len(rows) > place else None
    stopped = (chain.ended.partial or {}) if chain.ended is not None and chain.job is None else {}
    figures = (after or {}).get("training") or (live or {}).get("training") or _figures(stopped) or _paused(client, found, options)
    if figures is None and chain.ended is not None and chain.job is None:
        figures = _on_disk(client, found, chain.ended)
    return Known(rows[0] if rows else None, rows[place - 1] if len(rows) >= place else None, after, figures, live, chain.job, chain.ended,
                 chain.result)


def _told(live: Any) -> Facts | None:
    return live if isinstance(live, Mapping) and live.get("kind") == "training" else None


def _figures(partial: Mapping[str, Any]) -> Facts | None:
    """The epochs that a stopped job had told of."""
    return (_told((partial.get("running") or {}).get("live")) or {}).get("training")


def _on_disk(client: Any, found: Bench, ended: Any) -> Facts | None:
    """The epochs kept of a job whose own words are gone, as after a restart; the worker is asked for them once."""
    args = dict(ended.args)
    asked = next((j for j in found.jobs if j.verb == KEPT and j.id > ended.id and dict(j.args) == args), None)
    if asked is None:
        if not found.stopped:
            client.submit(found.project.id, KEPT, args)
        return None
    return (client.result(asked.id) or {}).get("training") if asked.state == "done" else None


def _paused(client: Any, found: Bench, options: Mapping[str, Any]) -> Facts | None:
    """The epochs of the same training that was ended early: without that end it goes on from there."""
    if options.get(settings.STOP):
        return None
    for job in found.jobs:
        lines = repairs.lines_of(job.args) if job.verb == VERB else ()
        if lines and lines[-1].name == settings.NAME and lines[-1].options.get(settings.STOP):
            stop = int(lines[-1].options[settings.STOP])
            if dict(job.args) == arguments(found, settings.stopped_at(options, stop)):
                row = (gather(client, found, settings.stopped_at(options, stop)).after or {}) if job.state == "done" else {}
                return row.get("training")
    return None


def trainings(found: Bench) -> list[Any]:
    """The jobs that train, newest first."""
    return [j for j in found.jobs if j.verb == VERB]


def best_repair(client: Any, found: Bench) -> tuple[str, Row] | None:
    """The recipe's best chain without training that was measured, and its row; None where none but the recipe's own was."""
    here, best = repairs.rest({"recipe": found.recipe}), None
    for job in repairs.jobs(found):
        lines = repairs.lines_of(job.args)
        if not lines or repairs.rest(job.args) != here or any(line.name in (settings.NAME, repairs.LADDER) for line in lines):
            continue
        result = client.latest(found.project.id, repairs.VERB, str(job.args["recipe"])) if job.state == "done" else None
        row = (result or {}).get("rows", [])[-1:] or [None]
        if row[0] is not None and (best is None or _lost(row[0]) < _lost(best[1])):
            best = str(job.args["recipe"]), row[0]
    return best


def _lost(row: Row) -> float:
    value = (row.get("drop") or {}).get("value")
    return float("inf") if value is None else float(value)


def against(client: Any, found: Bench, left: str, right: str) -> Facts | None:
    """The paired comparison of two recipes; asked for once where it is not known (all its answers are kept, so it takes a moment)."""
    args = {"left": left, "right": right}
    known: Facts | None = client.latest(found.project.id, "compare", None, **args)
    if known is None and not found.stopped and not any(j.verb == "compare" and dict(j.args) == args for j in found.jobs):
        client.submit(found.project.id, "compare", args)
    return known


def fields(listed: Mapping[str, Any]) -> list[Facts]:
    """The fields of the training's config, as the worker lists them."""
    step = next((s for s in listed.get("steps") or [] if s.get("name") == settings.NAME), {})
    return list(step.get("fields") or [])


def options_of(args: Mapping[str, Any]) -> Options | None:
    """The training's settings that a job was given; None where it does not train."""
    lines = repairs.lines_of(args)
    return dict(lines[-1].options) if lines and lines[-1].name == settings.NAME else None
