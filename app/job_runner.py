"""Jobs of all projects: one worker each, live state in memory, what must last in the store.

There is one runner per home and server process (`app.runners`), so every browser session, and a page
after F5, sees the same jobs. Other processes see them through the store.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.live_jobs import CANCELLING, LiveJobs
from app.worker_process import WorkerProcess
from engine.errors import BadInput
from engine.store import Job, Store
from engine.store.files import disk_errors

KILL_AFTER = 5.0
MAX_WORKERS = 3
WARMING = ("measure", "ready")
OnResult = Callable[[Job, dict[str, Any]], None]


@dataclass
class _Seat:
    """A project's worker and why it ended; `jobs` are those that it has not answered, oldest first; `warm` once it has measured."""

    worker: WorkerProcess | None = None
    warm: bool = False
    stopped: str = ""
    ending: str = ""  # set before this runner ends the worker itself: "closed" or "cancelled"
    used: float = 0.0
    jobs: list[int] = field(default_factory=list)


class JobRunner:
    """Submits, follows and cancels jobs. All methods may be called from any thread."""

    def __init__(self, store: Store, session: str = "", on_result: OnResult | None = None) -> None:
        self.store = store
        self._session, self._on_result = session, on_result
        self._live = LiveJobs(store)
        self._lock = self._live.lock
        self._seats: dict[str, _Seat] = {}

    def start(self, project: str) -> None:
        """Starts the project's worker if it has none."""
        with self._lock:
            seat = self._seats.setdefault(project, _Seat())
            seat.used = time.monotonic()
            if seat.worker is not None:
                return
            self._make_room(project)
            seat.stopped = seat.ending = ""
            seat.warm = False
            command = ["-m", "engine.worker", "--home", str(self.store.home), "--project", project]
            command += ["--session", self._session] if self._session else []
            log = self.store.projects.folder(project) / "worker.log"
            with disk_errors("The worker process cannot be started"):
                seat.worker = WorkerProcess(command, log, lambda w, m: self._message(project, w, m),
                                            lambda w, code: self._exit(project, w, code))

    def submit(self, project: str, verb: str, args: Mapping[str, Any], fingerprint: str = "") -> Job:
        """A job for the project's worker. One that waits or runs for the same thing already is returned instead."""
        with self._lock:
            seat = self._seats.setdefault(project, _Seat())
            for job in (self._live[number] for number in seat.jobs):
                if (job.verb, job.args) == (verb, dict(args)):
                    return job
            if seat.stopped:
                return self._refused(project, verb, args, fingerprint, seat.stopped)
            self.start(project)
            job = self._live.add(project, verb, args, fingerprint)
            seat.jobs.append(job.id)
            self._send(seat, job)
            return job

    def job(self, number: int) -> Job | None:
        """The job as it is now."""
        return self._live.get(number) or self.store.jobs.get(number)

    def jobs(self, project: str | None = None, limit: int = 50) -> list[Job]:
        """The newest jobs, newest first."""
        return [self._live.get(job.id) or job for job in self.store.jobs.all(project, limit)]

    def active(self) -> list[Job]:
        """The jobs of all projects that wait or run, oldest first."""
        return [now for job in self.store.jobs.active() if (now := self._live.get(job.id) or job).active]

    def wait(self, number: int, timeout: float) -> Job | None:
        """Waits until the job is finished, at most `timeout` seconds."""
        self.wait_for([number], timeout, lambda job: False)
        return self.job(number)

    def wait_for(self, numbers: Sequence[int], timeout: float, enough: Callable[[Job], bool]) -> None:
        """Waits until each of these jobs is finished or tells enough, at most `timeout` seconds."""
        self._live.wait(numbers, timeout, enough)

    def cancel(self, number: int) -> None:
        """Asks the worker to stop a job, and stops the worker if it does not within five seconds."""
        with self._lock:
            job = self._live.get(number)
            if job is None and (other := self.store.jobs.get(number)) is not None and other.active:
                raise BadInput(f"job {number} runs in another Mixdown server (process {other.owner.partition(':')[0]}) "
                               "on the same projects: cancel it in that one")
            seat = self._seats.get(job.project) if job else None
            if job is None or not job.active or seat is None or seat.worker is None:
                return
            self._live.change(number, save=True, message=CANCELLING)
            seat.worker.send({"cancel": number})
            timer = threading.Timer(KILL_AFTER, self._kill_unless_done, (job, seat.worker))
            timer.daemon = True
            timer.start()

    def restart(self, project: str) -> None:
        """A fresh worker; what the old one was doing is cancelled."""
        self.close(project)
        self.start(project)

    def close(self, project: str) -> None:
        """Ends the project's worker."""
        with self._lock:
            seat = self._seats.pop(project, None)
            if seat is None:
                return
            for number in list(seat.jobs):
                self._finish(seat, number, state="cancelled", message="the worker was closed")
            worker, seat.worker = seat.worker, None
        if worker is not None:
            worker.close(wait=0.2)

    def forget(self, project: str) -> None:
        """Closes a project that is being deleted, and drops what is known of its jobs."""
        self.close(project)
        self._live.forget(project)

    def close_all(self) -> None:
        """Ends every worker; called when the server ends."""
        for project in list(self._seats):
            self.close(project)

    def alive(self, project: str) -> bool:
        """Whether the project's worker runs."""
        with self._lock:
            seat = self._seats.get(project)
            return seat is not None and seat.worker is not None and seat.worker.alive

    def pid(self, project: str) -> int | None:
        """The process id of the project's worker."""
        with self._lock:
            seat = self._seats.get(project)
            return seat.worker.pid if seat is not None and seat.worker is not None else None

    def warm(self, project: str) -> bool:
        """Whether the project's worker has measured already, so that the next measurement is quick."""
        with self._lock:
            seat = self._seats.get(project)
            return seat is not None and seat.worker is not None and seat.warm

    def stopped(self, project: str) -> str:
        """Why the project's worker ended by itself, in words; empty where it did not."""
        with self._lock:
            seat = self._seats.get(project)
            return seat.stopped if seat else ""

    def _send(self, seat: _Seat, job: Job) -> None:
        assert seat.worker is not None
        seat.used = time.monotonic()
        seat.worker.send({"id": job.id, "verb": job.verb, "args": dict(job.args)})

    def _make_room(self, project: str) -> None:
        """Ends the idle workers that were not used for longest: each holds a model and its libraries."""
        idle = sorted((seat.used, name) for name, seat in self._seats.items()
                      if name != project and seat.worker is not None and not seat.jobs)
        running = sum(seat.worker is not None for seat in self._seats.values())
        for _, name in idle[: max(0, running - MAX_WORKERS + 1)]:
            seat = self._seats.pop(name)
            if seat.worker is not None:
                seat.worker.send({"quit": True})

    def _refused(self, project: str, verb: str, args: Mapping[str, Any], fingerprint: str, why: str) -> Job:
        """A failed job; asked again, the same one: a page that keeps asking fills no list."""
        last = next((job for job in self.store.jobs.all(project, 10) if job.verb == verb), None)
        if last is not None and last.error == why and last.args == dict(args):
            return last
        return self.store.jobs.add(project, verb, args, fingerprint, state="failed", error=why, kind="Stopped",
                                   message="")

    def _message(self, project: str, worker: WorkerProcess, message: dict[str, Any]) -> None:
        with self._lock:
            seat = self._seats.get(project)
            number = message.get("id")
            if seat is None or seat.worker is not worker or number not in seat.jobs:
                return
            event = message.get("event")
            job = self._live[int(number)]
            if event == "started":
                self._live.change(job.id, save=True, state="running")
            elif event == "progress":
                self._live.progress(job.id, message)
            elif event == "partial" and isinstance(message.get("value"), dict):
                self._live.change(job.id, partial=message["value"])
            elif event == "result" and isinstance(message.get("value"), dict):
                self._result(seat, job, message["value"])
            elif event == "error":
                kind, words = str(message.get("kind")), str(message.get("message"))[:4000]
                state = "cancelled" if kind == "Cancelled" else "failed"
                self._finish(seat, job.id, state=state, error="" if state == "cancelled" else words, kind=kind,
                             message=words if state == "cancelled" else "")

    def _result(self, seat: _Seat, job: Job, value: dict[str, Any]) -> None:
        seat.warm = seat.warm or job.verb in WARMING
        try:
            run = self.store.runs.add(job.project, job.fingerprint, job.verb, value)
            if self._on_result is not None:
                self._on_result(job, value)
        except Exception as error:  # a full disk: the job fails in words, the listening thread lives on
            self._finish(seat, job.id, state="failed", error=f"The result cannot be kept. {error}", kind="BadInput")
            return
        self._finish(seat, job.id, state="done", fraction=1.0, message="done", run=run.id)

    def _exit(self, project: str, worker: WorkerProcess, code: int) -> None:
        with self._lock:
            seat = self._seats.get(project)
            if seat is None or seat.worker is not worker:
                return  # this runner ended it
            seat.worker = None
            if seat.ending == "cancelled":
                self._go_on(project, seat)
                return
            running = next((j for n in seat.jobs if (j := self._live[n]).state == "running"), None)
            seat.stopped = worker.farewell(code, running.verb if running else "")
            for number in list(seat.jobs):
                self._finish(seat, number, state="failed", error=seat.stopped, kind="Stopped", message="")

    def _go_on(self, project: str, seat: _Seat) -> None:
        """After a job that would not stop: the others are given to a fresh worker."""
        for number in list(seat.jobs):
            if self._live[number].message == CANCELLING:
                self._finish(seat, number, state="cancelled", message="cancelled; its worker had to be ended")
        waiting = [self._live[number] for number in seat.jobs]
        seat.ending = ""
        if waiting:
            self.start(project)
        for job in waiting:
            self._live.change(job.id, save=True, state="queued", fraction=0.0, eta=None, message="waiting")
            self._send(seat, job)

    def _kill_unless_done(self, job: Job, worker: WorkerProcess) -> None:
        with self._lock:
            now, seat = self._live.get(job.id), self._seats.get(job.project)
            if now is not None and now.active and seat is not None and seat.worker is worker:
                seat.ending = "cancelled"
                worker.kill()

    def _finish(self, seat: _Seat, number: int, **changes: Any) -> None:
        if number in seat.jobs:
            seat.jobs.remove(number)
        self._live.change(number, save=True, eta=None, **changes)
