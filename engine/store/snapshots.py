"""Snapshots: names for lines of the history, and the two of them, A and B, between which a person flips.

The project always stands on one of A and B; where it stands is the history's pointer, so an edit goes to that one
by itself. Only the other one is written down here: its letter and its line. A line is never lost, so a snapshot
needs no copy of the recipe.
"""
from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import BadInput
from engine.store.database import Database
from engine.store.history import History
from engine.store.records import HistoryLine

SLOTS = ("A", "B")
MAX_NAMED = 100
_LONGEST = 60


@dataclass(frozen=True)
class Slots:
    """Which of A and B the project stands on, and where the other one is; None before there is a second one."""

    active: str = "A"
    other: HistoryLine | None = None

    @property
    def passive(self) -> str:
        """The letter of the other one."""
        return SLOTS[1 - SLOTS.index(self.active)]


class Snapshots:
    """Named lines of every project's history."""

    def __init__(self, database: Database, history: History) -> None:
        self._database, self._history = database, history

    def slots(self, project: str) -> Slots:
        """Where A and B are."""
        with self._database.reading() as c:
            row = c.execute("SELECT name, seq FROM snapshots WHERE project=? AND name IN ('A', 'B')", (project,)).fetchone()
        if row is None:
            return Slots()
        return Slots(SLOTS[1 - SLOTS.index(row["name"])], self._history.line(project, row["seq"]))

    def flip(self, project: str) -> HistoryLine:
        """Goes to the other one; the first flip begins B where A is."""
        with self._database.transaction() as c:
            now, slots = self._history.current(project), self.slots(project)
            c.execute("DELETE FROM snapshots WHERE project=? AND name=?", (project, slots.passive))
            _put(c, project, slots.active, now.seq)
            return self._history.jump(project, now.seq if slots.other is None else slots.other.seq)

    def put(self, project: str, seq: int | None = None) -> Slots:
        """Puts a line (the current one, where none is named) into the slot on which the project does not stand."""
        with self._database.transaction() as c:
            line = self._history.current(project) if seq is None else self._history.line(project, seq)
            _put(c, project, self.slots(project).passive, line.seq)
            return self.slots(project)

    def name(self, project: str, name: str, seq: int | None = None) -> None:
        """Gives a line a name; the same name again moves it. A name that is empty or a slot's letter is refused."""
        words = " ".join(name.split())
        if not words or len(words) > _LONGEST or words in SLOTS:
            raise BadInput(f"a snapshot called {name[:80]!r}: expected 1 to {_LONGEST} characters, and not A or B, which are the two sides "
                           "of the switch")
        with self._database.transaction() as c:
            if len(self.named(project)) >= MAX_NAMED and words not in self.named(project):
                raise BadInput(f"the project has {MAX_NAMED} named snapshots: forget one before naming another")
            line = self._history.current(project) if seq is None else self._history.line(project, seq)
            _put(c, project, words, line.seq)

    def forget(self, project: str, name: str) -> None:
        """Takes a name away; the line stays."""
        with self._database.transaction() as c:
            c.execute("DELETE FROM snapshots WHERE project=? AND name=?", (project, name))

    def named(self, project: str) -> dict[str, int]:
        """Name → line, by name, without A and B."""
        with self._database.reading() as c:
            rows = c.execute("SELECT name, seq FROM snapshots WHERE project=? AND name NOT IN ('A', 'B') ORDER BY name", (project,))
            return {row["name"]: row["seq"] for row in rows}

    def all(self, project: str) -> dict[str, int]:
        """Every name with its line, A and B too: what a project's archive holds."""
        with self._database.reading() as c:
            rows = c.execute("SELECT name, seq FROM snapshots WHERE project=? ORDER BY name", (project,))
            return {row["name"]: row["seq"] for row in rows}

    def restore(self, project: str, names: Mapping[str, int]) -> None:
        """What `all` gave, for a project that has none yet; of A and B it keeps one, since the project stands on the other."""
        both = all(slot in names for slot in SLOTS)
        with self._database.transaction() as c:
            for name, seq in names.items():
                if not (both and name == SLOTS[0]):
                    _put(c, project, name, seq)


def _put(c: sqlite3.Connection, project: str, name: str, seq: int) -> None:
    c.execute("INSERT OR REPLACE INTO snapshots(project, name, seq) VALUES(?,?,?)", (project, name, seq))
