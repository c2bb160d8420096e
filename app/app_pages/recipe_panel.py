"""The desk's side panels for the recipe's history and its text."""
from __future__ import annotations

import time

import streamlit as st

from app import bench as benches
from app import markup, press, state
from app.bench import Bench
from app.state import Desk
from engine.errors import MixdownError

MAX_UPLOAD = 1_000_000


def history(found: Bench, desk: Desk) -> None:
    """Every edit ever made, the newest first; any of them can be gone back to."""
    client = state.client()
    lines = client.history(found.project.id)[::-1][:200]
    st.html(markup.title("History", f"{len(lines)} lines; nothing is lost"))
    now = next((i for i, line in enumerate(lines) if line.current), -1)
    rows = [((line.label, "" if line.on_branch else "d"), time.strftime("%H:%M:%S", time.localtime(line.created)),
             "here" if line.current else "" if line.on_branch else "set aside") for line in lines]
    st.html(markup.table([("edit", "m"), ("at", "n"), ("", "d")], rows, height=420, now=now))
    labels = {line.seq: f"{line.seq} \u00b7 {line.label}" for line in lines if not line.current}
    if labels:
        st.selectbox("Go back to", list(labels), format_func=lambda s: labels[s], key="jump")
        press.button(st, "Go", "jump-go", _jump, found.project.id, desk)


def _jump(project: str, desk: Desk) -> None:
    state.client().jump(project, int(press.value("jump")))
    state.moved(desk)


def editor(found: Bench, desk: Desk) -> None:
    """The recipe as text: view, edit with errors in place, download, upload."""
    st.html(markup.title("Recipe", "the whole state, as it replays anywhere"))
    key = f"recipe-{found.project.id}-{desk.rev}"
    text = st.text_area("Recipe", found.recipe, height=430, key=key, label_visibility="collapsed")
    if desk.recipe_error:
        st.html(markup.box(desk.recipe_error, "hot", "The recipe on the desk is as it was."))
    apply, download = st.columns(2, gap="small")
    press.button(apply, "Apply", "recipe-apply", _typed, found, desk, key, type="primary", width="stretch", disabled=text == found.recipe)
    download.download_button("Download", found.recipe, "recipe.yaml", "text/yaml", width="stretch")
    with st.popover("Upload a recipe"):
        given = st.file_uploader("recipe.yaml", type=["yaml", "yml", "json"], key=f"recipe-file-{desk.rev}")
        if given is not None:
            desk.rev += 1  # a fresh uploader: the file is taken once
            _apply(found, desk, given.read(MAX_UPLOAD + 1).decode("utf-8", "replace"), f"recipe from {given.name}")
            st.rerun()
    with st.popover("Reproduce"):
        st.code(_command(found), language=None, wrap_lines=True)


def _typed(found: Bench, desk: Desk, key: str) -> None:
    _apply(found, desk, str(press.value(key, found.recipe)), "recipe edited as text")


def _apply(found: Bench, desk: Desk, text: str, label: str) -> None:
    desk.recipe_error = benches.edit(state.client(), found.project.id, text, label)
    if not desk.recipe_error:
        state.moved(desk)


def _command(found: Bench) -> str:
    try:
        return str(state.client().reproduce(found.project.id, found.recipe))
    except MixdownError as error:
        return str(error)
