"""How well the scores of the recipe's layers add up: what a prediction rests on, checked when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import curves, markup, numbers, press, state
from app.bench import Bench
from app.sensitivity import adding, panel_words


def draw(found: Bench) -> None:
    """The tab's content."""
    client, curve = state.client(), found.curve
    st.html(markup.title("Do the scores add up?", f"for the recipe in use, {len(found.layers)} layers"))
    if curve is None:
        st.html(markup.text(adding.INTRO + " The scores that predictions sum are not there yet: they come once the Desk has been idle."))
        return
    asked = curves.additivity(found, curve)
    result = client.latest(found.project.id, adding.VERB, asked["recipe"], **{k: v for k, v in asked.items() if k != "recipe"})
    if result is not None:
        _result(result)
        return
    st.html(markup.text(adding.INTRO))
    _ask(found, asked)


def _ask(found: Bench, asked: Mapping[str, Any]) -> None:
    job = next((j for j in found.jobs if j.verb == adding.VERB and dict(j.args) == dict(asked)), None)
    if job is not None and job.state in ("queued", "running"):
        left = "waiting for the worker" if job.state == "queued" else panel_words.time_left(float(job.fraction), numbers.seconds(job.eta))
        st.html(panel_words.progress(job.message or "starting", left, float(job.fraction)))
        press.button(st, "Cancel", "sens-adding-cancel", state.client().cancel, job.id)
        return
    if job is not None and job.state == "failed":
        st.html(markup.text(job.error or "The check failed."))
    press.button(st, "Check the sums", "sens-adding", state.client().submit, found.project.id, adding.VERB, asked,
                 type="primary", disabled=bool(found.stopped))


def _result(result: Mapping[str, Any]) -> None:
    st.html(markup.facts(adding.facts(result)))
    for said in adding.said(result):
        st.html(markup.text(said))
    rows = adding.pair_rows(result)
    if rows:
        st.html(markup.heading("Pairs that share a tensor, nats per sample") + markup.table(adding.COLUMNS, rows))
