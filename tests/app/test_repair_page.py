"""The page Repair by AppTest, on the real client and a worker whose chains are canned."""
from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import bench, state
from app.app_pages import repair_acts as acts
from app.client import Client
from app.repair import ask, draft, view
from app.repair.draft import Line
from app.repair.view import View

ROOT = Path(__file__).resolve().parents[2]
LINES = (Line("fold_batch_norm"), Line("cle"), Line("bias_correction"), Line("gptq", {"samples": 64}))
WINDOW = state.Window()


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    made = Client(tmp_path / "home", session="tests.app.canned:for_project")
    monkeypatch.setattr(state, "client", lambda: made)
    monkeypatch.setattr(Client, "ensure_sample", lambda self, name="": None)
    yield made
    made.shutdown()


def project(client: Client, tmp_path: Path, stem: str = "net_9", data: bool = True) -> str:
    """A project that is read, resolved and, with data, measured."""
    for name in (f"{stem}.onnx", "data.npz"):
        (tmp_path / name).write_bytes(b"canned")
    files = tmp_path / "data.npz" if data else None
    made = client.create_project("Canned", tmp_path / f"{stem}.onnx", files, files).id
    recipe = client.state(made).recipe
    for verb in ("open", "resolve", "measure") if data else ("open", "resolve"):
        job = client.wait(client.submit(made, verb, {} if verb == "open" else {"recipe": recipe}), 30)
        assert job.state == "done", job.error
    return made


def page(name: str) -> AppTest:
    test = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
    test.query_params["page"] = "repair"
    test.query_params["project"] = name
    return test.run()


def words(test: AppTest) -> str:
    return " ".join(str(x.proto.body) for x in test.get("html"))


def ended(client: Client, name: str, state_of: str = "done") -> Any:
    """The newest repair job, once it has ended."""
    for _ in range(200):
        job = next((j for j in client.jobs(name) if j.verb == "repair"), None)
        if job is not None and not job.active:
            assert job.state == state_of, (job.state, job.error)
            return job
        time.sleep(0.05)
    raise AssertionError("the chain did not end")


def window(made: state.Window = WINDOW) -> state.Window:
    """One window for a test outside of a browser's session."""
    return made


def seen_of(client: Client, name: str, lines: draft.Lines = LINES) -> View:
    """A window's view with a draft."""
    seen = View()
    view.settle(client, name, seen, bench.load(client, name).doc)
    view.change(client, name, seen, lines)
    return seen


def test_the_page_says_what_to_do_and_without_data_what_is_missing(client: Client, tmp_path: Path) -> None:
    test = page(project(client, tmp_path))
    assert not test.exception and "Press Run" in words(test) and "What each step gives" in words(test)
    bare = page(project(client, tmp_path, "bare_9", data=False))
    assert not bare.exception and "evaluation data" in words(bare)


def test_run_accept_undo_and_leave_a_harmful_step_out(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = project(client, tmp_path)
    seen = seen_of(client, name)
    monkeypatch.setattr(state, "window", window)
    found = bench.load(client, name)
    acts.run(client, found, seen)
    ended(client, name)
    known = ask.gather(client, bench.load(client, name), seen.lines)
    assert known.whole and [r["harm"] for r in known.rows] == [False, False, False, True, False]
    test = page(name)  # the draft is kept in the home, so another window shows it with its figures
    assert not test.exception and "won back" in words(test) and "bias_correction does harm" in words(test)

    acts.leave_out(client, bench.load(client, name), seen, 2)
    job = ended(client, name)
    assert [line.name for line in ask.lines_of(job.args)] == ["fold_batch_norm", "cle", "gptq"], "the rest ran again"
    acts.accept(client, bench.load(client, name), seen)
    recipe = bench.load(client, name).doc
    assert recipe["steps"] == ["fold_batch_norm", "cle", {"gptq": {"samples": 64}}]
    assert client.history(name)[-1].label == "steps: fold_batch_norm, cle, gptq"
    assert not seen.lines[2].on, "what is off stays on the page"
    client.undo(name)
    view.settle(client, name, seen, bench.load(client, name).doc)
    assert "steps" not in bench.load(client, name).doc and draft.same(seen.lines, draft.DEFAULT)


def test_a_stopped_run_keeps_what_was_done_and_another_chain_makes_way(client: Client, tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    name = project(client, tmp_path, "slow_9")
    seen = seen_of(client, name)
    monkeypatch.setattr(state, "window", window)
    acts.run(client, bench.load(client, name), seen)
    for _ in range(200):
        known = ask.gather(client, bench.load(client, name), seen.lines)
        if len(known.rows) > 1:
            break
        time.sleep(0.05)
    first = known.job
    view.change(client, name, seen, LINES[:2])
    acts.run(client, bench.load(client, name), seen)
    for _ in range(200):
        if client.job(first.id).state == "cancelled":
            break
        time.sleep(0.05)
    assert client.job(first.id).state == "cancelled", "one chain runs at a time"
    acts.cancel(client, bench.load(client, name), seen)
    ended(client, name, "cancelled")
    view.change(client, name, seen, LINES)
    known = ask.gather(client, bench.load(client, name), LINES)
    assert known.job is None and known.ended is not None and len(known.rows) >= 2
    acts.accept(client, bench.load(client, name), seen)
    steps = bench.load(client, name).doc.get("steps", ["fold_batch_norm"])
    assert steps == draft.to_steps(LINES)[:len(known.rows) - 1]


def test_reject_and_a_click_in_the_waterfall(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = project(client, tmp_path)
    seen = seen_of(client, name)
    before = seen.rev
    acts.act(name, seen, "pick", 3)
    assert (seen.place, seen.span) == (3, "step") and seen.rev > before
    acts.act(name, seen, "pick", 99)
    assert seen.place == 3
    acts.act(name, seen, "nonsense", 1)
    acts.act(name, seen, "reject")
    assert seen.lines == draft.DEFAULT and client.setting(f"repair:{name}") is None


def test_the_steps_of_the_ladder_become_the_chain_once(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path)
    seen = seen_of(client, name, draft.DEFAULT)
    found = bench.load(client, name)
    client.submit(name, ask.VERB, ask.ladder(found, "goal", 1.0))
    ended(client, name)
    acts.take_ladder(client, bench.load(client, name), seen)
    assert [line.name for line in seen.lines] == ["fold_batch_norm", "gptq"], "what the ladder wrote in its place"
    ended(client, name)
    view.change(client, name, seen, LINES)
    acts.take_ladder(client, bench.load(client, name), seen)
    assert seen.lines == LINES, "an edit after it is not taken back"


def test_a_remedy_that_is_a_step_leads_here_and_runs(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, seen = project(client, tmp_path), View()
    here = state.Window(project=name)
    monkeypatch.setattr(state, "window", lambda: here)
    monkeypatch.setattr(view, "of", lambda project: seen)
    client.edit(name, ask.text(bench.load(client, name).doc, LINES[:2]), "Equalize channels")
    acts.show(client, name)
    assert here.goto == "repair" and [line.name for line in seen.lines] == ["fold_batch_norm", "cle"] and seen.place == 1
    ended(client, name)
    assert ask.gather(client, bench.load(client, name), seen.lines).whole
