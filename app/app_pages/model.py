"""Model: the import report, where parameters and work lie, float accuracy, and what gets a quantizer."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import markup, numbers, shell, state, words
from app.app_pages import data_panel, reproduce_drawer
from app.bench import Bench
from app.figures.template import CONFIG
from app.figures.treemap import treemap_figure
from app.readouts import metric

MEASURES = {"params": "Parameters", "macs": "MACs"}


def draw() -> None:
    """The page."""
    found = shell.frame("model")
    if found is None:
        return
    if found.model is None:
        _unread(found)
        return
    with st.container(key="panel_report"):
        _report(found, found.model)
    with st.container(key="stack_model"):
        left, right = st.columns([1.5, 1], gap="small")
    with left:
        with st.container(key="panel_cost"):
            _cost(found)
        with st.container(key="panel_coverage"):
            _coverage(found)
    with right:
        with st.container(key="panel_data"):
            data_panel.draw(found, found.model)
        with st.container(key="panel_ops"):
            _ops(found.model)


def _unread(found: Bench) -> None:
    with st.container(key="panel_reading"):
        st.html(markup.title("Reading the model" if found.active else "Model and data could not be read", found.project.model.name))
        if not found.active:
            st.html(markup.text("The red box says what is wrong. Another file for one of the data sets can be given here; "
                                "for another model make a new project."))
            data_panel.bring(found)


def _report(found: Bench, model: Mapping[str, Any]) -> None:
    facts, totals = model["model"], model.get("totals", {})
    name, unit = metric(found)
    fp32 = shell.float_value(found)
    size, size_unit = numbers.size(float(facts.get("bytes") or 0))
    weights, weights_unit = numbers.size(float(totals.get("fp32_size_bytes") or 0))
    peak, peak_unit = numbers.size(float(totals.get("activation_peak_bytes") or 0))
    half = numbers.half_width(fp32)
    note = f"opset {facts.get('opset')}, sha256 {str(facts.get('sha256'))[:12]}"
    head, drawer = st.columns([8, 1.1], gap="small", vertical_alignment="center")
    head.html(markup.title(str(facts.get("name") or found.project.name), note))
    reproduce_drawer.draw(found, "inspect", drawer)
    st.html(markup.facts(
        [(f"float {name}", numbers.figure((fp32 or {}).get("value"), unit), unit), ("layers", str(len(found.layers)), ""),
         ("parameters", numbers.count_text(totals.get("params") or 0), ""), ("MACs", numbers.count_text(totals.get("macs") or 0), ""),
         ("weights, float", weights, weights_unit), ("activations, peak", peak, peak_unit), ("file", size, size_unit)],
        {f"float {name}": f"\u00b1 {numbers.figure(half, unit)}, {int((fp32 or {}).get('n') or 0):,} samples" if half is not None else ""}))
    for remark in [*model.get("warnings", []), *model.get("notes", [])]:
        st.html(markup.box(str(remark)))


def _cost(found: Bench) -> None:
    head, switch = st.columns([2, 1], gap="small", vertical_alignment="center")
    head.html(markup.title("Where it lies", "by module; colour is the kind of op"))
    with switch:
        chosen = st.segmented_control("Measure", list(MEASURES), default="params", format_func=lambda m: MEASURES[m], key="cost-by",
                                      label_visibility="collapsed", required=True)
    figure = treemap_figure(state.theme(), found.layers, str(chosen or "params"), height=376)
    st.plotly_chart(figure, theme=None, key="treemap", config=CONFIG)


def _ops(model: Mapping[str, Any]) -> None:
    ops = model.get("ops", [])
    st.html(markup.title("Operators", f"{sum(int(o['count']) for o in ops):,} nodes of {len(ops)} kinds"))
    rows = [(o["op_type"], f"{o['count']:,}", ("runs, trains", "ok") if o.get("differentiable") else ("runs only", "d"),
             o.get("reason") or "") for o in ops]
    st.html(markup.table([("op", "m"), ("nodes", "n"), ("support", ""), ("why", "d")], rows, height=370))


def _coverage(found: Bench) -> None:
    tensors = (found.resolved or found.resolved_before or {}).get("tensors", [])
    target = (found.resolved or found.resolved_before or {}).get("target", {})
    have = sum(bool(t.get("quantized")) for t in tensors)
    title = str(target.get("title") or target.get("name") or found.project.target)
    st.html(markup.title("What gets a quantizer", f"{have} of {len(tensors)} tensors on {title}"))
    text = st.text_input("Find", placeholder="tensor, kind or words of the reason", key="coverage-find", label_visibility="collapsed")
    rows = words.coverage(tensors, text)
    st.html(markup.table([("tensor", "m"), ("kind", "d"), ("quantizer", ""), ("why", "d")], rows[:400], height=340))
    if len(rows) > 400:
        st.html(markup.foot(f"{len(rows) - 400:,} more: narrow the search"))


