"""The lines that the page Model offers for data really write data that the model takes."""
from __future__ import annotations

from pathlib import Path

import pytest

from app import data_example
from app.samples import bundled_samples
from engine.analysis.facts import model_facts
from engine.data import load_data
from engine.graph import load_model
from engine.session import Session


@pytest.mark.parametrize("sample", bundled_samples(), ids=lambda s: s.name)
def test_they_run_as_they_are_and_the_model_takes_what_they_write(sample: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = load_model(sample.model)  # type: ignore[attr-defined]
    text = data_example.snippet(model_facts(model), "calibration.npz").replace("samples = 1000", "samples = 4")
    exec(compile(text, "snippet", "exec"), {})
    data = load_data(tmp_path / "calibration.npz")
    assert len(data) == 4 and data.labels is not None
    assert Session(model, evaluation=data, calibration=data).float_value()["fp32"]["metric"] == "top1"


def test_open_sizes_odd_names_types_and_positions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    facts = {"inputs": [{"name": "input.1'\\", "dtype": "int64", "shape": ["batch", "sequence"]},
                        {"name": "mask", "dtype": "bool", "shape": [1, None]}, {"name": "state", "dtype": "float16", "shape": [1]}],
             "outputs": [{"name": "logits", "shape": ["batch", "sequence", 40]}]}
    text = data_example.snippet(facts)
    exec(compile(text, "snippet", "exec"), {})
    found = load_data(tmp_path / "evaluation.npz")
    assert {k: (tuple(v[0:1000].shape), str(v[0:1].dtype)) for k, v in found.inputs.items()} == {
        "input.1'\\": ((1000, 16), "int64"), "mask": ((1000, 16), "bool"), "state": ((1000,), "float16")}
    assert "sequence: any size" in text and "each position" in text
