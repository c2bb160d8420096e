"""Search: any budget at once by scores, then measured points, the promise on unused samples, and what a missed target takes."""
from __future__ import annotations

import streamlit as st

from app import bench as benches
from app import curves, polled, press, readouts, state
from app.app_pages import reproduce_drawer, search_latency
from app.app_pages import search_acts as acts
from app.bench import Bench
from app.components.mixer import mixer
from app.search import ask, data
from app.search import view as views
from app.sensitivity import ask as scoring


def draw() -> None:
    """The page."""
    found = polled.opened("search", "search.css")
    if found is not None:
        polled.body(_body, found, acts.begin(state.client(), found, views.of(found.project.id)))


def _body(project: str, live: bool) -> None:
    """All below the bar; asks again by itself while a job runs."""
    press.anew()
    client, seen = state.client(), views.of(project)
    found = curves.learned(client, benches.load(client, project, -1))
    begun = acts.begin(client, found, seen)
    unit = readouts.metric(found)[1]
    targets = views.settle(client, project, seen, scoring.precisions(found.doc), unit)
    known = ask.gather(client, found, targets)
    with st.container(key="search_body"):
        mixer(data.mixer_data(found, seen, targets, known, unit, state.theme()), lambda: acts.on_doc(project, seen),
              lambda: acts.on_act(project, seen))
        _drawer(found, targets)
        with st.container(key="search_latency"):
            search_latency.draw(found, seen, known)
    polled.ended(project, live, begun)


def _drawer(found: Bench, targets: views.Targets) -> None:
    with st.container(key="search_reproduce"):
        reproduce_drawer.draw(found, "search", given=acts.given(found, targets))
