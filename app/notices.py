"""Messages over a page: what went wrong in plain words, what was kept, and a button to go on."""
from __future__ import annotations

import streamlit as st

from app import bench as benches
from app import markup, press, state
from app.bench import Bench
from app.readouts import VERBS


def draw(found: Bench | None) -> None:
    """Errors and remarks of this window, then the failure of the last job or of the worker."""
    window = state.window()
    desk = window.desk(found.project.id) if found else None
    errors = [window.error, desk.error if desk else ""]
    window.error = ""
    if found is not None and not benches.measurable(found) and found.model is not None:
        st.html(markup.box("No evaluation data yet: sizes and weights are exact, accuracy is unknown.", "",
                           "The page Model shows the layout that this model needs, and takes the file."))
    for words in filter(None, errors):
        st.html(markup.box(words, "hot"))
    if desk and desk.notice:
        st.html(markup.box(desk.notice, "ok"))
        desk.notice = ""
    if found is not None and (found.failure is not None or found.stopped):
        _failed(found)


def _failed(found: Bench) -> None:
    with st.container(key="failure"):
        words, button = st.columns([8, 1.1], gap="small", vertical_alignment="center")
    job = found.failure
    what = f"{VERBS.get(job.verb, job.verb)} did not finish. " if job is not None else ""
    said = found.stopped or (job.error if job is not None else "")
    words.html(markup.box(said.replace(f"{state.client().home / found.project.id}/inputs/", ""), "hot",
                          f"{what}Kept: the recipe, its history and every earlier measurement."))
    press.button(button, "Restart" if found.stopped else "Try again", "restart", benches.go_on, state.client(), found,
                 type="primary", width="stretch")
