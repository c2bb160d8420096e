"""The one SQLite file: opened with checks, one connection behind a lock, errors in plain words."""
from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from engine.errors import BadInput
from engine.store.lock import WriterLock

VERSION = 2
FILE = "project.sqlite"
_SCHEMA = """
CREATE TABLE projects(
  id TEXT PRIMARY KEY, name TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL, model TEXT NOT NULL,
  evaluation TEXT, calibration TEXT, training TEXT, metric TEXT NOT NULL, target TEXT NOT NULL,
  sample TEXT NOT NULL, thumbnail TEXT, pointer INTEGER NOT NULL DEFAULT 0);
CREATE TABLE history(
  project TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE, seq INTEGER NOT NULL, recipe TEXT NOT NULL,
  label TEXT NOT NULL, created REAL NOT NULL, parent INTEGER, redo INTEGER, PRIMARY KEY(project, seq));
CREATE TABLE runs(
  id INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
  fingerprint TEXT NOT NULL, kind TEXT NOT NULL, created REAL NOT NULL, report TEXT, file TEXT);
CREATE INDEX runs_by_key ON runs(project, kind, fingerprint);
CREATE TABLE jobs(
  id INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
  verb TEXT NOT NULL, args TEXT NOT NULL, fingerprint TEXT NOT NULL, state TEXT NOT NULL, fraction REAL NOT NULL,
  message TEXT NOT NULL, eta REAL, error TEXT NOT NULL, kind TEXT NOT NULL, run INTEGER,
  owner TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL);
CREATE INDEX jobs_by_project ON jobs(project, id);
"""
_SNAPSHOTS = """CREATE TABLE snapshots(
  project TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE, name TEXT NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY(project, name))"""
_STEPS = {1: (_SNAPSHOTS,)}  # from this version to the next


class Database:
    """A connection shared by all threads of a process; every statement runs inside `transaction`."""

    def __init__(self, path: Path, writer: WriterLock) -> None:
        self.path, self.writer = path, writer
        self._lock = threading.RLock()
        self._depth = 0
        with self._plain_errors():
            self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            try:
                self._open()
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Closes the connection; the store cannot be used afterwards."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block's writes or none of them; nests into the outer one. Another writer is a `BadInput`."""
        with self._lock, self._plain_errors():
            if self._depth:
                yield self._connection
                return
            self.writer.require()
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back already
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """For a single SELECT: no write lock is taken, so other processes are not held up."""
        with self._lock, self._plain_errors():
            yield self._connection

    def _open(self) -> None:
        c = self._connection
        c.row_factory = sqlite3.Row
        c.execute("PRAGMA foreign_keys=ON")
        version = int(c.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise BadInput(f"{self.path}: written by a newer Mixdown (store version {version}, this one reads up to "
                           f"{VERSION}). Update Mixdown, or set MIXDOWN_HOME to another folder")
        if c.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("damaged pages")
        c.execute("PRAGMA journal_mode=WAL")
        c.execute("PRAGMA synchronous=NORMAL")
        if version < VERSION:
            self._raise_version(c)

    def _raise_version(self, c: sqlite3.Connection) -> None:
        c.execute("BEGIN IMMEDIATE")
        try:
            version = int(c.execute("PRAGMA user_version").fetchone()[0])  # another process may have been first
            if version == 0:
                self._create(c)
            for old in range(max(version, 1), VERSION):
                for statement in _STEPS[old]:
                    c.execute(statement)
            c.execute(f"PRAGMA user_version={VERSION}")
            c.execute("COMMIT")
        except BaseException:
            c.execute("ROLLBACK")
            raise

    def _create(self, c: sqlite3.Connection) -> None:
        if c.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise BadInput(f"{self.path}: a database of another program. Set MIXDOWN_HOME to another folder")
        for statement in _SCHEMA.split(";\n"):
            if statement.strip():
                c.execute(statement)

    @contextlib.contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            words = str(error)
            if "full" in words or "disk I/O" in words:
                raise BadInput(f"{self.path.name} cannot be written: the disk is full or failing. Nothing was "
                               "changed. Free some space and try again") from None
            if "locked" in words or "busy" in words:
                raise BadInput(f"{self.path.name} is held by another program for over ten seconds. Nothing was "
                               "changed. Close the other program and try again") from None
            raise BadInput(f"{self.path}: cannot be used as Mixdown's store: {words}. Check the folder's "
                           "permissions, or set MIXDOWN_HOME to another folder") from None
        except sqlite3.IntegrityError:
            raise  # a broken rule of the schema is a bug of this program, not of the file
        except sqlite3.DatabaseError as error:
            raise BadInput(f"{self.path}: damaged, or not Mixdown's store ({error}). The project folders beside it "
                           "are untouched. Move the file away and start again, or restore a copy of it") from None
