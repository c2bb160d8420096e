"""Projects, the tray, the tour and the notices: what a person is told, by AppTest on the real client and real processes."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import cards, job_words, staging, state, tour
from app.client import Client
from app.staging import Staged
from engine.errors import BadInput
from engine.store import Job
from tests.app.test_pages import ROOT, client, measured, page, project, words  # noqa: F401

HOSTILE: list[Any] = [None, {}, {"layers": 3}, {"layers": [1, None, "x"]}, {"layers": [{"precision": ["x"], "share": "y"}] * 1000},
                      {"layers": [{"share": 1e308}, {"share": -5}, {"share": float("nan")}]}, {"fp32": [], "quantized": {"value": "<b>"}},
                      {"quantized": {"value": 0.5, "metric": "<script>"}, "drop": {"value": 1, "ci95": ["a", None]}},
                      {"cost": {"size_bytes": True, "fp32_size_bytes": 1e999}}]


def made(**fields: Any) -> Any:
    known = {"id": "p", "name": "N", "updated": time.time(), "model": Path("m.onnx"), "target": "t", "metric": "", "thumbnail": None}
    return SimpleNamespace(**(known | fields))


def job(**fields: Any) -> Job:
    known: dict[str, Any] = {"id": 7, "project": "p", "verb": "measure", "args": {"recipe": "mixdown: 1\nprecision: w8a8\n"},
                             "fingerprint": "",
                             "state": "failed", "fraction": 0.25, "message": "", "eta": None, "error": "it broke", "kind": "Bug",
                             "run": None, "owner": "", "created": 100.0, "updated": 112.0}
    return Job(**(known | fields))


def where(test: Any) -> str:
    """The page in the address."""
    found = test.query_params["page"]
    return str(found if isinstance(found, str) else found[0])


@pytest.mark.parametrize("thumbnail", HOSTILE)
def test_a_card_survives_any_thumbnail(thumbnail: Any) -> None:
    html = cards.card(made(name="<img>", thumbnail=thumbnail))
    assert "<img" not in html and "<script" not in html and "<b><b>" not in html and "nan" not in html


def test_a_card_shows_the_rack_the_paired_drop_and_what_runs() -> None:
    layers = [{"precision": "w4a8", "share": 0.64}, {"precision": "w8a8", "share": 0.16}, {"precision": "fp16", "share": 0.0}]
    html = cards.card(made(thumbnail={
        "layers": layers, "fp32": {"value": 0.92}, "quantized": {"metric": "top1", "value": 0.9},
        "cost": {"size_bytes": 5e5, "fp32_size_bytes": 2e6}, "drop": {"value": 0.02, "ci95": [0.01, 0.03]}}), job(state="running"))
    for bar in ("class=few style='height:100%'", "class=mid style='height:53%'", "class=wide style='height:6%'"):
        assert bar in html
    assert "92.00 → 90.00" in html and "1.00 to 3.00" in html and "4.0× smaller" in html and "width:25%" in html


@pytest.mark.parametrize(("name", "taken", "part"), [
    ("net.onnx", [], "model"), ("other.onnx", ["model"], ""), ("net.onnx.data", [], "weights"), ("net.onnx_data", [], "weights"),
    ("val_images.npz", [], "evaluation"), ("my-calibration.npz", [], "calibration"), ("train.npz", [], "training"),
    ("x.npz", [], "evaluation"),
    ("x.npz", ["evaluation"], "calibration"), ("x.npz", ["evaluation", "calibration", "training"], ""), ("readme.txt", [], "")])
def test_the_part_that_a_file_plays_is_guessed_by_its_name(name: str, taken: list[str], part: str) -> None:
    assert staging.guess(name, taken) == part


def test_a_part_given_twice_is_refused_and_weights_may_be_many() -> None:
    files = [Staged(Path(f"/u/{n}"), n, 1, part) for n, part in (("a.onnx", "model"), ("w1", "weights"), ("w2", "weights"), ("x", ""))]
    assert staging.project_files(files, {"evaluation": " /d.npz ", "calibration": ""}) == (
        {"model": Path("/u/a.onnx"), "evaluation": Path("/d.npz")}, [Path("/u/w1"), Path("/u/w2")])
    with pytest.raises(BadInput, match="Model is given 2 times"):
        staging.project_files(files, {"model": "/b.onnx"})


def test_details_hold_what_somebody_else_needs() -> None:
    text = job_words.details(job(), made(name="My net"), "Traceback\nKeyError")
    for part in ("job 7", "Measuring (measure)", "My net (p)", "failed, Bug", "it broke", "precision: w8a8", "KeyError", "Python 3"):
        assert part in text
    assert job_words.took(job()) == "12 s" and job_words.ago(100.0, 112.0) == "just now" and job_words.ago(0, 7200) == "2 h ago"


def test_jobs_that_failed_for_one_reason_are_told_once_and_without_folders() -> None:
    jobs = [job(id=9, error="x"), job(id=8, error="x"), job(id=7, error="y"), job(id=6, state="done", error=""), job(id=5, error="x")]
    assert [j.id for j in job_words.without_echoes(jobs)] == [8, 7, 6, 5]
    assert job_words.plain("/data/p-1/inputs/a.onnx: bad 'x/inputs/y'") == "a.onnx: bad 'x/inputs/y'"


def test_every_verb_of_the_worker_has_a_page_and_pages_that_are_not_there_are_not_linked() -> None:
    from engine.worker import VERBS

    assert set(VERBS) <= set(job_words.PAGES)
    assert all(job_words.page(job(verb=v, state="done")) in ("", *state.PAGES) for v in VERBS)
    assert job_words.page(job(verb="quantize")) == "", "a job that failed has no result to show"


def test_duplicate_from_the_page(client: Client, tmp_path: Path) -> None:  # noqa: F811
    name = measured(client, project(client, tmp_path))
    test = page("", "projects")
    next(b for b in test.button if b.label == "Duplicate").click().run()
    assert not test.exception
    assert sorted(p.name for p in client.projects()) == ["Canned", "Canned (copy)"]
    copy = next(p for p in client.projects() if p.id != name)
    assert client.latest(copy.id, "measure", client.state(copy.id).recipe) is not None, "files by path: its results are those of the first"


def test_an_empty_page_says_what_to_do(client: Client) -> None:  # noqa: F811
    said = words(page("", "projects"))
    assert "No project yet" in said and "Bundled samples" in said and "a model is enough" in said


def test_a_missing_model_is_said_on_its_card_and_others_stay(client: Client, tmp_path: Path) -> None:  # noqa: F811
    project(client, tmp_path)
    project(client, tmp_path, "net_3")
    (tmp_path / "net_3.onnx").unlink()
    said = words(page("", "projects"))
    assert "net_3.onnx is not there any more" in said and "net_9.onnx · htp_v73" in said


def test_the_tray_shows_what_runs_in_other_projects_and_stops_it(client: Client, tmp_path: Path) -> None:  # noqa: F811
    here, there = project(client, tmp_path), project(client, tmp_path, "net_9_slow")
    client.rename_project(there, "The slow one")
    measured(client, here)
    number = client.submit(there, "calibrate", {"recipe": client.state(there).recipe})
    test = page(here, "model")
    assert "The slow one" in words(test)
    next(b for b in test.button if b.label == "Cancel").click().run()
    assert client.wait(number, 10).state == "cancelled"
    test = page(there, "model")
    assert "Calibrating" in words(test) and "cancelled" in words(test)


def test_a_finished_job_leads_to_its_page_and_a_failed_one_can_be_copied(client: Client, tmp_path: Path) -> None:  # noqa: F811
    name = measured(client, project(client, tmp_path))
    client.wait(client.submit(name, "layer", {"recipe": "not: a recipe", "name": "x"}), 20)
    test = page(name, "model")
    shown = next(b for b in test.button if b.label == "Show on Desk")
    assert any("not a recipe" in c.value or "not: a recipe" in c.value for c in test.code)
    shown.click().run()
    assert not test.exception and where(test) == "desk"


HOLD = ("import sys, time; from app.client import Client; c = Client(sys.argv[1])\n"
        "c.edit(sys.argv[2], 'mixdown: 1\\nprecision: w4a8\\n', 'theirs'); print('have', flush=True); time.sleep(60)")


@pytest.fixture
def holder(client: Client, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:  # noqa: F811
    """A project, and another server that writes to it."""
    name = measured(client, project(client, tmp_path))
    client.close(name)
    client._store.lock.release()
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(client.home), name], cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"have\n"
    yield name, child
    child.kill()
    child.wait()
    child.stdout.close()


@pytest.mark.parametrize("which", [p for p in state.PAGES if p != "report"])
def test_a_second_server_reads_on_every_page_and_says_who_writes(
        client: Client, holder: tuple[str, subprocess.Popen[bytes]], which: str) -> None:  # noqa: F811
    name, child = holder
    test = page(name, which)
    assert not test.exception
    said = words(test)
    assert f"process {child.pid}" in said and "The workbench" in said and "fault inside" not in said
    assert not client.worker_alive(name)
    child.kill()
    child.wait()
    next(b for b in test.button if b.label == "Try again").click().run()
    assert not test.exception and "is writing to these projects" not in words(test)


def test_an_edit_in_a_second_server_is_refused_in_words(client: Client, holder: tuple[str, subprocess.Popen[bytes]]) -> None:  # noqa: F811
    test = page("", "projects")
    next(b for b in test.button if b.label == "Duplicate").click().run()
    assert not test.exception and "md-box hot" in words(test) and len(client.projects()) == 1


def toured(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: F811
    monkeypatch.delenv("MIXDOWN_TOUR", raising=False)
    name = measured(client, project(client, tmp_path))
    client.update_project(name, sample="fashion_mobilenet")
    return name


def test_the_tour_goes_through_its_steps_and_is_over_for_good(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    name = toured(client, tmp_path, monkeypatch)
    test = page(name, "desk")
    for number, step in enumerate(tour.STEPS):
        assert not test.exception
        assert f"{number + 1} of {len(tour.STEPS)}" in words(test) and where(test) == step.page
        assert (f"--tour-{step.part}" if step.part else step.target.split(",")[0]) in words(test)
        label = "Next" if number + 1 < len(tour.STEPS) else "Done"
        next(b for b in test.button if b.label == label).click().run()
    assert "class=md-tour" not in words(test) and json.loads((client.home / "settings.json").read_text())["tour"] == "over"
    assert "class=md-tour" not in words(page(name, "desk")), "nor in another window"


def test_skip_for_good_and_off_and_again(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    name = toured(client, tmp_path, monkeypatch)
    monkeypatch.setenv("MIXDOWN_TOUR", "off")
    assert "class=md-tour" not in words(page(name, "desk"))
    monkeypatch.delenv("MIXDOWN_TOUR")
    test = page(name, "model")
    assert "This step is on Desk" in words(test)
    next(b for b in test.button if b.label == "Skip for good").click().run()
    assert "class=md-tour" not in words(test) and "class=md-tour" not in words(page(name, "desk"))
    test = page("", "projects")
    next(b for b in test.button if b.label == "Take the tour again").click().run()
    assert "class=md-tour" in words(page(name, "desk"))


def test_the_tour_is_of_the_bundled_sample_alone(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.delenv("MIXDOWN_TOUR", raising=False)
    assert "class=md-tour" not in words(page(measured(client, project(client, tmp_path)), "desk"))
    assert os.environ.get("MIXDOWN_TOUR") is None


def test_without_data_the_page_says_what_works_and_what_is_missing(client: Client, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "net_9.onnx").write_bytes(b"canned")
    name = client.create_project("bare", tmp_path / "net_9.onnx").id
    client.wait(client.submit(name, "open"), 30)
    test = page(name, "model")
    assert not test.exception
    said = words(test)
    assert "No evaluation data yet" in said and "Judge the weights" in said
    assert any("np.savez" in c.value and "(samples, 1, 28, 28)" in c.value for c in test.code)
    next(b for b in test.button if b.label == "Judge the weights").click().run()
    assert where(test) == "sensitivity"
