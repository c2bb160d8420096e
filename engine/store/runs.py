"""Results of finished jobs, found by a fingerprint of what they depend on; large ones lie in files."""
from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.store.database import Database
from engine.store.files import atomic_file, strict_json
from engine.store.records import Run

INLINE_LIMIT = 64_000
# Measurements are kept for ever: the curve that predicts accuracy is fitted to all of them.
_KEEP = {"measure": 1_000_000, "quantize": 1_000_000, "verify": 1_000_000}
_KEEP_OTHERS = 40


class Runs:
    """The results of every project."""

    def __init__(self, database: Database, home: Path) -> None:
        self._database, self._home = database, home

    def add(self, project: str, fingerprint: str, kind: str, report: Mapping[str, Any]) -> Run:
        """Saves a result; for kinds that are cheap to make again only the newest are kept."""
        self._database.writer.require()
        text = strict_json(report)
        file = None
        if len(text) > INLINE_LIMIT:
            file = f"results/{kind}-{secrets.token_hex(6)}.json"
            with atomic_file(self._home / project / file) as out:
                out.write(text.encode())
        now = time.time()
        with self._database.transaction() as c:
            cursor = c.execute("INSERT INTO runs(project, fingerprint, kind, created, report, file) VALUES(?,?,?,?,?,?)",
                               (project, fingerprint, kind, now, None if file else text, file))
            old = c.execute("SELECT id, file FROM runs WHERE project=? AND kind=? ORDER BY id DESC LIMIT -1 OFFSET ?",
                            (project, kind, _KEEP.get(kind, _KEEP_OTHERS))).fetchall()
            c.executemany("DELETE FROM runs WHERE id=?", [(row["id"],) for row in old])
        for row in old:
            if row["file"]:
                with contextlib.suppress(OSError):
                    (self._home / project / row["file"]).unlink()
        return Run(int(cursor.lastrowid or 0), project, fingerprint, kind, now)

    def find(self, project: str, kind: str, fingerprint: str | None = None) -> Run | None:
        """The newest run of that kind, and of that fingerprint where one is given."""
        where, values = "project=? AND kind=?", [project, kind]
        if fingerprint is not None:
            where, values = where + " AND fingerprint=?", [*values, fingerprint]
        with self._database.reading() as c:
            row = c.execute(f"SELECT * FROM runs WHERE {where} ORDER BY id DESC LIMIT 1", values).fetchone()
        return _run(row) if row else None

    def all(self, project: str, kind: str | None = None) -> list[Run]:
        """The runs of a project, oldest first."""
        with self._database.reading() as c:
            rows = c.execute("SELECT id, project, fingerprint, kind, created FROM runs "  # not the reports: they are long
                             "WHERE project=? AND (? IS NULL OR kind=?) ORDER BY id",
                             (project, kind, kind)).fetchall()
        return [_run(row) for row in rows]

    def report(self, run: int) -> dict[str, Any] | None:
        """The report of a run; None where the run, or its file, is gone."""
        with self._database.reading() as c:
            row = c.execute("SELECT project, report, file FROM runs WHERE id=?", (run,)).fetchone()
        if row is None:
            return None
        text = row["report"]
        if row["file"]:
            try:
                text = (self._home / row["project"] / row["file"]).read_text()
            except FileNotFoundError:
                return None
            except OSError as error:
                raise BadInput(f"{row['file']} of project {row['project']!r} cannot be read: {error.strerror}") from None
        try:
            value = json.loads(text)
        except ValueError:
            return None  # a damaged result is as good as none: it is made again
        return value if isinstance(value, dict) else None


def _run(row: sqlite3.Row) -> Run:
    return Run(row["id"], row["project"], row["fingerprint"], row["kind"], row["created"])
