"""The question to the worker, and what is known of its answer for the draft: whole, in part, or not at all."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app import recipes
from app.bench import Bench
from app.repair import draft
from app.repair.draft import Line, Lines
from engine.errors import BadInput

VERB = "repair"
TRAINING = "train"  # the same question of a chain that ends with training: its jobs and those of this page let each other be
LADDER = "auto"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Known:
    """What is known of the draft.

    Attributes:
        rows: one for each beginning of the chain that was measured; the first is the recipe without steps.
        result: the answer that the rows come from, whole or partial.
        job: the job that is making the answer.
        ended: the newest job for this draft that did not finish.
        whole: the rows reach to the end of the draft.
    """

    rows: Sequence[Row] = ()
    result: Mapping[str, Any] = field(default_factory=dict)
    job: Any | None = None
    ended: Any | None = None
    whole: bool = False

    @property
    def running(self) -> Mapping[str, Any]:
        """What the job says of the step that it is at; empty where none runs."""
        return dict(self.result.get("running") or {}) if self.job is not None else {}


def arguments(found: Bench, lines: Lines) -> dict[str, Any]:
    """What the verb is given: the recipe on the desk with the draft's steps."""
    return {"recipe": text(found.doc, lines)}


def text(doc: Mapping[str, Any], lines: Lines) -> str:
    """The recipe with these steps as YAML."""
    return recipes.write(draft.put_into(doc, lines))


def ladder(found: Bench, name: str, goal: float) -> dict[str, Any]:
    """The question of 'Repair for me': the ladder in place of all steps; `name` is its option for the goal."""
    return arguments(found, (Line(LADDER, {name: goal}),))


def gather(client: Any, found: Bench, lines: Lines, verb: str = VERB) -> Known:
    """All that is known of the draft, from its own answer or from those of chains that begin alike; `verb` is what asks for it."""
    asked = arguments(found, lines)
    own = [j for j in found.jobs if j.verb == verb and _alike(found, j.args) == asked["recipe"]]
    job = next((j for j in own if j.active), None)
    ended = own[0] if own and own[0].state in ("failed", "cancelled") else None
    answers = (client.latest(found.project.id, name, asked["recipe"]) for name in (VERB, TRAINING))
    whole: Mapping[str, Any] | None = next((answer for answer in answers if answer is not None), None)
    if whole is not None:
        return Known(list(whole.get("rows") or []), whole, job, None, True)
    partial = next((p for j in own if (p := j.partial)), None)
    best, rows = {}, list((partial or {}).get("rows") or [])
    if partial is not None:
        best = partial
    for other, result in _answers(client, found):
        shared = 1 + draft.prefix(lines, other)
        if shared > len(rows):
            rows, best = list(result.get("rows") or [])[:shared], result
    if job is not None and partial is not None:
        best = partial  # what runs now is told by the job itself
    there = job is None and len(rows) == len(draft.to_steps(lines)) + 1
    return Known(rows, best, job, None if there else ended, there)


def jobs(found: Bench) -> list[Any]:
    """The repair jobs of this project, newest first."""
    return [j for j in found.jobs if j.verb == VERB]


def ladder_job(found: Bench) -> Any | None:
    """The newest job of 'Repair for me' for the recipe on the desk."""
    return next((j for j in jobs(found) if _is_ladder(lines_of(j.args)) and rest(j.args) == rest({"recipe": found.recipe})), None)


def lines_of(args: Mapping[str, Any]) -> Lines:
    """The steps that a job was asked to run."""
    return draft.of_recipe(_doc(args))


def _is_ladder(lines: Lines) -> bool:
    return any(line.name == LADDER for line in lines)


def _answers(client: Any, found: Bench) -> Iterator[tuple[Lines, Mapping[str, Any]]]:
    """The answers for this recipe with other steps, newest first: finished ones, and what stopped ones knew."""
    here = rest({"recipe": found.recipe})
    for job in found.jobs:
        if job.verb not in (VERB, TRAINING) or rest(job.args) != here or not job.args.get("recipe"):
            continue
        result = client.latest(found.project.id, job.verb, str(job.args["recipe"])) if job.state == "done" else job.partial
        if result is not None and result.get("rows"):
            yield lines_of(job.args), result


def _doc(args: Mapping[str, Any]) -> recipes.Doc:
    try:
        return recipes.read(str(args.get("recipe") or ""))
    except BadInput:
        return {}


def rest(args: Mapping[str, Any]) -> recipes.Doc:
    """The recipe but for its steps."""
    return {k: v for k, v in _doc(args).items() if k != "steps"}


def _alike(found: Bench, args: Mapping[str, Any]) -> str:
    """The recipe of a job, written as the page writes it."""
    return text(_doc(args), lines_of(args)) if args.get("recipe") else ""


def best_lines(lines: Lines, rows: Sequence[Row], best: int) -> Lines:
    """The draft up to the best row: later steps are off."""
    kept = draft.places(lines)[:max(best, 0)]
    return tuple(Line(line.name, line.options, i in kept) for i, line in enumerate(lines)) if rows else lines


def explicit(result: Mapping[str, Any]) -> Lines | None:
    """The steps that the ladder found, in place of itself."""
    for row in result.get("rows") or []:
        if row.get("instead") is not None:
            return draft.of_steps(list(row["instead"]))
    return None


def techniques(client: Any, found: Bench, asked: int) -> tuple[Mapping[str, Any], int]:
    """The list of techniques as this version's worker tells it, and the worker that was asked for it.

    It is asked once a worker: another version of Mixdown may know others. Meanwhile the last list is shown.
    """
    worker = client.worker_pid(found.project.id) or 0
    if worker not in (0, asked) and not found.stopped:
        client.submit(found.project.id, "steps", {})
        asked = worker
    return client.latest_any(found.project.id, "steps") or {}, asked
