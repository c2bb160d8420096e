"""Data of a project: what there is, the layout that this model needs, and how to bring some."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from app import bench as benches
from app import data_example, markup, press, state, words
from app.bench import Bench

ROLES = {"evaluation": "measures accuracy", "calibration": "gives the ranges", "training": "for repairs that train"}


def draw(found: Bench, model: Mapping[str, Any]) -> None:
    """The panel."""
    data = model.get("data", {})
    st.html(markup.title("Data", f"{data.get('overlap') or 0} samples are in two sets" if data.get("overlap") else "disjoint sets"))
    rows = [words.data_row(role, purpose, data.get(role), getattr(found.project, role)) for role, purpose in ROLES.items()]
    st.html(markup.table([("set", "m"), ("samples", "n"), ("file", "d"), ("", "d")], rows))
    st.html(markup.heading("Layout that this model needs: one .npz with these arrays"))
    st.html(markup.table([("array", "m"), ("shape", "d"), ("type", "d"), ("", "d")], words.expected_data(model)))
    with st.expander("Python that writes such a file", expanded=found.project.evaluation is None):
        st.code(data_example.snippet(model), language="python")
    with st.popover("Bring data"):
        bring(found)


def bring(found: Bench) -> None:
    """Another file for one of the sets, by upload or by a path on the server."""
    role = st.selectbox("Set", list(ROLES), key="data-role")
    given = st.file_uploader(".npz", type=["npz"], key="data-file")
    path = st.text_input("or a path on this server", key="data-path", placeholder="/data/evaluation.npz")
    use, none = st.columns(2, gap="small")
    press.button(use, "Use it", "data-use", _use, found, type="primary", width="stretch", disabled=given is None and not path.strip())
    press.button(none, "Go without", "data-none", _set, found, str(role), None, width="stretch",
                 disabled=getattr(found.project, str(role)) is None)


def _use(found: Bench) -> None:
    given, path = press.value("data-file"), str(press.value("data-path", ""))
    if given is not None:
        source = Path(state.client().import_upload(given, given.name, found.project.id, size=given.size))
    else:
        source = Path(path.strip())
    _set(found, str(press.value("data-role")), source)


def _set(found: Bench, role: str, source: Path | None) -> None:
    client, project = state.client(), found.project.id
    client.update_project(project, **{role: source})
    benches.go_on(client, found)
    state.window().desk(project).notice = f"{role.capitalize()} data: {source.name if source else 'none'}"
