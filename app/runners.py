"""The one job runner of this process for each home: clients come and go with browser sessions, it stays."""
from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from app.job_runner import JobRunner, OnResult
from engine.errors import BadInput
from engine.store import Store

_RUNNERS: dict[tuple[Path, str], JobRunner] = {}
_RUNNERS_LOCK = threading.Lock()


def runner_for(home: Path, session: str, on_result: Callable[[Store], OnResult], writer: str = "the workbench") -> JobRunner:
    """The one runner of this process for a home; made on first use, its workers ended with the process.

    It takes the right to write at once, under the name `writer`; where another process has it, this one reads.
    """
    key = (home.resolve(), session)
    with _RUNNERS_LOCK:
        if key not in _RUNNERS:
            store = Store(home, writer)
            with contextlib.suppress(BadInput):  # a folder that cannot be written is said at the first write
                store.lock.other()
            _RUNNERS[key] = JobRunner(store, session, on_result(store))
            atexit.register(_RUNNERS[key].close_all)
        return _RUNNERS[key]
