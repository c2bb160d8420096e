"""What a page needs to know about a project, gathered once per run; and the jobs that are still to be started.

`load` reads, `ensure` starts what is missing. A result is looked up by verb and recipe, so asking again for
what is known costs nothing, and a job that failed for a recipe is not started again by itself, unless it
ended with the workbench: a server that was killed goes on where it was.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

from app import recipes
from app.prediction import Curve, Rows
from app.recipe_command import export_folder
from engine.errors import BadInput, MixdownError

Result = Mapping[str, Any]
STOPPED = ("failed", "cancelled")
SUPERSEDED = "superseded"  # in the message of a job that made way for a newer one: nobody stopped it on purpose


@dataclass(frozen=True)
class Bench:
    """A project, its recipe, and the results there are for this recipe."""

    project: Any
    recipe: str
    can_undo: bool
    can_redo: bool
    jobs: Sequence[Any]
    model: Result | None
    resolved: Result | None
    report: Result | None
    calibrated: Result | None
    before: Result | None
    resolved_before: Result | None
    facts: Result | None = None
    facts_before: Result | None = None
    inspected: str = ""
    stopped: str = ""
    scored: bool = False  # its layers have scores, for whatever recipe
    exported: bool = False
    audition: str = ""  # what is measured instead of the recipe while layers are soloed; never saved
    curve: Curve | None = None  # what predictions are read off, and the scores that they sum: `curves.learned` finds both
    scores: tuple[str, Rows] | None = None

    @cached_property
    def doc(self) -> recipes.Doc:
        """The recipe as plain values; one that cannot be read is empty here and shows its error in the editor."""
        try:
            return recipes.read(self.recipe)
        except BadInput:
            return {"mixdown": 1}

    @cached_property
    def layers(self) -> list[Result]:
        """The model's layers, once it has been read."""
        return list((self.model or {}).get("layers", []))

    @cached_property
    def asked(self) -> list[recipes.Request]:
        """What the recipe says about each layer."""
        return recipes.requests(self.doc, self.layers)

    @property
    def outcome(self) -> Result | None:
        """What became of the recipe on its target, with its cost: as resolved, or as its report tells it too."""
        return self.resolved or (None if self.audition else self.report)

    @property
    def heard(self) -> str:
        """The recipe that is measured."""
        return self.audition or self.recipe

    @property
    def active(self) -> list[Any]:
        """Jobs that wait or run, oldest first."""
        return sorted((j for j in self.jobs if j.state in ("queued", "running")), key=lambda j: j.id)

    def job(self, verb: str) -> Any | None:
        """The newest job of this verb for this recipe (and, for `layer`, for the layer that is looked into)."""
        text = self.heard if verb == "measure" else self.recipe
        found = next((j for j in self.jobs if j.verb == verb and same(j, text)
                      and (verb != "layer" or j.args.get("name") == self.inspected)), None)
        made_way = found is not None and found.state == "cancelled" and SUPERSEDED in found.message
        return None if made_way else found

    @property
    def measuring(self) -> Any | None:
        """The measurement of this recipe that waits or runs."""
        job = self.job("measure")
        return job if job is not None and job.state in ("queued", "running") else None

    @property
    def partial(self) -> Result | None:
        """What the running measurement knows so far."""
        return getattr(self.measuring, "partial", None)

    @property
    def failure(self) -> Any | None:
        """What went wrong last and was not made good: the first of the jobs that failed together for one reason."""
        ended = [j for j in self.jobs if j.state in ("done", "failed")]
        if not ended or ended[0].state != "failed" or self.active:
            return None
        together = takewhile(lambda j: j.state == "failed" and j.error == ended[0].error, ended)
        return list(together)[-1]


def same(job: Any, recipe: str) -> bool:
    """Whether a job was about this recipe (or about none)."""
    asked = job.args.get("recipe")
    return asked is None or asked == recipe


def load(client: Any, project: str, current: int = -1, solo: Sequence[int] = ()) -> Bench:
    """Everything a page shows about a project, from the store: no work is done for it. `solo`: the layers to audition."""
    now = client.state(project)
    jobs = sorted(client.jobs(project), key=lambda j: -j.id)
    recipe = now.recipe
    model = client.latest(project, "open")
    layers = list((model or {}).get("layers", []))
    audition = _audition(recipe, layers, solo)
    report, resolved = client.latest(project, "measure", audition or recipe), client.latest(project, "resolve", recipe)
    name = str(layers[current]["name"]) if 0 <= current < len(layers) else ""
    seen = client.latest_any(project, "layer") if name else None
    return Bench(now.project, recipe, now.can_undo, now.can_redo, jobs, model=model, resolved=resolved, report=report,
                 facts=client.latest(project, "layer", recipe, name=name) if name else None, inspected=name, audition=audition,
                 facts_before=seen if seen is not None and seen.get("name") == name else None,
                 stopped=client.worker_stopped(project), scored=client.latest_any(project, "sensitivity") is not None,
                 exported=client.latest(project, "quantize", recipe, out=export_folder(recipe)) is not None,
                 calibrated=client.latest(project, "calibrate", recipe),
                 before=report or _last(client, project),
                 resolved_before=resolved or client.latest_any(project, "resolve"))


def _audition(recipe: str, layers: Sequence[Result], solo: Sequence[int]) -> str:
    places = [i for i in solo if i < len(layers)]
    try:
        return recipes.write(recipes.audition(recipes.read(recipe), layers, places)) if places else ""
    except BadInput:
        return ""


def _last(client: Any, project: str) -> Result | None:
    """The newest report of a recipe. What was only auditioned, with all other layers in float, says nothing of the recipes after it."""
    newest: Result | None = client.latest_any(project, "measure")
    if newest is None or not _auditioned(newest):
        return newest
    earlier = (client.report(run.id) for run in reversed(client.runs(project, "measure")))
    return next((report for report in earlier if report is not None and not _auditioned(report)), None)


def _auditioned(report: Result) -> bool:
    return recipes.base(report.get("recipe") or {}) == "fp32"


def wanted(bench: Bench) -> list[tuple[str, dict[str, Any]]]:
    """The jobs to start for this recipe: read the model, resolve, measure, look into a layer; each once."""
    out: list[tuple[str, dict[str, Any]]] = []
    have = {"open": bench.model, "resolve": bench.resolved, "measure": bench.report, "layer": bench.facts}
    for verb, result in have.items():
        job = bench.job(verb)
        if result is not None or (verb == "measure" and not measurable(bench)) or (verb == "layer" and not bench.inspected):
            continue
        if job is not None and job.state != "done" and not job.interrupted:
            if job.state in STOPPED and verb != "layer":
                break
            continue
        out.append((verb, arguments(bench, verb)))
    return out


def arguments(bench: Bench, verb: str) -> dict[str, Any]:
    """What a verb is given for the recipe on the desk."""
    if verb == "open":
        return {}
    return {"recipe": bench.heard if verb == "measure" else bench.recipe} | ({"name": bench.inspected} if verb == "layer" else {})


def measurable(bench: Bench) -> bool:
    """Whether there are data to measure on."""
    return bench.project.evaluation is not None


def ensure(client: Any, bench: Bench) -> list[int]:
    """Starts what is missing; the numbers of the jobs. A worker that died waits for its Restart button."""
    todo = [] if bench.stopped else wanted(bench)
    return [client.submit(bench.project.id, verb, args) for verb, args in todo]


def seen(job: Any) -> int:
    """How many samples the figures of a measurement that runs are of, so far."""
    return int((job.partial or {}).get("samples") or 0)


def remeasure(client: Any, bench: Bench) -> None:
    """Starts again what failed or was cancelled for this recipe."""
    for verb, result in (("open", bench.model), ("resolve", bench.resolved), ("measure", bench.report)):
        if result is None and (bench.job(verb) is None or bench.job(verb).state in STOPPED):  # type: ignore[union-attr]
            client.submit(bench.project.id, verb, arguments(bench, verb))


def go_on(client: Any, bench: Bench) -> None:
    """Starts again what failed: after a worker's death all that it had to do, else the last job alone."""
    failed = bench.failure
    lost = [j for j in reversed(bench.jobs) if j.state == "failed" and failed is not None and j.error == failed.error]
    if bench.stopped:
        client.restart(bench.project.id)
    for verb, args in {j.verb: dict(j.args) for j in lost}.items():
        client.submit(bench.project.id, verb, args)


def edit(client: Any, project: str, text: str, label: str) -> str:
    """One line of history; the words of what is wrong with it, or an empty text."""
    try:
        client.edit(project, text, label)
    except MixdownError as error:
        return str(error)
    return ""
