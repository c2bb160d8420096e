"""One writer a home: the right to write, held by a process for as long as it lives, and a note that says who holds it.

The system itself releases the lock when its process ends, however it ends, so there is no stale one to clear away. The
note in the file is only for words. All stores of a process share the right, and so do the workers that it has started.
"""
from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from engine.errors import BadInput
from engine.store.files import disk_errors

FILE = "writer.lock"
_MAX_NOTE = 4000
_TAKEN = {errno.EAGAIN, errno.EACCES}
_FILES: dict[Path, tuple[IO[str], int]] = {}  # the locks of this process, with the number of stores that use each
_GUARD = threading.Lock()


@dataclass(frozen=True)
class Holder:
    """Who writes: the process, what it is, its machine, and since when (seconds since 1970)."""

    process: int = 0
    name: str = "another Mixdown"
    host: str = ""
    since: float = 0.0

    def sentence(self, home: Path) -> str:
        """Who, since when, and what to do."""
        where = f" on {self.host}" if self.host and self.host != socket.gethostname() else ""
        number = f" (process {self.process}{where})" if self.process else ""
        since = time.strftime(", since %H:%M on %d %b", time.localtime(self.since)) if self.since else ""
        return (f"{self.name}{number} is writing to these projects{since}. Everything can be read here and nothing was changed. "
                f"Work in that one, or end it and try again; MIXDOWN_HOME chooses another folder than {home.name}")


class WriterLock:
    """A store's share in the right of its process to write in a home; `release` gives it back."""

    def __init__(self, home: Path, name: str = "", parent: int = 0) -> None:
        """`name` is what others are told; `parent` the process for which a worker acts: where that one may write, so may this."""
        self.home, self._parent = home, parent
        self._name = name or _program()
        self._path = (home / FILE).resolve()
        self._shares = False

    def other(self) -> Holder | None:
        """Takes the right where nobody has it; the one who has it, or None when it is this process."""
        with _GUARD:
            found = None if self._shares else _take(self._path, self._name)
            self._shares = found is None
        own = found is None or (self._parent and (found.process, found.host) == (self._parent, socket.gethostname()))
        return None if own else found

    def require(self) -> None:
        """Raises `BadInput`, in words, where another process has the right to write."""
        found = self.other()
        if found is not None:
            raise BadInput(found.sentence(self.home))

    def release(self) -> None:
        """Gives the share back; the last one of a process opens the home to others."""
        with _GUARD:
            if self._shares:
                self._shares = False
                _give_back(self._path)


def _take(path: Path, name: str) -> Holder | None:
    if path in _FILES:
        file, users = _FILES[path]
        _FILES[path] = file, users + 1
        return None
    with disk_errors("The projects' folder cannot be written"):
        file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            with file:
                return _read(file)
        # A file system without locks: the database's own is all there is.
    _FILES[path] = file, 1
    _write(file, Holder(os.getpid(), name, socket.gethostname(), time.time()))
    return None


def _give_back(path: Path) -> None:
    file, users = _FILES[path]
    if users > 1:
        _FILES[path] = file, users - 1
        return
    del _FILES[path]
    with contextlib.suppress(OSError):  # the file itself stays: another process may have it open
        file.truncate(0)
    file.close()


def _write(file: IO[str], holder: Holder) -> None:
    with contextlib.suppress(OSError):  # a full disk costs the words, not the lock
        file.truncate(0)
        file.write(json.dumps(vars(holder)))
        file.flush()


def _read(file: IO[str]) -> Holder:
    try:
        file.seek(0)
        note = json.loads(file.read(_MAX_NOTE))
        return Holder(int(note["process"]), str(note["name"])[:100], str(note["host"])[:100], float(note["since"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return Holder()  # its holder is just writing the note


def _program() -> str:
    program = Path(sys.argv[0] if sys.argv else "").name
    return "the command line" if program == "__main__.py" else f"another program ({program or 'python'})"
