"""The command line as scripts see it: exit codes, JSON, and errors of one clear line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
SHARED = {"model", "fp32", "quantized", "drop", "sqnr_db", "agreement", "layers", "cost", "seconds", "recipe"}
LAYER = {"name", "weight", "module", "op_type", "requested", "precision", "legal", "reason", "sqnr_db", "params", "macs", "size_bytes"}


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "engine", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd or ROOT,
        env=env,
        timeout=120,
        check=False,
    )


def refused(*arguments: object) -> str:
    found = run(*arguments)
    assert found.returncode == 2, found.stderr
    lines = found.stderr.strip().splitlines()
    assert 1 <= len(lines) <= 10
    assert lines[0].startswith("error: ")
    assert "Traceback" not in found.stderr
    return found.stderr


@pytest.fixture(scope="module")
def data(sample: Path) -> list[object]:
    return [sample / "model.onnx", "--evaluation", sample / "evaluation.npz", "--calibration", sample / "calibration.npz"]


@pytest.mark.parametrize("verb", ["inspect", "resolve", "simulate", "search", "quantize", "export", "verify"])
def test_help_has_an_example_and_loads_nothing_heavy(verb: str) -> None:
    begin = time.monotonic()
    found = run(verb, "--help")
    assert found.returncode == 0
    assert f"example: python -m engine {verb}" in found.stdout
    assert time.monotonic() - begin < 20


def test_resolve_tells_what_a_move_would_bring_and_strict_what_it_would_refuse(sample: Path, tmp_path: Path) -> None:
    found = run("resolve", sample / "model.onnx", "-q", "--json", tmp_path / "r.json")
    assert found.returncode == 0, found.stderr
    whole = json.loads((tmp_path / "r.json").read_text())
    assert {"layers", "cost", "boundaries"} <= set(whole) and "ahead" not in whole and "changes of type" in found.stdout
    name = whole["layers"][1]["name"]
    moved = run("resolve", sample / "model.onnx", "-q", "--json", tmp_path / "a.json", "--ahead", f"{name}=w8a16")
    assert moved.returncode == 0, moved.stderr
    ahead = json.loads((tmp_path / "a.json").read_text())["ahead"]
    assert (name, "w8a8", "w8a16", False) in {(x["name"], x["from"], x["to"], x["follows"]) for x in ahead["layers"]}
    assert ahead["boundaries"]["after"] > whole["boundaries"] == ahead["boundaries"]["before"] and "w8a8 -> w8a16" in moved.stdout
    strict = run("resolve", sample / "model.onnx", "-q", "--strict", "--ahead", f"{name}=w4a16")
    assert strict.returncode == 1 and f"Under --strict: {name}" in strict.stdout
    assert "LAYER=PRECISION" in refused("resolve", sample / "model.onnx", "--ahead", name)


def test_inspect(sample: Path, tmp_path: Path) -> None:
    found = run("inspect", sample / "model.onnx", "--json", tmp_path / "i.json", "--target", "htp_v73")
    assert found.returncode == 0, found.stderr
    facts = json.loads((tmp_path / "i.json").read_text())
    assert all(layer["name"] in found.stdout for layer in facts["layers"])
    assert any(t["quantized"] for t in facts["tensors"])


def test_simulate_prints_and_writes_the_shared_keys(data: list[object], tmp_path: Path) -> None:
    found = run("simulate", *data, "--precision", "w8a8", "--json", tmp_path / "r.json", "--outputs", tmp_path / "o.npz", "-q")
    assert found.returncode == 0, found.stderr
    assert "95 % interval" in found.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    assert set(report) >= SHARED
    assert set(report["layers"][0]) >= LAYER
    low, high = report["drop"]["ci95"]
    assert low <= report["drop"]["value"] <= high
    with np.load(tmp_path / "o.npz", allow_pickle=False) as arrays:
        assert {name.split("/")[0] for name in arrays.files} == {"fp32", "quantized"}
        assert len(next(iter(arrays.values()))) == 2000


def test_a_missed_goal_is_exit_1(data: list[object]) -> None:
    found = run("simulate", *data, "--precision", "w2a8", "--target", "generic", "--max-drop", "0.01", "-q")
    assert found.returncode == 1, found.stderr


def test_set_beats_the_recipe_and_paths_are_relative_to_it(mobilenet: Path, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("mixdown: 1\nprecision: w4a8\n")
    found = run(
        "simulate",
        mobilenet / "model.onnx",
        "--evaluation",
        mobilenet / "evaluation.npz",
        "--calibration",
        mobilenet / "calibration.npz",
        "--recipe",
        tmp_path / "r.yaml",
        "--set",
        "precision=w8a8",
        "--set",
        "calibration.samples=32",
        "--json",
        tmp_path / "r.json",
        "-q",
    )
    assert found.returncode == 0, found.stderr
    recipe = json.loads((tmp_path / "r.json").read_text())["recipe"]
    assert recipe["precision"] == "w8a8"
    assert recipe["calibration"]["samples"] == 32


RECIPES = {
    "unknown key": ("mixdown: 1\nprecison: w8a8\n", "precision"),
    "unknown layer": ("mixdown: 1\nlayers: {nope: w4a8}\n", "no layer"),
    "bad precision": ("mixdown: 1\nprecision: w99a8\n", "w99a8"),
    "bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "\n".join(f"{c}: &{c} [{','.join(['*' + p] * 9)}]" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
        "",
    ),
    "deep": ("[" * 5000 + "]" * 5000, ""),
    "not yaml": ("mixdown: [1\n", ""),
    "a step that is not there": ("mixdown: 1\nsteps: [equalise]\n", "equalise"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_hostile_recipes(name: str, mobilenet: Path, tmp_path: Path) -> None:
    text, words = RECIPES[name]
    (tmp_path / "r.yaml").write_text(text)
    begin = time.monotonic()
    message = refused(
        "simulate",
        mobilenet / "model.onnx",
        "--evaluation",
        mobilenet / "evaluation.npz",
        "--calibration",
        mobilenet / "calibration.npz",
        "--recipe",
        tmp_path / "r.yaml",
    )
    assert words in message
    assert time.monotonic() - begin < 30


def test_hostile_data(mobilenet: Path, tmp_path: Path) -> None:
    model = mobilenet / "model.onnx"
    image = np.zeros((4, 1, 28, 28), np.float32)
    files = {
        "name": ({"picture": image}, "image"),
        "shape": ({"image": image[:, :, :20]}, "28"),
        "nan": ({"image": np.where(np.arange(28) == 3, np.nan, image).astype(np.float32)}, "NaN"),
        "empty": ({"image": image[:0]}, "0 samples|empty|no samples"),
        "labels": ({"image": image, "labels": np.zeros(3, np.int64)}, "labels"),
    }
    import re

    for name, (arrays, words) in files.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)  # type: ignore[arg-type]
        assert re.search(words, refused("simulate", model, "--evaluation", tmp_path / f"{name}.npz")), name
    (tmp_path / "bytes.npz").write_bytes(np.random.default_rng(0).bytes(3000))
    refused("simulate", model, "--evaluation", tmp_path / "bytes.npz")
    refused("simulate", model, "--evaluation", tmp_path / "none.npz")
    refused("simulate", tmp_path / "bytes.npz", "--evaluation", mobilenet / "evaluation.npz")


def test_a_graph_that_wants_terabytes_stays_under_two_gigabytes(tmp_path: Path) -> None:
    from onnx import helper

    from tests.graphs import proto, weights

    shape = np.asarray([2**15, 2**14], dtype=np.int64)
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["big"]), helper.make_node("ReduceSum", ["big"], ["s"], keepdims=1),
             helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "s"], ["y"])]
    (tmp_path / "m.onnx").write_bytes(proto(nodes, {"x": [1, 4]}, {"y": [1, 4]}, {"shape": shape, "w": weights(4, 4)}).SerializeToString())
    code = ("import resource, sys; from engine.cli import main; status = main(['inspect', sys.argv[1]]); "
            "print(status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)")
    found = subprocess.run([sys.executable, "-c", code, str(tmp_path / "m.onnx")], capture_output=True, text=True, cwd=ROOT,
                           env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=True)
    status, megabytes = map(int, found.stdout.split())
    assert status == 2
    assert megabytes < 2000
    assert "needs more than" in found.stderr


def test_a_metric_of_ones_own(mobilenet: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def score(outputs, labels):\n    return (outputs.argmax(1) == labels).astype(float)\n")
    found = run(
        "simulate",
        mobilenet / "model.onnx",
        "--evaluation",
        mobilenet / "evaluation.npz",
        "--calibration",
        mobilenet / "calibration.npz",
        "--metric",
        "mine:score",
        "--json",
        tmp_path / "r.json",
        "-q",
        cwd=tmp_path,
    )
    assert found.returncode == 0, found.stderr
    assert json.loads((tmp_path / "r.json").read_text())["fp32"]["metric"] == "mine:score"


def test_ctrl_c_leaves_nothing_half_written(data: list[object], tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "export", str(data[0]), *map(str, data[3:]), "--out", str(out)],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    maps = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and "onnxruntime" not in maps.read_text():  # Python has its handler long before
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr
    assert process.returncode in (0, 130)
    left = [p.name for p in tmp_path.iterdir()]
    assert left == ([] if process.returncode == 130 else ["out"])


@pytest.mark.slow
def test_quantize_verifies(data: list[object], tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("mixdown: 1\nprecision: w8a8\n")
    found = run("quantize", tmp_path / "r.yaml", *data, "--out", tmp_path / "out", "--json", tmp_path / "q.json", "-q")
    assert found.returncode == 0, found.stdout + found.stderr
    certificate = json.loads((tmp_path / "out" / "certificate.json").read_text())
    assert certificate["passed"]
    assert certificate["missing_encodings"] == []
    files = {p.name for p in (tmp_path / "out").iterdir()}
    assert files >= {
        "model.onnx",
        "model.encodings",
        "model_0.6.1.encodings",
        "model_qdq.onnx",
        "recipe.yaml",
        "report.json",
        "certificate.json",
    }
    again = run("verify", tmp_path / "out", "--evaluation", data[2], "-q")
    assert again.returncode == 0, again.stdout + again.stderr
