"""Projects: cards of what there is, the bundled samples, and a new project by upload or server path."""
from __future__ import annotations

from typing import Any

import streamlit as st

from app import cards, markup, press, shell, state
from app.app_pages import new_project
from engine.errors import MixdownError

COLUMNS = 4


def draw() -> None:
    """The page."""
    client = state.client()
    if _arrive(client):
        shell.go("desk", client.projects()[0].id)
        st.rerun()
    shell.frame("projects")
    found = client.projects()
    for start in range(0, len(found), COLUMNS):
        for column, project in zip(st.columns(COLUMNS, gap="small"), found[start:start + COLUMNS], strict=False):
            with column, st.container(key=f"panel_card_{project.id}"):
                _card(client, project)
    with st.container(key="stack_new"):
        left, right = st.columns([1.6, 1], gap="small")
    with left, st.container(key="panel_new"):
        new_project.draw(client)
    with right, st.container(key="panel_samples"):
        _samples(client)


def _arrive(client: Any) -> bool:
    """At a window's first run: makes the bundled project; true where it is all there is and
    no page was asked for, so the desk opens."""
    if st.session_state.get("arrived"):
        return False
    st.session_state["arrived"] = True
    try:
        client.ensure_sample()
    except MixdownError as error:
        state.window().error = str(error)
    return len(client.projects()) == 1 and "page" not in st.query_params


def _card(client: Any, project: Any) -> None:
    st.html(cards.card(project))
    go, more = st.columns([2, 1], gap="small")
    press.button(go, "Open", f"open-{project.id}", shell.go, "desk", project.id, type="primary", width="stretch")
    with more.popover("More", width="stretch"):
        name = st.text_input("Name", project.name, key=f"name-{project.id}")
        press.button(st, "Rename", f"rename-{project.id}", _rename, client, project.id,
                     disabled=not name.strip() or name == project.name, width="stretch")
        press.button(st, "Make an archive", f"pack-{project.id}", _pack, client, project.id, width="stretch",
                     help="The project as one zip file")
        packed = st.session_state.get(f"zip-{project.id}")
        if packed is not None and packed.is_file():
            with packed.open("rb") as file:
                st.download_button("Download the archive", file, packed.name, "application/zip", key=f"get-{project.id}", width="stretch")
        sure = st.checkbox("I want to delete it, with its history", key=f"sure-{project.id}")
        press.button(st, "Delete", f"delete-{project.id}", client.delete_project, project.id, disabled=not sure, width="stretch")


def _rename(client: Any, project: str) -> None:
    client.rename_project(project, str(press.value(f"name-{project}")))


def _pack(client: Any, project: str) -> None:
    st.session_state[f"zip-{project}"] = client.export_project(project)


def _samples(client: Any) -> None:
    st.html(markup.title("Bundled samples", "real trained models with real data"))
    have = {p.sample for p in client.projects()}
    samples = client.bundled_samples()
    for sample in samples:
        words, button = st.columns([2.4, 1], gap="small", vertical_alignment="center")
        words.html(markup.text(sample.title))
        press.button(button, "Open" if sample.name in have else "Add", f"sample-{sample.name}", _sample, client, sample.name,
                     width="stretch")
    if not samples:
        st.html(markup.foot("No bundled sample is in this checkout."))
    st.html(markup.heading("Import a project"))
    given = st.file_uploader("archive", type=["zip"], key="import-zip", label_visibility="collapsed")
    if given is not None:
        press.button(st, "Import", "import-go", _import, client)


def _sample(client: Any, name: str) -> None:
    shell.go("desk", client.ensure_sample(name).id)


def _import(client: Any) -> None:
    client.import_project(press.value("import-zip"))
