"""The command line runs a recipe's steps unattended: figures in the JSON, a waterfall, and the same result after a SIGKILL."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine.cli import main
from engine.report import from_folder, render

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
RECIPE = "mixdown: 1\nprecision: w4a8\nsteps: [fold_batch_norm, {adaround: {iterations: 150}}]\n"


@pytest.fixture(scope="module")
def files(mobilenet: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A recipe, the model and fewer evaluation samples."""
    folder = tmp_path_factory.mktemp("steps")
    (folder / "recipe.yaml").write_text(RECIPE)
    with np.load(mobilenet / "evaluation.npz", allow_pickle=False) as data:
        np.savez(folder / "evaluation.npz", **{name: data[name][:200] if data[name].shape[:1] == (2000,) else data[name]
                                               for name in data.files})
    return [str(folder / "recipe.yaml"), str(mobilenet / "model.onnx"), "--evaluation", str(folder / "evaluation.npz"),
            "--calibration", str(mobilenet / "calibration.npz"), "-q"]


def contents(folder: Path) -> dict[str, str]:
    """File → hash, of those that hold no time."""
    timed = ("report.json", "certificate.json")
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir() if f.name not in timed}


def figures(folder: Path) -> dict[str, object]:
    """The measured numbers of a report and what its steps say, without the times."""
    report = json.loads((folder / "report.json").read_text())
    steps = [{k: v for k, v in step.items() if k != "seconds"} for step in report["steps"]]
    return {key: report[key] for key in ("quantized", "drop", "sqnr_db", "agreement")} | {
        "layers": [layer["sqnr_db"] for layer in report["layers"]], "steps": steps}


def killed_at(files: list[str], out: Path, layers: int) -> None:
    """Starts the command and kills it once so many layers are finished."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "engine", "quantize", *files, "--out", str(out)], cwd=ROOT, env=env,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kept = out.with_name(f".{out.name}.resume") / "layers"
    try:
        end = time.monotonic() + 200
        while len(list(kept.glob("*.npz"))) < layers:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_after_a_kill_in_the_middle_of_a_step_the_same_files_come_out(files: list[str], tmp_path: Path) -> None:
    assert main(["quantize", *files, "--out", str(tmp_path / "whole")]) == 0
    out = tmp_path / "killed"
    killed_at(files, out, 4)
    assert not out.exists(), "nothing half-written"
    killed_at(files, out, 10)
    before = {f.name: f.stat().st_mtime_ns for f in (tmp_path / ".killed.resume" / "layers").glob("*.npz")}
    assert len(before) >= 10
    assert main(["quantize", *files, "--out", str(out)]) == 0
    assert contents(out) == contents(tmp_path / "whole")
    assert figures(out) == figures(tmp_path / "whole")
    assert not (tmp_path / ".killed.resume").exists(), "what was kept is cleared away"


def test_simulate_says_what_each_step_gave(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, model, *data = files
    told = tmp_path / "found.json"
    assert main(["simulate", model, "--recipe", recipe, *data, "--waterfall", "--json", str(told),
                 "--set", "steps=[fold_batch_norm, {adaround: {iterations: 10}}]"]) == 0
    shown = capsys.readouterr().out
    assert "gain over the row before" in shown and "adaround" in shown
    report = json.loads(told.read_text())
    rows = report["repair"]["rows"]
    assert [row["step"] for row in rows] == [None, "fold_batch_norm", "adaround"]
    assert rows[-1]["quantized"] == report["quantized"] and rows[-1]["sqnr_db"] == report["sqnr_db"]
    assert [step["name"] for step in report["steps"]] == ["fold_batch_norm", "adaround"]
    assert all(layer["after"] is not None for layer in report["steps"][1]["layers"])


def test_an_export_with_a_waterfall_has_it_in_its_page(files: list[str], tmp_path: Path) -> None:
    assert main(["quantize", *files, "--out", str(tmp_path / "out"), "--waterfall",
                 "--set", "steps=[fold_batch_norm, {adaround: {iterations: 10}}]"]) == 0
    page = render(from_folder(tmp_path / "out"))
    assert "What each step gave" in page and "adaround" in page.split("What each step gave")[1].split("<h2>")[0]
