"""The panels of the page Compare: samples that flipped, classes, layers, and the recipe's lines."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import bench as benches
from app import markup, press, shell, state
from app.bench import Bench
from app.compare import html, recipe_diff, rows, view, words
from app.compare.sources import Run
from app.compare.view import View
from app.figures.closeness import closeness_figure
from app.figures.pairs import classes_figure, noise_figure, shown_classes
from app.figures.template import CONFIG
from app.sensitivity.words import short_names

SHOWN = 20
Found = Mapping[str, Any]


def samples(result: Found, seen: View) -> None:
    """The answers that differ, ranked by the margin of the left; without classes the samples furthest from the float model."""
    counts = result["flips"]["counts"]
    decided = result.get("same_answer") is not None
    heads = {"samples": "Samples that flipped", "positions": "Positions that flipped"}
    st.html(markup.title(heads[words.things(result)] if decided else "Samples apart", words.flips(result)))
    with st.container(key="cmp_flips", horizontal=True, horizontal_alignment="distribute", gap="small"):
        kinds = ["lost", "won", "changed"] if decided else [*(["worst"] if result.get("worst") else []), "lost", "won"]
        seen.kind = seen.kind if seen.kind in kinds else kinds[0]
        named = {kind: view.KINDS[kind] + (f" {counts[kind]:,}" if kind in counts else "") for kind in kinds}
        key = f"cmp-kind-{sum(counts.values())}"
        chosen = st.segmented_control("Kind", kinds, default=seen.kind, format_func=named.__getitem__, key=key,
                                      label_visibility="collapsed", required=True)
        seen.kind = str(chosen or seen.kind)
        if decided:
            order = st.segmented_control("Order", list(view.ORDERS), default=seen.order, format_func=view.ORDERS.__getitem__,
                                         key="cmp-order", label_visibility="collapsed", required=True)
            seen.order = str(order or seen.order)
    found = result["worst"] if seen.kind == "worst" else [s for s in result["flips"]["samples"] if s["kind"] == seen.kind]
    if not found:
        st.html(markup.text(words.missing(result, seen.kind)))
        return
    shown = found[:SHOWN] if seen.order == "close" or not decided else found[::-1][:SHOWN]
    margins = result.get("margins") or {}
    st.html(html.gallery(shown, seen.kind, float(margins.get("all") or 0)))
    rest = counts.get(seen.kind, 0) - len(shown)
    bar = f"; bold: the left's answer; the bar is the left's margin against the median of all {words.things(result)}: short is a close " \
          "decision" if margins and decided else ""
    more = f" {rest:,} more." if rest > 0 else ""
    said = words.meaning(result, seen.kind)
    st.html(markup.foot(f"{said[:1].upper()}{said[1:]}{bar}.{more}"))


def classes(result: Found) -> None:
    """What each class loses; without classes how close the outputs are to the float model's."""
    found = result.get("per_class") or []
    if not found and result.get("closeness"):
        st.html(markup.title("To float", words.closeness(result)))
        st.plotly_chart(closeness_figure(state.theme(), result["closeness"]["sqnr_db"]), theme=None, key="cmp-close", config=CONFIG)
        st.html(markup.foot("Each sample's SQNR against the float model's output, from the worst to the best; higher is better. "
                            "Thin: left, thick: right; the float model itself is no line."))
        return
    st.html(markup.title("By class", words.classes(result)))
    if not found:
        st.html(markup.text("There are no classes: neither labels nor outputs are classes."))
        return
    if result.get("truth") == "float":
        st.html(markup.text("Without labels the classes are those that the float model answers."))
    figure = classes_figure(state.theme(), found)
    st.plotly_chart(figure, theme=None, key="cmp-classes", config=CONFIG)
    left_out = len(found) - len(shown_classes(found))
    between = f" {left_out} classes between are left out." if left_out else ""
    apart = " Positions of one sample are no independent observations: each sample counts as one." if result.get("positions") else ""
    st.html(markup.foot(f"Hollow: below resolution, its 95 % interval includes zero.{apart}{between}"))


def layers(found: Bench, seen: View, result: Found | None) -> None:
    """The noise at each layer on both sides, and a table of those whose precision differs."""
    if result is None:
        st.html(markup.title("Layer by layer", "appears with the comparison" if benches.measurable(found) else "needs evaluation data"))
        return
    known = rows.layers(result, found.layers, _scores(found))
    changed = [x for x in known if x.changed]
    st.html(markup.title("Layer by layer", f"{len(changed)} of {len(known)} layers have another precision; hollow: left, filled: right"))
    figure = noise_figure(state.theme(), known, short_names([x.name for x in known]), seen.layer)
    st.plotly_chart(figure, theme=None, key="cmp-noise", config=CONFIG, selection_mode="points", on_select=lambda: _picked(seen))
    with st.container(key="cmp_layers", horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        seen.every = st.toggle("All layers", seen.every, key="cmp-every")
        names = [x.name for x in known]
        chosen = seen.layer if seen.layer in names else ""
        press.button(st, f"Open {chosen} on the Desk" if chosen else "Open on the Desk", "cmp-layer", open_layer, found, names, chosen,
                     disabled=not chosen, help="Click a dot to choose a layer")
    shown = known if seen.every else changed
    if not shown:
        st.html(markup.text("Both sides have the same precision in every layer."))
        return
    cells = [rows.layer_cells(x) for x in shown]
    st.html(html.tip_table(rows.LAYER_COLUMNS, cells, ["now" if x.name == seen.layer else "" for x in shown]))


def _scores(found: Bench) -> Found | None:
    """Scores that add, of single layers, where they were taken."""
    known: Found | None = state.client().latest_any(found.project.id, "sensitivity")
    fits = known is not None and known.get("mode") in ("one-on", "estimate") and known.get("items", "layers") == "layers"
    return known if fits else None


def _picked(seen: View) -> None:
    event: Any = st.session_state.get("cmp-noise")
    points = event.selection.points if event is not None else []
    if points and points[0].get("customdata"):
        seen.layer = str(points[0]["customdata"][0])


def open_layer(found: Bench, names: list[str], name: str) -> None:
    """The Desk with this layer selected."""
    desk = state.window().desk(found.project.id)
    desk.selected, desk.current = [names.index(name)], names.index(name)
    shell.go("desk", found.project.id)


def recipe(left: Run, right: Run) -> None:
    """The lines of the recipe that differ."""
    found = recipe_diff.diff(left, right)
    st.html(markup.title("In the recipe", "1 line differs" if len(found) == 1 else f"{len(found)} lines differ"))
    if not found:
        same = left.recipe == right.recipe
        st.html(markup.text("Both sides are the same recipe." if same else "Both sides say the same in other words."))
        return
    st.html(markup.table([("what", "m"), ("left", "d"), ("right", "")], [(c.what, c.left, c.right) for c in found]))
