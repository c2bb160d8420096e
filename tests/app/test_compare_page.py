"""Compare and Report by AppTest, on the bundled sample, the real client and a real worker."""
from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import recipes, state
from app.app_pages import compare as page_of
from app.app_pages import compare_parts
from app.client import Client
from app.compare import ask, sources
from app.compare.view import View, settle, swap

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "sample_models" / "fashion_mobilenet"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, str]]:
    """A project with three lines of history, the last one measured."""
    client = Client(tmp_path_factory.mktemp("compare") / "home")
    name = client.create_project("Sample", SAMPLE / "model.onnx", SAMPLE / "evaluation.npz", SAMPLE / "calibration.npz").id
    doc = recipes.put(recipes.read(client.state(name).recipe), ["precision"], "w4a8")
    client.edit(name, recipes.write(doc), "base w4a8")
    client.edit(name, recipes.write(recipes.put(doc, ["layers"], {"features.0.conv": "w8a8"})), "stem to w8a8")
    for verb in ("open", "resolve", "measure"):
        job = client.wait(client.submit(name, verb, {} if verb == "open" else {"recipe": client.state(name).recipe}), 120)
        assert job.state == "done", job.error
    yield client, name
    client.shutdown()


@pytest.fixture
def client(made: tuple[Client, str], monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(state, "client", lambda: made[0])
    monkeypatch.setattr(Client, "ensure_sample", lambda self, name="": None)
    return made[0]


def page(name: str, which: str) -> AppTest:
    test = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
    test.query_params["page"] = which
    test.query_params["project"] = name
    return test.run()


def words(test: AppTest) -> str:
    return " ".join(str(x.proto.body) for x in test.get("html")) + " ".join(b.label for b in test.button)


def compared(client: Client, name: str, test: AppTest, count: int) -> AppTest:
    """The page once so many comparisons are there."""
    for _ in range(300):
        jobs = [j for j in client.jobs(name) if j.verb == "compare"]
        assert not [j.error for j in jobs if j.state == "failed"]
        if sum(j.state == "done" for j in jobs) >= count and not any(j.active for j in jobs):
            return test.run()
        time.sleep(0.1)
    raise AssertionError(f"not compared: {[(j.verb, j.state, j.error) for j in client.jobs(name)]}")


@pytest.mark.slow
def test_the_page_compares_by_itself_and_shows_what_the_engine_found(client: Client, made: tuple[Client, str]) -> None:
    name = made[1]
    test = compared(client, name, page(name, "compare"), 1)
    assert not test.exception
    recipe = client.state(name).recipe
    found = client.latest(name, "compare", None, left="float", right=recipe)
    report = client.latest(name, "measure", recipe)
    assert found is not None and report is not None and found["drop"] == report["drop"]
    shown = words(test)
    assert f"{100 * found['drop']['value']:.2f} points" in shown
    assert f"{report['drop']['flips_lost']} / {report['drop']['flips_won']}" in shown
    assert "data:image/png;base64," in shown and "Pullover" in shown and "McNemar" in shown
    assert "layer features.0.conv" in shown and "base precision" in shown
    test.segmented_control(key="cmp-order").set_value("far").run()
    assert not test.exception


@pytest.mark.slow
def test_left_and_right_are_chosen_and_swapped(client: Client, made: tuple[Client, str]) -> None:
    name = made[1]
    test = compared(client, name, page(name, "compare"), 1)
    keys = [run.key for run in sources.gather(client, page_of.benches.load(client, name))]
    assert keys[:2] == ["float", "desk"] and {"line-1", "line-2"} <= set(keys)
    assert "line-3" not in keys, "the desk's own line is the desk"
    test.selectbox(key="cmp-left-0").set_value("line-2").run()
    test = compared(client, name, test, 2)
    assert "line 2" in words(test) and not test.exception
    lost = client.latest(name, "compare", None, left=client.history(name)[1].recipe, right=client.state(name).recipe)
    assert lost is not None
    next(b for b in test.button if b.label == "\u21c4").click().run()
    test = compared(client, name, test, 3)
    back = client.latest(name, "compare", None, left=client.state(name).recipe, right=client.history(name)[1].recipe)
    assert back is not None and back["drop"]["value"] == -lost["drop"]["value"]
    assert back["flips"]["counts"]["lost"] == lost["flips"]["counts"]["won"]
    assert not test.exception


@pytest.mark.slow
def test_a_run_and_a_layer_are_taken_to_the_desk(client: Client, made: tuple[Client, str], monkeypatch: pytest.MonkeyPatch) -> None:
    name, window = made[1], state.Window()
    monkeypatch.setattr(state, "window", lambda: window)
    found = page_of.benches.load(client, name)
    runs = {run.key: run for run in sources.gather(client, found)}
    try:
        page_of.open_run(found, runs["line-1"])
        assert client.state(name).seq == 1 and window.goto == "desk"
        compare_parts.open_layer(found, [str(x["name"]) for x in found.layers], str(found.layers[4]["name"]))
        assert window.desk(name).selected == [4] and window.desk(name).current == 4
        page_of.open_run(found, sources.Run("run-9", "Measured", client.history(name)[1].recipe))
        assert client.state(name).recipe == client.history(name)[1].recipe and client.history(name)[-1].label.startswith("from Compare")
    finally:
        client.jump(name, 3)


@pytest.mark.slow
def test_the_other_side_and_names_are_sources(client: Client, made: tuple[Client, str]) -> None:
    name = made[1]
    client.put_aside(name, 1)
    client.name_line(name, "before <all>", 2)
    runs = {run.key: run for run in sources.gather(client, page_of.benches.load(client, name))}
    assert runs["side"].label.startswith("B \u00b7 Start") and runs["desk"].label.startswith("A \u00b7 on the desk")
    assert runs["name-before <all>"].seq == 2
    client.forget_name(name, "before <all>")


@pytest.mark.slow
def test_the_report_is_offered_with_its_pictures_and_says_what_is_not_proven(client: Client, made: tuple[Client, str]) -> None:
    name = made[1]
    count = len([j for j in client.jobs(name) if j.verb == "compare"])
    test = compared(client, name, page(name, "report"), max(count, 1))
    assert not test.exception
    _, html = test.session_state["report_page"]
    drop = client.latest(name, "measure", client.state(name).recipe)["drop"]  # type: ignore[index]
    assert f"{100 * drop['value']:.2f}" in html and "Nothing is proven about files yet" in html and "data:image/png" in html
    assert "<script" not in html and "not exported" in words(test)


@pytest.mark.slow
def test_with_an_export_the_report_has_its_proof(client: Client, made: tuple[Client, str]) -> None:
    from app.recipe_command import export_folder

    name = made[1]
    recipe = client.state(name).recipe
    job = client.wait(client.submit(name, "quantize", {"recipe": recipe, "out": export_folder(recipe)}), 120)
    assert job.state == "done", job.error
    test = page(name, "report")
    _, html = test.session_state["report_page"]
    proof: Any = client.result(job.id)["certificate"]  # type: ignore[index]
    assert proof["sentence"] in html and "model_qdq.onnx" in html and "not exported" not in words(test)


def test_keys_that_are_gone_fall_back() -> None:
    runs = [sources.Run("float", "Float model", "float"), sources.Run("desk", "On the desk", "x"), sources.Run("line-1", "1", "y")]
    seen = View(left="line-9", right="line-8", more=["line-1", "desk", "line-7"])
    settle(seen, runs)
    assert (seen.left, seen.right, seen.more) == ("float", "desk", ["line-1"])
    swap(seen)
    assert (seen.left, seen.right, seen.rev) == ("desk", "float", 1)


def test_the_python_that_reproduces_it_is_python(made: tuple[Client, str]) -> None:
    client, name = made
    found = page_of.benches.load(client, name)
    hostile = sources.Run("line-1", "1", "precision: w4a8\nlayers: {\"a'''b\\\\\": w8a8}\n")
    text = ask.command(found, sources.Run("float", "Float", "float"), hostile)
    compile(text, "reproduce", "exec")
    assert "session.compare(left, right)" in text and "left = None" in text
