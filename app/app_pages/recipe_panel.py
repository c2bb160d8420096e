"""The desk's side panels for the recipe's history and its text."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app import bench as benches
from app import markup, press, state
from app.bench import Bench
from app.state import Desk
from engine.errors import MixdownError

MAX_UPLOAD = 1_000_000
SHOWN = 200  # lines of the history
LIST = 240  # px


def history(found: Bench, desk: Desk) -> None:
    """Every edit ever made, the newest first; any of them can be gone back to, named, or put on the switch's other side."""
    client, project = state.client(), found.project.id
    lines, slots, names = client.history(project)[::-1][:SHOWN], client.slots(project), client.named_lines(project)
    st.html(markup.title("History", f"{len(lines)} lines; nothing is lost; you are on {slots.active}"))
    marks = _marks(lines, slots, names)
    now = next((i for i, line in enumerate(lines) if line.current), -1)
    rows = [((line.label, "" if line.on_branch else "d"), ", ".join(marks.get(line.seq, [])),
             time.strftime("%H:%M:%S", time.localtime(line.created)),
             "here" if line.current else "" if line.on_branch else "set aside") for line in lines]
    st.html(markup.table([("edit", "m"), ("called", "m"), ("at", "n"), ("", "d")], rows, height=LIST, now=now))
    said = {line.seq: _line_words(line, marks) for line in lines}
    with st.container(key="history_line", horizontal=True, gap="small", vertical_alignment="bottom"):
        st.selectbox("Line", list(said), format_func=said.__getitem__, key="history-line")
        press.button(st, "Go there", "history-go", _jump, project, desk, help="A new edit from there begins a branch")
        press.button(st, f"Put in {slots.passive}", "history-put", _put, project,
                     help=f"The switch A|B then flips between the desk and this line, as {slots.passive}")
    with st.container(key="history_name", horizontal=True, gap="small", vertical_alignment="bottom"):
        st.text_input("Name of this line", key="history-name", placeholder="before the 4-bit trial", max_chars=60)
        press.button(st, "Name it", "history-name-go", _name, project)
        if names:
            st.selectbox("Named", list(names), key="history-named")
            press.button(st, "Forget", "history-forget", _forget, project, help="Takes the name away; the line stays")


def _marks(lines: Sequence[Any], slots: Any, names: Mapping[str, int]) -> dict[int, list[str]]:
    """What each line is called: the side of the switch that stands on it, and its names."""
    marks: dict[int, list[str]] = {line.seq: [slots.active] for line in lines if line.current}
    if slots.other is not None:
        marks.setdefault(slots.other.seq, []).append(slots.passive)
    for name, seq in names.items():
        marks.setdefault(seq, []).append(name)
    return marks


def _line_words(line: Any, marks: dict[int, list[str]]) -> str:
    called = ", ".join(marks.get(line.seq, []))
    return f"{line.seq} \u00b7 {line.label}" + (f" ({called})" if called else "")


def _jump(project: str, desk: Desk) -> None:
    state.client().jump(project, int(press.value("history-line")))
    state.moved(desk)


def _put(project: str) -> None:
    state.client().put_aside(project, int(press.value("history-line")))


def _name(project: str) -> None:
    state.client().name_line(project, str(press.value("history-name", "")), int(press.value("history-line")))


def _forget(project: str) -> None:
    state.client().forget_name(project, str(press.value("history-named")))


def editor(found: Bench, desk: Desk) -> None:
    """The recipe as text: view, edit with errors in place, download, upload."""
    st.html(markup.title("Recipe", "the whole state, as it replays anywhere"))
    key = f"recipe-{found.project.id}-{desk.rev}"
    text = st.text_area("Recipe", found.recipe, height=168, key=key, label_visibility="collapsed")
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
