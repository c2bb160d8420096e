"""The one job runner of this process for each home: clients come and go with browser sessions, it stays."""
from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from pathlib import Path

from app.job_runner import JobRunner, OnResult
from engine.store import Store

_RUNNERS: dict[tuple[Path, str], JobRunner] = {}
_RUNNERS_LOCK = threading.Lock()


def runner_for(home: Path, session: str, on_result: Callable[[Store], OnResult]) -> JobRunner:
    """The one runner of this process for a home; made on first use, its workers ended with the process."""
    key = (home.resolve(), session)
    with _RUNNERS_LOCK:
        if key not in _RUNNERS:
            store = Store(home)
            _RUNNERS[key] = JobRunner(store, session, on_result(store))
            atexit.register(_RUNNERS[key].close_all)
        return _RUNNERS[key]
