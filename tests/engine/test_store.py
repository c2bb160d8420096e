"""The store: edits from several threads and processes, crashes, damage, full disks, hostile project files."""
from __future__ import annotations

import io
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.store import Job, Project, Store, process_alive, process_token, strict_json
from engine.store.bundle import export_project, import_project
from engine.store.files import safe_name

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def project(store: Store, tmp_path: Path) -> Project:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    made = store.projects.create("My model", model, target="htp_v73")
    store.history.start(made.id, "a", "Start")
    return made


def run_python(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *map(str, args)], cwd=ROOT, capture_output=True, text=True, timeout=30)


def test_importing_the_store_loads_nothing_heavy() -> None:
    out = run_python("import sys, engine.store, engine.store.bundle; "
                     "print(sorted({'torch', 'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)))")
    assert out.stdout.strip() == "[]", out.stderr


def test_a_project_lives_through_reopening(store: Store, project: Project) -> None:
    store.projects.update(project.id, name="  Other\n name ", metric="top5", thumbnail={"a": float("nan")})
    store.close()
    found = Store(store.home).projects.get(project.id)
    assert (found.name, found.metric, found.thumbnail, found.model) == ("Other name", "top5", {"a": None}, project.model)


def test_undo_redo_branch_and_jump(store: Store, project: Project) -> None:
    history, key = store.history, project.id
    for recipe in "bcd":
        history.edit(key, recipe, f"to {recipe}")
    assert history.steps(key) == (True, False)
    assert [history.undo(key).recipe for _ in range(4)] == ["c", "b", "a", "a"]
    assert [history.redo(key).recipe for _ in range(2)] == ["b", "c"]
    history.undo(key)
    assert history.edit(key, "e", "branch").seq == 5
    assert history.steps(key) == (True, False), "an edit cuts the redo tail"
    assert [(line.recipe, line.on_branch) for line in history.lines(key)] == [
        ("a", True), ("b", True), ("c", False), ("d", False), ("e", True)]
    assert history.jump(key, 4).recipe == "d"
    assert [history.undo(key).recipe, history.undo(key).recipe, history.redo(key).recipe, history.redo(key).recipe] == [
        "c", "b", "c", "d"]
    assert [line.current for line in history.lines(key)] == [False, False, False, True, False]


def test_the_same_recipe_again_is_no_edit(store: Store, project: Project) -> None:
    store.history.edit(project.id, "a", "nothing")
    assert len(store.history.lines(project.id)) == 1


def test_two_threads_and_two_stores_of_a_process_edit_at_once(store: Store, project: Project) -> None:
    other = Store(store.home)

    def edit(name: str) -> None:
        for i in range(50):
            (store if name == "x" else other).history.edit(project.id, f"{name}{i}", name)

    threads = [threading.Thread(target=edit, args=(name,)) for name in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = store.history.lines(project.id)
    assert [line.seq for line in lines] == list(range(1, 152))
    assert all(line.parent == line.seq - 1 for line in lines[1:]), "no edit was lost or hung beside another"


def test_a_process_killed_while_it_writes_leaves_a_whole_store(store: Store, project: Project) -> None:
    code = ("import sys; from engine.store import Store; s = Store(sys.argv[1]); print('go', flush=True)\n"
            "for i in range(10**6):\n"
            "    s.history.edit(sys.argv[2], f'{i} ' * 2000, 'edit'); s.runs.add(sys.argv[2], 'f', 'measure', {'x': 'y' * 70_000})")
    store.close()
    child = subprocess.Popen([sys.executable, "-c", code, str(store.home), project.id], cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(0.3)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    again = Store(store.home)
    lines = again.history.lines(project.id)
    assert len(lines) > 1
    assert again.history.current(project.id).seq == lines[-1].seq
    assert all(again.runs.report(run.id) == {"x": "y" * 70_000} for run in again.runs.all(project.id))


@pytest.mark.parametrize("content", [b"garbage " * 1000, b"SQLite format 3\x00" + os.urandom(8000)])
def test_a_damaged_file_is_said_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "project.sqlite").write_bytes(content)
    with pytest.raises(BadInput, match=r"project\.sqlite: (damaged|cannot be used)"):
        Store(tmp_path)
    assert (tmp_path / "project.sqlite").read_bytes() == content


def test_pages_overwritten_in_the_middle_are_found(store: Store, project: Project) -> None:
    for i in range(200):
        store.history.edit(project.id, f"{i} " * 500, "edit")
    store.close()
    with (store.home / "project.sqlite").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(os.urandom(4096 * 20))
    with pytest.raises(BadInput, match="damaged"):
        Store(store.home)


def test_a_newer_store_and_a_foreign_database_are_refused(tmp_path: Path) -> None:
    for name, statement, words in (("new", "PRAGMA user_version=99", "newer Mixdown"),
                                   ("foreign", "CREATE TABLE t(x)", "another program")):
        home = tmp_path / name
        home.mkdir()
        with sqlite3.connect(home / "project.sqlite") as c:
            c.execute(statement)
        c.close()
        with pytest.raises(BadInput, match=words):
            Store(home)


def test_a_full_disk_is_said_and_changes_nothing(store: Store, project: Project) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    store.close()
    code = ("import io, sys; from engine.store import Store; from engine.errors import BadInput; s = Store(sys.argv[1])\n"
            "for act in (lambda: s.history.edit(sys.argv[2], 'x' * 900_000, 'big'),\n"
            "            lambda: s.runs.add(sys.argv[2], 'f', 'measure', {'x': 'y' * 900_000}),\n"
            "            lambda: s.receive(io.BytesIO(b'z' * 900_000), 'big.npz', sys.argv[2])):\n"
            "    try: act(); print('no error')\n"
            "    except BadInput as e: print(e)\n")
    out = subprocess.run([sys.executable, "-c", code, store.home, project.id], cwd=ROOT, capture_output=True, text=True,
                         timeout=30, preexec_fn=limit)
    assert out.stdout.count("the disk is full") == 3, out.stdout + out.stderr
    again = Store(store.home)
    assert [line.recipe for line in again.history.lines(project.id)] == ["a"]
    assert again.runs.all(project.id) == []
    assert [p.name for p in again.projects.folder(project.id).rglob("*") if p.is_file()] == []
    again.history.edit(project.id, "b", "goes on")


def test_results_small_and_large(store: Store, project: Project) -> None:
    big = {"values": list(range(20_000)), "nan": float("nan")}
    store.runs.add(project.id, "k1", "measure", {"x": 1})
    run = store.runs.add(project.id, "k2", "measure", big)
    assert store.runs.report(run.id) == big | {"nan": None}
    found = store.runs.find(project.id, "measure", "k1")
    assert found is not None and store.runs.report(found.id) == {"x": 1}
    assert store.runs.find(project.id, "measure", "k3") is None
    file = next((store.projects.folder(project.id) / "results").iterdir())
    file.write_text("{dam")
    assert store.runs.report(run.id) is None, "a damaged result is made again"
    file.unlink()
    assert store.runs.report(run.id) is None


def test_cheap_results_do_not_pile_up(store: Store, project: Project) -> None:
    for i in range(60):
        store.runs.add(project.id, f"k{i}", "resolve", {"x": "y" * 70_000})
    assert len(store.runs.all(project.id, "resolve")) == 40
    assert len(list((store.projects.folder(project.id) / "results").iterdir())) == 40


def test_duplicate_and_delete(store: Store, project: Project) -> None:
    staged = store.receive(io.BytesIO(b"data"), "../../e vil.npz")
    store.projects.update(project.id, evaluation=staged)
    store.history.edit(project.id, "b", "edit")
    store.history.undo(project.id)
    store.runs.add(project.id, "k", "measure", {"x": "y" * 70_000})
    copy = store.projects.duplicate(project.id)
    assert copy.name == "My model (copy)" and copy.id != project.id
    assert store.history.steps(copy.id) == (False, True)
    store.projects.delete(project.id)
    assert not store.projects.folder(project.id).exists()
    assert project.model.exists(), "a referenced file is not the project's to delete"
    assert copy.evaluation is not None and copy.evaluation.read_bytes() == b"data"
    assert copy.evaluation.parent == store.projects.folder(copy.id) / "inputs"
    assert store.runs.report(store.runs.all(copy.id)[0].id) is not None
    with pytest.raises(BadInput, match="no project"):
        store.projects.get(project.id)


def test_uploads_are_bounded_and_named_plainly(store: Store, tmp_path: Path) -> None:
    path = store.receive(io.BytesIO(b"x" * 100), "../..\\/etc/pass\x00wd.onnx")
    assert path.name == "pass_wd.onnx" and path.is_relative_to(store.home)
    project = store.projects.create("up", path)
    assert project.model == store.projects.folder(project.id) / "inputs" / "pass_wd.onnx" and not path.exists()
    with pytest.raises(BadInput, match="larger than the limit"):
        store.receive(io.BytesIO(b"x" * 1000), "big.npz", limit=999)
    with pytest.raises(BadInput, match="must stay free"):
        store.receive(io.BytesIO(b""), "big.npz", limit=10**18, size=10**17)
    assert list((store.home / ".uploads").iterdir()) == []
    outside = tmp_path / "outside.onnx"
    outside.write_bytes(b"x")
    kept = store.projects.create("out", store.home / ".uploads" / ".." / ".." / "outside.onnx")
    assert kept.model == outside and outside.exists(), "a path that leaves the upload area is not moved"


@pytest.mark.parametrize("path", ["/no/such.onnx", "\x00", "/", "/dev/null"])
def test_paths_that_are_no_files_are_refused(store: Store, path: str) -> None:
    with pytest.raises(BadInput, match="not a file"):
        store.projects.create("x", path)
    assert [p.name for p in store.home.iterdir() if p.is_dir()] == []


@pytest.mark.parametrize("key", ["../x", "", "A", "a/b", ".."])
def test_ids_never_leave_the_home(store: Store, key: str) -> None:
    with pytest.raises(BadInput):
        store.projects.folder(key)


def test_jobs_of_a_dead_process_are_interrupted(store: Store, project: Project) -> None:
    code = ("import sys; from engine.store import Store; s = Store(sys.argv[1])\n"
            "print(s.jobs.add(sys.argv[2], 'measure', {}, state='running').id)")
    store.lock.release()
    number = int(run_python(code, store.home, project.id).stdout)
    own = store.jobs.add(project.id, "measure", {})
    job = store.jobs.get(number)
    assert isinstance(job, Job) and job.state == "failed" and "workbench was stopped" in job.error
    assert [j.state for j in store.jobs.all(project.id)] == ["queued", "failed"]
    assert own.active and process_alive(process_token()) and not process_alive("1:0") and not process_alive("x")


def test_json_is_strict() -> None:
    import numpy as np

    value = {"a": np.float32("nan"), 1: np.arange(3), "p": Path("x"), "i": np.int64(4), "s": ("x", float("-inf"))}
    text = strict_json(value)
    assert json.loads(text, parse_constant=lambda c: pytest.fail(c)) == {
        "a": None, "1": [0, 1, 2], "p": "x", "i": 4, "s": ["x", None]}
    with pytest.raises(TypeError, match="object"):
        strict_json(object())


def test_safe_names() -> None:
    assert [safe_name(n) for n in ("..", "", "a/b/c.npz", "é.npz", "x" * 300 + ".onnx", "con\nfig")] == [
        "file", "file", "c.npz", "_.npz", "x" * 95 + ".onnx", "con_fig"]


def test_a_project_travels_as_a_zip(store: Store, project: Project, tmp_path: Path) -> None:
    project.model.write_bytes(b"model that names m.onnx.data")
    (project.model.parent / "m.onnx.data").write_bytes(b"weights")
    (project.model.parent / "other.bin").write_bytes(b"not named in the model")
    store.history.edit(project.id, "b", "edit")
    store.history.edit(project.id, "c", "edit")
    store.history.undo(project.id)
    store.runs.add(project.id, "k", "measure", {"value": 0.5})
    store.snapshots.put(project.id, 1)
    store.snapshots.name(project.id, "before lunch", 3)
    out = export_project(store, project.id, tmp_path / "p.zip")
    other = Store(tmp_path / "other")
    copy = import_project(other, out)
    assert (copy.name, copy.target, copy.model.read_bytes()) == ("My model", "htp_v73", b"model that names m.onnx.data")
    assert not (copy.model.parent / "other.bin").exists()
    assert (copy.model.parent / "m.onnx.data").read_bytes() == b"weights"
    assert [line.recipe for line in other.history.lines(copy.id)] == ["a", "b", "c"]
    assert other.history.current(copy.id).recipe == "b"
    assert other.runs.report(other.runs.all(copy.id)[0].id) == {"value": 0.5}
    assert other.snapshots.named(copy.id) == {"before lunch": 3}
    beside = other.snapshots.slots(copy.id).other
    assert beside is not None and beside.seq == 1
    project.model.unlink()
    with pytest.raises(BadInput, match="not a file"):
        export_project(store, project.id, tmp_path / "q.zip")


def manifest(**changes: object) -> str:
    good = {"mixdown_project": 1, "name": "n", "files": {"model": "inputs/m.onnx"}, "runs": [], "pointer": 1,
            "history": [[1, "a", "l", 0.0, None]]}
    return json.dumps(good | changes)


HOSTILE = {
    "traversal": {"../../evil": b"x"}, "absolute": {"/evil/evil": b"x"}, "backslash": {"inputs/..\\evil": b"x"},
    "nested": {"inputs/a/b": b"x"}, "dot": {"inputs/..": b"x"}, "no manifest": {"inputs/m.onnx": b"x"},
    "not json": {"project.json": b"{"}, "deep": {"project.json": b"[" * 100_000},
    "future": {"project.json": manifest(mixdown_project=2)}, "list": {"project.json": b"[]"},
    "no model": {"project.json": manifest(files={})}, "lacking": {"project.json": manifest()},
    "circle": {"project.json": manifest(history=[[1, "a", "l", 0, 2], [2, "b", "l", 0, 1]]), "inputs/m.onnx": b"x"},
    "twice": {"project.json": manifest(history=[[1, "a", "l", 0, None]] * 2), "inputs/m.onnx": b"x"},
    "huge": {"project.json": manifest(history=[[10**30, "a", "l", 0, None]], pointer=10**30), "inputs/m.onnx": b"x"},
    "pointer": {"project.json": manifest(pointer=[]), "inputs/m.onnx": b"x"},
    "shapes": {"project.json": manifest(history=[1]), "inputs/m.onnx": b"x"},
    "itself": {"project.json": manifest(files={"model": "project.json"})},
    "bomb": {"project.json": manifest(), "inputs/m.onnx": b"\0" * 5_000_000},
    "endless": {"project.json": manifest(history=[[float("inf"), "a", "l", 0, None]]), "inputs/m.onnx": b"x"},
    "deep run": {"project.json": manifest(runs=[["k", "measure", {"a": float("nan")}]]).replace(
        "NaN", "[" * 100 + "NaN" + "]" * 100), "inputs/m.onnx": b"x"},
    "many": {f"inputs/{i}": b"" for i in range(100)},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_project_files_are_refused_and_leave_nothing(store: Store, tmp_path: Path, name: str) -> None:
    file = tmp_path / "h.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in HOSTILE[name].items():
            archive.writestr(entry, content)
    with pytest.raises(BadInput):
        import_project(store, file, limit=4_000_000)
    assert store.projects.all() == [] and [p for p in store.home.iterdir() if p.is_dir()] == []
    assert not (tmp_path.parent / "evil").exists() and not Path("/evil").exists()


def test_odd_text_in_a_project_file_is_kept_out_of_the_way(store: Store) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        history = '[[1, "\\ud800", "\\udfff", NaN, null]]'
        archive.writestr("project.json", manifest(name="\x00n", history="H").replace('"H"', history))
        archive.writestr("inputs/m.onnx", b"x")
    project = import_project(store, file)
    assert project.name == "n" and store.history.current(project.id).recipe == "?"


def test_a_link_an_unknown_packing_and_two_of_one_name_are_refused(store: Store, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("inputs/m.onnx")
    link.external_attr = 0o120777 << 16
    lzma = zipfile.ZipInfo("inputs/m.onnx")
    lzma.compress_type = zipfile.ZIP_LZMA  # may ask for a dictionary of gigabytes
    for entries in ([link], [lzma], [zipfile.ZipInfo("inputs/m.onnx")] * 2):
        file = tmp_path / "h.zip"
        with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
            warnings.simplefilter("ignore")
            archive.writestr("project.json", manifest())
            for entry in entries:
                archive.writestr(entry, b"/etc/passwd")
        with pytest.raises(BadInput, match="not made by Export project"):
            import_project(store, file)
    assert store.projects.all() == []


def test_a_bomb_is_refused_before_it_is_unpacked_and_zeros_still_travel(store: Store, project: Project, tmp_path: Path) -> None:
    file = tmp_path / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("project.json", manifest())
        archive.writestr("inputs/m.onnx", bytes(100_000_000))
    with pytest.raises(BadInput, match="over 200 times its size"):
        import_project(store, file)
    project.model.write_bytes(bytes(80_000_000))
    other = Store(tmp_path / "other")
    copy = import_project(other, export_project(store, project.id, tmp_path / "zeros.zip"))
    assert copy.model.stat().st_size == 80_000_000


def test_a_list_of_a_million_entries_costs_no_memory(store: Store, tmp_path: Path) -> None:
    entry = b"PK\x01\x02" + bytes(42)
    size = len(entry) * 300_000
    end = b"PK\x05\x06" + bytes(4) + b"\xff\xff\xff\xff" + size.to_bytes(4, "little") + bytes(6)
    file = tmp_path / "list.zip"
    file.write_bytes(entry * 300_000 + end)
    with pytest.raises(BadInput, match="list of entries is longer"):
        import_project(store, file)


@pytest.mark.parametrize("size", [0, 10, 500])
def test_random_bytes_are_no_project(store: Store, size: int) -> None:
    with pytest.raises(BadInput, match="not a project"):
        import_project(store, io.BytesIO(os.urandom(size)))
