"""What the hand does on the page Search: targets, Search and Cancel, baselines, Load, and the moves of 'what does it take?'."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import bench as benches
from app import curves, press, readouts, recipes, shell, state
from app.app_pages import train_acts
from app.bench import STOPPED, Bench
from app.rack_codec import unpack
from app.search import ask, data, load, marks
from app.search import view as views
from app.search.view import Targets, View
from app.sensitivity import ask as scoring
from engine.errors import BadInput
from engine.store.latency_file import ARGUMENT


def on_doc(project: str, seen: View) -> None:
    """All targets, as the hand has left them: the proven answer is asked for."""
    client = state.client()
    if views.take(client, project, seen, st.session_state["mix"].doc):
        press.press(solve, client, loaded(client, project), seen)


def on_act(project: str, seen: View) -> None:
    """A button of the component; it carries the targets too, so that what is run is what is seen."""
    press.heard("mix", act, project, seen, take=lambda doc: views.take(state.client(), project, seen, doc))


def loaded(client: Any, project: str) -> Bench:
    """The bench with its curve."""
    return curves.learned(client, benches.load(client, project, -1))


def act(project: str, seen: View, action: str, value: Any = None) -> None:
    """What a control asks for."""
    client = state.client()
    if action == "need":
        seen.parts.discard(str(value))
        return
    found = loaded(client, project)
    targets = settled(client, found, seen)
    if action in ask.METHODS:
        run(client, found, targets, action)
    elif action == "cancel":
        cancel(client, found)
    elif action == "load" and isinstance(value, Mapping):
        put(client, found, seen, targets, value)
    elif action == "takes":
        client.submit(project, "takes", ask.moves(found, targets))
        seen.tried = {}
    elif action == "try" and isinstance(value, int):
        attempt(client, found, seen, targets, value)
    elif action == "undo":
        take_back(client, found, seen)
    elif action == "train":
        train_acts.show(client, project, {})
    elif action == "scores":
        shell.go("sensitivity", project)


def settled(client: Any, found: Bench, seen: View) -> Targets:
    """The targets of this window."""
    return views.settle(client, found.project.id, seen, scoring.precisions(found.doc), readouts.metric(found)[1])


def begin(client: Any, found: Bench, seen: View) -> bool:
    """Asks for the frontiers that are not there, once each; whether one was asked for."""
    targets = settled(client, found, seen)
    if found.stopped or found.resolved is None or not benches.measurable(found) or len(targets.on) < 2:
        return False
    if any(j.verb == curves.VERB and j.active for j in found.jobs):
        return False  # its scores are the ones to sum
    begun = False
    for column in ask.columns(targets):
        asked = ask.frontier(found, targets, column)
        tried = any(j.verb == "frontier" and dict(j.args) == asked and (j.active or j.state in STOPPED) for j in found.jobs)
        if not tried and ask.latest(client, found, "frontier", asked) is None:
            client.submit(found.project.id, "frontier", asked)
            begun = True
    return begun


def solve(client: Any, found: Bench, seen: View) -> None:
    """Asks for the proven answer to the present budgets; an older question makes way."""
    asked = ask.solve(found, settled(client, found, seen))
    for job in found.jobs:
        if job.verb == "solve" and job.active and dict(job.args) != asked:
            client.cancel(job.id)
    if asked is not None and not found.stopped:
        client.submit(found.project.id, "solve", asked)


def run(client: Any, found: Bench, targets: Targets, method: str) -> None:
    """Starts a search or a baseline; one runs at a time."""
    if not targets.limits:
        raise BadInput("The search has no target: switch on a greatest drop, a size, compute or average bits.")
    cancel(client, found)
    client.submit(found.project.id, "search", ask.search(found, targets, method))


def cancel(client: Any, found: Bench) -> None:
    """Stops what runs; what was measured stays."""
    for job in found.jobs:
        if job.verb in ("search", "takes") and job.active:
            client.cancel(job.id)


def put(client: Any, found: Bench, seen: View, targets: Targets, value: Mapping[str, Any]) -> None:
    """Writes what is shown into the recipe, one line of history."""
    known = ask.gather(client, found, targets)
    point = known.exact if value.get("exact") is True else marks.point_of(known, str(value.get("mark") or ""))
    label = str(value.get("label") or "a mix")[:60]
    if point is not None and point.get("recipe"):
        doc = load.merged(found.doc, point["recipe"])
    elif point is not None:
        doc = load.written(found.doc, str(point["base"]), point["layers"], found.layers)
    else:
        doc = load.written(found.doc, *_sent(found, targets, known, value), found.layers)
    _edit(client, found, seen, doc, f"Search: {label}")


def _sent(found: Bench, targets: Targets, known: ask.Known, value: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Base and precisions as the component sent them."""
    if not known.frontiers:
        raise BadInput("The layers are being scored; there is no mix to load yet.")
    order, names = data.shape(found, targets, known)
    try:
        digits = unpack(str(value.get("p") or ""))
    except ValueError:
        digits = []
    base = str(value.get("base") or "")
    if len(digits) != len(order) or base not in names or not all(0 <= d < len(names) for d in digits):
        raise BadInput("The mix does not fit this model any more: the page was changed in another window. Drag the target again.")
    return base, {n: names[d] for n, d in zip(order, digits, strict=True)}


def attempt(client: Any, found: Bench, seen: View, targets: Targets, number: int) -> None:
    """Puts a move into the recipe; it is measured by itself."""
    listed = ask.gather(client, found, targets).takes or {}
    moves = list(listed.get("moves") or [])
    if 0 <= number < len(moves):
        if seen.tried:
            take_back(client, found, seen)
            found = loaded(client, found.project.id)
        before = client.state(found.project.id).seq
        _edit(client, found, seen, load.moved(found.doc, moves[number]), str(moves[number]["title"])[:80])
        seen.tried = {"number": number, "before": before, "after": client.state(found.project.id).seq}


def take_back(client: Any, found: Bench, seen: View) -> None:
    """Back to the recipe before the move, unless it was changed since by something else."""
    project, tried = found.project.id, seen.tried
    seen.tried = {}
    if tried and client.state(project).seq == tried["after"]:
        client.jump(project, tried["before"])
        state.moved(state.window().desk(project))


def _edit(client: Any, found: Bench, seen: View, doc: recipes.Doc, label: str) -> None:
    error = benches.edit(client, found.project.id, recipes.write(doc), label)
    state.moved(state.window().desk(found.project.id), error)
    seen.rev += 1


def given(found: Bench, targets: Targets) -> dict[str, Any]:
    """The arguments of the search, for the command line and Python."""
    asked = ask.search(found, targets)
    table = {"latency": "latency.csv"} if asked.pop(ARGUMENT, None) else {}
    return {k: v for k, v in asked.items() if k not in ("recipe", "method")} | table
