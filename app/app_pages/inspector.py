"""The selected layer: its weights on their grid, its score at every precision, channels, tensors, and why it is as it is."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from app import layer_plots, layer_words, markup, press, state, words
from app.bench import Bench
from app.components.plots import plots
from app.rack import bits
from app.readable import brief
from app.sensitivity import ask, cells, rows, scale
from app.sensitivity.budget import budget_of
from app.sensitivity.cells import Scores
from app.sensitivity.view import View
from app.state import Desk


def draw(found: Bench, desk: Desk) -> None:
    """The panel's content."""
    layer = found.layers[min(desk.current, len(found.layers) - 1)]
    resolved = words.resolved_layer(found, str(layer["name"]))
    st.html(markup.layer_line(str(layer["name"]), words.precision_text(resolved), brief(layer), words.layer_facts(found, layer, resolved)))
    facts = found.facts or found.facts_before
    first = layer_plots.weights(facts) if facts is not None else layer_plots.waiting() if found.active else None
    drawn = layer_plots.beside([first, _ladder(found, layer)])
    if facts is not None:
        wide = layer_plots.channels(facts)
        drawn += [*([wide] if wide else []), *layer_plots.activations(facts), *layer_plots.activation_channels(facts)]
    plots({"theme": state.theme(), "plots": drawn})
    if facts is not None:
        _neighbours(found, desk, facts)
    st.html(markup.heading("Why this precision") + markup.text(words.why(found, layer, resolved)))
    if facts is None:
        st.html(markup.foot("Looking into the layer…" if found.active else "No further facts about this layer."))
        return
    _tensors(facts)


def _ladder(found: Bench, layer: Mapping[str, Any]) -> layer_plots.Plot | None:
    """Scores with their intervals where the layers were scored one by one, else the sums' own scores."""
    name, now = str(layer["name"]), rows.current_precision(found, str(layer["name"]))
    scores = scores_of(found)
    if name not in scores.items:
        return layer_plots.ladder([], None, "")
    drawn = rows.ladder_rows(scores, name, rows.refusals(found, scores), now)
    return layer_plots.ladder(drawn, scale.fair_line(scores), "output KL, nats per sample")


def scores_of(found: Bench) -> Scores:
    """The additive scores that are known, with the budget that the curve gives."""
    known, budget = ask.gather(state.client(), found, View(mode="one-on")), budget_of(found.curve)
    if known.estimate or known.exact:
        return _ordered(replace(cells.merge(known.estimate, known.exact), budget=budget))
    told = found.scores
    return Scores() if told is None else _ordered(replace(cells.of_rows(told[1], told[0] != "exact"), budget=budget))


def _ordered(scores: Scores) -> Scores:
    """Precisions as on the faders: the most bits first."""
    return replace(scores, precisions=tuple(sorted(scores.precisions, key=bits, reverse=True)))


def _neighbours(found: Bench, desk: Desk, facts: Mapping[str, Any]) -> None:
    """The layers before and after, each a click away."""
    places = {str(x["name"]): i for i, x in enumerate(found.layers)}
    for head, layers, more in layer_words.neighbours(facts):
        with st.container(key=f"near_{head[:3].lower()}", horizontal=True, gap="small", vertical_alignment="center"):
            st.html(markup.heading(head), width="content")
            for name, precision in layers:
                if name in places:
                    press.button(st, f"{name} \u00b7 {precision}", f"near-{head}-{name}", select, desk, places[name])
            if more or not layers:
                st.html(markup.foot(more or "no layer"), width="content")


def select(desk: Desk, place: int) -> None:
    """Selects one layer, here and wherever the desk's selection shows."""
    desk.selected, desk.current = [place], place


def _tensors(facts: Mapping[str, Any]) -> None:
    own = facts.get("encoding") or {}
    weight = {**own, "name": facts.get("weight") or "weight", "explain": facts.get("explain_weight"), "role": "weight"}
    shown = [weight, *(facts.get("tensors") or [])]
    rows = [markup.tensor(str(t.get("name")), str(t.get("role") or ""), str(t.get("dtype") or "float"),
                          words.range_text(t) if t.get("scale") else "", words.explained(t), layer_words.encoding(t)) for t in shown]
    st.html(markup.heading("Tensors: their encodings, and why they are so") + "".join(rows))
