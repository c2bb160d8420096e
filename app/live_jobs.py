"""The jobs of this process as they are now: every change in memory at once, in the store a few times a second."""
from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.errors import MixdownError
from engine.store import Job, Store

SAVE_EVERY = 0.2
CANCELLING = "cancelling"
_KEEP = 300


class LiveJobs:
    """Knows the newest jobs. `lock` guards it and all that a runner does with it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self._jobs: dict[int, Job] = {}
        self._saved: dict[int, float] = {}

    def __getitem__(self, number: int) -> Job:
        return self._jobs[number]

    def get(self, number: int) -> Job | None:
        """A job of this process; None for one that is only in the store."""
        with self.lock:
            return self._jobs.get(number)

    def add(self, project: str, verb: str, args: Mapping[str, Any], fingerprint: str) -> Job:
        """A new job, waiting."""
        job = self._store.jobs.add(project, verb, args, fingerprint)
        self._jobs[job.id] = job
        return job

    def change(self, number: int, save: bool = False, **changes: Any) -> None:
        """Changes a job, saves it where it is time or `save` asks for it, and wakes those who wait."""
        now = time.time()
        job = self._jobs[number] = replace(self._jobs[number], updated=now, **changes)
        if save or now - self._saved.get(number, 0.0) > SAVE_EVERY:
            self._saved[number] = now
            with contextlib.suppress(MixdownError):  # a full disk costs the row's freshness, not the job
                self._store.jobs.save(job)
        if len(self._jobs) > _KEEP:
            self._drop([n for n, j in self._jobs.items() if not j.active][: len(self._jobs) - _KEEP])
        self._changed.notify_all()

    def progress(self, number: int, message: Mapping[str, Any]) -> None:
        """Takes over what a worker says about its progress; anything odd in it is left out."""
        fraction, eta = message.get("fraction"), message.get("eta")
        words = str(message.get("message", ""))[:500]
        self.change(number, message=CANCELLING if self._jobs[number].message == CANCELLING else words,
                    fraction=min(max(float(fraction), 0.0), 1.0) if isinstance(fraction, (int, float)) else 0.0,
                    eta=float(eta) if isinstance(eta, (int, float)) else None)

    def wait(self, numbers: Sequence[int], timeout: float, enough: Callable[[Job], bool]) -> None:
        """Waits until each of these jobs is over or tells enough, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: all((job := self._jobs.get(n)) is None or not job.active or enough(job) for n in numbers),
                                   timeout)

    def forget(self, project: str) -> None:
        """Drops the jobs of a project that is being deleted."""
        with self.lock:
            self._drop([n for n, job in self._jobs.items() if job.project == project])

    def _drop(self, numbers: list[int]) -> None:
        for number in numbers:
            self._jobs.pop(number)
            self._saved.pop(number, None)
