"""The selected item beside the figures: its scores at all precisions, what to do about it, causes, and the inspector."""

from __future__ import annotations

import streamlit as st

from app import bench as benches
from app import markup, press, recipes, shell, state
from app.app_pages import inspector, sensitivity_adding, sensitivity_causes
from app.bench import Bench
from app.figures.ladder import ladder_figure
from app.figures.template import CONFIG
from app.sensitivity import panel_words, rows, scale, view
from app.sensitivity.cells import Scores
from app.sensitivity.view import View
from app.state import Desk


def draw(found: Bench, seen: View, desk: Desk, scores: Scores, item: str, shown: str) -> None:
    """The panel."""
    with st.container(key="sens_side", horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.session_state.setdefault("sens-side", seen.side)
        st.segmented_control(
            "Selected", view.SIDES, key="sens-side", label_visibility="collapsed", required=True, on_change=_turn, args=(seen,)
        )
        press.button(st, "To the Desk", "sens-desk", shell.go, "desk", found.project.id, help="The same layer is selected there")
    _turn(seen)
    if seen.side == "Layer":
        inspector.draw(found, desk)
        return
    if seen.side == "Adding up":
        sensitivity_adding.draw(found)
        return
    layers = list(scores.members.get(item, ())) if scores.items else [str(found.layers[desk.current]["name"])]
    now = rows.current_precision(found, layers[0]) if layers else ""
    st.html(panel_words.item_title(item or (layers[0] if layers else ""), layers, now))
    if seen.side == "Causes":
        sensitivity_causes.draw(found, desk, layers, now, shown)
        return
    if scores.items and item:
        _ladder(scores, found, item, now)
    if layers:
        _set(found, desk, layers, now, rows.refusals_of(found, layers))


def _turn(seen: View) -> None:
    """A tab was clicked: kept before anything is drawn, so that a page that starts over keeps it too."""
    seen.side = str(st.session_state.get("sens-side") or seen.side)


def _ladder(scores: Scores, found: Bench, item: str, now: str) -> None:
    drawn = rows.ladder_rows(scores, item, rows.refusals(found, scores), now)
    log = scores.score in rows.LOG
    if all(r.below for r in drawn if r.value is not None):
        st.html(markup.text("Below resolution at every precision: the samples do not tell these drops from zero."))
        return
    st.html(markup.caption("Sensitivity by precision", "95 % interval; diamond: in use"))
    figure = ladder_figure(state.theme(), drawn, rows.axis_title(scores), log, scale.fair_line(scores), rows.factor(scores))
    st.plotly_chart(figure, theme=None, key="sens-ladder", config=CONFIG)


def _set(found: Bench, desk: Desk, layers: list[str], now: str, reasons: dict[str, str]) -> None:
    """One click sets the precision of the item's layers: one line of history, as on the Desk."""
    st.html(markup.heading("Set this layer" if len(layers) == 1 else f"Set these {len(layers)} layers"))
    with st.container(key="sens_set", horizontal=True, gap="small"):
        for what in [*recipes.candidates(found.doc), "bypass", "base"]:
            text = {"bypass": "Float", "base": "Base"}.get(what, what.upper())
            why = reasons.get(what, "")
            look = "primary" if what == now else "secondary"
            press.button(st, text, f"sens-set-{what}", put, found, desk, layers, what, type=look, disabled=bool(why), help=why or None)


def put(found: Bench, desk: Desk, layers: list[str], what: str) -> None:
    """Edits the recipe."""
    client = state.client()
    doc = recipes.read(client.state(found.project.id).recipe)
    new = recipes.edit_layers(doc, layers, what, found.layers)
    state.moved(desk, benches.edit(client, found.project.id, recipes.write(new), recipes.said(layers, what)))
