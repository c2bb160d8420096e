"""The question over the heatmap: mode, what, items, score, samples; Run or Cancel with progress; files and command."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from app import markup, numbers, press, state
from app.bench import Bench
from app.sensitivity import ask, cells, files, panel_words, rows, view
from app.sensitivity.budget import budget_of
from app.sensitivity.cells import Scores
from app.sensitivity.view import View


def question(found: Bench, seen: View) -> None:
    """What is asked; the widgets change `seen` before anything is looked up."""
    modes = list(view.MODES) if ask.measurable(found) else ["data-free"]
    seen.mode = _choose("Mode", modes, seen.mode, view.MODES, f"sens-mode-{seen.rev}")
    if seen.mode == "data-free":
        _choose("Quantize", ["weights"], "weights", view.WHATS, "sens-quantize")
    else:
        seen.what = _choose("Quantize", list(view.WHATS), seen.what, view.WHATS, "sens-what")
    items = list(view.ITEMS)
    chosen = st.selectbox("Items", items, items.index(seen.items), format_func=view.ITEMS.__getitem__, key="sens-items", width=106)
    seen.items = str(chosen or seen.items)
    if seen.mode != "data-free":
        value = seen.samples_of(seen.mode)
        number = st.selectbox("Samples", view.SAMPLES, view.SAMPLES.index(value), key=f"sens-samples-{seen.mode}", width=84)
        seen.samples[seen.mode] = int(number or value)
    if seen.mode in view.EXACT:
        seen.racing = st.toggle("Racing", seen.racing, key="sens-racing", help="More samples only where the ten worst are undecided")


def answer(found: Bench, seen: View, known: ask.Known) -> Scores:
    """Which score is shown, Run or Cancel, files; returns the scores."""
    bears = budget_of(found.curve)
    scores = replace(cells.merge(known.estimate, known.exact, seen.score), budget=bears)
    kinds = list(scores.available) or [seen.score]
    place = kinds.index(scores.score) if scores.score in kinds else 0
    chosen = st.selectbox("Score", kinds, place, format_func=panel_words.score_name, key=f"sens-score-{'-'.join(kinds)}", width=124)
    if scores.items and chosen != scores.score:
        seen.score = str(chosen)
        scores = replace(cells.merge(known.estimate, known.exact, seen.score), budget=bears)
    _run(found, seen, known)
    with st.popover("Files", width="content"):
        _files(found, seen, known, scores)
    return scores


def _choose(label: str, options: list[str], value: str, names: dict[str, str], key: str) -> str:
    chosen = st.segmented_control(label, options, default=value, format_func=names.__getitem__, key=key, required=True)
    return str(chosen or value)


def _run(found: Bench, seen: View, known: ask.Known) -> None:
    if known.job is not None:
        press.button(st, "Cancel", "sens-cancel", state.client().cancel, known.job.id, width=132)
        return
    known_now = known.estimate is not None if seen.mode == "estimate" else known.asked
    text, mode, useful = panel_words.run_button(seen.mode, known_now, known.exact is not None)
    off = bool(found.stopped) or not useful
    press.button(
        st,
        text,
        "sens-run",
        run,
        found,
        seen,
        mode,
        type="primary",
        width=144,
        disabled=off,
        help=view.MEANING[mode] if useful else None,
    )


def run(found: Bench, seen: View, mode: str) -> None:
    """Asks the worker; a page that shows estimates goes over to exact figures."""
    seen.mode, seen.rev = mode, seen.rev + 1
    state.client().submit(found.project.id, ask.VERB, ask.arguments(found, seen))


def _files(found: Bench, seen: View, known: ask.Known, scores: Scores) -> None:
    name = f"sensitivity-{seen.mode}-{seen.items}"
    st.download_button(
        "CSV",
        files.to_csv(scores, rows.refusals(found, scores)),
        f"{name}.csv",
        "text/csv",
        key="sens-csv",
        width="stretch",
        on_click="ignore",
    )
    st.download_button(
        "JSON",
        files.to_json(known.estimate, known.exact),
        f"{name}.json",
        "application/json",
        key="sens-json",
        width="stretch",
        on_click="ignore",
    )
    st.html(markup.heading("Reproduce"))
    st.code(ask.command(found, seen), language="bash", wrap_lines=True)


def status(found: Bench, seen: View, known: ask.Known, scores: Scores) -> None:
    """One line: what the mode means, or how far the job is; and what is missing. It is as high with either."""
    with st.container(key="sens_status"):
        _status(found, seen, known, scores)


def _status(found: Bench, seen: View, known: ask.Known, scores: Scores) -> None:
    job: Any = known.job
    if job is not None:
        left = "waiting for the worker" if job.state == "queued" else panel_words.time_left(float(job.fraction), numbers.seconds(job.eta))
        st.html(panel_words.progress(f"Scoring {view.ITEMS[seen.items].lower()}: {job.message or 'starting'}", left, float(job.fraction)))
        return
    ended = known.ended
    said = panel_words.status(seen, known.exact or known.estimate, scores, ended.state if ended is not None else "")
    st.html(markup.foot(" ".join(w for w in (said, panel_words.missing_data(ask.measurable(found))) if w)))
