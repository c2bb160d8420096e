"""Why the selected layers lose accuracy, in words from measured facts, with remedies that are one click each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import bench as benches
from app import markup, press, recipes, state
from app.app_pages import repair_acts, reproduce_drawer
from app.bench import Bench
from app.sensitivity import causes
from app.state import Desk


def draw(found: Bench, desk: Desk, layers: list[str], now: str, shown: str) -> None:
    """The diagnoses of these layers at the precision in use, or at the one that the figures show."""
    if not causes.measurable(found) or not layers:
        st.html(markup.text("Causes are found by running the layer on calibration data; there are none yet."))
        return
    options = {"shown": f"at {shown}", "now": f"in use, {now}"} if shown and shown != now else {"now": f"in use, {now}"}
    where = st.segmented_control(
        "Precision",
        list(options),
        default=next(iter(options)),
        format_func=options.__getitem__,
        required=True,
        key=f"sens-causes-{'-'.join(options)}",
        label_visibility="collapsed",
    )
    precision = shown if where == "shown" else ""
    asked = causes.arguments(found, layers, precision)
    result = causes.latest(state.client(), found, asked)
    if result is None:
        _asked(found, asked)
        return
    diagnoses = list(result.get("diagnoses", []))
    if not diagnoses:
        st.html(markup.text(causes.HEALTHY))
    for number, diagnosis in enumerate(diagnoses):
        st.html(causes.card(diagnosis, len(layers) > 1))
        for place, remedy in enumerate(diagnosis.get("remedies", [])):
            _remedy(found, desk, diagnosis, remedy, layers, precision, f"{number}-{place}")
    reproduce_drawer.draw(found, "diagnose", recipe=str(asked["recipe"]), layers=asked.get("layers"))


def _asked(found: Bench, asked: Mapping[str, Any]) -> None:
    job = causes.job(found, asked)
    if job is None and not found.stopped:
        state.client().submit(found.project.id, causes.VERB, asked)
        st.rerun()
    if job is not None and job.state in ("failed", "cancelled"):
        st.html(markup.text(job.error or "The search for causes was cancelled."))
        press.button(st, "Find causes", "sens-causes-again", state.client().submit, found.project.id, causes.VERB, asked)
        return
    st.html(markup.text("Looking for causes: the layer runs alone, with one fault taken away at a time\u2026"))


def _remedy(
    found: Bench, desk: Desk, diagnosis: Mapping[str, Any], remedy: Mapping[str, Any], layers: list[str], precision: str, key: str
) -> None:
    with st.container(key=f"sens_remedy_{key}", horizontal=True, gap="small", vertical_alignment="center"):
        said = causes.label(diagnosis, remedy, precision)
        there = causes.in_use(found.doc, causes.changed(causes.at(found.doc, found, layers, precision), remedy["change"]), found.layers)
        press.button(
            st, str(remedy["title"]), f"sens-remedy-{key}", _apply, found, desk, remedy, layers, precision, said, help=str(remedy["words"]),
            disabled=there,
        )
        st.html(markup.foot(("in use already; " if there else "") + causes.worth(remedy)))


def _apply(found: Bench, desk: Desk, remedy: Mapping[str, Any], layers: list[str], precision: str, said: str) -> None:
    doc = recipes.read(state.client().state(found.project.id).recipe)
    text = recipes.write(causes.changed(causes.at(doc, found, layers, precision), remedy["change"]))
    state.moved(desk, benches.edit(state.client(), found.project.id, text, said))
    if "steps" in remedy["change"] and not desk.error:  # it acts on the whole network: what it gives is measured on Repair
        repair_acts.show(state.client(), found.project.id)
