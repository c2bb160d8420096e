"""The answers that come with the samples: of these very files, to the questions that the pages ask, and still what the engine says."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.client import Client
from app.known import FILE, load
from app.samples import Sample, bundled_samples
from sample_models.known import answers, questions


@pytest.fixture(params=bundled_samples(), ids=lambda s: s.name)
def sample(request: pytest.FixtureRequest) -> Sample:
    return request.param  # type: ignore[no-any-return]


def test_they_are_of_these_files_and_hold_no_path(sample: Sample) -> None:
    verbs = {a["verb"] for a in load(sample)}
    assert verbs == {"open", "measure", "sensitivity", "curve"}, "make them again: python -m sample_models.known"
    text = (sample.model.parent / FILE).read_text(encoding="utf-8")
    assert str(Path.home()) not in text and str(sample.model.parent) not in text and len(text) < 2_000_000


def test_a_new_project_of_the_sample_knows_what_its_pages_ask(sample: Sample, tmp_path: Path) -> None:
    client = Client(tmp_path / "home")
    project = client.ensure_sample(sample.name).id  # type: ignore[union-attr]
    asked = questions(client, project)
    assert [q[0] for q in asked] == ["open", "measure", "sensitivity", "sensitivity", "curve"]
    for verb, args in asked:
        assert client.result(client.submit(project, verb, args)) is not None, (verb, args)
    card = client.projects()[0].thumbnail
    assert card is not None and card["drop"] is not None and len(card["layers"]) == 21
    client.shutdown()


def test_a_changed_file_is_noticed(sample: Sample, tmp_path: Path) -> None:
    for name in ("model.onnx", "evaluation.npz", "calibration.npz", FILE):
        (tmp_path / name).write_bytes((sample.model.parent / name).read_bytes())
    there = Sample("x", "x", tmp_path / "model.onnx", tmp_path / "evaluation.npz", tmp_path / "calibration.npz", None, None)
    assert load(there)
    (tmp_path / "model.onnx").write_bytes(sample.model.read_bytes() + b"\0")
    assert load(there) == []


@pytest.mark.slow
def test_the_engine_still_says_so(sample: Sample, tmp_path: Path) -> None:
    kept = load(sample)
    wanted = [i for i, a in enumerate(kept) if a["verb"] == "measure" or a["args"].get("mode") == "estimate"]
    fresh = answers(sample, tmp_path / "home", wanted)
    was, now = ({a["verb"]: a["result"] for a in found} for found in (kept, fresh))
    assert now["measure"]["quantized"]["value"] == pytest.approx(was["measure"]["quantized"]["value"], abs=0.0011), "two of 2,000 images"
    assert now["measure"]["sqnr_db"] == pytest.approx(was["measure"]["sqnr_db"], abs=0.2)
    assert _scores(fresh) == pytest.approx(_scores(kept), rel=0.05, abs=1e-9)


def _scores(found: list[dict[str, Any]]) -> dict[tuple[str, str], float]:
    rows = next(a for a in found if a["args"].get("mode") == "estimate")["result"]["scores"]
    return {(r["layer"], r["precision"]): r["value"] for r in rows if r["metric"] == "kl"}
