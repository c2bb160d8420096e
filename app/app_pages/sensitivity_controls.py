"""The question over the heatmap: mode, what, items, score, samples; Run or Cancel with progress; files and command."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import markup, numbers, state
from app.bench import Bench
from app.sensitivity import ask, files, rows, view, words
from app.sensitivity.cells import Scores
from app.sensitivity.view import View


def draw(found: Bench, seen: View, known: ask.Known, scores: Scores) -> None:
    """The panel."""
    data = ask.measurable(found)
    with st.container(key="sens_controls", horizontal=True, gap="small", vertical_alignment="bottom"):
        modes = list(view.MODES) if data else ["data-free"]
        seen.mode = str(_choose("Mode", modes, seen.mode, view.MODES, help_=words.modes_help()))
        _what(seen)
        seen.items = str(
            st.selectbox(
                "Items", list(view.ITEMS), list(view.ITEMS).index(seen.items), format_func=view.ITEMS.get, key="sens-items", width=106
            )
            or seen.items
        )
        _score(seen, scores)
        if seen.mode != "data-free":
            _samples(seen)
        if seen.mode in view.EXACT:
            seen.racing = st.toggle("Racing", seen.racing, key="sens-racing", help="More samples only where the ten worst are undecided")
        _run(found, seen, known)
        with st.popover("Files", width="content"):
            _files(found, seen, known, scores)
    _status(found, seen, known, scores)


def _choose(label: str, options: list[str], value: str, names: dict[str, str], help_: str = "", off: bool = False) -> str:
    chosen = st.segmented_control(
        label, options, default=value, format_func=names.get, key=f"sens-{label.lower()}", required=True, help=help_ or None, disabled=off
    )
    return str(chosen or value)


def _what(seen: View) -> None:
    if seen.mode == "data-free":
        _choose("Quantize", ["weights"], "weights", view.WHATS)
    else:
        seen.what = _choose("What", list(view.WHATS), seen.what, view.WHATS)


def _score(seen: View, scores: Scores) -> None:
    known = list(scores.available) or [seen.score]
    value = scores.score if scores.items else seen.score
    chosen = st.selectbox(
        "Score",
        known,
        known.index(value) if value in known else 0,
        format_func=lambda s: view.SCORES.get(s, s),
        key=f"sens-score-{'-'.join(known)}",
        width=124,
        help=scores.doc or None,
    )
    if scores.items and chosen != value:
        seen.score = str(chosen)
        st.rerun(scope="fragment")


def _samples(seen: View) -> None:
    value = seen.samples_of(seen.mode)
    seen.samples[seen.mode] = int(
        st.selectbox("Samples", view.SAMPLES, view.SAMPLES.index(value), key=f"sens-samples-{seen.mode}", width=84) or value
    )


def _run(found: Bench, seen: View, known: ask.Known) -> None:
    if known.job is not None:
        if st.button("Cancel", key="sens-cancel", width=132):
            state.client().cancel(known.job.id)
            st.rerun()
        return
    text, mode = words.run_button(seen.mode, known.exact is not None, known.estimate is not None)
    if st.button(text, key="sens-run", type="primary", width=152, disabled=bool(found.stopped), help=view.MEANING[mode]):
        run(found, seen, mode)


def run(found: Bench, seen: View, mode: str) -> None:
    """Asks the worker; a page that shows estimates goes over to exact figures."""
    seen.mode, seen.rev = mode, seen.rev + 1
    st.session_state.pop("sens-mode", None)
    state.client().submit(found.project.id, ask.VERB, ask.arguments(found, seen))
    st.rerun()


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


def _status(found: Bench, seen: View, known: ask.Known, scores: Scores) -> None:
    """One line: what the mode means, or how far the job is; and what is missing."""
    job: Any = known.job
    if job is not None:
        left = "waiting for the worker" if job.state == "queued" else f"{100 * job.fraction:.0f} % \u00b7 {numbers.seconds(job.eta)}"
        st.html(words.progress(f"Scoring {view.ITEMS[seen.items].lower()}: {job.message or 'starting'}", left, float(job.fraction)))
        return
    ended = known.ended
    said = words.status(seen, known.exact or known.estimate, scores, ended.state if ended is not None else "")
    st.html(markup.foot(" ".join(w for w in (said, words.missing_data(ask.measurable(found))) if w)))
