"""Report: the stakeholder's page of the mix on the desk, to look at and to take away."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from app import bench as benches
from app import markup, polled, press, recipe_command, shell, state
from app.bench import Bench
from app.compare import ask, sources
from app.readouts import VERBS

STYLE = Path(__file__).resolve().parents[1] / "static" / "report.css"
HEIGHT, MAX_RUNS = 900, 40
KEPT = "report_page"


def draw() -> None:
    """The page."""
    found = shell.frame("report")
    if found is None:
        return
    st.html(f"<style>{STYLE.read_text(encoding='utf-8')}</style>")
    polled.body(_body, found)


def _body(project: str, live: bool) -> None:
    press.anew()
    client = state.client()
    found = benches.load(client, project, -1)
    ready = found.report is not None or (not benches.measurable(found) and found.resolved is not None)
    started = found.report is not None and ask.ensure(client, found, *_sides(found))
    with st.container(key="panel_report"):
        page = _page(client, found) if ready else ""
        _head(found, page)
    if page:
        with st.container(key="panel_preview"):
            st.iframe(page, height=HEIGHT, alt="The report as it will be downloaded")
    polled.ended(project, live, started)


def _sides(found: Bench) -> tuple[sources.Run, sources.Run]:
    return sources.Run("float", "Float model", sources.FLOAT), sources.Run("desk", "On the desk", found.recipe)


def _head(found: Bench, page: str) -> None:
    """What the report holds, what it lacks and how to get that, and the download."""
    with st.container(key="report_head", horizontal=True, gap="small", vertical_alignment="center"):
        note = f"one file of {len(page.encode()) / 1e3:.0f} kB; opens without a network, prints on A4" if page else _waiting(found)
        st.html(markup.title("Report", note), width="stretch")
        if page:
            st.download_button("Download HTML", page, f"{_name(found)}-report.html", "text/html", key="report-download", type="primary",
                               on_click="ignore")
        with st.popover("Reproduce", width="content"):
            st.html(markup.heading("From an export"))
            folder = recipe_command.export_folder(found.recipe)
            st.code(f"python -m engine report {folder} --out report.html", language=None, wrap_lines=True)
    if page and not _exported(found).is_file():
        with st.container(key="report_lacks", horizontal=True, gap="small", vertical_alignment="center"):
            st.html(markup.text("This mix was not exported: the page says that nothing is proven about files yet."), width="stretch")
            press.button(st, "To Export", "report-export", shell.go, "export", found.project.id)


def _waiting(found: Bench) -> str:
    job = found.job("measure")
    if found.stopped:
        return "the worker has stopped; Restart is in the red box"
    if job is not None and job.state == "failed":
        return f"the mix could not be measured: {job.error}"
    if found.active:
        return f"appears when the mix is measured ({VERBS.get(found.active[0].verb, found.active[0].verb).lower()})"
    return "appears when the mix is measured: press Measure above"


def _name(found: Bench) -> str:
    kept = "".join(c if c.isalnum() or c in "-_" else "-" for c in found.project.name.lower())[:60].strip("-")
    return kept or "mixdown"


def _exported(found: Bench) -> Path:
    """The report of this recipe's export, whether it is there or not."""
    return state.client().export_path(found.project.id, recipe_command.export_folder(found.recipe)) / "report.json"


def _page(client: Any, found: Bench) -> str:
    """The HTML; made again only when something that it shows has changed, since it hashes the exported files."""
    left, right = _sides(found)
    comparison, scores = ask.known(client, found, left, right), client.latest_any(found.project.id, "sensitivity")
    files = [path.stat().st_mtime_ns for path in sorted(_exported(found).parent.glob("*"))] if _exported(found).is_file() else []
    seconds = [(result or {}).get("seconds") for result in (found.report, scores)]
    key = [found.project.id, found.recipe, seconds, comparison is not None, files, len(client.runs(found.project.id, "measure"))]
    kept = st.session_state.get(KEPT)
    if kept is None or kept[0] != key:
        html = client.report_page(found.project.id, found.recipe, recipe_command.export_folder(found.recipe), comparison=comparison,
                                  sensitivity=scores, runs=runs(client, found), made=_made(client, found))
        st.session_state[KEPT] = kept = (key, html)
    return str(kept[1])


def _made(client: Any, found: Bench) -> str:
    """The day on which the mix was measured."""
    jobs = [job for job in found.jobs if job.verb == "measure" and job.state == "done" and benches.same(job, found.recipe)]
    return time.strftime("%d %B %Y", time.localtime(jobs[0].updated)).lstrip("0") if jobs else ""


def runs(client: Any, found: Bench) -> Sequence[Mapping[str, Any]]:
    """Measured mixes on the same data: size and metric of each, the one on the desk marked."""
    now = found.report or {}
    out = []
    for run in client.runs(found.project.id, "measure")[::-1][:MAX_RUNS]:
        report = client.report(run.id) or {}
        if report.get("fp32") == now.get("fp32") and report.get("cost") and report.get("quantized"):
            mine = report.get("fingerprint") == now.get("fingerprint")
            label = sources.summary(sources.recipe_of(client, run.id))
            out.append({"label": label, "value": report["quantized"].get("value"), "ci95": report["quantized"].get("ci95"),
                        "size_bytes": report["cost"].get("size_bytes"), "now": mine})
    return out
