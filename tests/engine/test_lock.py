"""One writer a home: real processes that hold the right to write, are killed, stopped, and let others read."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.store import Project, Store
from engine.store.bundle import export_project, import_project

ROOT = Path(__file__).resolve().parents[2]
HOLD = ("import sys, time; from engine.store import Store; s = Store(sys.argv[1], 'the workbench at port 1')\n"
        "s.history.edit(sys.argv[2], 'theirs', 'theirs'); print('have', flush=True); time.sleep(60)")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def project(store: Store, tmp_path: Path) -> Project:
    (tmp_path / "m.onnx").write_bytes(b"model")
    made = store.projects.create("p", tmp_path / "m.onnx")
    store.history.start(made.id, "a", "Start")
    store.lock.release()
    return made


@pytest.fixture
def holder(store: Store, project: Project) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has written, and lives on."""
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(store.home), project.id], cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"have\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_the_second_writer_is_told_who_since_when_and_what_to_do_and_reads_on(
        store: Store, project: Project, holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    clock = time.strftime("%H:%M")
    with pytest.raises(BadInput) as caught:
        store.history.edit(project.id, "b", "mine")
    words = str(caught.value)
    assert "the workbench at port 1" in words and f"process {holder.pid}" in words and "end it and try again" in words
    assert f"since {clock[:3]}" in words or clock.endswith("00")
    assert store.history.current(project.id).recipe == "theirs", "reading goes on, and sees what the other writes"
    assert [p.id for p in store.projects.all()] == [project.id]
    export_project(store, project.id, tmp_path / "p.zip")


def test_nothing_of_a_refused_write_is_left(store: Store, project: Project, holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    before = sorted(p.relative_to(store.home) for p in store.home.rglob("*"))
    archive = export_project(store, project.id, tmp_path / "p.zip")
    for write in (lambda: store.projects.create("x", project.model), lambda: store.projects.delete(project.id),
                  lambda: store.projects.update(project.id, name="x"), lambda: store.projects.duplicate(project.id),
                  lambda: store.runs.add(project.id, "f", "measure", {"x": "y" * 70_000}), lambda: store.snapshots.flip(project.id),
                  lambda: import_project(store, archive), lambda: store.jobs.add(project.id, "measure", {}),
                  lambda: store.receive((tmp_path / "m.onnx").open("rb"), "m.onnx")):
        with pytest.raises(BadInput, match="is writing to these projects"):
            write()
    assert sorted(p.relative_to(store.home) for p in store.home.rglob("*")) == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_dead_process_is_taken_over(
        store: Store, project: Project, holder: subprocess.Popen[bytes], number: int) -> None:
    note = json.loads((store.home / "writer.lock").read_text())
    assert note["process"] == holder.pid
    holder.send_signal(number)
    holder.wait()
    store.history.edit(project.id, "b", "mine")
    assert [line.recipe for line in store.history.lines(project.id)] == ["a", "theirs", "b"]
    assert json.loads((store.home / "writer.lock").read_text())["process"] == os.getpid()


def test_a_process_that_stands_still_keeps_it(store: Store, project: Project, holder: subprocess.Popen[bytes]) -> None:
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(BadInput, match=f"process {holder.pid}"):
        store.history.edit(project.id, "b", "mine")
    holder.send_signal(signal.SIGCONT)


def test_stores_of_one_process_share_it_until_the_last_is_closed(store: Store, project: Project) -> None:
    second = Store(store.home)
    store.history.edit(project.id, "b", "one window")
    second.history.edit(project.id, "c", "another window")
    code = "import sys; from engine.store import Store; print(Store(sys.argv[1]).lock.other() is None)"

    def free() -> str:
        return subprocess.run([sys.executable, "-c", code, str(store.home)], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    assert free() == "False"
    store.close()
    assert free() == "False"
    second.close()
    assert free() == "True"


def test_two_processes_that_begin_at_once_are_never_both_writers(store: Store, project: Project) -> None:
    code = ("import sys, time; from engine.store import Store; s = Store(sys.argv[1]); sys.stdin.readline()\n"
            "print(s.lock.other() is None, flush=True); sys.stdin.readline()")
    children = [subprocess.Popen([sys.executable, "-c", code, str(store.home)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                for _ in range(5)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.flush()
    won = [child.stdout.readline().strip() for child in children if child.stdout is not None]
    for child in children:
        child.communicate(b"end\n")
    assert sorted(won) == [b"False"] * 4 + [b"True"]


@pytest.mark.parametrize("note", ["", "{", "[]", '{"process": "x"}', '{"process": 1e999, "name": 1, "host": 2, "since": 3}', "[" * 9999])
def test_a_note_that_says_nothing_useful_is_survived(store: Store, project: Project, holder: subprocess.Popen[bytes], note: str) -> None:
    (store.home / "writer.lock").write_text(note)
    with pytest.raises(BadInput, match="another Mixdown is writing"):
        store.history.edit(project.id, "b", "mine")


def test_jobs_of_a_dead_process_are_told_without_writing(store: Store, project: Project, holder: subprocess.Popen[bytes]) -> None:
    with store.database.reading() as c:  # as a process that died before the holder came would have left it
        c.execute("INSERT INTO jobs(project, verb, args, fingerprint, state, fraction, message, error, kind, owner, created, updated) "
                  "VALUES(?, 'measure', '{}', '', 'running', 0.5, '', '', '', '1:0', 0, 0)", (project.id,))
    assert store.jobs.all(project.id)[0].state == "failed"
    with store.database.reading() as c:
        assert c.execute("SELECT state FROM jobs").fetchone()[0] == "running"


def test_a_worker_may_write_where_its_parent_may(store: Store, project: Project) -> None:
    store.history.edit(project.id, "b", "mine")
    code = "import os, sys; from engine.store import Store; Store(sys.argv[1], parent=int(sys.argv[3])).history.edit(sys.argv[2], 'c', 'c')"
    for parent in (os.getpid(), 1):
        subprocess.run([sys.executable, "-c", code, str(store.home), project.id, str(parent)], cwd=ROOT, capture_output=True)
    assert [line.recipe for line in store.history.lines(project.id)] == ["a", "b", "c"]
