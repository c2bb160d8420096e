"""Targets as data: what the bundled ones say, what a bad file is told, and AIMET's configuration as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput
from engine.quant.granularity import PerTensor
from engine.quant.precision import Int, Precision
from engine.targets import load_target, place, target_names
from engine.targets.target import target_from
from tests.engine.targets.graphs import build

P = Precision.parse
AIMET: dict[str, Any] = {
    "defaults": {
        "hw_version": "V73",
        "ops": {"is_output_quantized": "True"},
        "params": {"is_quantized": "True", "is_symmetric": "True"},
        "strict_symmetric": "False",
        "unsigned_symmetric": "False",
        "per_channel_quantization": "True",
        "supported_kernels": [
            {"activation": {"bitwidth": 16, "dtype": "int"}, "param": {"bitwidth": 8, "dtype": "int"}},
            {"activation": {"bitwidth": 16, "dtype": "float"}, "param": {"bitwidth": 16, "dtype": "float"}},
        ],
    },
    "params": {"bias": {"is_quantized": "False"}},
    "op_type": {
        "Squeeze": {"is_output_quantized": "False"},
        "Elu": {"is_output_quantized": "False"},
        "Cast": {"is_output_quantized": "True"},
        "Gemm": {"per_channel_quantization": "False"},
        "Softmax": {"encoding_constraints": {"min": 0.0, "max": 1.0}},
        "LayerNorm": {"params": {"weight": {"is_symmetric": "False"}}},
    },
    "supergroups": [{"op_list": ["Conv", "Relu"]}, {"op_list": ["MatMul", "Add"]}, {"op_list": ["Add", "Tanh"]}],
    "model_input": {"is_input_quantized": "True"},
    "model_output": {},
}


def written(path: Path, data: object) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_the_bundled_targets() -> None:
    assert target_names() == ("generic", "htp_v73", "onnxruntime")
    htp = load_target("htp_v73")
    assert {str(p) for p in htp.precisions} == {"fp16", "w8a16", "w8a8", "w4a8"}
    assert htp.symmetry_of_weights("Conv") == "symmetric" and htp.symmetry_of_weights("LayerNormalization") == "asymmetric"
    generic = load_target("generic")
    assert all(P(name) in generic.precisions for name in ("w2a2", "w16a16", "w5a11", "bf16", "fp16", "fp32"))
    assert not load_target("onnxruntime").why_illegal(P("w8a8"), "Conv")
    assert load_target("onnxruntime").why_illegal(P("w8a16"), "Conv")


@pytest.mark.parametrize(("asked", "raised"), [("w4a16", "w8a16"), ("w2a8", "w4a8"), ("w8afp16", "wfp16afp16"), ("w16a16", None)])
def test_the_nearest_legal_weights(asked: str, raised: str | None) -> None:
    found = load_target("htp_v73").raised_weights(P(asked), "Conv")
    assert found == (None if raised is None else P(raised).weights)


def test_an_exception_is_legal_for_its_ops_alone() -> None:
    target = load_target("onnxruntime")
    assert not target.why_illegal(P("w4afp32"), "MatMul") and target.why_illegal(P("w4afp32"), "Conv")
    assert "recurrent" in target.why_illegal(P("w8a8"), "LSTM")


def test_a_target_of_ones_own_is_a_file(tmp_path: Path) -> None:
    data = json.loads((Path(load_target.__code__.co_filename).parent / "data" / "htp_v73.json").read_text())
    data["precisions"], data["name"] = ["w4-8a8"], "mine"
    target = load_target(written(tmp_path / "mine.json", data))
    assert target.name == "mine" and len(target.precisions) == 5 and Precision(Int(6), Int(8)) in target.precisions


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"precisions": ["w1a8"]}, "precisions: 'w1a8'"),
        ({"precisions": ["w9q"]}, "'w9q' is no precision"),
        ({"activations": {"symmetry": "odd"}}, "activations.symmetry is 'odd'"),
        ({"fixed_ranges": {"Softmax": [1, 0]}}, "fixed_ranges.Softmax is"),
        ({"supergroups": [["Conv"]]}, r"supergroups\[0\] is"),
        ({"norms": {"LayerNormalization": {"min_bits": 99}}}, "norms.LayerNormalization.min_bits is '99'"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_bad_target_is_told_the_file_the_place_and_the_value(tmp_path: Path, change: dict[str, object], words: str) -> None:
    data = json.loads((Path(load_target.__code__.co_filename).parent / "data" / "htp_v73.json").read_text())
    with pytest.raises(BadInput, match=words) as error:
        load_target(written(tmp_path / "t.json", {**data, **change}))
    assert "t.json" in str(error.value) and len(str(error.value)) < 700


@pytest.mark.parametrize("text", ["[1, 2]", "{", "null", '{"a": 1}', "[" * 5000])
def test_a_file_that_is_no_target(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput):
        load_target(written(tmp_path / "t.json", text))


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(BadInput, match="Did you mean 'htp_v73'"):
        load_target("htp_v37")
    with pytest.raises(BadInput, match="cannot be read"):
        load_target("/nowhere/t.json")


def test_aimets_configuration_is_a_target(tmp_path: Path) -> None:
    target = load_target(written(tmp_path / "htp.json", AIMET))
    assert target.name == "htp" and target.precisions == {P("w8a16"), P("fp16")}
    assert target.weight_symmetry == "symmetric" and target.symmetry_of_weights("LayerNormalization") == "asymmetric"
    assert "Conv" in target.per_channel_ops and "Gemm" not in target.per_channel_ops
    assert target.fixed_ranges == {"Softmax": (0.0, 1.0)}
    assert target.supergroups == ((frozenset({"Conv"}), frozenset({"Relu"})), (frozenset({"Add"}), frozenset({"Tanh"})))
    assert {"Elu", "Squeeze", "Gather"} <= target.no_output_quantizer and "Cast" not in target.no_output_quantizer
    assert target.model_inputs_quantized and target.activation_symmetry == "asymmetric"


def test_a_configuration_without_kernels_has_the_precisions_of_the_hardware(tmp_path: Path) -> None:
    defaults = {key: value for key, value in AIMET["defaults"].items() if key != "supported_kernels"}
    target = load_target(written(tmp_path / "t.json", {**AIMET, "defaults": defaults}))
    assert target.precisions == load_target("htp_v73").precisions


def test_placement_follows_aimets_configuration(tmp_path: Path) -> None:
    model = build(
        ["g = Gemm(x, w) -> a", "e = Elu(a) -> b", "s = Add(b, b) -> c", "t = Tanh(c) -> d", "m = Gemm(d, v) -> y"],
        {"x": (2, 4)},
        ["y"],
        {"w": (4, 4), "v": (4, 4)},
    )
    placement = place(model, load_target(written(tmp_path / "htp.json", AIMET)))
    assert {n for n, s in placement.slots.items() if s.quantized} == {"x", "a", "d", "y"}
    assert "puts no quantizer behind Elu" in placement.explain("b")
    assert placement.weights["w"].granularity == PerTensor()


def test_symmetry_words_of_aimet(tmp_path: Path) -> None:
    data = json.loads(json.dumps(AIMET))
    data["defaults"]["strict_symmetric"] = "True"
    data["defaults"]["ops"]["is_symmetric"] = "True"
    assert load_target(written(tmp_path / "a.json", data)).weight_symmetry == "strict"
    data["defaults"]["unsigned_symmetric"] = "True"
    assert load_target(written(tmp_path / "b.json", data)).activation_symmetry == "unsigned"
    del data["model_input"]["is_input_quantized"]
    assert not load_target(written(tmp_path / "c.json", data)).model_inputs_quantized


@pytest.mark.parametrize(
    ("section", "value", "words"),
    [
        ("model_input", {"is_input_quantized": "yes"}, 'expected "True" or "False"'),
        ("op_type", [], "op_type is a list"),
        ("supergroups", [{"ops": []}], "expected an object with op_list"),
        ("defaults", {"supported_kernels": [{"param": 3}]}, "supported_kernels holds"),
    ],
)
def test_a_bad_configuration_of_aimet_is_told(tmp_path: Path, section: str, value: object, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        load_target(written(tmp_path / "t.json", {**AIMET, section: value}))


def test_constraints_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    data = {**AIMET, "op_type": {"Softmax": {"encoding_constraints": {"min": "0", "max": None}}}}
    with pytest.raises(BadInput, match="fixed_ranges"):
        load_target(written(tmp_path / "t.json", data))


def test_schema_errors_on_any_mapping() -> None:
    with pytest.raises(BadInput, match="memory: the object"):
        target_from({}, "memory")
