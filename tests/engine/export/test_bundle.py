"""The exported folder: what is in it, that it appears whole or not at all, and what is refused."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from engine.data import Dataset
from engine.errors import BadInput, Cancelled, IllegalPrecision
from engine.export import commands, export
from engine.export.folder import whole_folder
from engine.graph.model import Model
from engine.recipe import EncodingsFile, ModelRef, Recipe, Step, load_recipe
from engine.sim.quantsim import QuantSim

Calibrated = Callable[..., QuantSim]
FILES = {"model.onnx", "model.encodings", "model_0.6.1.encodings", "model_qdq.onnx", "recipe.yaml", "report.json"}
ROOT = Path(__file__).parents[3]


def test_six_files_with_sizes_and_hashes(model: Model, calibrated: Calibrated, tmp_path: Path) -> None:
    files = export(calibrated(model, precision="w8a8", target="htp_v73"), tmp_path / "out", {"sqnr_db": 30.0})
    assert {f.name for f in files} == FILES == {p.name for p in (tmp_path / "out").iterdir()}
    assert all(f.path.stat().st_size == f.bytes for f in files)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["sqnr_db"] == 30.0 and report["export"]["files"]["model.onnx"] == next(f.sha256 for f in files if f.name == "model.onnx")
    assert [report["layers"][0][key] for key in ("name", "weight", "precision")] == ["stem", "stem.weight", "w8a8"]


def test_the_float_model_keeps_opset_metadata_and_names(small: Callable[[int], Model], calibrated: Calibrated, tmp_path: Path) -> None:
    sim = calibrated(small(13), precision="w4a16")
    export(sim, tmp_path / "out")
    proto = onnx.load(tmp_path / "out/model.onnx")
    assert [o.version for o in proto.opset_import] == [13]
    assert [n.name for n in proto.graph.node] == [n.name for n in sim.model.proto.graph.node]
    assert {p.key: p.value for p in proto.metadata_props} == {"licence": "none"} and proto.producer_name == "a test"


def test_the_recipe_is_for_the_original_model(model: Model, calibrated: Calibrated, tmp_path: Path) -> None:
    asked = Recipe(precision="w8a8", target="generic", model=ModelRef("elsewhere/m.onnx", None), steps=(Step("fold_batch_norm"),),
                   encodings=EncodingsFile("../mine.encodings", "fc*"))
    sim = calibrated(model, precision="w8a8")
    sim.recipe = asked
    export(sim, tmp_path / "out")
    found = load_recipe(tmp_path / "out/recipe.yaml")
    assert found.model == ModelRef(None, "a" * 64) and found.steps == asked.steps
    assert found.encodings == EncodingsFile("model.encodings", "fc*")
    assert (tmp_path / "out/recipe.yaml").read_text().startswith("# Exported by Mixdown")


def test_illegal_precisions_are_refused_by_name(model: Model, calibrated: Calibrated, tmp_path: Path) -> None:
    sim = calibrated(model, precision="w8a8", target="htp_v73", layers={"fc1": "w3a8"})
    with pytest.raises(IllegalPrecision, match=r"fc1: w3a8 .*--allow-illegal"):
        export(sim, tmp_path / "out")
    assert not list(tmp_path.iterdir())
    assert export(sim, tmp_path / "out", allow_illegal=True)


def test_unknown_dialect(model: Model, calibrated: Calibrated, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"9\.9"):
        export(calibrated(model), tmp_path / "out", versions=("9.9",))


def test_only_exports_are_replaced(model: Model, calibrated: Calibrated, tmp_path: Path) -> None:
    sim = calibrated(model)
    out = tmp_path / "out"
    out.mkdir()
    export(sim, out)
    (out / "certificate.json").write_text("{}")
    export(sim, out)
    assert {p.name for p in out.iterdir()} == FILES
    (out / "thesis.docx").write_text("mine")
    with pytest.raises(BadInput, match=r"thesis\.docx"):
        export(sim, out)
    assert (out / "thesis.docx").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="no folder"):
        export(sim, tmp_path / "file")


@pytest.mark.parametrize("stop", [Cancelled("stopped"), KeyboardInterrupt()])
def test_stopping_leaves_the_earlier_export(model: Model, calibrated: Calibrated, tmp_path: Path, stop: BaseException) -> None:
    sim = calibrated(model)
    export(sim, tmp_path / "out", {"mark": 1})

    def progress(fraction: float, message: str) -> None:
        if message.startswith("Writing model_qdq"):
            raise stop

    with pytest.raises(type(stop)):
        export(sim, tmp_path / "out", {"mark": 2}, progress=progress)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert json.loads((tmp_path / "out/report.json").read_text())["mark"] == 1


KILLED = """
import importlib.util, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("folder", "engine/export/folder.py")  # alone: the package takes seconds to import
folder = importlib.util.module_from_spec(spec)
spec.loader.exec_module(folder)
whole_folder = folder.whole_folder
with whole_folder(Path(sys.argv[1]), frozenset({"a"})) as folder:
    (folder / "a").write_text("new")
    print("half", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("before", [False, True])
def test_a_kill_in_the_middle_leaves_nothing_half_written(tmp_path: Path, before: bool) -> None:
    out = tmp_path / "out"
    if before:
        with whole_folder(out, frozenset({"a"})) as folder:
            (folder / "a").write_text("old")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(out)], stdout=subprocess.PIPE, cwd=ROOT,
                               env=os.environ | {"PYTHONPATH": "."})
    assert process.stdout is not None and process.stdout.readline() == b"half\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert (out / "a").read_text() == "old" if before else not out.exists()
    time.sleep(0.05)
    with whole_folder(out, frozenset({"a"})) as folder:
        (folder / "a").write_text("newer")
    assert [p.name for p in tmp_path.iterdir()] == ["out"] and (out / "a").read_text() == "newer"


def test_uncalibrated_is_a_clear_error(model: Model, data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="calibrate"):
        export(QuantSim(model, Recipe(target="generic")), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_commands_name_the_files() -> None:
    found = commands("some where")
    assert set(found) == {"qairt", "qnn", "ai_hub", "onnxruntime"}
    assert "--quantization_overrides 'some where'/model.encodings" in found["qairt"]
    assert "model_0.6.1.encodings" in found["qnn"] and "model_qdq.onnx" in found["onnxruntime"]
