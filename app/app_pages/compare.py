"""Compare: is one run really better than another, on which samples, in which classes, and what differs in the recipe."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app import bench as benches
from app import markup, polled, press, shell, state
from app.app_pages import compare_parts as parts
from app.bench import Bench
from app.compare import ask, html, rows, sources, view, words
from app.compare.sources import Run
from app.compare.view import View

Found = Mapping[str, Any]


def draw() -> None:
    """The page."""
    found = polled.opened("compare", "compare.css")
    if found is not None:
        polled.body(_body, found)


def _body(project: str, live: bool) -> None:
    """All below the bar; asks again by itself while a job runs."""
    press.anew()
    client, seen = state.client(), view.of(project)
    found = benches.load(client, project, -1)
    runs = sources.gather(client, found)
    view.settle(seen, runs)
    with st.container(key="panel_pick"):
        left, right, more = _pick(found, seen, runs)
    started = [ask.ensure(client, found, left, other) for other in (right, *more)]
    known = {other.key: ask.known(client, found, left, other) for other in (right, *more)}
    with st.container(key="panel_verdict"):
        _verdict(found, left, [right, *more], known)
    _details(found, seen, left, right, known[right.key])
    polled.ended(project, live, any(started))


def _details(found: Bench, seen: View, left: Run, right: Run, result: Found | None) -> None:
    if result is not None:
        with st.container(key="stack_flips"):
            first, second = st.columns([1.62, 1], gap="small")
        with first, st.container(key="panel_cmp_flips"):
            parts.samples(result, seen)
        with second, st.container(key="panel_cmp_classes"):
            parts.classes(result)
    with st.container(key="stack_layers"):
        first, second = st.columns([1.62, 1], gap="small")
    with first, st.container(key="panel_cmp_layers"):
        parts.layers(found, seen, result)
    with second, st.container(key="panel_cmp_recipe"):
        parts.recipe(left, right)


def _pick(found: Bench, seen: View, runs: Sequence[Run]) -> tuple[Run, Run, list[Run]]:
    """The selects: what is compared with what."""
    by_key = {run.key: run for run in runs}
    keys = list(by_key)
    with st.container(key="cmp_pick", horizontal=True, gap="small", vertical_alignment="bottom"):
        seen.left = _select("Left, the reference", keys, seen.left, by_key, f"cmp-left-{seen.rev}")
        press.button(st, "\u21c4", "cmp-swap", view.swap, seen, help="Swap the sides: what was won is lost then")
        seen.right = _select("Right", keys, seen.right, by_key, f"cmp-right-{seen.rev}")
        others = [key for key in keys if key not in (seen.left, seen.right)]
        chosen = st.multiselect("More, against the left", others, [k for k in seen.more if k in others], key=f"cmp-more-{seen.rev}",
                                format_func=lambda k: by_key[k].label, placeholder="add runs to the table", max_selections=6)
        seen.more = [str(key) for key in chosen]
        left, right = by_key[seen.left], by_key[seen.right]
        press.button(st, "Right on the Desk", "cmp-desk", open_run, found, right, disabled=right.is_float,
                     help="The Desk goes to this line of history; undo leads back")
        with st.popover("Files", width="content"):
            _files(found, left, right)
    return left, right, [by_key[key] for key in seen.more]


def _select(label: str, keys: list[str], value: str, runs: Mapping[str, Run], key: str) -> str:
    chosen = st.selectbox(label, keys, keys.index(value), format_func=lambda k: runs[k].label, key=key, width="stretch")
    return str(chosen or value)


def _files(found: Bench, left: Run, right: Run) -> None:
    result = ask.known(state.client(), found, left, right)
    if result is not None:
        st.download_button("Comparison as JSON", json.dumps(result, indent=1, allow_nan=False), "compare.json", "application/json",
                           key="cmp-json", width="stretch", on_click="ignore")
    st.html(markup.heading("Reproduce"))
    st.code(ask.command(found, left, right), language="python", wrap_lines=True)


def open_run(found: Bench, run: Run) -> None:
    """Puts the Desk on a run: its line of history, or a new line where it has none."""
    client = state.client()
    if run.seq:
        client.jump(found.project.id, run.seq)
    else:
        client.edit(found.project.id, run.recipe, f"from Compare: {sources.summary(run.recipe)}")
    state.moved(state.window().desk(found.project.id))
    shell.go("desk", found.project.id)


def _verdict(found: Bench, left: Run, others: Sequence[Run], known: Mapping[str, Found | None]) -> None:
    first = known[others[0].key]
    if first is None:
        note = "" if benches.measurable(found) else "without evaluation data only the recipes can be compared"
        st.html(markup.title("Side by side", note))
        st.html(markup.text(_state(found, left, others[0])))
    else:
        said, tone = words.verdict(first, left.name, others[0].name)
        pill = markup.pill("real" if tone else "below resolution", tone)
        st.html(f"<div class='cmp-verdict {tone}'><b>{markup.escape(said)}</b>{pill}</div>{markup.text(words.chance(first))}")
    ready = next((known[run.key] for run in others if known[run.key] is not None), None)
    if ready is None:
        return
    name = str((ready.get("metric") or {}).get("name") or "metric")
    table = [rows.left_row(left, ready)]
    for run in others:
        result = known[run.key]
        table.append(rows.waiting_row(run, _state(found, left, run)) if result is None else rows.row(run, result))
    st.html(html.tip_table(rows.columns(name), table, ["ref"]))


def _state(found: Bench, left: Run, right: Run) -> str:
    """Why a comparison is not there."""
    job = ask.job(found, left, right)
    if not benches.measurable(found):
        return "Accuracy, samples and classes need evaluation data; Model takes the file."
    if found.stopped:
        return "The worker has stopped; Restart is in the red box."
    if job is not None and job.state == "failed":
        return f"Not compared: {job.error}"
    if job is not None and job.state == "cancelled":
        return "Cancelled. Choose another run, or this one again."
    return "Being compared; the bar above shows how far it is."
