"""The page Train by AppTest, on the real client and a worker whose trainings are canned."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import bench, job_words, state
from app.app_pages import repair_acts
from app.app_pages import train_acts as acts
from app.client import Client
from app.repair import ask as repairs
from app.repair import view as repair_view
from app.repair.draft import Line
from app.train import ask, panel, trials, view
from app.train.ask import Known
from app.train.view import View

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    made = Client(tmp_path / "home", session="tests.app.canned:for_project")
    here = state.Window()
    monkeypatch.setattr(state, "client", lambda: made)
    monkeypatch.setattr(state, "window", lambda: here)
    monkeypatch.setattr(Client, "ensure_sample", lambda self, name="": None)
    yield made
    made.shutdown()


def project(client: Client, tmp_path: Path, stem: str = "train_9") -> str:
    """A project that is read, resolved and measured, and whose worker has listed the techniques."""
    for name in (f"{stem}.onnx", "data.npz"):
        (tmp_path / name).write_bytes(b"canned")
    files = tmp_path / "data.npz"
    made = client.create_project("Canned", tmp_path / f"{stem}.onnx", files, files).id
    recipe = client.state(made).recipe
    for verb in ("open", "steps", "resolve", "measure"):
        job = client.wait(client.submit(made, verb, {"recipe": recipe} if verb in ("resolve", "measure") else {}), 60)
        assert job.state == "done", job.error
    return made


def page(client: Client, name: str) -> AppTest:
    test = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
    test.query_params["page"] = "train"
    test.query_params["project"] = name
    state.window().project = name
    return test.run()


def words(test: AppTest) -> str:
    return " ".join(str(x.proto.body) for x in test.get("html"))


def seen_of(client: Client, name: str, **options: Any) -> View:
    seen = View()
    view.settle(client, name, seen, bench.load(client, name).doc)
    view.change(client, name, seen, options)
    return seen


def known(client: Client, name: str, seen: View) -> Known:
    return ask.gather(client, bench.load(client, name), seen.options)


def until(what: Callable[[], Any]) -> Any:
    for _ in range(400):
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def test_the_page_says_what_to_do_which_data_serve_and_why_it_cannot(client: Client, tmp_path: Path) -> None:
    test = page(client, project(client, tmp_path))
    assert not test.exception and "Press Start" in words(test) and "What is trained, layer by layer" in words(test)
    blocked = page(client, project(client, tmp_path, "net_9"))
    assert not blocked.exception and "NonMaxSuppression" in words(blocked) and "This model cannot be trained" in words(blocked)


def test_train_see_accept_and_undo(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path)
    seen = seen_of(client, name, epochs=2)
    acts.act(name, seen, "run")
    found = until(lambda: k if (k := known(client, name, seen)).after is not None and k.job is None else None)
    assert [e["number"] for e in found.epochs] == [1, 2] and found.start is not None and found.job is None
    assert job_words.name(bench.load(client, name).jobs[0]) == "Training" and job_words.page(bench.load(client, name).jobs[0]) == "train"
    test = page(client, name)
    assert not test.exception and "by training" in words(test) and "After training" in words(test)

    acts.act(name, seen, "accept")
    assert bench.load(client, name).doc["steps"] == ["fold_batch_norm", {"qat": {"epochs": 2}}]
    assert client.history(name)[-1].label == "training: 2 epochs" and view.inside(seen)
    client.undo(name)
    view.settle(client, name, seen, bench.load(client, name).doc)
    assert "steps" not in bench.load(client, name).doc and seen.options == {"epochs": 2} and not view.inside(seen)
    acts.act(name, seen, "reject")
    assert seen.options == {} and client.setting(f"train:{name}") in (None, {})


def test_a_stopped_training_is_kept_or_goes_on(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path, "train_slow_9")
    seen = seen_of(client, name, epochs=3)
    acts.act(name, seen, "run")
    until(lambda: known(client, name, seen).epochs)
    assert known(client, name, seen).live is not None
    acts.act(name, seen, "stop")
    stopped = until(lambda: k if (k := known(client, name, seen)).job is None else None)
    assert stopped.ended is not None and stopped.epochs and stopped.after is None
    test = page(client, name)
    assert not test.exception and "Stopped" in words(test)

    acts.act(name, seen, "keep")
    assert seen.options == {"epochs": 3, "stop_after": len(stopped.epochs)}
    kept = until(lambda: k if (k := known(client, name, seen)).after is not None else None)
    assert len(kept.epochs) == len(stopped.epochs)
    acts.act(name, seen, "continue")
    assert seen.options == {"epochs": 3} and known(client, name, seen).epochs, "what was done before is shown at once"
    whole = until(lambda: k if (k := known(client, name, seen)).after is not None else None)
    assert len(whole.epochs) == 3


def test_another_training_makes_way(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path, "train_slow_9")
    seen = seen_of(client, name, epochs=9)
    acts.act(name, seen, "run")
    first = until(lambda: known(client, name, seen).job)
    view.take(client, name, seen, {"seq": 1, "options": {"epochs": 1}})
    acts.act(name, seen, "run")
    until(lambda: client.job(first.id).state == "cancelled")
    assert until(lambda: known(client, name, seen).after)["training"]["best"] == 1


def test_after_a_restart_the_epochs_on_disk_are_offered(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = project(client, tmp_path, "train_slow_9")
    acts.act(name, seen_of(client, name, epochs=5), "run")
    job = until(lambda: j if (j := trainings(client, name)) and j[0].state == "running" else None)[0]
    client.shutdown()
    again = Client(tmp_path / "home", session="tests.app.canned:for_project")
    monkeypatch.setattr(state, "client", lambda: again)
    try:
        seen = seen_of(again, name, epochs=5)
        found = until(lambda: k if (k := known(again, name, seen)).epochs else None)
        assert found.job is None and found.ended is not None and found.ended.id == job.id and len(found.epochs) == 2
        test = page(again, name)
        assert not test.exception and "2 epochs of 5 are kept: Continue goes on from there" in words(test)
        kinds = [j.verb for j in bench.load(again, name).jobs]
        assert kinds.count(ask.KEPT) == 1, "it is asked once"
        fields = ask.fields(again.latest_any(name, "steps") or {})
        buttons = panel.buttons(bench.load(again, name), seen, found, fields)
        assert buttons["run"]["text"] == "Continue" and "2 epochs of 5 are kept" in buttons["run"]["title"] and buttons["keep"] is not None
    finally:
        again.shutdown()


def trainings(client: Client, name: str) -> list[Any]:
    return ask.trainings(bench.load(client, name))


def test_a_repair_and_a_training_let_each_other_be(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = project(client, tmp_path, "train_slow_9")
    acts.act(name, seen_of(client, name, epochs=9), "run")
    training = until(lambda: trainings(client, name))[0]
    chain = repair_view.View()
    chain.lines = (Line("fold_batch_norm", {}), Line("cle", {}))
    repair_acts.run(client, bench.load(client, name), chain)
    repair = next(j for j in bench.load(client, name).jobs if j.verb == repairs.VERB)
    assert client.job(training.id).active and client.job(repair.id).active, "one waits for the other"
    repair_acts.cancel(client, bench.load(client, name), chain)
    assert until(lambda: client.job(repair.id).state == "cancelled") and client.job(training.id).active
    repair_acts.run(client, bench.load(client, name), chain)
    acts.act(name, seen_of(client, name, epochs=9), "stop")
    assert until(lambda: client.job(training.id).state == "cancelled")
    assert until(lambda: next(j for j in bench.load(client, name).jobs if j.verb == repairs.VERB).state == "done")


def test_settings_are_searched_and_taken_over(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path)
    seen = seen_of(client, name, epochs=2)
    acts.act(name, seen, "over", "ema")
    acts.act(name, seen, "over", "nonsense")
    acts.act(name, seen, "count", 4)
    assert seen.over == ("learning_rate", "range_rate", "ema") and seen.count == 4
    acts.act(name, seen, "search")
    job = until(lambda: j if (j := trials.job(bench.load(client, name))) is not None and not j.active else None)
    assert job.state == "done" and job_words.page(job) == "train"
    test = page(client, name)
    assert not test.exception
    acts.act(name, seen, "take")
    assert seen.options == {"epochs": 2, "learning_rate": 0.004, "range_rate": 0.008, "ema": 3.6}, "the best of the canned trials"
    acts.act(name, seen, "pick", 0)
    acts.act(name, seen, "take")
    assert seen.options == {"epochs": 2, "range_rate": 0.002, "ema": 0.9}, "a default needs no entry"
    assert trials.job(bench.load(client, name)).id == job.id, "the trials stay beside the settings that came from them"


def test_from_the_chain_of_repair_to_the_form(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, seen = project(client, tmp_path), View()
    monkeypatch.setattr(view, "of", lambda project: seen)
    acts.show(client, name, {"epochs": 6, "stop_after": 2})
    assert seen.options == {"epochs": 6} and state.window().goto == "train"
