"""Jobs: what was asked of the workers and what became of it."""
from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from engine.store.database import Database
from engine.store.files import strict_json
from engine.store.records import INTERRUPTED, Job

_ENDED = ("The workbench was stopped while {doing}. Nothing in the project was lost. "
          "Start it again to go on.")
_DOING = {"open": "opening the model", "graph": "drawing the network", "float": "measuring the float model",
          "steps": "listing the techniques", "resolve": "resolving the recipe",
          "measure": "measuring", "calibrate": "calibrating", "layer": "looking at a layer",
          "quantize": "quantizing", "verify": "verifying", "sensitivity": "scoring layers", "diagnose": "looking for causes",
          "repair": "repairing", "train": "training", "trained": "looking for kept epochs",
          "tune": "searching the settings of training", "compare": "comparing two runs",
          "curve": "fitting the curve of predictions",
          "additivity": "checking how scores add", "search": "searching", "frontier": "scoring layers", "solve": "solving for budgets",
          "takes": "looking for what it takes"}
_KEEP = 300
_COLUMNS = [f.name for f in fields(Job) if f.name != "partial"]


def doing(verb: str) -> str:
    """What a verb does, for a sentence: `while calibrating`."""
    return _DOING.get(verb, f"running {verb}")


def process_token(pid: int | None = None) -> str:
    """Names a process for good: the number alone may be given to another one later."""
    pid = os.getpid() if pid is None else pid
    return f"{pid}:{_started(pid)}"


def process_alive(token: str) -> bool:
    """Whether the process that `process_token` named still runs."""
    pid, _, started = token.partition(":")
    if not pid.isdigit() or int(pid) <= 0:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _started(int(pid)) == started


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"


class Jobs:
    """The jobs of every project. Every process writes only its own; `owner` says whose a job is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, project: str, verb: str, args: Mapping[str, Any], fingerprint: str = "", **known: Any) -> Job:
        """A new job, queued unless `known` says otherwise; of the finished ones the newest few hundred are kept."""
        now = time.time()
        job = Job(0, project, verb, dict(args), fingerprint, "queued", 0.0, "waiting", None, "", "", None,
                  process_token(), now, now)
        values = {name: getattr(job, name) for name in _COLUMNS if name != "id"} | known
        values["args"] = strict_json(values["args"])
        names = list(values)
        with self._database.transaction() as c:
            cursor = c.execute(f"INSERT INTO jobs({','.join(names)}) VALUES({','.join('?' * len(names))})",
                               list(values.values()))
            c.execute("DELETE FROM jobs WHERE project=? AND state NOT IN ('queued','running') AND id<=?-?",
                      (project, cursor.lastrowid, _KEEP))
            row = c.execute("SELECT * FROM jobs WHERE id=?", (cursor.lastrowid,)).fetchone()
        return _job(row)

    def save(self, job: Job) -> None:
        """Writes what changes in a job's life; a job that was deleted with its project is let go."""
        with self._database.transaction() as c:
            c.execute("UPDATE jobs SET state=?, fraction=?, message=?, eta=?, error=?, kind=?, run=?, updated=? WHERE id=?",
                      (job.state, job.fraction, job.message, job.eta, job.error, job.kind, job.run, job.updated, job.id))

    def get(self, job: int) -> Job | None:
        """A job by its number; None where it was deleted."""
        with self._database.reading() as c:
            row = c.execute("SELECT * FROM jobs WHERE id=?", (job,)).fetchone()
        return self._checked(_job(row)) if row else None

    def of_run(self, run: int, args: Mapping[str, Any]) -> Job | None:
        """The newest job, asked with these arguments, whose result is that run."""
        with self._database.reading() as c:
            row = c.execute("SELECT * FROM jobs WHERE run=? AND args=? ORDER BY id DESC LIMIT 1",
                            (run, strict_json(dict(args)))).fetchone()
        return _job(row) if row else None

    def all(self, project: str | None = None, limit: int = 50) -> list[Job]:
        """The newest jobs, of one project or of all, newest first."""
        with self._database.reading() as c:
            rows = c.execute("SELECT * FROM jobs WHERE ? IS NULL OR project=? ORDER BY id DESC LIMIT ?",
                             (project, project, limit)).fetchall()
        return [self._checked(_job(row)) for row in rows]

    def active(self) -> list[Job]:
        """The jobs of all projects that wait or run, oldest first."""
        with self._database.reading() as c:
            rows = c.execute("SELECT * FROM jobs WHERE state IN ('queued','running') ORDER BY id").fetchall()
        return [job for row in rows if (job := self._checked(_job(row))).active]

    def _checked(self, job: Job) -> Job:
        """A job whose owner died can no longer finish: say so, once."""
        if not job.active or job.owner == process_token() or process_alive(job.owner):
            return job
        error = _ENDED.format(doing=doing(job.verb) if job.state == "running" else "this was waiting")
        if self._database.writer.other() is not None:  # the one who writes will note it; here it is only told
            return replace(job, state="failed", error=error, kind=INTERRUPTED, eta=None)
        with self._database.transaction() as c:
            c.execute("UPDATE jobs SET state='failed', error=?, kind=?, eta=NULL, updated=? "
                      "WHERE id=? AND state IN ('queued','running')", (error, INTERRUPTED, time.time(), job.id))
            row = c.execute("SELECT * FROM jobs WHERE id=?", (job.id,)).fetchone()
        return _job(row) if row else job


def _job(row: sqlite3.Row) -> Job:
    values = {name: row[name] for name in _COLUMNS}
    return Job(**values | {"args": json.loads(values["args"])})
