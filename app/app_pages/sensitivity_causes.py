"""Why the selected layers lose accuracy, in words from measured facts, with remedies that are one click each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import bench as benches
from app import markup, recipes, state
from app.bench import Bench
from app.sensitivity import causes
from app.state import Desk


def draw(found: Bench, desk: Desk, layers: list[str]) -> None:
    """The diagnoses of these layers; asked for once for each recipe."""
    if not causes.measurable(found) or not layers:
        st.html(markup.text("Causes are found by running the layer on calibration data; there are none yet."))
        return
    client = state.client()
    result = causes.latest(client, found, layers)
    if result is None:
        _asked(found, layers)
        return
    shown = list(result.get("diagnoses", []))
    if not shown:
        st.html(markup.text(causes.HEALTHY))
    for number, diagnosis in enumerate(shown):
        st.html(causes.card(diagnosis, len(layers) > 1))
        for place, remedy in enumerate(diagnosis.get("remedies", [])):
            _remedy(found, desk, diagnosis, remedy, f"{number}-{place}")


def _asked(found: Bench, layers: list[str]) -> None:
    job = causes.job(found, layers)
    if job is not None and job.state == "failed":
        st.html(markup.text(job.error))
    elif job is None or job.state in ("queued", "running"):
        if job is None and not found.stopped:
            state.client().submit(found.project.id, causes.VERB, causes.arguments(found, layers))
            st.rerun()
        st.html(markup.text("Looking for causes: the layer runs alone, with one fault removed at a time\u2026"))
    elif st.button("Find causes", key="sens-causes"):
        state.client().submit(found.project.id, causes.VERB, causes.arguments(found, layers))
        st.rerun()


def _remedy(found: Bench, desk: Desk, diagnosis: Mapping[str, Any], remedy: Mapping[str, Any], key: str) -> None:
    with st.container(key=f"sens_remedy_{key}", horizontal=True, gap="small", vertical_alignment="center"):
        if st.button(str(remedy["title"]), key=f"sens-remedy-{key}", help=str(remedy["words"])):
            doc = recipes.read(state.client().state(found.project.id).recipe)
            text = recipes.write(causes.changed(doc, remedy["change"]))
            state.moved(desk, benches.edit(state.client(), found.project.id, text, causes.label(diagnosis, remedy)))
            st.rerun()
        st.html(markup.foot(causes.worth(remedy)))
