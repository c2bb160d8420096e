"""Certificates: sound exports pass, and whatever is changed in a file afterwards is caught and named."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from engine.data import Dataset
from engine.errors import BadInput, Cancelled
from engine.export import Certificate, export, verify
from engine.export.statements import cpu_flags
from engine.graph.model import Model
from engine.recipe import BlockSize, WeightOptions
from engine.sim.quantsim import QuantSim

Calibrated = Callable[..., QuantSim]


@pytest.fixture
def folder(model: Model, calibrated: Calibrated, tmp_path: Path) -> Path:
    export(calibrated(model, precision="w8a8", target="htp_v73", layers={"fc1": "w4a8"}), tmp_path / "out")
    return tmp_path / "out"


def _failed(certificate: Certificate) -> dict[str, str]:
    return {check.name: check.detail for check in certificate.checks if not check.passed}


def _rehash(folder: Path) -> None:
    """A forger who knows of the report's hashes."""
    import hashlib

    report = json.loads((folder / "report.json").read_text())
    for name in report["export"]["files"]:
        report["export"]["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "report.json").write_text(json.dumps(report))


def test_a_sound_export_passes_and_says_so(folder: Path, data: Dataset) -> None:
    seen: list[float] = []
    found = verify(folder, data, lambda fraction, message: seen.append(fraction))
    assert found.passed, _failed(found)
    assert found.missing_encodings == () and found.first_divergence is None
    plain, optimized = found.parity
    assert not plain.optimizations and optimized.optimizations and plain.samples == 64
    assert plain.agreement == 1.0 and plain.within_1_lsb == 1.0 and plain.sqnr_db >= 55
    assert "does what model.onnx simulated" in found.sentence
    assert seen == sorted(seen) and seen[-1] == 1.0
    written = json.loads((folder / "certificate.json").read_text())
    assert written == json.loads(json.dumps(found.to_json()))
    assert {"parity", "first_divergence", "missing_encodings", "passed", "sentence", "statements", "checks"} <= set(written)
    assert {"optimizations", "max_lsb", "mean_lsb", "sqnr_db", "agreement"} <= set(written["parity"][0])


RECIPES: list[dict[str, Any]] = [
    {"precision": "w8a16"}, {"precision": "fp16"}, {"precision": "bf16"}, {"precision": "fp32"}, {"precision": "w2a8"},
    {"precision": "w5a7"}, {"precision": "w8a8", "bias": "int32"}, {"precision": "w8a8", "target": "onnxruntime"},
    {"precision": "w4a8", "weights": WeightOptions(granularity=BlockSize(16))},
    {"precision": "w8a8", "bypass": ("fc2",), "target": "htp_v73"}]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_other_recipes_pass(model: Model, calibrated: Calibrated, data: Dataset, tmp_path: Path, recipe: dict[str, Any]) -> None:
    export(calibrated(model, **recipe), tmp_path / "out", allow_illegal=True)
    found = verify(tmp_path / "out", data, samples=16)
    assert found.passed, _failed(found)
    assert bool([s for s in found.statements if "fp16" in s]) == (recipe["precision"] == "fp16" or "bypass" in recipe)


def test_raised_opsets_are_stated(small: Callable[[int], Model], calibrated: Calibrated, data: Dataset, tmp_path: Path) -> None:
    export(calibrated(small(13), precision="w8a16"), tmp_path / "out")
    found = verify(tmp_path / "out", data)
    assert found.passed, _failed(found)
    assert any("has opset 21" in s and "keeps opset 13" in s for s in found.statements)


def _edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _entry(content: dict[str, Any], name: str) -> dict[str, Any]:
    return next(e for e in content["activation_encodings"] + content["param_encodings"] if e["name"] == name)


def _initializer(proto: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(t for t in proto.graph.initializer if t.name == name)


def _double(proto: onnx.ModelProto, name: str) -> None:
    _initializer(proto, name).CopyFrom(numpy_helper.from_array(np.float32(2) * numpy_helper.to_array(_initializer(proto, name)), name))


def _flip(proto: onnx.ModelProto, name: str) -> None:
    values = numpy_helper.to_array(_initializer(proto, name)).copy()
    values.reshape(-1)[3] ^= 1
    _initializer(proto, name).CopyFrom(numpy_helper.from_array(values, name))


def _without_quantizer(proto: onnx.ModelProto, tensor: str) -> None:
    """The tensor's readers get its float values."""
    for node in [n for n in proto.graph.node if n.name.startswith(f"{tensor}__")]:
        proto.graph.node.remove(node)
    for node in proto.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = tensor if name == f"{tensor}__dequantized" else name


def _second_quantizer(proto: onnx.ModelProto, tensor: str) -> None:
    """A copy of its Q/DQ pair behind it."""
    at = next(i for i, n in enumerate(proto.graph.node) if n.name == f"{tensor}__dequantize")
    pair = [n for n in proto.graph.node if n.name in (f"{tensor}__quantize", f"{tensor}__dequantize")]
    again = [onnx.NodeProto.FromString(n.SerializeToString()) for n in pair]
    again[0].input[0], again[0].output[0] = pair[1].output[0], f"{tensor}__q2"
    again[1].input[0], again[1].output[0] = f"{tensor}__q2", "unread"
    again[0].name, again[1].name = "again", "again2"
    again[1].output[0] = pair[1].output[0] + "__dequantized"
    nodes = [*proto.graph.node[:at + 1], *again, *proto.graph.node[at + 1:]]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


EXTRA = {"name": "fc1.product", "dtype": "FLOAT", "enc_type": "PER_TENSOR", "bw": 16}
ENCODINGS = {
    "one scale": (lambda c: _entry(c, "relu.out").update(scale=[0.5]), "encodings files agree", "relu.out"),
    "one channel's scale": (lambda c: _entry(c, "stem.weight")["scale"].__setitem__(2, 0.123), "encodings files agree", "stem.weight"),
    "a missing tensor": (lambda c: c["activation_encodings"].remove(_entry(c, "relu.out")), "every quantizer once", "relu.out"),
    "a missing weight": (lambda c: c["param_encodings"].remove(_entry(c, "fc2.weight")), "every quantizer once", "fc2.weight"),
    "a missing carried tensor": (lambda c: c["activation_encodings"].remove(_entry(c, "flat.out")), "every quantizer once", "flat.out"),
    "another width": (lambda c: _entry(c, "fc1.weight").update(bw=8, offset=[-128] * 32), "bit widths as asked", "fc1.weight"),
    "a carried tensor's scale": (lambda c: _entry(c, "flat.out").update(scale=[0.5]), "carried encodings agree", "flat.out"),
    "one too many": (lambda c: c["activation_encodings"].append(EXTRA), "every quantizer once", "fc1.product"),
}


@pytest.mark.parametrize("case", ENCODINGS)
def test_changed_encodings_are_caught(folder: Path, data: Dataset, case: str) -> None:
    change, check, tensor = ENCODINGS[case]
    _edit_json(folder / "model.encodings", change)
    _rehash(folder)
    found = verify(folder, data, samples=16)
    failed = _failed(found)
    assert not found.passed and tensor in failed[check] and found.sentence.startswith("Not proven")
    assert (tensor in found.missing_encodings) == case.startswith("a missing")


QDQ: dict[str, tuple[Callable[[onnx.ModelProto], None], str]] = {
    "an activation's scale": (lambda p: _double(p, "relu.out__scale"), "relu.out"),
    "a weight's code": (lambda p: _flip(p, "stem.weight__q"), "stem.weight"),
    "a removed quantizer": (lambda p: _without_quantizer(p, "relu.out"), "relu.out"),
    "a second quantizer": (lambda p: _second_quantizer(p, "relu.out"), "relu.out"),
}


@pytest.mark.parametrize("case", QDQ)
def test_a_changed_qdq_model_is_caught(folder: Path, data: Dataset, case: str) -> None:
    change, tensor = QDQ[case]
    proto = onnx.load(folder / "model_qdq.onnx")
    change(proto)
    onnx.save(proto, folder / "model_qdq.onnx")
    _rehash(folder)
    found = verify(folder, data, samples=16)
    assert not found.passed and tensor in _failed(found)["QDQ model agrees"]
    if case == "an activation's scale":
        assert found.first_divergence is not None and found.first_divergence.tensor == tensor
        assert found.first_divergence.op_type == "Relu"


def test_a_changed_graph_is_caught_by_running_it(folder: Path, data: Dataset) -> None:
    proto = onnx.load(folder / "model_qdq.onnx")
    next(n for n in proto.graph.node if n.name == "relu1").op_type = "Abs"
    onnx.save(proto, folder / "model_qdq.onnx")
    _rehash(folder)
    found = verify(folder, data)
    assert set(_failed(found)) == {"file and simulation agree", "tensor by tensor"}
    assert found.first_divergence is not None and found.first_divergence.node == "relu1"


def test_any_change_is_seen_by_its_hash(folder: Path, data: Dataset) -> None:
    with (folder / "model.encodings").open("a") as file:
        file.write("\n")
    assert "model.encodings was changed" in _failed(verify(folder, data, samples=4))["unchanged since the export"]


@pytest.mark.parametrize("name", ["model.onnx", "model.encodings", "model_0.6.1.encodings", "model_qdq.onnx", "report.json"])
def test_truncated_files_are_one_line(folder: Path, data: Dataset, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadInput) as caught:
        verify(folder, data)
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.onnx", "model_qdq.onnx", "recipe.yaml", "report.json"])
def test_missing_files_are_named(folder: Path, data: Dataset, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadInput, match=name.replace(".", r"\.")):
        verify(folder, data)


def test_another_precision_in_the_report_is_caught(folder: Path, data: Dataset) -> None:
    _edit_json(folder / "report.json", lambda c: c["layers"][0].update(precision="w4a8"))
    assert "stem" in _failed(verify(folder, data, samples=4))["bit widths as asked"]


def test_wrong_data_and_cancel(folder: Path, data: Dataset) -> None:
    with pytest.raises(BadInput, match="image"):
        verify(folder, Dataset("other", {"picture": np.zeros((4, 3, 8, 8), np.float32)}))

    def progress(fraction: float, message: str) -> None:
        if fraction > 0.3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        verify(folder, data, progress)
    assert not (folder / "certificate.json").exists()


def test_flags_of_this_and_of_no_cpu(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor : 0\nflags\t\t: fpu avx2 avx512_vnni\n")
    assert cpu_flags(path) == {"fpu", "avx2", "avx512_vnni"}
    assert cpu_flags(tmp_path / "none") == frozenset()
