"""The page Sensitivity by AppTest, on the real client and a worker whose scores are canned."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import bench, state
from app.app_pages import sensitivity, sensitivity_side
from app.client import Client
from app.sensitivity import ask, cells
from app.sensitivity.view import View

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    made = Client(tmp_path / "home", session="tests.app.canned_scores:for_project")
    monkeypatch.setattr(state, "client", lambda: made)
    monkeypatch.setattr(Client, "ensure_sample", lambda self, name="": None)
    yield made
    made.shutdown()


def project(client: Client, tmp_path: Path, stem: str = "net_9", data: bool = True) -> str:
    """A project that is read, resolved and measured."""
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
    test = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=30)
    test.query_params["page"] = "sensitivity"
    test.query_params["project"] = name
    return test.run()


def scored(client: Client, test: AppTest, mode: str) -> AppTest:
    """The page once the scores of that mode are there."""
    for _ in range(150):
        jobs = [j for j in client.jobs() if j.verb == "sensitivity" and j.args["mode"] == mode]
        if jobs and jobs[0].state == "done":
            return test.run()
        time.sleep(0.1)
    raise AssertionError(f"no scores of mode {mode}: {[(j.verb, j.state, j.error) for j in client.jobs()]}")


def words(test: AppTest) -> str:
    return " ".join(str(x.proto.body) for x in test.get("html")) + " ".join(b.label for b in test.button)


def click(test: AppTest, label: str) -> AppTest:
    next(b for b in test.button if b.label == label).click()
    return test.run()


def of(client: Client, name: str, view: View) -> tuple[bench.Bench, ask.Known]:
    found = bench.load(client, name)
    return found, ask.gather(client, found, view)


def test_the_estimate_starts_by_itself_and_is_replaced_by_exact_figures(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path)
    test = scored(client, page(name), "estimate")
    assert not test.exception
    assert "9 layers, 32 samples" in words(test) and "lower is better" in words(test)
    test = scored(client, click(test, "Replace by exact"), "one-on")
    assert not test.exception
    assert "128 samples" in words(test) and "Scored" in words(test)
    jobs = [j for j in client.jobs(name) if j.verb == "sensitivity"]
    assert [j.args["mode"] for j in jobs] == ["one-on", "estimate"], "neither was asked for twice"
    _, known = of(client, name, View(mode="one-on"))
    scores = cells.merge(known.estimate, known.exact)
    assert scores.exact == scores.whole and len(scores.prior) == scores.whole
    assert "noise: network order" not in words(test)


def test_an_edit_of_a_layer_keeps_the_scores_and_is_one_line_of_history(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path)
    test = scored(client, page(name), "estimate")
    test = click(test, "W8A16")
    assert not test.exception
    assert [line.label for line in client.history(name)] == ["Start", "features.0.conv.0 to w8a16"]
    assert of(client, name, View())[1].estimate is not None
    assert len([j for j in client.jobs(name) if j.verb == "sensitivity"]) == 1
    client.undo(name)
    assert "layers" not in client.state(name).recipe


def test_causes_and_a_remedy_that_undo_takes_back(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path)
    test = scored(client, page(name), "estimate")
    test.session_state["sens-side"] = "Causes"
    test.run()
    for _ in range(50):
        if "Outlier channels" in words(test):
            break
        time.sleep(0.1)
        test.run()
    assert "62 % of its noise" in words(test) and "&lt;b&gt;Two&lt;/b&gt;" in words(test)
    test = click(test, "Percentile range")
    assert client.history(name)[-1].label == "features.0.conv.0: w4a8, Percentile range"
    assert "percentile" in client.state(name).recipe and "w4a8" in client.state(name).recipe
    client.undo(name)
    assert "percentile" not in client.state(name).recipe


def test_without_data_the_weights_are_scored_at_once_and_the_page_says_what_is_missing(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path, data=False)
    test = scored(client, page(name), "data-free")
    assert not test.exception
    assert "SQNR in dB, higher is better" in words(test)
    assert "Add a calibration file" in words(test)


def test_cancel_keeps_what_was_scored(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path, "net_9_slow")
    test = scored(client, page(name), "estimate")
    test = click(test, "Replace by exact")
    for _ in range(100):
        _, known = of(client, name, View(mode="one-on"))
        if known.job is not None and known.exact is not None:
            break
        time.sleep(0.05)
    assert 0 < cells.merge(known.estimate, known.exact).exact < 36, "exact cells stand among estimates"
    test = click(test.run(), "Cancel")
    client.wait(known.job.id, 20)
    test.run()
    assert not test.exception
    assert "Stopped; what was scored is kept" in words(test) and "Go on" in words(test)


def test_a_click_selects_here_and_on_the_desk(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = project(client, tmp_path)
    scored(client, page(name), "estimate")
    window, view = state.Window(), View()
    monkeypatch.setattr(state, "window", lambda: window)
    found, known = of(client, name, view)
    scores = cells.merge(known.estimate, known.exact)
    sensitivity.select(found, view, scores, "features.1.conv.0")
    assert window.desk(name).current == 3 and window.desk(name).selected == [3]
    assert sensitivity.selected_item(found, view, scores) == "features.1.conv.0"
    window.desk(name).current = 5
    assert sensitivity.selected_item(found, view, scores) == "features.1.conv.2", "the Desk's selection is this page's"
    monkeypatch.setattr("streamlit.rerun", lambda *a, **k: None)
    sensitivity_side.put(found, window.desk(name), ["features.1.conv.2"], "bypass")
    assert client.history(name)[-1].label == "features.1.conv.2: kept in float"


def test_an_old_answer_on_other_samples_is_there_at_once(client: Client, tmp_path: Path) -> None:
    name = project(client, tmp_path)
    found = bench.load(client, name)
    asked: dict[str, Any] = ask.arguments(found, View(mode="one-on", samples={"one-on": 512}))
    assert client.wait(client.submit(name, ask.VERB, asked), 30).state == "done"
    _, known = of(client, name, View(mode="one-on"))
    assert known.exact is not None and known.exact["samples"] == 512 and not known.asked
    test = page(name)
    assert not test.exception
    assert "512 samples" in words(test) and "Scored" in words(test), "a new window begins with the exact figures that there are"
