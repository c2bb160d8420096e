"""What the hand does on the page Repair: the draft, Run and Cancel, Accept and Reject, leaving a step out, 'Repair for me'."""
from __future__ import annotations

from typing import Any

import streamlit as st

from app import bench as benches
from app import press, readouts, recipes, shell, state
from app.app_pages import train_acts
from app.bench import Bench
from app.repair import ask, draft, ladder
from app.repair import view as views
from app.repair.draft import Lines
from app.repair.view import View


def on_doc(project: str, seen: View) -> None:
    """The chain's whole state."""
    views.take(state.client(), project, seen, st.session_state["chain"].doc)


def on_act(project: str, seen: View) -> None:
    """A button of the chain; it carries the draft too, so that what is done is done to what is seen."""
    press.heard("chain", act, project, seen, take=lambda doc: views.take(state.client(), project, seen, doc))


def on_fall(project: str, seen: View) -> None:
    """A click in the waterfall: a step is selected, or one that does harm is left out."""
    press.heard("falls", act, project, seen)


def act(project: str, seen: View, action: str, value: Any = None) -> None:
    """What a control asks for."""
    client = state.client()
    if action == "need":
        seen.parts.discard(str(value))
        return
    found = benches.load(client, project, -1)
    does = {"run": run, "cancel": cancel, "accept": accept, "reject": reject}
    if action in does:
        does[action](client, found, seen)
    elif action in ("without", "pick") and isinstance(value, int) and 0 <= value < len(seen.lines):
        seen.place, seen.span = value, "step"
        seen.rev += 1
        if action == "without":
            leave_out(client, found, seen, value)
    elif action == "train" and isinstance(value, int) and 0 <= value < len(seen.lines):
        train_acts.show(client, project, dict(seen.lines[value].options))
    elif action in ("goal", "auto") and isinstance(value, int | float):
        _goal(client, found, seen, float(value), action == "auto")


def run(client: Any, found: Bench, seen: View) -> None:
    """Runs the draft; a run of another one makes way."""
    asked = ask.arguments(found, seen.lines)
    for job in ask.jobs(found):
        if job.active and dict(job.args) != asked:
            client.cancel(job.id)
    client.submit(found.project.id, ask.VERB, asked)


def cancel(client: Any, found: Bench, seen: View) -> None:
    """Stops what runs; the steps that are finished stay."""
    for job in ask.jobs(found):
        if job.active:
            client.cancel(job.id)


def accept(client: Any, found: Bench, seen: View) -> None:
    """Puts the draft into the recipe, one line of history; of a run that was stopped the steps that are measured."""
    known = ask.gather(client, found, seen.lines)
    lines = seen.lines
    if known.ended is not None and len(known.rows) > 1:
        lines = ask.best_lines(lines, known.rows, len(known.rows) - 1)
    doc = recipes.read(client.state(found.project.id).recipe)
    error = benches.edit(client, found.project.id, ask.text(doc, lines), draft.told(lines))
    state.moved(state.window().desk(found.project.id), error)
    if not error:
        seen.follows = tuple(line for line in lines if line.on)
        _draft(client, found, seen, lines)


def reject(client: Any, found: Bench, seen: View) -> None:
    """The draft is the recipe's chain again."""
    _draft(client, found, seen, draft.of_recipe(found.doc))


def leave_out(client: Any, found: Bench, seen: View, place: int) -> None:
    """A step is switched off; what comes after it runs again where that is not known."""
    _draft(client, found, seen, draft.without(seen.lines, place))
    if not ask.gather(client, found, seen.lines).whole and benches.measurable(found):
        run(client, found, seen)


def show(client: Any, project: str) -> None:
    """For other pages, after a step was put into the recipe: the page opens, and what the step gives is measured."""
    found, seen = benches.load(client, project, -1), views.of(project)
    _draft(client, found, seen, draft.of_recipe(found.doc))
    seen.follows, seen.place = seen.lines, len(seen.lines) - 1
    if benches.measurable(found) and not ask.gather(client, found, seen.lines).whole:
        run(client, found, seen)
    shell.go("repair", project)


def _goal(client: Any, found: Bench, seen: View, typed: float, start: bool) -> None:
    """The ladder's goal, and its start."""
    seen.goal = typed
    goal = ladder.goal_of(client.latest_any(found.project.id, "steps") or {}, readouts.metric(found)[1])
    if start and goal is not None:
        cancel(client, found, seen)
        client.submit(found.project.id, ask.VERB, ask.ladder(found, goal[1][0], ladder.value_of(goal[0], seen)))


def take_ladder(client: Any, found: Bench, seen: View) -> None:
    """When the ladder has ended, its explicit steps become the draft, and are measured one by one; once for each of its jobs."""
    job, name = ask.ladder_job(found), f"ladder:{found.project.id}"
    if job is None or job.state != "done" or job.id <= int(client.setting(name, 0)):
        return
    lines = ask.explicit(client.result(job.id) or {})
    client.keep_setting(name, job.id)
    if lines is not None:
        _draft(client, found, seen, lines)
        if not ask.gather(client, found, lines).whole:
            run(client, found, seen)


def _draft(client: Any, found: Bench, seen: View, lines: Lines) -> None:
    seen.rev += 1
    views.change(client, found.project.id, seen, lines)
