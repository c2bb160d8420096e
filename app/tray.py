"""The jobs tray in the sidebar: what runs and waits, with Cancel; what is done."""
from __future__ import annotations

from typing import Any

import streamlit as st

from app import markup, numbers, press, state
from app.bench import Bench
from app.readouts import VERBS


def draw(found: Bench | None) -> None:
    """The tray of the open project."""
    press.anew()
    st.html(markup.title("Jobs", "this project's work"))
    if found is None:
        st.html(markup.foot("Open a project to see its jobs."))
        return
    jobs = sorted(state.client().jobs(found.project.id), key=lambda j: -j.id)
    for job in [j for j in jobs if j.state in ("running", "queued")][::-1]:
        st.html(job_card(job))
        press.button(st, "Cancel", f"cancel-{job.id}", state.client().cancel, job.id)
    old = [j for j in jobs if j.state not in ("running", "queued") and worth(j)][:12]
    st.html(markup.heading("done") + "".join(job_card(j) for j in old) if old else markup.foot("Nothing has run yet."))


def worth(job: Any) -> bool:
    """Whether a finished job is told in the tray: looking things up is not, unless it failed."""
    return job.verb not in ("layer", "resolve", "open") or job.state == "failed"


def job_card(job: Any) -> str:
    """One job in the tray."""
    name = VERBS.get(job.verb, job.verb)
    if job.state not in ("running", "queued"):
        took = f"{job.state}, {max(job.updated - job.created, 0):.1f} s"
        return f"<div class='md-job old'><div class=r><span>{markup.escape(name)}</span><span>{took}</span></div></div>"
    left = "waiting" if job.state == "queued" else f"{100 * job.fraction:.0f} % \u00b7 {numbers.seconds(job.eta)}"
    bar = f"<div class=b><i style='width:{100 * job.fraction:.0f}%'></i></div>"
    return (f"<div class=md-job><div class=r><span>{markup.escape(job.message or name)}</span><span>{left}</span></div>"
            f"{bar}</div>")
