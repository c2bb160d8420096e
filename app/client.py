"""The only door to the engine for pages: projects and edits in the store, work in the worker processes.

A client is cheap; all clients of a process share the workers of their home. Every method may be called
from any thread. What is wrong with an input is a `MixdownError` whose words can be shown as they are.
"""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from app import known, results, samples
from app.reproduce import reproduce
from app.runners import runner_for
from app.worker_process import log_tail
from engine.errors import BadInput, MixdownError
from engine.mixed.latency import parse_latency, text_of
from engine.recipe import Recipe
from engine.report import from_results, render
from engine.store import HistoryLine, Job, Project, Run, Slots, Store, default_home
from engine.store.bundle import export_project, import_project
from engine.store.latency_file import read_table, write_table

_latency_rows = lru_cache(maxsize=8)(lambda text, name: tuple(parse_latency(text, name).rows))
UPLOAD_LIMIT = 2_000_000_000
TARGET = "htp_v73"


@dataclass(frozen=True)
class State:
    """A project and where it stands in its history."""

    project: Project
    recipe: str
    seq: int
    can_undo: bool
    can_redo: bool


class Client:
    """Everything that a page can ask for. `session` names another session factory, for tests; `writer` is what other
    processes are told that want to write to the same projects."""

    def __init__(self, home: Path | str | None = None, session: str = "", writer: str = "the workbench") -> None:
        home = Path(home).absolute() if home is not None else default_home()
        self._runner = runner_for(home, session, results.thumbnail_writer, writer)
        self._store: Store = self._runner.store
        self._results = results.Results(self._store)
        self.home = home

    def read_only(self) -> str:
        """Who else writes to these projects, in words; empty where this process may. Takes over when the other has ended."""
        try:
            self._store.lock.require()
        except MixdownError as error:
            return str(error)
        return ""

    def setting(self, name: str, otherwise: Any = None) -> Any:
        """A person's choice that belongs to no project."""
        return self._store.settings.get(name, otherwise)

    def keep_setting(self, name: str, value: Any) -> None:
        """Keeps such a choice in the home; None forgets it."""
        self._store.settings.put(name, value)

    # Projects

    def projects(self) -> list[Project]:
        """Every project, the last used first."""
        return self._store.projects.all()

    def bundled_samples(self) -> list[samples.Sample]:
        """The sample models that come with Mixdown."""
        return samples.bundled_samples()

    def create_project(self, name: str, model_path: Path | str, evaluation: Path | str | None = None,
                       calibration: Path | str | None = None, target: str = TARGET, metric: str = "",
                       training: Path | str | None = None, sample: str = "", beside: Sequence[Path] = ()) -> Project:
        """A new project. Paths from `import_upload` move into it, with uploads that belong `beside` the model; other files
        are used where they are."""
        recipe = Recipe(target=target).to_yaml()
        project = self._store.projects.create(name, model_path, evaluation=evaluation, calibration=calibration,
                                              training=training, target=target, metric=metric, sample=sample, beside=beside)
        self._store.history.start(project.id, recipe, "Start")
        return project

    def ensure_sample(self, name: str = samples.FIRST) -> Project | None:
        """The project of a bundled sample, made when there is none; its paths follow a moved checkout."""
        sample = next((s for s in self.bundled_samples() if s.name == name), None)
        found = next((p for p in self.projects() if p.sample == name), None)
        if sample is None:
            return found
        paths: dict[str, Any] = {"evaluation": sample.evaluation, "calibration": sample.calibration, "training": sample.training}
        if found is None:
            made = self.create_project(sample.title, sample.model, sample=name, **paths)
            known.adopt(self._store, self._results, made.id, sample)
            return made
        if not found.model.is_file():
            return self._store.projects.update(found.id, model=sample.model, **paths)
        return found

    def update_project(self, project: str, **fields: Any) -> Project:
        """Changes name, metric, target or the paths of model and data; the worker takes them up by itself."""
        return self._store.projects.update(project, **fields)

    def rename_project(self, project: str, name: str) -> Project:
        """Gives a project another name."""
        return self._store.projects.update(project, name=name)

    def latency(self, project: str) -> str:
        """The project's table of latencies as CSV; empty where it has none."""
        return read_table(self._store.projects.folder(project))

    def latency_rows(self, table: str | bytes, name: str = "latency table") -> tuple[str, tuple[tuple[str, str, str], ...]]:
        """A table as text, and its rows as (op type, precision, shape); what is none is a `BadInput` with line and column."""
        text = table if isinstance(table, str) else text_of(table, name)
        return text, _latency_rows(text, name)

    def keep_latency(self, project: str, text: str) -> None:
        """Puts a table that was checked in the place of the one before; an empty text removes it."""
        self._store.lock.require()
        write_table(self._store.projects.folder(project), text)

    def duplicate_project(self, project: str, name: str | None = None) -> Project:
        """A copy with its own history."""
        return self._store.projects.duplicate(project, name)

    def delete_project(self, project: str) -> None:
        """Ends the project's work and removes it."""
        self._store.projects.get(project)
        self._runner.forget(project)
        self._store.projects.delete(project)

    def export_project(self, project: str, out: Path | str | None = None) -> Path:
        """The project as one zip file, in its `exports` folder unless `out` says otherwise."""
        folder = self._store.projects.folder(project)
        return export_project(self._store, project, Path(out) if out else folder / "exports" / f"{project}.zip")

    def import_project(self, source: Path | IO[bytes]) -> Project:
        """A new project from such a zip file."""
        return import_project(self._store, source)

    def import_upload(self, stream: Any, name: str, project: str | None = None, size: int = 0,
                      limit: int = UPLOAD_LIMIT) -> Path:
        """Streams an upload to disk and returns its path, for `create_project` or `update_project`."""
        return self._store.receive(stream, name, project, limit, size)

    # The recipe and its history

    def open(self, project: str) -> State:
        """Starts the project's worker if it has none and was not stopped, and tells how the project stands."""
        state = self.state(project)
        if not self.worker_stopped(project):
            self._runner.start(project)
        return state

    def state(self, project: str) -> State:
        """The project with its current recipe."""
        line = self._store.history.current(project)
        undo, redo = self._store.history.steps(project)
        return State(self._store.projects.get(project), line.recipe, line.seq, undo, redo)

    def edit(self, project: str, recipe: str | Recipe, label: str) -> HistoryLine:
        """A line of history with the new recipe; one that cannot be read is refused and changes nothing."""
        text = recipe.to_yaml() if isinstance(recipe, Recipe) else recipe
        target = Recipe.from_yaml(text).target
        line = self._store.history.edit(project, text, label)
        self._follow_target(project, target)
        return line

    def undo(self, project: str) -> HistoryLine:
        """One step back."""
        return self._moved(project, self._store.history.undo(project))

    def redo(self, project: str) -> HistoryLine:
        """One step forward again."""
        return self._moved(project, self._store.history.redo(project))

    def jump(self, project: str, seq: int) -> HistoryLine:
        """To any line of the history."""
        return self._moved(project, self._store.history.jump(project, seq))

    def history(self, project: str) -> list[HistoryLine]:
        """All lines, oldest first."""
        return self._store.history.lines(project)

    # Snapshots: two sides of a switch, and named lines

    def slots(self, project: str) -> Slots:
        """On which of A and B the project stands, and the other one's line."""
        return self._store.snapshots.slots(project)

    def flip(self, project: str) -> HistoryLine:
        """To the other of A and B."""
        return self._moved(project, self._store.snapshots.flip(project))

    def put_aside(self, project: str, seq: int | None = None) -> Slots:
        """Puts a line (else the current one) on the side of the switch where the project does not stand."""
        return self._store.snapshots.put(project, seq)

    def name_line(self, project: str, name: str, seq: int | None = None) -> None:
        """Names a line of the history (else the current one)."""
        self._store.snapshots.name(project, name, seq)

    def forget_name(self, project: str, name: str) -> None:
        """Takes a name away; the line stays."""
        self._store.snapshots.forget(project, name)

    def named_lines(self, project: str) -> dict[str, int]:
        """Named lines by name."""
        return self._store.snapshots.named(project)

    # Work

    def submit(self, project: str, verb: str, args: Mapping[str, Any] | None = None) -> int:
        """A job's number. What is known already is a finished job at once, what runs already the same job."""
        self._store.lock.require()
        args = dict(args or {})
        key = self._results.key(project, verb, args)
        known = self._results.find(project, verb, key) if verb in results.KEPT else None
        if known is not None:
            job = self._store.jobs.of_run(known.id, args)
            return (job or self._store.jobs.add(project, verb, args, key, state="done", fraction=1.0, message="done",
                                                run=known.id)).id
        return self._runner.submit(project, verb, args, key).id

    def job(self, number: int) -> Job:
        """A job as it is now; `partial` holds what a running measurement knows so far."""
        job = self._runner.job(number)
        if job is None:
            raise BadInput(f"there is no job {number}: its project was deleted, or the job is too old")
        return job

    def jobs(self, project: str | None = None, limit: int = 50) -> list[Job]:
        """The newest jobs of a project, or of all, newest first."""
        return self._runner.jobs(project, limit)

    def active_jobs(self) -> list[Job]:
        """The jobs of all projects that wait or run, oldest first."""
        return self._runner.active()

    def log_tail(self, project: str, lines: int = 20) -> str:
        """The end of the worker's log, for details to copy; empty where there is none."""
        return log_tail(self._store.projects.folder(project) / "worker.log", lines)

    def wait(self, number: int, timeout: float = 60.0) -> Job:
        """The job once it is finished, or as it is after `timeout` seconds."""
        self._runner.wait(number, timeout)
        return self.job(number)

    def wait_for(self, numbers: Sequence[int], timeout: float, enough: Callable[[Job], bool]) -> None:
        """Waits until each of these jobs is finished or tells enough, at most `timeout` seconds."""
        self._runner.wait_for(numbers, timeout, enough)

    def result(self, number: int) -> dict[str, Any] | None:
        """What a finished job has found; to be read, not changed."""
        job = self.job(number)
        return None if job.run is None else self._results.read(job.run)

    def latest(self, project: str, verb: str, recipe: str | None = None, **args: Any) -> dict[str, Any] | None:
        """The result for exactly this recipe (and other arguments), where there is one; to be read, not changed."""
        asked = args if recipe is None else {"recipe": recipe} | args
        run = self._results.find(project, verb, self._results.key(project, verb, asked))
        return None if run is None else self._results.read(run.id)

    def latest_any(self, project: str, verb: str) -> dict[str, Any] | None:
        """The newest result of a verb, for whatever recipe."""
        run = self._results.find(project, verb, None)
        return None if run is None else self._results.read(run.id)

    def runs(self, project: str, verb: str) -> list[Run]:
        """The finished results of a verb, oldest first; `report` reads one."""
        return self._store.runs.all(project, verb)

    def report(self, run: int) -> dict[str, Any] | None:
        """The result of a run, by its number; to be read, not changed."""
        return self._results.read(run)

    def cancel(self, number: int) -> None:
        """Stops a job, within a second as a rule."""
        self._runner.cancel(number)

    def restart(self, project: str) -> None:
        """A fresh worker for the project."""
        self._store.projects.get(project)
        self._store.lock.require()
        self._runner.restart(project)

    def close(self, project: str) -> None:
        """Ends the project's worker; it starts again when it is needed."""
        self._runner.close(project)

    def shutdown(self) -> None:
        """Ends every worker of this home; done by itself when the server ends."""
        self._runner.close_all()

    def worker_alive(self, project: str) -> bool:
        """Whether the project's worker runs."""
        return self._runner.alive(project)

    def worker_pid(self, project: str) -> int | None:
        """The process id of the project's worker, where it has one."""
        return self._runner.pid(project)

    def worker_warm(self, project: str) -> bool:
        """Whether the project's worker has measured already: a measurement of a small edit is then a matter of moments."""
        return self._runner.warm(project)

    def worker_stopped(self, project: str) -> str:
        """Why the worker ended by itself, or cannot work, in words that can be shown; empty where it can."""
        return self._runner.stopped(project) or self.read_only()

    def reproduce(self, project: str, recipe: str, language: str = "shell", what: str = "simulate",
                  layers: Sequence[str] | None = None, given: Mapping[str, Any] | None = None) -> str:
        """The command line, or the Python, that makes a result again without the workbench; `what` as in `app.reproduce`."""
        return reproduce(self._store.projects.get(project), recipe, language, what, layers, given)

    def export_path(self, project: str, name: str) -> Path:
        """The folder of an export by its name; whether it is there is another matter."""
        return self._store.projects.folder(project) / "exports" / name

    def report_page(self, project: str, recipe: str, export: str = "", **more: Any) -> str:
        """The stakeholder's page of a recipe as HTML; with the export of that name it has its proof and its files.

        `more` may hold `sensitivity`, `comparison` (float against this recipe), `runs` and `repair` (by default the waterfall of this
        recipe's steps, where it was measured), as `engine.report.Facts` names them.
        Without evaluation data the page has sizes and no accuracy.
        """
        found = self.latest(project, "measure", recipe)
        if found is None:
            known = self.latest(project, "resolve", recipe)
            if known is None:
                raise BadInput("this mix was neither measured nor resolved yet: press Measure, then open the report")
            found = {"model": (self.latest(project, "open") or {}).get("model"), "recipe": Recipe.from_yaml(recipe).to_dict()} | known
        more.setdefault("repair", self.latest(project, "repair", recipe) or self.latest(project, "train", recipe))
        return render(from_results(found, recipe, self.export_path(project, export) if export else None, **more))

    def _moved(self, project: str, line: HistoryLine) -> HistoryLine:
        with contextlib.suppress(MixdownError):  # an imported line may hold anything; the recipe's editor says so
            self._follow_target(project, Recipe.from_yaml(line.recipe).target)
        return line

    def _follow_target(self, project: str, target: str) -> None:
        if self._store.projects.get(project).target != target:
            self._store.projects.update(project, target=target)
