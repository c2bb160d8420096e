"""Each page by AppTest, on the real client and a real worker whose session is canned."""
from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import shell, state
from app.client import Client

ROOT = Path(__file__).resolve().parents[2]
KNOWN = ("open", "resolve", "measure")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    made = Client(tmp_path / "home", session="tests.app.canned:for_project")
    monkeypatch.setattr(state, "client", lambda: made)
    monkeypatch.setattr(Client, "ensure_sample", lambda self, name="": None)
    yield made
    for project in made.projects():
        made.close(project.id)


def project(client: Client, tmp_path: Path, stem: str = "net_9") -> str:
    """A project on a file that only the canned session understands."""
    for name in (f"{stem}.onnx", "data.npz"):
        (tmp_path / name).write_bytes(b"canned")
    data = tmp_path / "data.npz"
    return client.create_project("Canned", tmp_path / f"{stem}.onnx", data, data).id


def measured(client: Client, name: str) -> str:
    """What the desk would start by itself, waited for."""
    recipe = client.state(name).recipe
    for verb in KNOWN:
        job = client.wait(client.submit(name, verb, {} if verb == "open" else {"recipe": recipe}), 30)
        assert job.state == "done", job.error
    return name


def page(name: str, which: str) -> AppTest:
    """The page as a browser first asks for it."""
    test = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=30)
    test.query_params["page"] = which
    test.query_params["project"] = name
    return test.run()


def words(test: AppTest) -> str:
    """All HTML of the page."""
    return " ".join(str(x.proto.body) for x in test.get("html")) + " ".join(b.label for b in test.button)


@pytest.mark.parametrize(("which", "expected"), [
    ("projects", "Canned"), ("model", "Where it lies"), ("model", "Inside a fused pair"), ("model", "samples × 1 × 28 × 28"),
    ("desk", "Why this precision"), ("export", "Parity certificate"), ("export", "Export and verify")])
def test_pages(client: Client, tmp_path: Path, which: str, expected: str) -> None:
    test = page(measured(client, project(client, tmp_path)), which)
    assert not test.exception
    assert expected in words(test)


def test_the_desk_starts_reading_and_measuring_by_itself(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path)
    test = page(name, "desk")
    assert not test.exception
    for _ in range(100):
        if client.latest(name, "measure", client.state(name).recipe):
            break
        time.sleep(0.1)
    test.run()
    assert "Why this precision" in words(test)
    assert {job.verb for job in client.jobs(name)} >= {"open", "resolve", "measure"}


def test_an_edit_is_one_line_of_history_and_undo_takes_it_back(client: Client, tmp_path: Path) -> None:
    from app import bench
    from app.app_pages import desk

    name = measured(client, project(client, tmp_path))
    state_before = client.state(name).recipe
    page(name, "desk")
    found = bench.load(client, name)
    window = state.Window()
    original, state.window = state.window, lambda: window
    try:
        desk.act(found, "set", {"layers": ["features.0.conv.0", "features.0.conv.2"], "to": "w4a8"})
    finally:
        state.window = original
    assert [line.label for line in client.history(name)] == ["Start", "2 layers to w4a8"]
    client.undo(name)
    assert client.state(name).recipe == state_before


def test_the_drawer_calibrates_and_shows_ranges(client: Client, tmp_path: Path) -> None:
    name = measured(client, project(client, tmp_path))
    test = page(name, "desk")
    test.session_state["window"].desk(name).drawer = True
    test.run()
    next(b for b in test.button if b.label == "Calibrate").click().run()
    client.wait(client.jobs(name)[0].id, 20)
    test.run()
    assert not test.exception
    assert "Ranges of 9 tensors from 256 samples" in words(test)
    next(b for b in test.button if b.label == "Freeze").click().run()
    assert "t0: range frozen" in [line.label for line in client.history(name)]


def test_a_recipe_with_an_error_stays_in_the_editor_and_changes_nothing(client: Client, tmp_path: Path) -> None:
    name = measured(client, project(client, tmp_path))
    test = page(name, "desk")
    test.session_state["side"] = "Recipe"
    test.run()
    before = client.state(name).recipe
    test.text_area[0].set_value(before + "precisoin: w4a8\n").run()
    next(b for b in test.button if b.label == "Apply").click().run()
    assert not test.exception
    assert "precisoin" in words(test) and "as it was" in words(test)
    assert client.state(name).recipe == before


def test_a_killed_worker_is_a_message_and_a_restart_button(client: Client, tmp_path: Path) -> None:
    name = measured(client, project(client, tmp_path, "net_9_slow"))
    job = client.submit(name, "calibrate", {"recipe": client.state(name).recipe})
    for _ in range(100):
        if client.job(job).state == "running":
            break
        time.sleep(0.05)
    pid = next(iter(client._runner._seats.values())).worker._process.pid  # type: ignore[union-attr]
    subprocess.run(["kill", "-9", str(pid)], check=True)
    assert client.wait(job, 10).state == "failed"
    test = page(name, "desk")
    assert "signal 9" in words(test) and "Kept:" in words(test)
    next(b for b in test.button if b.label == "Restart").click().run()
    assert client.wait(max(j.id for j in client.jobs(name) if j.verb == "calibrate"), 30).state == "done"


def test_a_new_project_from_a_path_that_is_not_there(client: Client) -> None:
    test = page("", "projects")
    field = next(x for x in test.text_input if (x.placeholder or "").startswith("or a server path: /models"))
    field.set_value("/nowhere/net.onnx").run()
    next(b for b in test.button if b.label == "Create project").click().run()
    assert not test.exception
    assert "/nowhere/net.onnx" in words(test) and "md-box hot" in words(test)
    assert client.projects() == []


def test_rename_and_delete_with_confirmation(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path)
    test = page("", "projects")
    delete: Any = next(b for b in test.button if b.label == "Delete")
    assert delete.disabled
    test.text_input(key=f"name-{name}").set_value("Other").run()
    next(b for b in test.button if b.label == "Rename").click().run()
    assert client.projects()[0].name == "Other"
    test.checkbox(key=f"sure-{name}").check().run()
    next(b for b in test.button if b.label == "Delete").click().run()
    assert client.projects() == []


def test_the_interface_stays_light() -> None:
    code = ("import sys; import app.shell, app.client; from app.app_pages import desk, export, model, projects; "
            "print([m for m in ('torch', 'onnx', 'onnxruntime', 'onnx_ir') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr[-2000:]


def test_a_run_that_still_brings_the_left_address_goes_where_the_click_went(client: Client, tmp_path: Path,
                                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    name = measured(client, project(client, tmp_path))
    test, left = page(name, "desk"), state.address("desk", name)
    test.session_state["window"].goto = "model"
    test.run()
    assert "".join(test.query_params["page"]) == "model"
    for key, value in left.items():  # as a look of the bar that was asked for before the browser heard of the way
        test.query_params[key] = value
    test.run()
    assert "".join(test.query_params["page"]) == "model"
    monkeypatch.setattr(shell, "LATE", 0.0)
    for key, value in left.items():  # later it is a person who goes back
        test.query_params[key] = value
    test.run()
    assert "".join(test.query_params["page"]) == "desk"
