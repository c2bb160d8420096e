"""Projects, history, runs and jobs: one SQLite file and plain files beside it.

`Store(home)` opens or makes it. `store.projects`, `.history`, `.runs` and `.jobs` each keep one kind of
record; every write is whole or not done, from any thread. One process at a time writes, others read (`store.lock`):
the first write takes the right to, and `close` or the end of the process gives it back.
"""
from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from engine.store.database import FILE, VERSION, Database
from engine.store.files import (
    UPLOAD_LIMIT,
    check_space,
    copy_stream,
    disk_errors,
    free_name,
    safe_name,
    strict_json,
)
from engine.store.history import History
from engine.store.jobs import Jobs, doing, process_alive, process_token
from engine.store.lock import WriterLock
from engine.store.projects import UPLOADS, Projects
from engine.store.records import HistoryLine, Job, Project, Run
from engine.store.runs import Runs
from engine.store.settings import Settings
from engine.store.snapshots import Slots, Snapshots

__all__ = [
    "VERSION",
    "HistoryLine",
    "Job",
    "Project",
    "Run",
    "Slots",
    "Store",
    "default_home",
    "doing",
    "process_alive",
    "process_token",
    "strict_json",
]
_STALE_UPLOAD = 86_400.0


def default_home() -> Path:
    """`$MIXDOWN_HOME`, or `projects` in the current folder."""
    return Path(os.environ.get("MIXDOWN_HOME") or "projects").expanduser().absolute()


class Store:
    """A home folder of projects. A damaged file, or one from a newer version, is a `BadInput` here."""

    def __init__(self, home: Path | str | None = None, writer: str = "", parent: int = 0) -> None:
        """`writer` is what this process is called in the message to others that want to write; `parent` see `WriterLock`."""
        self.home = Path(home).expanduser().absolute() if home is not None else default_home()
        with disk_errors(f"{self.home} cannot be used for projects"):
            self.home.mkdir(parents=True, exist_ok=True)
        self.lock = WriterLock(self.home, writer, parent)
        self.database = Database(self.home / FILE, self.lock)
        self.projects = Projects(self.database, self.home)
        self.history = History(self.database)
        self.snapshots = Snapshots(self.database, self.history)
        self.runs = Runs(self.database, self.home)
        self.jobs = Jobs(self.database)
        self.settings = Settings(self.home, self.lock)

    def close(self) -> None:
        """Closes the database and lets others write."""
        self.database.close()
        self.lock.release()

    def cache_folder(self, project: str) -> Path:
        """Where a session keeps what it can make again: calibration statistics and the like."""
        folder = self.projects.folder(project) / "cache"
        with disk_errors("The project's cache folder cannot be made"):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def receive(self, stream: Any, name: str, project: str | None = None, limit: int = UPLOAD_LIMIT,
                size: int = 0) -> Path:
        """Streams an upload to the project's `inputs`, or to the upload area that `projects.create` empties."""
        self.lock.require()
        with disk_errors("The upload cannot be kept"):
            if project is None:
                self._sweep_uploads()
                folder = self.home / UPLOADS / secrets.token_hex(8)
            else:
                folder = self.projects.folder(self.projects.get(project).id) / "inputs"
            folder.mkdir(parents=True, exist_ok=True)
        path = free_name(folder, safe_name(name))
        try:
            check_space(folder, min(size, limit), path.name)
            copy_stream(stream, path, limit)
        except BaseException:
            if project is None:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        return path

    def _sweep_uploads(self) -> None:
        with contextlib.suppress(OSError):
            for folder in (self.home / UPLOADS).iterdir():
                if time.time() - folder.stat().st_mtime > _STALE_UPLOAD:
                    shutil.rmtree(folder, ignore_errors=True)
