"""The calibration drawer of the desk: data and methods, then ranges, what they clip, and overrides."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import bench as benches
from app import choices, markup, numbers, press, ranges, recipes, state
from app.app_pages import reproduce_drawer
from app.bench import Bench
from app.figures.histogram import histogram_figure
from app.figures.template import CONFIG
from app.guide import calibration_state
from app.state import Desk

TONES = {"fresh": "ok", "stale": "mid", "never": ""}
MEANING = {"fresh": "the ranges belong to this recipe", "stale": "the recipe has changed since: calibrate again",
           "never": "no ranges have been gathered yet"}


def draw(found: Bench, desk: Desk) -> None:
    """The drawer."""
    with st.container(key="panel_calibration"):
        head, close = st.columns([8, 1], gap="small", vertical_alignment="center")
        how = calibration_state(found)
        note = markup.pill(how, TONES[how]) + f" {MEANING[how]}"
        head.html(f"<div class=md-t>Calibration<span>{note}</span></div>")
        press.button(close, "Close", "drawer-close", setattr, desk, "drawer", False, width="stretch")
        with st.container(key="stack_calibration"):
            left, middle, right = st.columns([0.95, 2.1, 1.5], gap="medium")
        with left:
            _choices(found, desk)
        rows = ranges.tensors(found)
        if not rows:
            middle.html(markup.text("Calibrate reads the calibration data once and keeps one histogram per tensor; "
                                    "ranges, clipped shares and histograms then stand here, for every bit-width."))
            return
        with middle:
            tensor = _table(found, desk, rows)
        with right:
            _tensor(found, desk, tensor)


def _choices(found: Bench, desk: Desk) -> None:
    data = (found.model or {}).get("data", {})
    source = data.get("calibration") or data.get("evaluation") or {}
    st.html(markup.facts([("data", str(source.get("name") or "none"), ""), ("samples", f"{source.get('samples') or 0:,}", "")]))
    methods = list(choices.METHODS)
    st.selectbox("Weights", methods, methods.index(ranges.method_of(found.doc, "weights")),
                 format_func=choices.method_name, key=f"cal-w-{desk.rev}")
    st.selectbox("Activations", methods, methods.index(ranges.method_of(found.doc, "activations")),
                 format_func=choices.method_name, key=f"cal-a-{desk.rev}")
    st.number_input("Samples", 1, 1_000_000, ranges.samples_of(found.doc), key=f"cal-n-{desk.rev}")
    job = found.job("calibrate")
    if job is not None and job.state in ("queued", "running"):
        press.button(st, "Cancel", "cal-cancel", state.client().cancel, job.id, width="stretch")
    else:
        press.button(st, "Calibrate", "calibrate", _calibrate, found, desk, type="primary", width="stretch")
    reproduce_drawer.draw(found, "calibrate")


def _calibrate(found: Bench, desk: Desk) -> None:
    client, project = state.client(), found.project.id
    weights, activations, samples = (press.value(f"cal-{which}-{desk.rev}") for which in "wan")
    doc, text = ranges.with_choices(found.doc, str(weights), str(activations), int(samples)), found.recipe
    if doc != found.doc:
        text = recipes.write(doc)
        state.moved(desk, benches.edit(client, project, text, "calibration choices"))
    if not desk.error:
        client.submit(project, "calibrate", {"recipe": text})


def _table(found: Bench, desk: Desk, rows: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    result = found.calibrated or {}
    st.html(markup.caption(f"Ranges of {len(rows)} tensors from {result.get('samples', 0):,} samples",
                           f"{float(result.get('seconds') or 0):.1f} s; a click shows the tensor"))
    digits = st.column_config.NumberColumn(format="%.4g", width=62)
    clipped = st.column_config.NumberColumn(format="%.3f", width=72)
    event: Any = st.dataframe(
        ranges.frame(rows), hide_index=True, height=318, row_height=26, key="ranges", on_select="rerun",
        selection_mode="single-row", column_config={
            "tensor": st.column_config.TextColumn(width=150), "type": st.column_config.TextColumn(width=72),
            "method": st.column_config.TextColumn(width=66), "own": st.column_config.TextColumn(width=56), "low": digits,
            "high": digits, "clip cal. %": clipped, "clip eval. %": clipped})
    chosen = list(event.selection.rows)
    if chosen and chosen[0] < len(rows):
        desk.tensor = str(rows[chosen[0]]["name"])
    return next((t for t in rows if t["name"] == desk.tensor), rows[0])


def _tensor(found: Bench, desk: Desk, tensor: Mapping[str, Any]) -> None:
    name = str(tensor["name"])
    st.html(markup.caption(name, ranges.describe(tensor)))
    histogram = tensor.get("histogram")
    if histogram and histogram.get("counts"):
        figure = histogram_figure(state.theme(), histogram, tensor.get("low"), tensor.get("high"), height=190, tone="pw")
        st.plotly_chart(figure, theme=None, key="range-histogram", config=CONFIG)
    own = ranges.override_of(found.doc, name)
    low, high, method = st.columns(3, gap="small")
    low.text_input("Min", _text(own.get("min")), placeholder=numbers.short(tensor.get("low")), key=f"min-{name}-{desk.rev}")
    high.text_input("Max", _text(own.get("max")), placeholder=numbers.short(tensor.get("high")), key=f"max-{name}-{desk.rev}")
    methods = ["", *choices.METHODS]
    method.selectbox("Method", methods, methods.index(_name(own.get("method"))), key=f"method-{name}-{desk.rev}",
                     format_func=choices.method_name)
    put, freeze, reset = st.columns(3, gap="small")
    press.button(put, "Set", "own-set", _override, found, desk, name, width="stretch")
    frozen = ranges.with_override(found.doc, name, tensor.get("low"), tensor.get("high"), "")
    press.button(freeze, "Freeze", "own-freeze", _edit, found, desk, frozen, f"{name}: range frozen", width="stretch",
                 help="Writes this range into the recipe")
    press.button(reset, "Reset", "own-reset", _edit, found, desk, ranges.without_override(found.doc, name), f"{name}: range from data",
                 width="stretch", disabled=not own)


def _override(found: Bench, desk: Desk, name: str) -> None:
    first, last, method = (str(press.value(f"{field}-{name}-{desk.rev}", "")) for field in ("min", "max", "method"))
    try:
        low, high = (float(t.replace(numbers.MINUS, "-")) if t.strip() else None for t in (first, last))
    except ValueError:
        desk.error = f"{name}: min {first!r} and max {last!r}: expected numbers, such as -1.5"
        return
    _edit(found, desk, ranges.with_override(found.doc, name, low, high, method), f"{name}: own range")


def _edit(found: Bench, desk: Desk, doc: recipes.Doc, label: str) -> None:
    state.moved(desk, benches.edit(state.client(), found.project.id, recipes.write(doc), label))


def _text(value: Any) -> str:
    return "" if value is None else f"{float(value):.6g}"


def _name(method: Any) -> str:
    return str(next(iter(method))) if isinstance(method, Mapping) else str(method or "")
