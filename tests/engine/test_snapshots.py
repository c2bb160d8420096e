"""A and B, named lines, and a store of the version before them."""
from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.store import Project, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def project(store: Store, tmp_path: Path) -> Project:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    made = store.projects.create("Net", model)
    store.history.start(made.id, "start", "Start")
    return made


def test_edits_go_to_the_side_that_one_stands_on(store: Store, project: Project) -> None:
    slots = store.snapshots.slots(project.id)
    assert (slots.active, slots.other, slots.passive) == ("A", None, "B")
    store.history.edit(project.id, "a1", "in A")
    assert store.snapshots.flip(project.id).recipe == "a1", "B begins where A is"
    store.history.edit(project.id, "b1", "in B")
    assert store.snapshots.slots(project.id).active == "B"
    assert store.snapshots.flip(project.id).recipe == "a1"
    store.history.edit(project.id, "a2", "in A again")
    assert store.snapshots.flip(project.id).recipe == "b1"
    store.history.undo(project.id)
    assert store.snapshots.flip(project.id).recipe == "a2", "an undo in B leaves A alone"
    assert store.snapshots.flip(project.id).recipe == "a1"


def test_any_line_can_be_put_aside(store: Store, project: Project) -> None:
    store.history.edit(project.id, "x", "x")
    slots = store.snapshots.put(project.id, 1)
    assert slots.active == "A" and slots.other is not None and slots.other.recipe == "start"
    assert store.snapshots.put(project.id).other.recipe == "x"  # type: ignore[union-attr]
    with pytest.raises(BadInput, match="no line 9"):
        store.snapshots.put(project.id, 9)


def test_names(store: Store, project: Project) -> None:
    store.snapshots.name(project.id, "  before   the cut ")
    store.history.edit(project.id, "x", "x")
    store.snapshots.name(project.id, "after", 2)
    assert store.snapshots.named(project.id) == {"after": 2, "before the cut": 1}
    store.snapshots.forget(project.id, "after")
    assert list(store.snapshots.named(project.id)) == ["before the cut"]
    for name in ("", "A", "B", "x" * 61):
        with pytest.raises(BadInput, match="expected 1 to 60 characters"):
            store.snapshots.name(project.id, name)


def test_a_deleted_project_takes_them_along(store: Store, project: Project) -> None:
    store.snapshots.flip(project.id)
    store.projects.delete(project.id)
    with store.database.reading() as c:
        assert c.execute("SELECT count(*) FROM snapshots").fetchone()[0] == 0


def test_a_store_without_snapshots_is_brought_up(store: Store, project: Project) -> None:
    path = store.database.path
    store.close()
    with sqlite3.connect(path) as c:
        c.executescript("DROP TABLE snapshots; PRAGMA user_version=1;")
    again = Store(path.parent)
    assert again.history.current(project.id).recipe == "start"
    assert again.snapshots.flip(project.id).recipe == "start"
    assert again.snapshots.slots(project.id).active == "B"
