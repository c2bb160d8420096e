"""The frame of every page: sheet, readout bar, jobs tray and failure box, and the polling while a job runs."""
from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from app import bench as benches
from app import choices, curves, guide, markup, notices, pace, press, recipes, slots, state, tour, tray
from app.bench import Bench
from app.components.readout import readout
from app.forecast import forecast
from app.readouts import metric, readout_data
from app.theme import page_css
from engine.errors import MixdownError

LOG = logging.getLogger(__name__)
Data = dict[str, Any]
LATE = 2.0  # seconds within which the browser may still bring the address that was left


def route() -> None:
    """Goes where a control asked to go in the last run.

    A run that the browser asked for before it heard of the new address still brings the old one: that one goes there too, or a click
    would be undone by a look of the bar that was on its way.
    """
    window = state.window()
    where, window.goto = window.goto, ""
    now, here = time.monotonic(), st.query_params.to_dict()
    if where:
        window.went = state.Went(here, where, now)
    elif window.went is not None and window.went.left == here and now - window.went.at < LATE:
        where = window.went.page
    if where:
        st.query_params.from_dict(state.address(where, window.project))


def guarded(draw: Callable[[], None]) -> None:
    """Draws a page; whatever goes wrong in it is a red box in plain words, and the details are in the log."""
    st.html(f"<style>{page_css(state.theme())}</style>")  # before all else: what goes wrong at once is painted too
    try:
        draw()
        if st.session_state.pop("again", False):
            st.rerun()
        pace.sent()
    except MixdownError as error:
        st.html(markup.box(str(error), "hot"))
    except Exception:
        LOG.exception("a page could not be drawn")
        st.html(markup.box("This page could not be drawn, because of a fault inside Mixdown.", "hot",
                           "The project is as it was. Reload the page; the details are in the server's log."))


def go(page: str, project: str = "") -> None:
    """Asks for a page; the next full run goes there."""
    window = state.window()
    window.goto = page
    window.project = project or window.project


def frame(page: str) -> Bench | None:
    """Draws what all pages share and returns the bench of the project; None where no project is open."""
    press.answered()
    found = _opened(page) if page != "projects" else None
    if page != "projects" and found is None:
        go("projects")
        st.rerun()
    busy = bool(state.client().active_jobs())
    st.session_state["whole"] = True
    with st.container(key="bar"):
        st.fragment(_bar, run_every=pace.of_bar(found))(page, found)
    with st.sidebar:
        st.fragment(tray.draw, run_every=pace.POLL * 2 if busy else pace.IDLE)(found)
    notices.draw(found)
    tour.draw(page, found)
    return found


def _opened(page: str) -> Bench | None:
    window, project = state.window(), state.project_id()
    if not project:
        return None
    client = state.client()
    try:
        client.open(project)
        desk = window.desk(project)
        solo = desk.solo if page == "desk" else ()
        found = benches.load(client, project, desk.current, solo)
        begun = benches.ensure(client, found)
        pace.first_figures(client, project, begun)
        if begun:
            found = benches.load(client, project, desk.current, solo)
        found = curves.learned(client, found)
    except MixdownError as error:
        window.error = str(error)
        return None
    window.project = project
    return found


def _bar(page: str, found: Bench | None) -> None:
    """The bar; alone while it polls, or as the first part of the whole page.

    Within a whole run the page is finished first: what was chosen further down would otherwise be drawn once with its old value.
    """
    whole, again = st.session_state.pop("whole", False), st.session_state.pop(press.PRESSED, False)
    if found is not None:
        if not whole and not again:
            pace.news(state.client(), st.session_state.get("bench"), st.session_state.get("looked", 0.0))
        found, changed = pace.pulse(state.client(), found)
        st.session_state["bench"] = found
        again = again or changed
    if again and not whole:
        st.rerun()
    if whole:
        st.session_state["again"] = again
    readout(bar_data(page, found), _on_bar)
    st.session_state["looked"] = time.monotonic()


def bar_data(page: str, found: Bench | None) -> Data:
    """The bar's data: the pages one can go to, and the readouts of the open project."""
    shown = state.PAGES if found is not None or state.window().project else {"projects": "Projects"}
    project = state.window().project
    pages = [{"id": k, "label": v, "href": "?" + urlencode(state.address(k, project))} for k, v in shown.items()]
    data: Data = {"theme": state.theme(), "page": page, "pages": pages, "guide": guide.steps(None), "job": None, "acc": None, "rev": 0}
    if found is not None:
        client = state.client()
        names = [[p.id, p.name] for p in client.projects()]
        # The revision makes the data of a fruitless edit differ too, so that the bar takes back its "moving".
        desk = state.window().desk(found.project.id)
        rev, solo = desk.rev, desk.solo if found.audition else []
        data |= readout_data(found, choices.targets(), forecast(found, solo), len(solo))
        data |= {"projects": names, "rev": rev, "ack": desk.rack.ack}
        data["slots"] = slots.slots_data(client, found, metric(found)[1])
    return data


def _on_bar() -> None:
    press.heard("readout", act)


def act(action: str, value: Any = None) -> None:
    """What a control of the bar does."""
    window, client = state.window(), state.client()
    project = window.project
    desk = window.desk(project)
    found: Bench | None = st.session_state.get("bench")
    if action == "page" and value in state.PAGES:
        go(value)
    elif action == "project":
        go("desk", str(value))
    elif action == "classes":
        slots.to_compare(project)
    elif action == "guide":
        desk.drawer = desk.drawer or value == "calibrate"
        go(guide.page(str(value)) if project else "projects")
    elif action == "cancel":
        for job in [j for j in client.jobs(project) if j.state in ("queued", "running")]:
            client.cancel(job.id)
    elif found is not None:
        state.moved(desk, _on_recipe(client, found, action, value))


def _on_recipe(client: Any, found: Bench, action: str, value: Any) -> str:
    """Undo, redo, target, measure and its cancel; the words of what went wrong, or nothing."""
    project = found.project.id
    try:
        if action in ("undo", "redo", "flip"):
            getattr(client, action)(project)
        elif action == "copy":
            client.put_aside(project)
        elif action == "target":
            text = recipes.write(recipes.put(found.doc, ["target"], str(value)))
            return benches.edit(client, project, text, f"target {value}")
        elif action == "measure":
            benches.remeasure(client, found)
        elif action == "stop" and found.measuring is not None:
            client.cancel(found.measuring.id)
    except MixdownError as error:
        return str(error)
    return ""


def float_value(found: Bench) -> Any:
    """The float model's accuracy, from any measurement."""
    report = found.report or found.before or {}
    return report.get("fp32")
