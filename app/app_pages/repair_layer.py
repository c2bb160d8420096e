"""Under the waterfall: every layer before and after, and the weights of the chosen one."""
from __future__ import annotations

from typing import Any

import streamlit as st

from app import markup, press, shell, state, tooltips
from app.bench import Bench
from app.components.gains import gains
from app.components.plots import plots
from app.readable import brief
from app.repair import gains as pairs
from app.repair import view as views
from app.repair import weights, words
from app.repair.ask import Known
from app.repair.view import View

HEIGHT = 138


def draw(found: Bench, seen: View, known: Known) -> bool:
    """Both panels; true when the worker was asked for something."""
    data = pairs.gains_data(found.layers, seen.lines, known, seen, state.theme())
    if data["selected"] < 0:
        data["selected"] = pairs.changed_most(data)
    if data["selected"] < 0 and len(known.rows) > 1:
        data["selected"] = min(state.window().desk(found.project.id).current, len(found.layers) - 1)
    with st.container(key="stack_repair"):
        left, right = st.columns([1.55, 1], gap="small")
    with left, st.container(key="panel_gains"):
        _layers(found, seen, known, data)
    with right, st.container(key="panel_weights"):
        return _weights(found, seen, known, data)


def _layers(found: Bench, seen: View, known: Known, data: dict[str, Any]) -> None:
    with st.container(key="gains_head", horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.html(markup.title("Layer by layer", pairs.summary(data)), width="stretch")
        st.session_state.setdefault("repair-span", seen.span)
        if st.session_state["repair-span"] != seen.span:
            st.session_state["repair-span"] = seen.span
        st.segmented_control("Compared", list(views.SPANS), key="repair-span", format_func=views.SPANS.__getitem__, required=True,
                             label_visibility="collapsed", on_change=_span, args=(seen,))
    if len(known.rows) < 2:
        st.html(markup.text("The signal to noise at every layer's output, before and after, appears here with the first step that is run."))
        return
    gains(data, lambda: _pick(found, seen))
    st.html(f"<div class=rp-legend>{_legend(known, seen)}</div>")


def _legend(known: Known, seen: View) -> str:
    first, last = pairs.pair(seen.lines, known, seen)
    name = [str(r.get("step") or "no steps") for r in known.rows]
    what = markup.escape(name[last] if last - first == 1 else "the chain")
    return (f"<span><i class=o></i>before {what}</span><span><i class=u></i>after, better</span><span><i class=d></i>after, worse</span>"
            f"<span class=r title='{markup.escape(tooltips.tip('sqnr_db'))}'>dB at the layer's output, higher is better</span>")


def _span(seen: View) -> None:
    seen.span = str(st.session_state.get("repair-span") or seen.span)


def _pick(found: Bench, seen: View) -> None:
    """A click in the plot: the layer is selected here and on the Desk."""
    said = st.session_state["gains"].pick
    names = [str(x["name"]) for x in found.layers]
    if said and said.get("layer") in names:
        seen.layer = str(said["layer"])
        select(found, names.index(seen.layer))


def _weights(found: Bench, seen: View, known: Known, data: dict[str, Any]) -> bool:
    at = int(data["selected"])
    if at < 0:
        st.html(markup.title("Weights", "of the layer that is chosen"))
        st.html(markup.text("Their distribution before and after, and the range of each channel."))
        return False
    layer, name = found.layers[at], str(found.layers[at]["name"])
    with st.container(key="weights_head", horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.html(markup.title(name, words.arrow(data["before"][at], data["after"][at])), width="stretch")
        press.button(st, "To the Desk", "repair-desk", to_desk, found, at, help="The same layer is selected there")
    first, last = pairs.pair(seen.lines, known, seen)
    quiet = known.job is None  # looking into a layer may run steps again: not beside a run
    sides = [weights.look(state.client(), found, seen.lines, k, name, quiet) for k in (first, last)]
    plots({"theme": state.theme(), "plots": weights.plots(sides[0], sides[1], HEIGHT)}, key="repair-weights")
    note = str(data["notes"][at])
    st.html(markup.foot(note or brief(layer)))
    return quiet and None in sides


def to_desk(found: Bench, place: int) -> None:
    """The Desk with this layer selected."""
    select(found, place)
    shell.go("desk", found.project.id)


def select(found: Bench, place: int) -> None:
    """Selects one layer wherever the desk's selection shows."""
    desk = state.window().desk(found.project.id)
    desk.selected, desk.current = [place], place
