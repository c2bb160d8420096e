"""Desk: the layer table, and beside it the selected layer, the history or the recipe."""
from __future__ import annotations

import streamlit as st

from app import bench as benches
from app import markup, recipes, shell, state
from app.app_pages import calibration, inspector, recipe_panel
from app.bench import Bench
from app.components.layers import layers
from app.table import change_setting, layers_data


def draw() -> None:
    """The page."""
    found = shell.frame("desk")
    if found is None:
        return
    desk = state.window().desk(found.project.id)
    if not found.layers:
        _waiting(found)
        return
    if desk.drawer:
        calibration.draw(found, desk)
    with st.container(key="stack_desk"):
        left, right = st.columns([1.72, 1], gap="small")
    with left:
        layers(layers_data(found, desk, state.theme()), _on_doc, _on_act)
    with right, st.container(key="panel_tall_side"):
        chosen = st.segmented_control("Side panel", state.SIDES, default=desk.side, key="side",
                                      label_visibility="collapsed", required=True)
        desk.side = str(chosen or desk.side)
        {"Layer": inspector.draw, "History": recipe_panel.history, "Recipe": recipe_panel.editor}[desk.side](found, desk)


def _waiting(found: Bench) -> None:
    with st.container(key="panel_waiting"):
        if found.active:
            st.html(markup.title("Reading the model", "layers, shapes and costs appear here in a moment"))
        else:
            st.html(markup.title("The model could not be read", "the red box says why; Model shows its file"))


def _on_doc() -> None:
    found: Bench | None = st.session_state.get("bench")
    if found is not None:
        state.take_selection(state.window().desk(found.project.id), st.session_state["layers"].doc, len(found.layers))


def _on_act() -> None:
    said = st.session_state["layers"].act
    found: Bench | None = st.session_state.get("bench")
    if said and found is not None:
        act(found, str(said.get("a")), said.get("v"))


def act(found: Bench, action: str, value: object) -> None:
    """What the table asks for: an edit of layers, a general choice, or the calibration drawer."""
    desk = state.window().desk(found.project.id)
    if action == "calibration":
        desk.drawer = not desk.drawer
        return
    if not isinstance(value, dict):
        return
    client = state.client()
    doc = recipes.read(client.state(found.project.id).recipe)
    if action == "set":
        names = [str(n) for n in value.get("layers", [])]
        new, label = recipes.edit_layers(doc, names, str(value.get("to")), found.layers), recipes.said(names, str(value.get("to")))
    else:
        new, label = change_setting(doc, str(value.get("key")), str(value.get("value")))
    state.moved(desk, benches.edit(client, found.project.id, recipes.write(new), label))
