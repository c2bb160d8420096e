"""When the page looks again at what runs, and how long it waits for figures that are about to come.

What is drawn costs the browser more than it costs here, so the page is drawn when there is something new rather than often.
"""
from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from app import bench as benches
from app.bench import Bench

POLL = 0.25
QUICK = 0.2  # while a measurement runs, which somebody waits for
LOOK = 0.15  # seconds that a look waits for news: less than the pace, so that looks do not pile up
SENT = 0.05  # seconds in which what was drawn has surely been sent
PATIENCE = 0.25  # seconds that a page waits for a warm worker's first figures, to be drawn once with them and not twice
IDLE = 3.0  # seconds between looks while nothing runs: another window may have edited, the worker may have died


def of_bar(found: Bench | None) -> float:
    """Seconds between two looks of the bar."""
    if found is None or not found.active:
        return IDLE
    return POLL if found.measuring is None else QUICK


def first_figures(client: Any, project: str, begun: Sequence[int]) -> None:
    """After jobs were started: waits for their results, of a measurement for its first figures, where they come in moments.

    A newer edit does not wait for this: it stops this run, and its measurement ends the older one.
    """
    if begun and client.worker_warm(project):
        client.wait_for(begun, PATIENCE, lambda job: benches.seen(job) > 0)


def news(client: Any, shown: Bench | None, looked: float) -> None:
    """While a measurement runs: waits a moment for it to tell more than the bar shows, so that it is drawn as soon as it does.

    When a look begins, Streamlit drops what the one before (at `looked`, monotonic seconds) has drawn and not sent yet: one that
    follows at once draws it again.
    """
    job = None if shown is None else shown.measuring
    if job is not None and time.monotonic() - looked > SENT:
        client.wait_for([job.id], LOOK, lambda now: benches.seen(now) != benches.seen(job))


def sent() -> None:
    """The end of a whole run: waits until what it has drawn is surely with the browser.

    A part of the page that is drawn again at once makes Streamlit drop what the whole run drew of it and did not send yet, but the
    browser still hears that the whole run is complete: it takes the part away, with what a hand or the keyboard was doing in it, and
    builds it anew.
    """
    time.sleep(SENT)


def pulse(client: Any, found: Bench) -> tuple[Bench, bool]:
    """The bench with its jobs as they are now, and whether anything changed that the page shows: then it is the bench as it was, to be
    drawn until the page is loaded again. Newer jobs beside older results would tell of a measurement that is over and has no figures.
    """
    jobs = sorted(client.jobs(found.project.id), key=lambda j: -j.id)
    shape = _shape(jobs)
    same = (shape == _shape(found.jobs) and client.state(found.project.id).recipe == found.recipe
            and client.worker_stopped(found.project.id) == found.stopped)
    return (dataclasses.replace(found, jobs=jobs), False) if same else (found, True)


def _shape(jobs: Sequence[Any]) -> list[tuple[int, str]]:
    """What of the jobs the page below the bar depends on; that one has begun shows in the bar alone."""
    return [(j.id, "active" if j.state in ("queued", "running") else j.state) for j in jobs]
