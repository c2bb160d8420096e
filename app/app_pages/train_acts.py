"""What the hand does on the page Train: settings, Start, Stop and Continue, keeping the best, Accept and Reject, the search."""
from __future__ import annotations

from typing import Any

import streamlit as st

from app import bench as benches
from app import press, recipes, shell, state
from app.bench import Bench
from app.repair import ask as repairs
from app.train import ask, settings, trials
from app.train import view as views
from app.train.view import View


def on_doc(project: str, seen: View) -> None:
    """The form's whole state."""
    views.take(state.client(), project, seen, st.session_state["train"].doc)


def on_act(project: str, seen: View) -> None:
    """A button of the form; it carries the settings too, so that what is trained is what is seen."""
    press.heard("train", act, project, seen, take=lambda doc: views.take(state.client(), project, seen, doc))


def on_trials(project: str, seen: View) -> None:
    """A control of the search."""
    press.heard("trials", act, project, seen)


def act(project: str, seen: View, action: str, value: Any = None) -> None:
    """What a control asks for."""
    client = state.client()
    if action == "need":
        seen.parts.discard(str(value))
        return
    found = benches.load(client, project, -1)
    does = {"run": run, "stop": stop, "continue": go_on, "keep": keep, "accept": accept, "reject": reject, "search": search, "halt": halt,
            "take": take_over}
    if action in does:
        does[action](client, found, seen)
    elif action == "pick" and isinstance(value, int):
        seen.trial = value
    elif action == "count" and isinstance(value, int):
        seen.count = min(max(value, 1), trials.MOST)
    elif action == "over" and value in trials.OVER:
        seen.over = tuple(n for n in trials.OVER if (n in seen.over) != (n == value))


def run(client: Any, found: Bench, seen: View) -> None:
    """Starts the training, or goes on with it; one with other settings makes way."""
    asked = ask.arguments(found, seen.options)
    for job in ask.trainings(found):
        if job.active and dict(job.args) != asked:
            client.cancel(job.id)
    client.submit(found.project.id, ask.VERB, asked)


def stop(client: Any, found: Bench, seen: View) -> None:
    """Stops what trains; its finished epochs stay."""
    for job in ask.trainings(found):
        if job.active:
            client.cancel(job.id)


def go_on(client: Any, found: Bench, seen: View) -> None:
    """A training that was ended early runs on to its last epoch."""
    views.put(client, found.project.id, seen, settings.stopped_at(seen.options, 0))
    run(client, found, seen)


def keep(client: Any, found: Bench, seen: View) -> None:
    """The best epoch so far is the result: it is taken from what is kept, and measured."""
    known = ask.gather(client, found, seen.options)
    if known.epochs:
        views.put(client, found.project.id, seen, settings.stopped_at(seen.options, len(known.epochs)))
        run(client, found, seen)


def accept(client: Any, found: Bench, seen: View) -> None:
    """The training becomes the recipe's last step, one line of history."""
    listed = client.latest_any(found.project.id, "steps") or {}
    doc = recipes.read(client.state(found.project.id).recipe)
    text = repairs.text(doc, settings.lines(doc, seen.options))
    error = benches.edit(client, found.project.id, text, settings.told(seen.options, ask.fields(listed)))
    state.moved(state.window().desk(found.project.id), error)
    if not error:
        seen.follows = dict(seen.options)
        views.put(client, found.project.id, seen, seen.options)


def reject(client: Any, found: Bench, seen: View) -> None:
    """The form has the recipe's settings again, or the defaults."""
    views.put(client, found.project.id, seen, seen.follows or {})


def search(client: Any, found: Bench, seen: View) -> None:
    """Starts the search, or goes on with it."""
    if seen.over:
        client.submit(found.project.id, trials.VERB, trials.arguments(found, seen))


def halt(client: Any, found: Bench, seen: View) -> None:
    """Stops the search; its trials stay."""
    for job in found.jobs:
        if job.verb == trials.VERB and job.active:
            client.cancel(job.id)


def take_over(client: Any, found: Bench, seen: View) -> None:
    """The chosen trial's settings into the form."""
    rows = trials.answer(client, found, trials.job(found)).get("trials") or []
    wanted = seen.trial if any(int(r["number"]) == seen.trial for r in rows) else trials.best_of(rows)
    row = next((r for r in rows if int(r["number"]) == wanted), None)
    fields = ask.fields(client.latest_any(found.project.id, "steps") or {})
    if row is not None:
        views.put(client, found.project.id, seen, settings.merged(settings.stopped_at(seen.options, 0), row["settings"], fields))


def show(client: Any, project: str, options: settings.Options) -> None:
    """For other pages: the form with these settings."""
    seen = views.of(project)
    views.settle(client, project, seen, benches.load(client, project, -1).doc)
    views.put(client, project, seen, settings.stopped_at(options, 0))
    shell.go("train", project)
