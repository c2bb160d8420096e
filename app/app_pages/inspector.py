"""The selected layer: its weights on their grid, channels, tensors with their encodings, and why it is as it is."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import markup, state, words
from app.bench import Bench
from app.figures.histogram import channels_figure, histogram_figure
from app.figures.template import CONFIG
from app.readable import describe
from app.state import Desk


def draw(found: Bench, desk: Desk) -> None:
    """The panel's content."""
    layer = found.layers[min(desk.current, len(found.layers) - 1)]
    resolved = words.resolved_layer(found, str(layer["name"]))
    st.html(markup.title(str(layer["name"]), "") + markup.text(describe(layer)))
    st.html(markup.facts(words.layer_facts(found, layer, resolved)))
    st.html(markup.heading("Why this precision") + markup.text(words.why(found, layer, resolved)))
    facts = found.facts or found.facts_before
    if facts is None:
        st.html(markup.foot("Looking into the layer…" if found.active else "No further facts about this layer."))
        return
    _weights(facts)
    _channels(facts)
    _tensors(facts)


def _weights(facts: Mapping[str, Any]) -> None:
    histogram = facts.get("histogram")
    if not histogram or not histogram.get("counts"):
        return
    low, high, step = words.clip(facts)
    st.html(markup.caption(*words.weights_caption(facts)))
    figure = histogram_figure(state.theme(), histogram, low, high, step, height=206, title="weight value")
    st.plotly_chart(figure, theme=None, key="weights", config=CONFIG)


def _channels(facts: Mapping[str, Any]) -> None:
    ranges = facts.get("channels") or {}
    low, high = list(ranges.get("low") or []), list(ranges.get("high") or [])
    if len(low) < 2:
        return
    st.html(markup.caption("Ranges by output channel", f"{len(low)} channels; amber 3 times, red 6 times the usual"))
    st.plotly_chart(channels_figure(state.theme(), low, high), theme=None, key="channels", config=CONFIG)


def _tensors(facts: Mapping[str, Any]) -> None:
    rows = [markup.tensor(str(t.get("name")), str(t.get("role") or ""), str(t.get("dtype") or ""), words.range_text(t),
                          words.explained(t)) for t in facts.get("tensors") or []]
    weight = {"name": facts.get("weight") or "weight", "explain": facts.get("explain_weight")}
    dtype = str((facts.get("encoding") or {}).get("dtype") or "float")
    rows.append(markup.tensor(str(weight["name"]), "weight", dtype, "", words.explained(weight)))
    st.html(markup.heading("Tensors, and why they are as they are") + "".join(rows))
