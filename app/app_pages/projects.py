"""Projects: cards of what there is, the bundled samples, a new project, and archives to bring in."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import cards, markup, press, samples, shell, state, tour
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
    running = {job.project: job for job in client.active_jobs()[::-1]}
    for start in range(0, len(found), COLUMNS):
        for column, project in zip(st.columns(COLUMNS, gap="small"), found[start:start + COLUMNS], strict=False):
            with column, st.container(key=f"panel_card_{project.id}"):
                _card(client, project, running.get(project.id))
    if not found:
        st.html(markup.box("No project yet.", "", "Add a bundled sample at the right to look around, or drop a model below: that is enough "
                           "to see its layers, sizes and what each would lose at fewer bits."))
    with st.container(key="stack_new"):
        left, right = st.columns([1.6, 1], gap="small")
    with left, st.container(key="panel_new"):
        new_project.draw(client)
    with right, st.container(key="panel_samples"):
        _samples(client, found)
        _archives(client)


def _arrive(client: Any) -> bool:
    """At a window's first run: makes the bundled project once in a home's life; true where it is all there is and
    no page was asked for, so the desk opens."""
    if st.session_state.get("arrived") or client.read_only():
        return False
    st.session_state["arrived"] = True
    try:
        if not client.setting("arrived") or any(p.sample == samples.FIRST for p in client.projects()):
            client.ensure_sample()
            client.keep_setting("arrived", True)
    except MixdownError as error:
        state.window().error = str(error)
    return len(client.projects()) == 1 and "page" not in st.query_params


def _card(client: Any, project: Any, job: Any) -> None:
    gone = next((f"{path.name} is not there any more" for path in (project.model, project.evaluation, project.calibration)
                 if path is not None and not path.exists()), "")
    st.html(cards.card(project, job, gone))
    go, more = st.columns([2, 1], gap="small")
    press.button(go, "Open", f"open-{project.id}", shell.go, "desk", project.id, type="primary", width="stretch")
    with more.popover("More", width="stretch"):
        _more(client, project)


def _more(client: Any, project: Any) -> None:
    name = st.text_input("Name", project.name, key=f"name-{project.id}", max_chars=80)
    rename, copy = st.columns(2, gap="small")
    press.button(rename, "Rename", f"rename-{project.id}", _rename, client, project.id,
                 disabled=not name.strip() or name == project.name, width="stretch")
    press.button(copy, "Duplicate", f"copy-{project.id}", client.duplicate_project, project.id, width="stretch",
                 help="A copy with its history, snapshots and results")
    packed = st.session_state.get(f"zip-{project.id}")
    if packed is not None and packed.is_file():
        with packed.open("rb") as file:
            st.download_button("Download the archive", file, packed.name, "application/zip", key=f"get-{project.id}", width="stretch",
                               on_click="ignore")
    else:
        press.button(st, "Make an archive", f"pack-{project.id}", _pack, client, project.id, width="stretch",
                     help="One zip file with model, data, history and results, to keep or to hand on")
    sure = st.checkbox("I want to delete it, with its history", key=f"sure-{project.id}")
    press.button(st, "Delete", f"delete-{project.id}", client.delete_project, project.id, disabled=not sure, width="stretch")


def _rename(client: Any, project: str) -> None:
    client.rename_project(project, str(press.value(f"name-{project}")))


def _pack(client: Any, project: str) -> None:
    st.session_state[f"zip-{project}"] = client.export_project(project)


def _samples(client: Any, found: Sequence[Any]) -> None:
    st.html(markup.title("Bundled samples", "real trained models with real data"))
    have = {p.sample for p in found}
    bundled = client.bundled_samples()
    for sample in bundled:
        words, button = st.columns([2.4, 1], gap="small", vertical_alignment="center")
        words.html(markup.text(sample.title))
        press.button(button, "Open" if sample.name in have else "Add", f"sample-{sample.name}", _sample, client, sample.name,
                     width="stretch")
    if not bundled:
        st.html(markup.foot("No bundled sample is in this checkout."))
    if bundled and tour.over(client):
        press.button(st, "Take the tour again", "tour-again", tour.again, client, type="tertiary")


def _sample(client: Any, name: str) -> None:
    shell.go("desk", client.ensure_sample(name).id)


def _archives(client: Any) -> None:
    st.html(markup.heading("Import projects"))
    round_ = st.session_state.setdefault("import-round", 0)
    key = f"import-zip-{round_}"
    given = st.file_uploader("archives", type=["zip"], key=key, label_visibility="collapsed", accept_multiple_files=True)
    if given:
        many = "Import" if len(given) == 1 else f"Import {len(given)} projects"
        press.button(st, many, "import-go", _import, client, key, type="primary")


def _import(client: Any, key: str) -> None:
    given = press.value(key) or []
    st.session_state["import-round"] += 1
    refused = []
    for archive in given:
        try:
            client.import_project(archive)
        except MixdownError as error:
            refused.append(f"{archive.name}: {error}")
    state.window().error = "\n".join(refused)
