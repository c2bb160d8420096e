"""Sensitivity: which item hurts at which precision, how sure that is, and why."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import bench as benches
from app import curves, markup, polled, press, state
from app.app_pages import sensitivity_controls as controls
from app.app_pages import sensitivity_side as side
from app.bench import Bench
from app.components.heatmap import heatmap
from app.figures.ranking import bars_figure
from app.figures.scatter import scatter_figure
from app.figures.template import CONFIG
from app.sensitivity import ask, cells, heat, panel_words, rows, scale, view
from app.sensitivity.cells import Scores
from app.sensitivity.view import View

POLL = 1.0


def draw() -> None:
    """The page."""
    found = polled.opened("sensitivity")
    if found is None:
        return
    seen = view.of(found.project.id)
    seen.with_data(ask.measurable(found))
    ask.begin(state.client(), found, seen)
    known = ask.gather(state.client(), found, seen)
    asked = ask.automatic(found, seen, known)
    if asked is not None:
        state.client().submit(found.project.id, ask.VERB, asked)
        st.rerun()
    polled.body(_body, found, every=POLL)


def _body(project: str, live: bool) -> None:
    """All below the bar; asks again by itself while a job runs."""
    press.anew()
    client, seen, desk = state.client(), view.of(project), state.window().desk(project)
    found = curves.learned(client, benches.load(client, project, desk.current))
    with st.container(key="panel_question"):
        with st.container(key="sens_controls", horizontal=True, gap="small", vertical_alignment="bottom"):
            controls.question(found, seen)
            known = ask.gather(client, found, seen)
            again = bool(found.active) != live or ask.automatic(found, seen, known) is not None
            again = (seen.side == "Layer" and bool(benches.ensure(client, found))) or again
            scores = controls.answer(found, seen, known)
        controls.status(found, seen, known, scores)
    precision = rows.shown_precision(scores, seen.precision, "")
    with st.container(key="panel_heat"):
        _heat(found, seen, known, scores, precision)
    with st.container(key="stack_scores"):
        left, middle, right = st.columns([1.1, 0.92, 1], gap="small")
    with left, st.container(key="panel_low_bars"):
        _bars(found, seen, scores, precision)
    with middle, st.container(key="panel_low_scatter"):
        _scatter(found, seen, scores, precision)
    with right, st.container(key="panel_low_side"):
        side.draw(found, seen, desk, scores, selected_item(found, seen, scores), precision)
    if again:  # last, so that a click on any button above has been answered
        st.rerun()


def _heat(found: Bench, seen: View, known: ask.Known, scores: Scores, precision: str) -> None:
    with st.container(key="sens_head", horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.html(markup.title("Items and precisions", panel_words.heat_note(seen, scores)), width="stretch")
        chosen = st.segmented_control(
            "Order",
            list(view.ORDERS),
            default=seen.order,
            format_func=view.ORDERS.__getitem__,
            key="sens-order",
            label_visibility="collapsed",
            required=True,
        )
    seen.order = str(chosen or seen.order)
    coming = known.running or any(j.verb == ask.VERB for j in found.active)
    if not scores.items and (not coming or seen.items != "layers"):
        st.html(markup.text(panel_words.nothing_yet(coming, seen.mode)))
        return
    if not scores.items:  # the grid that the first scores will fill, so that nothing jumps when they come
        scores = cells.empty([str(x["name"]) for x in found.layers], ask.precisions(found.doc), seen.mode)
    order = cells.ordered(scores, precision, seen.order)
    data = heat.heat_data(scores, order, rows.refusals(found, scores), state.theme(), selected_item(found, seen, scores), precision)
    heatmap(data, lambda: _cell(found, seen, scores), "sens-heat")
    st.html(panel_words.legend(scores))


def _bars(found: Bench, seen: View, scores: Scores, precision: str) -> None:
    if not scores.items:
        st.html(markup.title("Ranking", ""))
        return
    noise = cells.is_noise(scores, precision)
    st.html(markup.title(f"Ranking at {precision.upper()}", panel_words.ranking_note(scores, noise)))
    st.html(markup.text(panel_words.ranking_words(scores, precision)))
    item = selected_item(found, seen, scores)
    figure = bars_figure(
        state.theme(),
        rows.bar_rows(scores, found, precision, item),
        rows.axis_title(scores),
        item,
        noise,
        scale.fair_line(scores),
        rows.factor(scores),
    )
    st.plotly_chart(
        figure,
        theme=None,
        key="sens-bars",
        config=CONFIG,
        on_select=lambda: _picked(found, seen, scores, "sens-bars"),
        selection_mode="points",
    )


def _scatter(found: Bench, seen: View, scores: Scores, precision: str) -> None:
    st.html(markup.title("Size against sensitivity", panel_words.scatter_note(scores, precision)))
    nothing = panel_words.nothing_to_draw(scores, precision)
    if not scores.items or nothing:
        st.html(markup.text(nothing))
        return
    figure = scatter_figure(
        state.theme(),
        rows.scatter_rows(scores, found, precision),
        rows.axis_title(scores),
        scores.score in rows.LOG,
        selected_item(found, seen, scores),
        scale.fair_line(scores),
        rows.factor(scores),
    )
    st.plotly_chart(
        figure,
        theme=None,
        key="sens-scatter",
        config=CONFIG,
        on_select=lambda: _picked(found, seen, scores, "sens-scatter"),
        selection_mode="points",
    )


def _cell(found: Bench, seen: View, scores: Scores) -> None:
    """A click in the heatmap: its item is selected here and on the Desk, and its precision is shown."""
    said = st.session_state["sens-heat"].pick
    if said:
        select(found, seen, scores, str(said.get("item")))
        seen.precision = str(said.get("precision"))


def _picked(found: Bench, seen: View, scores: Scores, key: str) -> None:
    """A click in a figure: its item is selected here and on the Desk."""
    event: Any = st.session_state.get(key)
    points = event.selection.points if event is not None else []
    if points and points[0].get("customdata"):
        select(found, seen, scores, str(points[0]["customdata"][0]))


def select(found: Bench, seen: View, scores: Scores, item: str) -> None:
    """Selects an item and, on the Desk, its layers."""
    seen.item = item
    chosen = [i for i, x in enumerate(found.layers) if x["name"] in scores.members.get(item, ())]
    if chosen:
        desk = state.window().desk(found.project.id)
        desk.selected, desk.current = chosen, chosen[0]


def selected_item(found: Bench, seen: View, scores: Scores) -> str:
    """The item that is selected: of the Desk's layer, or one without layers that was clicked here."""
    if seen.item in scores.items and not scores.members.get(seen.item):
        return seen.item
    name = str(found.layers[min(state.window().desk(found.project.id).current, len(found.layers) - 1)]["name"])
    if seen.item in scores.items and name in scores.members.get(seen.item, ()):
        return seen.item
    return scores.item_of(name)
