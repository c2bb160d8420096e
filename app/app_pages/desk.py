"""Desk: the rack, under it the selected layer, and beside that the table, the graph, the history or the recipe."""
from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from app import bench as benches
from app import curves, numbers, polled, rack, rack_edits, readouts, recipes, state
from app.app_pages import calibration, graph_view, inspector, recipe_panel, rules_panel
from app.bench import Bench
from app.components.layers import layers
from app.components.rack import rack as rack_component
from app.sensitivity import ask
from app.sensitivity.view import View
from app.state import Desk
from app.table import change_setting, layers_data
from app.track_record import Track, track_record

REST = 5.0  # seconds after an edit within which another one is likely


def draw() -> None:
    """The page."""
    found = polled.opened("desk")
    if found is None:
        return
    desk = state.window().desk(found.project.id)
    _rack(found, desk)
    if desk.drawer:
        calibration.draw(found, desk)
    with st.container(key="stack_desk"):
        left, right = st.columns([1.28, 1], gap="small")
    with left, st.container(key="panel_desk_layer"):
        inspector.draw(found, desk)
    with right, st.container(key="panel_desk_side"):
        panels = _panels()
        chosen = st.segmented_control("Panel", list(panels), default=desk.side if desk.side in panels else "Table", key="side",
                                      label_visibility="collapsed", required=True)
        desk.side = str(chosen or desk.side)
        panels[desk.side](found, desk)
    _go_on(found)


def _go_on(found: Bench) -> None:
    """While nothing else is to be done: the curve for predictions, or scores for the meters; nobody has to ask for them."""
    client = state.client()
    if found.active or _readied(found):
        return
    busy_hand = time.monotonic() - state.window().desk(found.project.id).moved_at < REST
    if busy_hand and found.curve is not None:
        return  # a better fit can wait; the measurement of the next move should not wait for it
    verb, asked = curves.VERB, curves.automatic(client, found)
    if asked is None and found.scores is None:
        seen = View()
        seen.with_data(ask.measurable(found))
        verb, asked = ask.VERB, ask.automatic(found, seen, ask.gather(client, found, seen))
    if asked is not None:
        client.submit(found.project.id, verb, asked)
        st.session_state["again"] = True


def _readied(found: Bench) -> bool:
    """Lets a worker that has measured nothing yet run the recipe whose figures are known: the first move is then as quick as later
    ones. True when begun."""
    client, desk = state.client(), state.window().desk(found.project.id)
    worker = client.worker_pid(found.project.id) or 0
    if worker in (0, desk.readied) or client.worker_warm(found.project.id) or found.report is None or found.stopped:
        return False
    desk.readied = worker
    client.submit(found.project.id, "ready", {"recipe": found.recipe})
    st.session_state["again"] = True
    return True


def _rack(found: Bench, desk: Desk) -> None:
    client = state.client()
    known = rack.Known(found.scores, found.curve, readouts.metric(found)[1])
    note = _record(track_record(client, found, 12), known.unit) if found.curve is not None else ""
    other = client.slots(found.project.id).other
    live = rack.live(found, desk.rack, desk.selected, desk.current, desk.solo, note, other.recipe if other is not None else None)
    rack_component(rack.rack_data(found, desk.rack, state.theme(), live, known), _on_rack, _on_rack_act)


def _record(track: Track, unit: str) -> str:
    """How good the predictions have been, in one short line."""
    if track.median is None:
        return "no prediction measured yet"
    many = "last prediction" if len(track.pairs) == 1 else f"last {len(track.pairs)} predictions"
    off = numbers.figure(track.median, unit)
    return f"{many}: off by {off}{' pp' if unit == '%' else ''} in the median, {track.inside} inside the interval"


def _panels() -> dict[str, Callable[[Bench, Desk], None]]:
    """What can stand at the right, by name."""
    return {"Table": _table, "Graph": graph_view.draw, "Set": rules_panel.draw, "History": recipe_panel.history,
            "Recipe": recipe_panel.editor}


def _table(found: Bench, desk: Desk) -> None:
    layers(layers_data(found, desk, state.theme()), _on_doc, _on_act)


def _on_rack() -> None:
    """The rack's whole state: selection and solos are this window's, precisions and mutes one line of history."""
    found: Bench | None = st.session_state.get("bench")
    if found is None:
        return
    client, desk = state.client(), state.window().desk(found.project.id)
    asked = rack_edits.take(desk.rack, st.session_state["rack"].doc, len(found.layers))
    if asked is None:
        return
    desk.selected, desk.current, desk.solo = asked.selected, asked.current, asked.solo
    if not (asked.precisions or asked.muted or asked.base):
        return
    new, label = rack_edits.edited(recipes.read(client.state(found.project.id).recipe), asked, found.layers)
    if label:
        state.moved(desk, benches.edit(client, found.project.id, recipes.write(new), label))
    if desk.error:
        desk.rack.last = None


def _on_rack_act() -> None:
    """The rack lacks parts that were sent but never arrived."""
    said = st.session_state["rack"].act
    found: Bench | None = st.session_state.get("bench")
    if said and found is not None and said.get("a") == "need":
        state.window().desk(found.project.id).rack.parts -= {str(h) for h in said.get("v") or []}


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
        new, label = change_setting(doc, str(value.get("key")), str(value.get("value")), found.layers)
    state.moved(desk, benches.edit(client, found.project.id, recipes.write(new), label))
