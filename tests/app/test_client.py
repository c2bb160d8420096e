"""The client: jobs through real worker processes, kills, F5, other processes, cached results, the samples."""
from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import bench, job_runner, worker_process
from app.client import Client
from app.samples import bundled_samples
from app.worker_process import WorkerProcess
from engine.errors import BadInput
from engine.store import Job, Project

ROOT = Path(__file__).resolve().parents[2]
TINY = "tests.engine.tiny_session:make"
FAST, SLOW, DEADLY = (f"mixdown: 1\nprecision: {p}\n" for p in ("w8a8", "w4a4", "w2a2"))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path / "home", TINY)
    yield made
    made.shutdown()


@pytest.fixture
def project(client: Client, tmp_path: Path) -> Project:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    return client.create_project("My model", model)


def running(client: Client, number: int) -> Job:
    deadline = time.monotonic() + 30
    while client.job(number).fraction == 0.0 and client.job(number).active and time.monotonic() < deadline:
        time.sleep(0.01)
    return client.job(number)


def worker_pid(client: Client, project: Project) -> int:
    client.wait(client.submit(project.id, "float"))
    pid = client.worker_pid(project.id)
    assert pid is not None
    return pid


def gone(pid: int) -> bool:
    for _ in range(150):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_the_client_loads_nothing_heavy() -> None:
    out = subprocess.run([sys.executable, "-c", "import sys, app.client; print(sorted({'torch', 'onnx', 'onnxruntime', "
                          "'streamlit', 'pandas'} & set(sys.modules)))"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_measure_end_to_end(client: Client, project: Project) -> None:
    recipe = client.open(project.id).recipe
    number = client.submit(project.id, "measure", {"recipe": recipe})
    job = running(client, number)
    assert job.state == "running" and 0 < job.fraction < 1 and job.message.startswith("sample")
    while client.job(number).partial is None:
        time.sleep(0.01)
    job = client.wait(number)
    assert (job.state, job.fraction, job.error) == ("done", 1.0, "")
    result = client.result(number)
    assert result is not None and result["samples"] == 25
    assert client.latest(project.id, "measure", recipe) is result, "read once, kept in memory"
    found = client.projects()[0].thumbnail
    assert found is not None and found["layers"][0] == {"precision": "w4a8", "share": 0.75}


def test_the_same_recipe_twice_costs_nothing(client: Client, project: Project, tmp_path: Path) -> None:
    first = client.submit(project.id, "measure", {"recipe": FAST})
    assert client.submit(project.id, "measure", {"recipe": FAST}) == first, "asked again while it runs"
    client.wait(first)
    begun = time.monotonic()
    assert client.submit(project.id, "measure", {"recipe": FAST}) == first
    other = client.job(client.submit(project.id, "measure", {"recipe": FAST + "# a comment\n"}))
    assert other.state == "done" and time.monotonic() - begun < 0.3
    assert client.latest(project.id, "measure", FAST + "target: generic\n") is None
    assert client.latest_any(project.id, "measure") is not None
    project.model.write_bytes(b"another model")
    assert client.latest(project.id, "measure", FAST) is None, "another model, other figures"


def test_what_resolve_says_is_new_after_a_calibration(client: Client, project: Project) -> None:
    client.wait(client.submit(project.id, "resolve", {"recipe": FAST}))
    assert client.latest(project.id, "resolve", FAST) is not None
    client.wait(client.submit(project.id, "calibrate", {"recipe": FAST}), 20)
    assert client.latest(project.id, "resolve", FAST) is None


def test_what_no_worker_should_say_is_survived(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(worker_process, "MAX_LINE", 1000)
    code = ("import sys; o = sys.stdout.buffer; o.write(b'\\xff\\xfe\\n[]\\n{\\n' + b'[' * 900 + b'\\n' + b'x' * 9999 + b'\\n"
            "{\"event\": \"ready\"}\\n{\"id\"'); o.flush(); sys.exit('last words')")
    heard: list[dict[str, Any]] = []
    ended = threading.Event()
    worker = WorkerProcess(["-c", code], tmp_path / "log", lambda w, m: heard.append(m), lambda w, c: ended.set())
    assert ended.wait(10) and heard == [{"event": "ready"}] and not worker.alive
    assert "exit code 1) while measuring. It said: last words." in worker.farewell(1, "measure")
    worker.send({"id": 1})
    worker.close()


def test_edits_undo_and_refused_recipes(client: Client, project: Project) -> None:
    start = client.state(project.id)
    assert not start.can_undo and not start.can_redo and start.project.target == "htp_v73"
    client.edit(project.id, FAST + "target: generic\n", "Target to generic")
    assert client.state(project.id).project.target == "generic"
    for bad in ("precison: w8a8", "a: [", "mixdown: 1\nprecision: w99a8", "x: " + "y" * 2_000_000):
        with pytest.raises(BadInput):
            client.edit(project.id, bad, "bad")
    assert [line.label for line in client.history(project.id)] == ["Start", "Target to generic"]
    client.undo(project.id)
    state = client.state(project.id)
    assert (state.recipe, state.project.target, state.can_redo) == (start.recipe, "htp_v73", True)
    assert client.redo(project.id).seq == 2 and client.jump(project.id, 1).seq == 1


def test_two_threads_edit_and_measure(client: Client, project: Project) -> None:
    errors: list[Exception] = []

    def work(name: str) -> None:
        try:
            for i in range(20):
                recipe = f"{FAST}bypass: [{name}{i}]\n"
                client.edit(project.id, recipe, name)
                client.submit(project.id, "resolve", {"recipe": recipe})
                client.jobs(project.id)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for job in client.jobs(project.id):
        client.wait(job.id)
    assert not errors and len(client.history(project.id)) == 41
    assert {job.state for job in client.jobs(project.id)} <= {"done", "cancelled"}


def test_a_worker_that_is_killed(client: Client, project: Project) -> None:
    client.edit(project.id, DEADLY, "deadly")
    before = client.state(project.id), client.history(project.id)
    deadly = client.submit(project.id, "calibrate", {"recipe": DEADLY})
    waiting = client.submit(project.id, "float")
    job = client.wait(deadly)
    words = ("The worker process was stopped (signal 9) while calibrating. Nothing in the project was lost. "
             "Restart it to go on.")
    assert (job.state, job.error, client.wait(waiting).error) == ("failed", words, words)
    assert not client.worker_alive(project.id) and client.worker_stopped(project.id) == words
    assert (client.state(project.id), client.history(project.id)) == before
    again = client.submit(project.id, "float")
    assert again == waiting and client.job(again).state == "failed", "asking again fills no list"
    client.restart(project.id)
    assert client.worker_stopped(project.id) == ""
    assert client.wait(client.submit(project.id, "float")).state == "done"


def test_a_worker_that_is_killed_from_outside(client: Client, project: Project) -> None:
    pid = worker_pid(client, project)
    number = client.submit(project.id, "measure", {"recipe": SLOW})
    running(client, number)
    os.kill(pid, signal.SIGTERM)
    assert "(signal 15) while measuring" in client.wait(number).error


def test_a_worker_that_cannot_start(tmp_path: Path) -> None:
    client = Client(tmp_path / "home", "no.such:thing")
    (tmp_path / "m.onnx").write_bytes(b"x")
    project = client.create_project("x", tmp_path / "m.onnx")
    job = client.wait(client.submit(project.id, "open"))
    assert job.state == "failed" and "could not start" in job.error and "No module named" in job.error


def test_cancel_within_a_second(client: Client, project: Project) -> None:
    number = client.submit(project.id, "measure", {"recipe": SLOW})
    waiting = client.submit(project.id, "float")
    running(client, number)
    begun = time.monotonic()
    client.cancel(waiting)
    client.cancel(number)
    assert (client.wait(number).state, client.wait(waiting).state) == ("cancelled", "cancelled")
    assert time.monotonic() - begun < 1 and client.worker_alive(project.id)
    client.cancel(number)  # once more does nothing


def test_a_deaf_worker_is_ended_and_the_others_go_on(client: Client, project: Project, monkeypatch: Any) -> None:
    monkeypatch.setattr(job_runner, "KILL_AFTER", 0.3)
    pid = worker_pid(client, project)
    deaf = client.submit(project.id, "verify", {"dir": "x"})
    waiting = client.submit(project.id, "resolve", {"recipe": FAST})
    while client.job(deaf).state != "running":
        time.sleep(0.01)
    client.cancel(deaf)
    assert client.job(deaf).message == "cancelling"
    assert client.wait(deaf).state == "cancelled" and client.wait(waiting).state == "done"
    assert gone(pid) and client.worker_stopped(project.id) == ""


def test_a_newer_measurement_supersedes(client: Client, project: Project) -> None:
    older = client.submit(project.id, "measure", {"recipe": SLOW})
    running(client, older)
    newer = client.submit(project.id, "measure", {"recipe": FAST})
    assert client.wait(newer).state == "done"
    assert client.job(older).state == "cancelled" and client.job(older).message.startswith("superseded")


def test_f5_finds_the_running_job(client: Client, project: Project) -> None:
    number = client.submit(project.id, "measure", {"recipe": SLOW})
    running(client, number)
    other = Client(client.home, TINY)
    job = other.jobs(project.id)[0]
    assert job.id == number and job.state == "running" and other.worker_alive(project.id)
    code = "import sys; from app.client import Client; print(Client(sys.argv[1]).job(int(sys.argv[2])).state)"
    out = subprocess.run([sys.executable, "-c", code, client.home, str(number)], cwd=ROOT, capture_output=True, text=True)
    assert out.stdout.strip() == "running", "a second server sees it too" + out.stderr
    code = "import sys; from app.client import Client; Client(sys.argv[1]).cancel(int(sys.argv[2]))"
    out = subprocess.run([sys.executable, "-c", code, client.home, str(number)], cwd=ROOT, capture_output=True, text=True)
    assert "runs in another Mixdown server" in out.stderr
    other.cancel(number)
    assert client.wait(number).state == "cancelled"


def test_a_killed_server_leaves_no_orphan_and_no_running_job(client: Client, project: Project) -> None:
    code = ("import sys, time; from app.client import Client; c = Client(sys.argv[1], sys.argv[2])\n"
            "pid = c.result(c.wait(c.submit(sys.argv[3], 'float')).id)['pid']\n"
            "job = c.submit(sys.argv[3], 'measure', {'recipe': sys.argv[4]})\n"
            "while c.job(job).state != 'running': time.sleep(.01)\n"
            "print(pid, job, flush=True); time.sleep(60)")
    client._store.lock.release()
    server = subprocess.Popen([sys.executable, "-c", code, str(client.home), TINY, project.id, SLOW], cwd=ROOT,
                              stdout=subprocess.PIPE)
    assert server.stdout is not None
    pid, number = map(int, server.stdout.readline().split())
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    assert gone(pid)
    job = client.job(number)
    assert job.state == "failed" and job.error.startswith("The workbench was stopped while measuring.")
    found = replace(bench.load(client, project.id), recipe=SLOW, project=replace(project, evaluation=project.model))
    assert ("measure", {"recipe": SLOW}) in bench.wanted(found), "it goes on by itself"
    failed = [replace(j, kind="Bug") for j in found.jobs]
    assert "measure" not in [verb for verb, _ in bench.wanted(replace(found, jobs=failed))], "what failed by itself does not"


def test_a_server_that_ends_takes_its_workers_along(client: Client, project: Project) -> None:
    code = ("import sys, threading; from app.client import Client; c = Client(sys.argv[1], sys.argv[2])\n"
            "def page(): global r; r = c.result(c.wait(c.submit(sys.argv[3], 'float')).id)\n"
            "t = threading.Thread(target=page); t.start(); t.join()\n"
            "assert c.wait(c.submit(sys.argv[3], 'open')).state == 'done', 'the worker outlives its page'\n"
            "print(r['pid'], c.worker_alive(sys.argv[3]), flush=True)")
    client._store.lock.release()
    out = subprocess.run([sys.executable, "-c", code, client.home, TINY, project.id], cwd=ROOT, capture_output=True, text=True)
    pid, alive = out.stdout.split()
    assert alive == "True" and gone(int(pid)), out.stderr


def test_idle_workers_make_room(client: Client, project: Project, monkeypatch: Any) -> None:
    monkeypatch.setattr(job_runner, "MAX_WORKERS", 1)
    pid = worker_pid(client, project)
    other = client.create_project("second", project.model)
    assert worker_pid(client, other) != pid
    assert gone(pid) and not client.worker_alive(project.id)
    assert client.wait(client.submit(project.id, "open")).state == "done"


def test_a_result_that_cannot_be_kept_fails_the_job(client: Client, project: Project, monkeypatch: Any) -> None:
    def full(*args: Any) -> None:
        raise BadInput("the disk is full")

    monkeypatch.setattr(client._store.runs, "add", full)
    job = client.wait(client.submit(project.id, "float"))
    assert job.state == "failed" and job.error == "The result cannot be kept. the disk is full"
    monkeypatch.undo()
    assert client.wait(client.submit(project.id, "float")).state == "done"


def test_projects_by_upload_copy_zip_and_delete(client: Client, tmp_path: Path) -> None:
    path = client.import_upload(io.BytesIO(b"model"), "up load.onnx")
    project = client.create_project("up", path)
    number = client.submit(project.id, "measure", {"recipe": SLOW})
    running(client, number)
    copy = client.duplicate_project(project.id)
    assert client.rename_project(copy.id, "renamed").name == "renamed"
    back = client.import_project(client.export_project(project.id))
    client.delete_project(project.id)
    assert {p.id for p in client.projects()} == {copy.id, back.id}
    assert client.state(back.id).recipe == client.state(copy.id).recipe
    with pytest.raises(BadInput):
        client.job(number)


def test_reproduce_says_how(client: Client, project: Project) -> None:
    model = str(project.model)
    assert client.reproduce(project.id, FAST) == (
        f"python -m engine simulate {model} --precision w8a8 --target htp_v73")
    text = client.reproduce(project.id, FAST + "bypass: ['$(x)']\n")
    shell = subprocess.run(["bash", "-c", text.rsplit("\n", 1)[0] + "\ncat recipe.yaml"], cwd=project.model.parent,
                           capture_output=True, text=True, check=True)
    assert shell.stdout == FAST + "bypass: ['$(x)']\n"
    compile(client.reproduce(project.id, FAST + "bypass: [\"a'''b\"]\n", "python"), "x", "exec")
    for what in ("float", "inspect", "calibrate", "repair", "diagnose"):
        compile(client.reproduce(project.id, FAST, "python", what, ["a'b"]), "x", "exec")
        assert client.reproduce(project.id, FAST, "shell", what).startswith("python ")
    with pytest.raises(BadInput, match="expected 'shell' or 'python'"):
        client.reproduce(project.id, FAST, "perl")


def test_what_reproduce_says_really_runs(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # so that paths are whole ones
    sample = client.ensure_sample()
    if sample is None:
        pytest.skip("the sample models are not made yet")
    recipe = "mixdown: 1\nprecision: w8a8\ncalibration: {samples: 16}\n"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    layer = "features.0.conv"
    for what, expected in (("inspect", "parameters"), ("calibrate", "model.encodings"), ("repair", "fold_batch_norm"), ("diagnose", "")):
        for language in ("shell", "python"):
            text = client.reproduce(sample.id, recipe, language, what, [layer])
            command = ["bash", "-ec", text] if language == "shell" else [sys.executable, "-c", text]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
            assert done.returncode == 0, f"{what} {language}: {done.stderr[-800:]}"
            assert expected in done.stdout or language == "python"
            assert done.stdout.strip() or what == "diagnose", "a healthy layer has no cause to print"


def test_the_bundled_sample_is_made_once(client: Client) -> None:
    if not any(sample.name == "fashion_mobilenet" for sample in bundled_samples()):
        pytest.skip("the sample models are not made yet")
    project = client.ensure_sample()
    again = client.ensure_sample()
    assert project is not None and again is not None and project.id == again.id
    assert project.sample == "fashion_mobilenet" and project.evaluation is not None
    assert project.model.is_relative_to(ROOT), "used in place, not copied"
    client.update_project(project.id, name="mine")
    moved = client._store.projects
    with moved._database.transaction() as c:
        c.execute("UPDATE projects SET model='/moved/away.onnx'")
    found = client.ensure_sample()
    assert found is not None and found.model == project.model and found.name == "mine"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_real_session_killed_and_cancelled_while_calibrating(tmp_path: Path) -> None:
    if not bundled_samples():
        pytest.skip("the sample models are not made yet")
    client = Client(tmp_path / "home")
    project = client.ensure_sample(bundled_samples()[0].name)
    assert project is not None
    recipe = client.edit(project.id, "mixdown: 1\nprecision: w4a8\ncalibration: {samples: 512}\n", "W4A8").recipe
    before = client.state(project.id), client.history(project.id)
    job = running(client, client.submit(project.id, "calibrate", {"recipe": recipe}))
    assert job.state == "running", job.error
    os.kill(client.worker_pid(project.id) or 0, signal.SIGKILL)
    job = client.wait(job.id)
    assert job.error.startswith("The worker process was stopped (signal 9) while calibrating. Nothing in the project was lost.")
    assert (client.state(project.id), client.history(project.id)) == before
    client.restart(project.id)
    job = running(client, client.submit(project.id, "calibrate", {"recipe": recipe}))
    begun = time.monotonic()
    client.cancel(job.id)
    assert client.wait(job.id).state == "cancelled" and time.monotonic() - begun < 1
    job = client.wait(client.submit(project.id, "calibrate", {"recipe": recipe}))
    result = client.result(job.id)
    assert job.state == "done" and result is not None and result["tensors"], job.error
    client.shutdown()


@pytest.mark.slow
def test_a_file_that_is_no_model_is_one_sentence_and_the_project_stays(tmp_path: Path) -> None:
    client = Client(tmp_path / "home")
    project = client.create_project("x", client.import_upload(io.BytesIO(os.urandom(5000)), "noise.onnx"))
    before = client.state(project.id)
    job = client.wait(client.submit(project.id, "open"))
    assert job.state == "failed" and job.kind == "BadInput" and "noise.onnx" in job.error and "\n" not in job.error
    assert client.state(project.id) == before and client.worker_alive(project.id)
    client.shutdown()


def test_a_second_server_reads_starts_no_worker_and_takes_over_when_the_first_is_killed(client: Client, project: Project) -> None:
    code = ("import sys, time; from app.client import Client; c = Client(sys.argv[1], sys.argv[2])\n"
            "c.edit(sys.argv[3], sys.argv[4], 'theirs'); print('have', flush=True); time.sleep(60)")
    client._store.lock.release()
    first = subprocess.Popen([sys.executable, "-c", code, str(client.home), TINY, project.id, FAST], cwd=ROOT, stdout=subprocess.PIPE)
    assert first.stdout is not None and first.stdout.readline() == b"have\n"
    assert client.open(project.id).recipe == FAST, "what the first writes is read"
    assert "the workbench" in client.read_only() and client.worker_stopped(project.id) == client.read_only()
    assert not client.worker_alive(project.id)
    for write in (lambda: client.edit(project.id, SLOW, "mine"), lambda: client.submit(project.id, "float"),
                  lambda: client.restart(project.id), lambda: client.keep_setting("tour", "off")):
        with pytest.raises(BadInput, match=f"process {first.pid}"):
            write()
    assert not client.worker_alive(project.id)
    first.kill()
    first.wait()
    first.stdout.close()
    assert client.read_only() == "" and client.worker_stopped(project.id) == ""
    client.open(project.id)
    assert client.wait(client.submit(project.id, "float")).state == "done"


def test_settings_stay_and_a_damaged_file_holds_none(client: Client) -> None:
    client.keep_setting("tour", "off")
    client.keep_setting("other", 3)
    assert Client(client.home, "another").setting("tour") == "off"
    client.keep_setting("tour", None)
    assert client.setting("tour", "there") == "there" and client.setting("other") == 3
    (client.home / "settings.json").write_text("{dam")
    assert client.setting("other") is None


def test_a_model_is_uploaded_with_its_weights(client: Client) -> None:
    model, weights = (client.import_upload(io.BytesIO(name.encode()), name) for name in ("net.onnx", "net.onnx.data"))
    project = client.create_project("net", model, beside=[weights])
    assert sorted(p.name for p in project.model.parent.iterdir()) == ["net.onnx", "net.onnx.data"]
