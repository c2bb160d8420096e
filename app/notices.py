"""Messages over a page: what went wrong in plain words, what was kept, and a button to go on."""
from __future__ import annotations

import streamlit as st

from app import bench as benches
from app import job_words, markup, press, state, tray
from app.bench import Bench


def draw(found: Bench | None) -> None:
    """Errors and remarks of this window, then who else writes, or the failure of the last job or of the worker."""
    window, client = state.window(), state.client()
    desk = window.desk(found.project.id) if found else None
    errors = [window.error, desk.error if desk else ""]
    window.error = ""
    if found is not None and not benches.measurable(found) and found.model is not None:
        _without_data(found)
    for words in filter(None, errors):
        st.html(markup.box(words, "hot"))
    if desk and desk.notice:
        st.html(markup.box(desk.notice, "ok"))
        desk.notice = ""
    elsewhere = client.read_only()
    if elsewhere:
        _reading(elsewhere, found)
    elif found is not None and (found.failure is not None or found.stopped):
        _failed(found)


def _without_data(found: Bench) -> None:
    """What works at once, what is missing, and where to bring it."""
    with st.container(key="without-data"):
        words, weights, bring = st.columns([7, 1.5, 1.2], gap="small", vertical_alignment="center")
    has = "Weights and their ranges can be judged" if found.project.calibration is None else "Layers can be scored on the calibration data"
    words.html(markup.box("No evaluation data yet: sizes and weights are exact, accuracy is unknown.", "",
                          f"{has} on Sensitivity now. The page Model shows the layout that this model needs, with lines to paste."))
    here = state.page()
    press.button(weights, "Judge the weights", "go-weights", _go, "sensitivity", type="secondary", width="stretch",
                 disabled=here == "sensitivity")
    press.button(bring, "Bring data", "go-data", _go, "model", type="primary", width="stretch", disabled=here == "model")


def _go(page: str) -> None:
    state.window().goto = page


def _reading(words: str, found: Bench | None) -> None:
    with st.container(key="failure"):
        text, button = st.columns([8, 1.1], gap="small", vertical_alignment="center")
    text.html(markup.box(words[:1].upper() + words[1:] + ".", "mid",
                         "This window follows by itself, and can write as soon as that one has ended."))
    press.button(button, "Try again", "lock-again", _take_over, found, type="primary", width="stretch")


def _take_over(found: Bench | None) -> None:
    """Another look at the lock; where it is free, what was waiting starts."""
    if not state.client().read_only() and found is not None:
        state.client().open(found.project.id)


def _failed(found: Bench) -> None:
    with st.container(key="failure"):
        words, copy, button = st.columns([7, 1.2, 1.1], gap="small", vertical_alignment="center")
    client, job = state.client(), found.failure
    what = f"{job_words.name(job)} did not finish. " if job is not None else ""
    said = found.stopped or (job.error if job is not None else "")
    words.html(markup.box(job_words.plain(said), "hot",
                          f"{what}Kept: the recipe, its history and every earlier measurement."))
    if job is not None:
        with copy.popover("Copy details", width="stretch"):
            st.code(tray.details(client, job, found.project), language=None, wrap_lines=True, height=320, width=560)
    press.button(button, "Restart" if found.stopped else "Try again", "restart", benches.go_on, client, found, type="primary",
                 width="stretch")
