"""The drawer of the page Search for a table of latencies: template, upload, what is charged, removal."""
from __future__ import annotations

from typing import Any

import streamlit as st

from app import markup, press, state
from app.bench import Bench
from app.search import latency
from app.search.ask import Known
from app.search.view import View
from app.sensitivity import ask as scoring
from engine.errors import BadInput
from engine.store.latency_file import MOST_BYTES


def draw(found: Bench, seen: View, known: Known) -> None:
    """A popover; its button says whether there is a table."""
    client, project = state.client(), found.project.id
    table = latency.of(client, project)
    cases = latency.cases(found.layers, known.frontiers.values(), scoring.precisions(found.doc))
    with st.popover("Latency table" if table.key else "Latency\u2026", width="content"):
        st.html(markup.heading("Latency by your device's own table") + markup.text(latency.told(table, found.layers)))
        if seen.refused or table.error:
            then = "Nothing was changed." if seen.refused else "Upload another, or remove it."
            st.html(markup.box(seen.refused or table.error, "hot", then))
        st.download_button("Template for this model", latency.to_fill_in(cases), f"{found.project.id}-latency.csv", "text/csv",
                           key="latency-template", help="A row for each op type and precision of this model, its microseconds open")
        key = f"latency-file-{seen.uploads}"
        st.file_uploader("CSV: op_type, precision, shape (optional), microseconds", type=["csv"], key=key, max_upload_size=4,
                         on_change=press.press, args=(upload, project, seen, key, cases))
        if table.key or table.error:
            press.button(st, "Remove the table", "latency-remove", remove, project, seen)


def upload(project: str, seen: View, key: str, cases: list[tuple[str, str]]) -> None:
    """Takes an uploaded table once; one that is refused changes nothing and says why in the drawer."""
    given: Any = press.value(key)
    if given is None:
        return
    seen.uploads += 1  # a fresh uploader
    try:
        latency.take(state.client(), project, given.read(MOST_BYTES + 1), str(given.name)[:80], cases)
        seen.refused = ""
    except BadInput as error:
        seen.refused = str(error)
    seen.rev += 1


def remove(project: str, seen: View) -> None:
    """Takes the table away; budgets by it go with it."""
    state.client().keep_latency(project, "")
    seen.refused = ""
    seen.rev += 1
