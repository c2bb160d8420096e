"""The jobs tray in the sidebar of every page: what runs and waits in all projects, with Cancel; what is done, with its place."""
from __future__ import annotations

from typing import Any

import streamlit as st

from app import job_words, markup, press, state
from app.bench import Bench

SHOWN = 12


def draw(found: Bench | None) -> None:
    """The tray; of finished jobs it tells those of the open project, on Projects those of all."""
    press.anew()
    client = state.client()
    projects = {p.id: p for p in client.projects()}
    active = sorted(client.active_jobs(), key=lambda j: (j.state == "queued", j.id))
    st.html(markup.title("Jobs", f"{len(active)} at work" if active else "nothing runs"))
    for job in active:
        st.html(active_card(job, _name(projects, job)))
        press.button(st, "Cancel", f"cancel-{job.id}", client.cancel, job.id, help=f"Stops: {job_words.name(job)}")
    jobs = [j for j in client.jobs(found.project.id if found is not None else None) if not j.active and job_words.told(j)]
    if not jobs:
        st.html(markup.foot("What was measured, scored or exported is listed here, with its duration and where it is shown."))
        return
    st.html(markup.heading("finished" if found is None else "finished in this project"))
    for job in job_words.without_echoes(sorted(jobs, key=lambda j: -j.id))[:SHOWN]:
        _finished(client, job, projects.get(job.project), found is None)


def _name(projects: dict[str, Any], job: Any) -> str:
    return str(projects[job.project].name) if job.project in projects else ""


def _finished(client: Any, job: Any, project: Any, named: bool) -> None:
    st.html(finished_card(job, str(getattr(project, "name", "")) if named else ""))
    page = job_words.page(job)
    with st.container(key=f"job-act-{job.id}", horizontal=True):
        if page:
            press.button(st, f"Show on {state.PAGES[page]}", f"job-show-{job.id}", _show, page, job.project, type="tertiary")
        if job.state == "failed":
            with st.popover("Copy details", width="content"):
                st.code(details(client, job, project), language=None, wrap_lines=True, height=260)


def details(client: Any, job: Any, project: Any) -> str:
    """What to copy; the worker's log only where it says more than the error does."""
    return job_words.details(job, project, client.log_tail(job.project) if job.kind in ("Bug", "Stopped", "Interrupted") else "")


def _show(page: str, project: str) -> None:
    window = state.window()
    window.goto, window.project = page, project


def active_card(job: Any, project: str) -> str:
    """A job that runs or waits: what and how far, in which project."""
    words = job.message if job.state == "running" and job.message else job_words.name(job)
    bar = f"<div class=b><i style='width:{100 * job.fraction:.0f}%'></i></div>"
    return (f"<div class=md-job><div class=r><span>{markup.escape(words)}</span><span>{job_words.left(job)}</span></div>"
            f"<div class=p>{markup.escape(project)}</div>{bar}</div>")


def finished_card(job: Any, project: str) -> str:
    """A job that is over: how it ended, how long it took, when; an error in words."""
    how = {"done": job_words.took(job), "cancelled": "cancelled"}.get(job.state, job.state)
    when = f"{job_words.ago(job.updated)}{f' · {project}' if project else ''}"
    said = f"<p>{markup.escape(job_words.plain(job.error)[:300])}</p>" if job.state == "failed" else ""
    return (f"<div class='md-job old {job.state}'><div class=r><span>{markup.escape(job_words.name(job))}</span><span>{how}</span></div>"
            f"<div class=p>{markup.escape(when)}</div>{said}</div>")
