"""The history of edits: a tree of lines with a pointer; undo, redo, branch and jump lose no line.

Each line knows its `parent` (where undo goes) and its `redo` (where redo goes). An edit after an undo
makes a new branch: the old tail can no longer be redone, but its lines stay and can be jumped to.
"""
from __future__ import annotations

import sqlite3
import time

from engine.errors import BadInput
from engine.store.database import Database
from engine.store.records import HistoryLine

_MAX_RECIPE = 1_000_000


class History:
    """The edits of every project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, project: str, recipe: str, label: str) -> None:
        """The first line of a new project."""
        with self._database.transaction() as c:
            self._insert(c, project, 1, recipe, label, None)

    def edit(self, project: str, recipe: str, label: str) -> HistoryLine:
        """Adds a line after the current one and moves to it; the same recipe again adds none."""
        if len(recipe) > _MAX_RECIPE:
            raise BadInput(f"the recipe has {len(recipe):,} characters: expected at most {_MAX_RECIPE:,}")
        with self._database.transaction() as c:
            now = self._current(c, project)
            if now["recipe"] == recipe:
                return self._line(now, now["seq"])
            last = c.execute("SELECT max(seq) FROM history WHERE project=?", (project,)).fetchone()[0]
            c.execute("UPDATE history SET redo=? WHERE project=? AND seq=?", (last + 1, project, now["seq"]))
            self._insert(c, project, last + 1, recipe, label, now["seq"])
            return self.current(project)

    def undo(self, project: str) -> HistoryLine:
        """Moves to the line before; stays where there is none."""
        return self._move(project, "parent")

    def redo(self, project: str) -> HistoryLine:
        """Moves to the line that was undone last; stays where there is none."""
        return self._move(project, "redo")

    def jump(self, project: str, seq: int) -> HistoryLine:
        """Moves to any line, also of an abandoned branch; undo and redo then walk that branch."""
        with self._database.transaction() as c:
            row = self._row(c, project, seq)
            self._point(c, project, seq)
            while row["parent"] is not None:
                c.execute("UPDATE history SET redo=? WHERE project=? AND seq=?", (row["seq"], project, row["parent"]))
                row = self._row(c, project, row["parent"])
            return self.current(project)

    def current(self, project: str) -> HistoryLine:
        """The line that the project stands on."""
        with self._database.reading() as c:
            row = self._current(c, project)
            return self._line(row, row["seq"])

    def line(self, project: str, seq: int) -> HistoryLine:
        """One line by its number."""
        with self._database.reading() as c:
            return self._line(self._row(c, project, seq), self._current(c, project)["seq"])

    def steps(self, project: str) -> tuple[bool, bool]:
        """Whether undo and redo lead anywhere."""
        with self._database.reading() as c:
            row = self._current(c, project)
            return row["parent"] is not None, row["redo"] is not None

    def lines(self, project: str) -> list[HistoryLine]:
        """All lines, oldest first."""
        with self._database.reading() as c:
            now = self._current(c, project)["seq"]
            rows = {r["seq"]: r for r in c.execute("SELECT * FROM history WHERE project=? ORDER BY seq", (project,))}
        branch = {now}
        for step in ("parent", "redo"):
            seq = rows[now][step]
            while seq is not None and seq in rows and seq not in branch:
                branch.add(seq)
                seq = rows[seq][step]
        return [self._line(row, now, seq in branch) for seq, row in rows.items()]

    def _move(self, project: str, step: str) -> HistoryLine:
        with self._database.transaction() as c:
            to = self._current(c, project)[step]
            if to is not None:
                self._point(c, project, to)
            return self.current(project)

    def _insert(self, c: sqlite3.Connection, project: str, seq: int, recipe: str, label: str, parent: int | None) -> None:
        c.execute("INSERT INTO history(project, seq, recipe, label, created, parent) VALUES(?,?,?,?,?,?)",
                  (project, seq, recipe, label[:300], time.time(), parent))
        self._point(c, project, seq)

    def _point(self, c: sqlite3.Connection, project: str, seq: int) -> None:
        c.execute("UPDATE projects SET pointer=?, updated=? WHERE id=?", (seq, time.time(), project))

    def _row(self, c: sqlite3.Connection, project: str, seq: int) -> sqlite3.Row:
        row: sqlite3.Row | None = c.execute(
            "SELECT * FROM history WHERE project=? AND seq=?", (project, seq)).fetchone()
        if row is None:
            raise BadInput(f"the history of project {project!r} has no line {seq}: open the project again")
        return row

    def _current(self, c: sqlite3.Connection, project: str) -> sqlite3.Row:
        row: sqlite3.Row | None = c.execute(
            "SELECT h.* FROM projects p JOIN history h ON h.project=p.id AND h.seq=p.pointer WHERE p.id=?",
            (project,)).fetchone()
        if row is None:
            raise BadInput(f"there is no project {project!r}: it may have been deleted in another window")
        return row

    def _line(self, row: sqlite3.Row, current: int, on_branch: bool = True) -> HistoryLine:
        return HistoryLine(row["seq"], row["recipe"], row["label"], row["created"], row["parent"], on_branch,
                           row["seq"] == current)
