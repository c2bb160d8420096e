"""The worker process over its pipes: protocol, cancel, superseding, errors, and its end."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import worker_protocol
from engine.store import Store

ROOT = Path(__file__).resolve().parents[2]
FAST, SLOW, DEADLY = (f"mixdown: 1\nprecision: {p}\n" for p in ("w8a8", "w4a4", "w2a2"))


class Pipe:
    """A worker on a string: lines in, messages out."""

    def __init__(self, home: Path, project: str, session: str = "tests.engine.tiny_session:make") -> None:
        command = [sys.executable, "-m", "engine.worker", "--home", str(home), "--project", project, "--session", session]
        self.log = home / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=ROOT)

    def send(self, *messages: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(json.dumps(m).encode() + b"\n" for m in messages))
        self.process.stdin.flush()

    def raw(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def next(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        message = json.loads(line, parse_constant=lambda c: pytest.fail(f"{c} is no JSON"))
        assert isinstance(message, dict)
        return message

    def until(self, event: str, job: int) -> list[dict[str, Any]]:
        out = [self.next()]
        while (out[-1].get("event"), out[-1].get("id")) != (event, job):
            out.append(self.next())
        return out

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    store = Store(tmp_path)
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    store.history.start(store.projects.create("p", model).id, FAST, "Start")
    store.close()
    return tmp_path


@pytest.fixture
def pipe(home: Path) -> Iterator[Pipe]:
    made = Pipe(home, project_of(home))
    assert made.next() == {"event": "ready", "pid": made.process.pid}
    yield made
    made.end()


def project_of(home: Path) -> str:
    store = Store(home)
    found = store.projects.all()[0].id
    store.close()
    return found


def job(number: int, verb: str, recipe: str | None = None, **args: Any) -> dict[str, Any]:
    return {"id": number, "verb": verb, "args": args if recipe is None else {"recipe": recipe} | args}


def test_a_job_and_only_protocol_on_stdout(pipe: Pipe) -> None:
    pipe.send(job(1, "open"))
    events = pipe.until("result", 1)
    assert [e["event"] for e in events] == ["started", "progress", "result"]
    assert events[-1]["value"] == {"model": {"name": "m.onnx"}, "numbers": [None, None, 1.5]}
    log = pipe.log.read_text()
    assert "prints to stdout" in log and "writes to the descriptor" in log and "to stderr" in log


def test_progress_partial_results_and_time_left(pipe: Pipe) -> None:
    pipe.send(job(1, "measure", FAST))
    events = pipe.until("result", 1)
    progress = [e for e in events if e["event"] == "progress"]
    assert [e["fraction"] for e in progress] == sorted(e["fraction"] for e in progress)
    assert any(e["eta"] is not None and 0 < e["eta"] < 2 for e in progress)
    assert [e["value"]["samples"] for e in events if e["event"] == "partial"] == [4, 9, 14, 19, 24]
    assert len(progress) <= 25


def test_cancel_takes_effect_within_a_second(pipe: Pipe) -> None:
    pipe.send(job(1, "calibrate", SLOW), job(2, "quantize", FAST, out="x"), job(3, "float"))
    pipe.until("started", 1)
    begun = time.monotonic()
    pipe.send({"cancel": 2}, {"cancel": 1})
    assert pipe.until("error", 2)[-1]["kind"] == "Cancelled"
    assert pipe.until("error", 1)[-1]["message"] == "cancelled"
    assert time.monotonic() - begun < 1
    pipe.until("result", 3)


def test_a_newer_measurement_supersedes_the_older_ones(pipe: Pipe) -> None:
    pipe.send(job(1, "measure", SLOW))
    pipe.until("started", 1)
    pipe.send(job(2, "measure", SLOW), job(3, "float"), job(4, "measure", FAST))
    events = pipe.until("result", 3)
    ended = {e["id"]: e.get("message", "") for e in events if e["event"] in ("error", "result")}
    assert list(ended)[-2:] == [4, 3], "what a person waits for goes first"
    assert ended[1].startswith("superseded") and ended[2].startswith("superseded")


def test_waiting_resolves_are_superseded(pipe: Pipe) -> None:
    pipe.send(job(1, "verify", dir="brief"))  # deaf: nothing runs beside it
    pipe.until("started", 1)
    pipe.send(job(2, "resolve", SLOW), job(3, "resolve", FAST))
    assert pipe.until("error", 2)[-1]["message"].startswith("superseded")
    assert pipe.until("result", 3)[-1]["value"]["precision"] == "w8a8"


def test_an_edit_is_measured_during_a_long_job_which_then_goes_on(pipe: Pipe) -> None:
    pipe.send(job(1, "sensitivity", FAST, precisions=["w8a8"]))
    pipe.until("progress", 1)
    pipe.send(job(2, "float"), job(3, "measure", FAST), job(4, "resolve", FAST))
    events = pipe.until("result", 2)
    ends = [e["id"] for e in events if e["event"] == "result"]
    assert ends == [4, 3, 1, 2], "the quickest first, then the measurement, then the long job, then what waits for nobody"
    sweep = next(e for e in events if e["event"] == "result" and e["id"] == 1)
    assert sweep["value"]["sum"] == sum(range(60)), "as if nothing had come between"


def test_a_slider_is_answered_during_a_long_job(pipe: Pipe) -> None:
    """The proven answer to a budget passes what is long; a measurement passes it; a newer budget makes the older one needless."""
    pipe.send(job(1, "sensitivity", FAST, precisions=["w8a8"]))
    pipe.until("progress", 1)
    pipe.send(job(2, "solve", SLOW, precisions=["w8a8", "w4a8"], max_size=0.3))
    pipe.until("progress", 2)
    pipe.send(job(3, "solve", FAST, precisions=["w8a8", "w4a8"], max_size=0.2), job(4, "measure", FAST))
    events = pipe.until("result", 1)
    ends = [(e["id"], e["event"]) for e in events if e["event"] in ("result", "error")]
    assert ends == [(4, "result"), (2, "error"), (3, "result"), (1, "result")] or ends == [
        (2, "error"), (4, "result"), (3, "result"), (1, "result")]
    assert next(e["message"] for e in events if e["event"] == "error").startswith("superseded")
    assert next(e["value"] for e in events if e["event"] == "result" and e["id"] == 3)["asked"] == {"max_size": 0.2}
    assert events[-1]["value"]["sum"] == sum(range(60)), "as if nothing had come between"


def test_what_passes_a_long_job_is_not_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, sent = [100.0], []

    class Kept:
        def send(self, message: dict[str, Any]) -> None:
            sent.append(message)

    def between() -> None:
        clock[0] += 50.0

    monkeypatch.setattr(worker_protocol.time, "monotonic", lambda: clock[0])
    report = worker_protocol.Reporter(Kept(), 1, lambda: None, between)  # type: ignore[arg-type]
    clock[0] += 1.0
    report(0.25, "a quarter after a second")
    assert sent[-1]["eta"] == pytest.approx(3.0)


def test_a_newer_edit_stops_the_measurement_that_runs_on_top(pipe: Pipe) -> None:
    pipe.send(job(1, "sensitivity", FAST, precisions=["w8a8"]))
    pipe.until("progress", 1)
    pipe.send(job(2, "measure", SLOW))
    pipe.until("partial", 2)
    pipe.send(job(3, "measure", FAST))
    assert pipe.until("error", 2)[-1]["message"].startswith("superseded")
    pipe.until("result", 3)
    assert pipe.until("result", 1)[-1]["value"]["sum"] == sum(range(60))


@pytest.mark.parametrize("which", ["long", "quick"])
def test_cancel_works_on_both_of_two(pipe: Pipe, which: str) -> None:
    pipe.send(job(1, "sensitivity", FAST, precisions=["w8a8"]))
    pipe.until("progress", 1)
    pipe.send(job(2, "measure", FAST))
    pipe.until("partial", 2)
    begun = time.monotonic()
    stopped, other = (1, 2) if which == "long" else (2, 1)
    pipe.send({"cancel": stopped})
    error = pipe.until("error", stopped)[-1]
    assert (error["kind"], error["message"]) == ("Cancelled", "cancelled") and time.monotonic() - begun < 0.5
    value = pipe.until("result", other)[-1]["value"]  # one that was in the way of a cancelled one began again
    assert value["samples"] == 25 if other == 2 else value["sum"] == sum(range(60))


def test_what_needs_the_thing_being_made_waits_for_it(pipe: Pipe) -> None:
    pipe.send(job(1, "calibrate", FAST))
    pipe.until("progress", 1)
    pipe.send(job(2, "measure", "mixdown: 1\nprecision: w8a8\ntarget: generic\n"))
    events = pipe.until("result", 2)
    assert [e["id"] for e in events if e["event"] == "result"] == [1, 2]
    assert any(e["event"] == "progress" and e["id"] == 2 and e["message"] == "Waits for the calibration" for e in events)


@pytest.mark.parametrize(("name", "kind", "words"), [
    ("x", "BadInput", "there is no layer 'x'"), ("illegal", "IllegalPrecision", "w3a3 is illegal"),
    ("memory", "BadInput", "Not enough memory while looking at a layer"), ("bug", "Bug", "KeyError")])
def test_errors_are_words_and_the_worker_goes_on(pipe: Pipe, name: str, kind: str, words: str) -> None:
    pipe.send(job(1, "layer", FAST, name=name), job(2, "float"))
    error = pipe.until("error", 1)[-1]
    assert error["kind"] == kind and words in error["message"] and "Traceback" not in error["message"]
    pipe.until("result", 2)
    assert ("Traceback" in pipe.log.read_text()) == (kind == "Bug")


@pytest.mark.parametrize("args", [{}, {"recipe": 5}, {"recipe": "mixdown: 1\nprecison: w8a8"}, {"recipe": "a: &a [*a]"}])
def test_bad_recipes_are_bad_input(pipe: Pipe, args: dict[str, Any]) -> None:
    pipe.send({"id": 1, "verb": "measure", "args": args})
    assert pipe.until("error", 1)[-1]["kind"] == "BadInput"


def test_garbage_on_stdin_is_answered_and_survived(pipe: Pipe) -> None:
    pipe.raw(b"\n\xff\xfe{\n[]\n" + b"[" * 100_000 + b"\n" + b"x" * 5_000_000 + b"\n")
    pipe.send({"id": "x", "verb": "open"}, {"id": 7, "verb": "opne"}, {"id": 8, "verb": "open", "args": 3}, {"cancel": []},
              job(9, "float"))
    events = pipe.until("result", 9)
    errors = [e for e in events if e["event"] == "error"]
    assert len(errors) == 8 and all(e["kind"] == "BadInput" for e in errors)
    assert "Did you mean 'open'" in next(e["message"] for e in errors if e["id"] == 7)


def test_changed_inputs_make_a_new_session(pipe: Pipe, home: Path) -> None:
    store = Store(home)
    project = store.projects.all()[0]
    bad = home / "bad.onnx"
    bad.write_bytes(b"bad")
    pipe.send(job(1, "open"))
    pipe.until("result", 1)
    store.projects.update(project.id, model=bad)
    pipe.send(job(2, "open"))
    assert "not an ONNX file" in pipe.until("error", 2)[-1]["message"]
    store.projects.update(project.id, model=project.model)
    pipe.send(job(3, "open"))
    pipe.until("result", 3)
    project.model.write_bytes(b"bad: another file in the same place")
    pipe.send(job(4, "open"))
    assert "not an ONNX file" in pipe.until("error", 4)[-1]["message"]


def test_exports_lie_in_the_project(pipe: Pipe, home: Path) -> None:
    pipe.send(job(1, "quantize", FAST, out="first"))
    out = pipe.until("result", 1)[-1]["value"]["out"]
    assert out == str(home / project_of(home) / "exports" / "first")


@pytest.mark.parametrize("how", ["eof", "quit", "eof while deaf"])
def test_it_ends_with_its_stdin(pipe: Pipe, how: str) -> None:
    if "deaf" in how:
        pipe.send(job(1, "verify", dir="x"))
        pipe.until("started", 1)
    if how == "quit":
        pipe.send({"quit": True})
    else:
        assert pipe.process.stdin is not None
        pipe.process.stdin.close()
    assert pipe.process.wait(3) == 0


def test_it_ends_when_nobody_listens(pipe: Pipe) -> None:
    assert pipe.process.stdout is not None
    pipe.send(job(1, "measure", SLOW))
    pipe.process.stdout.close()
    assert pipe.process.wait(3) == 0


def test_it_ends_with_the_process_that_started_it(home: Path) -> None:
    code = ("import subprocess, sys, os, time\n"
            "p = subprocess.Popen([sys.executable, '-m', 'engine.worker', '--home', sys.argv[1], '--project', sys.argv[2],\n"
            "    '--session', 'tests.engine.tiny_session:make', '--parent', str(os.getpid())], stdin=0, stdout=subprocess.PIPE)\n"
            "p.stdout.readline(); print(p.pid, flush=True); time.sleep(60)")
    reading, writing = os.pipe()  # stdin stays open in this test: only the parent's death can end the worker
    parent = subprocess.Popen([sys.executable, "-c", code, str(home), project_of(home)], cwd=ROOT, stdin=reading,
                              stdout=subprocess.PIPE)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 3
    while Path(f"/proc/{worker}/stat").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.02)
    else:
        assert not Path(f"/proc/{worker}").exists()
    os.close(writing)
    os.close(reading)


@pytest.mark.parametrize("session", ["no.such.module:x", "tests.engine.tiny_session:absent"])
def test_a_session_that_cannot_be_loaded(home: Path, session: str) -> None:
    pipe = Pipe(home, project_of(home), session)
    assert pipe.process.wait(10) == 3
    assert "The worker cannot start" in pipe.log.read_text()
    pipe.end()


def test_commands_sent_before_ready_are_kept(home: Path) -> None:
    pipe = Pipe(home, project_of(home))
    pipe.send(job(1, "float"), job(2, "open"), {"cancel": 2})
    pipe.until("result", 1)
    pipe.end()
