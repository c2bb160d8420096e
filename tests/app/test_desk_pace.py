"""How the Desk waits for a measurement: briefly, on a warm worker, once a move; and how a look at a running one waits for news."""
from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import bench, pace, shell, state
from app.client import Client

ROOT = Path(__file__).resolve().parents[2]
MOVED = "mixdown: 1\ntarget: htp_v73\nprecision: w8a8\nlayers: {features.0.conv.2: w4a8}\n"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    made = Client(tmp_path / "home", session="tests.app.canned:for_project")
    monkeypatch.setattr(state, "client", lambda: made)
    monkeypatch.setattr(Client, "ensure_sample", lambda self, name="": None)
    yield made
    made.shutdown()


def project(client: Client, tmp_path: Path, stem: str = "net_9") -> str:
    """A project whose session is canned."""
    for name in (f"{stem}.onnx", "data.npz"):
        (tmp_path / name).write_bytes(b"canned")
    return client.create_project("Canned", tmp_path / f"{stem}.onnx", tmp_path / "data.npz", tmp_path / "data.npz").id


def done(client: Client, name: str, verb: str, **args: Any) -> None:
    job = client.wait(client.submit(name, verb, args), 60)
    assert job.state == "done", job.error


def test_a_worker_is_warm_once_it_has_measured_and_a_fresh_one_is_not(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path)
    recipe = client.open(name).recipe
    done(client, name, "resolve", recipe=recipe)
    assert not client.worker_warm(name)
    done(client, name, "measure", recipe=recipe)
    assert client.worker_warm(name)
    client.restart(name)
    assert not client.worker_warm(name)
    client.close(name)
    assert not client.worker_warm(name)


def test_waiting_ends_with_the_first_figures_with_the_job_or_with_patience(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path, "net_9_slow")
    recipe = client.open(name).recipe
    done(client, name, "open")
    number = client.submit(name, "measure", {"recipe": recipe})
    client.wait_for([number], 0.0, lambda job: False)
    assert client.job(number).active, "patience of nothing"
    client.wait_for([number], 60.0, lambda job: job.partial is not None)
    job = client.job(number)
    assert job.active and job.partial is not None, "there were figures before the end"
    threading.Timer(0.05, client.cancel, [number]).start()
    client.wait_for([number], 60.0, lambda job: False)
    assert client.job(number).state == "cancelled"
    client.wait_for([number, 10_000], 60.0, lambda job: False)  # over, and unknown: nothing to wait for


def test_a_move_is_drawn_once_with_figures_of_a_warm_worker(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = project(client, tmp_path)
    for verb, args in (("open", {}), ("resolve", {"recipe": client.open(name).recipe}), ("measure", {"recipe": client.open(name).recipe})):
        done(client, name, verb, **args)
    test = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
    test.query_params["page"], test.query_params["project"] = "desk", name
    test.run()
    shown: list[tuple[bool, bool]] = []
    drawn, waits = shell.bar_data, []
    wait = Client.wait_for

    def bar_data(page: str, found: Any) -> Any:
        shown.append((found.resolved is not None, found.report is not None or found.partial is not None))
        return drawn(page, found)

    def wait_for(self: Client, numbers: Any, timeout: float, enough: Any) -> None:
        waits.append(([self.job(n).verb for n in numbers], timeout))
        wait(self, numbers, 30.0, enough)  # a busy machine fails no test

    monkeypatch.setattr(shell, "bar_data", bar_data)
    monkeypatch.setattr(Client, "wait_for", wait_for)
    client.edit(name, MOVED, "a move")
    test.run()
    assert not test.exception
    assert waits[0] == (["resolve", "measure", "layer"], pace.PATIENCE)
    assert shown[0] == (True, True), "the first drawing has both"


def test_a_look_waits_for_news_unless_it_follows_at_once() -> None:
    waits: list[tuple[list[int], float, Any]] = []
    watched = SimpleNamespace(wait_for=lambda *given: waits.append(given))
    job = SimpleNamespace(id=7, partial={"samples": 256})
    shown = SimpleNamespace(measuring=job)
    before = time.monotonic() - 1.0
    pace.news(watched, shown, before)  # type: ignore[arg-type]
    (numbers, timeout, enough), = waits
    assert numbers == [7] and timeout == pace.LOOK < pace.QUICK
    assert not enough(job) and enough(SimpleNamespace(partial={"samples": 512}))
    pace.news(watched, shown, time.monotonic() + 1.0)  # type: ignore[arg-type]
    pace.news(watched, SimpleNamespace(measuring=None), before)  # type: ignore[arg-type]
    pace.news(watched, None, before)
    assert len(waits) == 1


def test_a_measurement_that_ends_while_the_page_is_drawn_keeps_its_figures_until_the_page_is_loaded_again(client: Client,
                                                                                                         tmp_path: Path) -> None:
    name = project(client, tmp_path, "net_9_slow")
    done(client, name, "open")
    number = client.submit(name, "measure", {"recipe": client.open(name).recipe})
    client.wait_for([number], 60.0, lambda job: job.partial is not None)
    found = bench.load(client, name)
    assert found.report is None and found.partial is not None
    client.wait(number, 60.0)
    kept, changed = pace.pulse(client, found)
    assert changed and kept.report is None and kept.partial is not None, "not newer jobs beside older results"
    found = bench.load(client, name)
    assert found.report is not None and pace.pulse(client, found) == (found, False)
