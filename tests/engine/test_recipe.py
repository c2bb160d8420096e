"""The recipe: the documented format, exact round trips, edits by path, precedence, and errors that help."""
from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import BadInput
from engine.quant.precision import BF16, FP16, FP32, Int, Precision
from engine.quant.ranges import Entropy, MinMax, Mse, Percentile, Sqnr
from engine.recipe import (
    ActivationOptions,
    BlockSize,
    CalibrationOptions,
    EncodingsFile,
    LayerRequest,
    ModelRef,
    Recipe,
    Step,
    TensorRequest,
    WeightOptions,
    check_names,
    load_recipe,
    match_bypass,
    match_layers,
    match_tensors,
)
from engine.recipe.parts import STEP_NAMES

DOCUMENTED = """
mixdown: 1
model: {path: model.onnx}
target: htp_v73
precision: w8a8
candidates: [fp16, w8a16, w8a8, w4a8]
weights: {granularity: per_channel}
activations: {symmetric: false}
bias: float
layers:
  features.3.conv: w4a8
  classifier: {precision: w8a16, weights: {granularity: per_tensor}}
  "op:Gemm": w8a16
bypass: [features.0.conv]
tensors: {logits: {type: a16}, x: {min: 0, max: 6}}
encodings: {file: fixed.encodings, frozen: "*"}
calibration: {method: min_max, samples: 256, seed: 0}
steps: [fold_batch_norm, cle, {adaround: {iterations: 2000}}]
"""

floats = st.floats(-1e6, 1e6, allow_nan=False)
types = st.sampled_from([FP16, BF16, FP32]) | st.integers(2, 16).map(Int)
precisions = st.builds(Precision, types, types)
names = st.text(min_size=1, max_size=12)
flags = st.none() | st.booleans()
methods = st.sampled_from([MinMax(), Mse(), Entropy(), Sqnr(), Percentile()]) | st.builds(
    Percentile, st.floats(50, 100, exclude_min=True)) | st.builds(Sqnr, st.floats(0.1, 100))
weights = st.builds(
    WeightOptions,
    st.none() | st.sampled_from(["per_tensor", "per_channel"]) | st.builds(BlockSize, st.integers(1, 4096)),
    flags | st.just("strict"),
    st.none() | methods)
layer_requests = st.builds(LayerRequest, precisions, st.none() | weights)
pairs = st.tuples(floats, floats).filter(lambda p: p[0] < p[1])
tensor_requests = st.builds(
    lambda t, s, p, m: TensorRequest(t, s, *(p or (None, None)), m), types, flags, st.none() | pairs, st.none() | methods)
plain = st.recursive(st.booleans() | st.integers(-10**6, 10**6) | floats | st.text(max_size=8),
                     lambda v: st.lists(v, max_size=3) | st.dictionaries(names, v, max_size=3), max_leaves=5)
steps = st.builds(Step, st.sampled_from(STEP_NAMES), st.dictionaries(names, plain, max_size=3))
recipes = st.builds(
    Recipe,
    precision=precisions,
    target=names,
    model=st.none() | st.builds(ModelRef, st.none() | names, st.none() | st.just("0f" * 32)),
    candidates=st.lists(precisions, min_size=1, max_size=7, unique=True).map(tuple),
    weights=weights,
    activations=st.builds(ActivationOptions, flags),
    bias=st.sampled_from(["float", "int32"]),
    layers=st.dictionaries(names, layer_requests, max_size=4),
    bypass=st.lists(names, max_size=3, unique=True).map(tuple),
    tensors=st.dictionaries(names, tensor_requests, max_size=3),
    encodings=st.none() | st.builds(EncodingsFile, names, names),
    calibration=st.builds(CalibrationOptions, methods, st.integers(1, 9999), st.integers(0, 2**32 - 1),
                          *[st.none() | methods] * 4),
    steps=st.none() | st.lists(steps, max_size=3).map(tuple))


@given(recipes)
@settings(max_examples=150, deadline=None)
def test_every_recipe_reads_back_the_same_from_yaml_and_json(recipe: Recipe) -> None:
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert Recipe.parse(recipe.to_dict()) == recipe
    again = pickle.loads(pickle.dumps(recipe))
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert again.fingerprint() == Recipe.from_yaml(recipe.to_yaml()).fingerprint()


def test_the_documented_format_is_read() -> None:
    recipe = Recipe.from_yaml(DOCUMENTED)
    assert recipe.layers == (
        ("features.3.conv", LayerRequest(Precision.parse("w4a8"))),
        ("classifier", LayerRequest(Precision.parse("w8a16"), WeightOptions("per_tensor"))),
        ("op:Gemm", LayerRequest(Precision.parse("w8a16"))))
    assert dict(recipe.tensors) == {"logits": TensorRequest(Int(16)), "x": TensorRequest(minimum=0.0, maximum=6.0)}
    assert recipe.activations.symmetric is False
    assert recipe.steps == (Step("fold_batch_norm"), Step("cle"), Step("adaround", {"iterations": 2000}))
    assert recipe.encodings == EncodingsFile("fixed.encodings", "*")
    assert Recipe.from_yaml("{mixdown: 1, tensors: {a: a16, b: {dtype: a16}, c: {type: int16}}}").tensors == tuple(
        (name, TensorRequest(Int(16))) for name in "abc")


def test_defaults_are_the_documented_ones_and_texts_work_in_python() -> None:
    assert Recipe.parse({"mixdown": 1}) == Recipe() == Recipe(precision="w8a8", target="htp_v73")  # type: ignore[arg-type]
    assert [str(p) for p in Recipe().candidates] == ["fp16", "w8a16", "w8a8", "w4a8"]
    assert Recipe().steps is None
    assert Recipe.parse({"mixdown": 1, "steps": []}).steps == ()
    assert Recipe(layers={"a": "w4a8"}).layer("a") == LayerRequest(Precision.parse("w4a8"))  # type: ignore[arg-type]


BAD = [
    ({"precision": "w8a8"}, "mixdown: None: expected the version"),
    ({"mixdown": 2}, "mixdown: 2: expected"),
    ({"mixdown": True}, "mixdown: True: expected"),
    ([], "a mapping"),
    ({"mixdown": 1, "precison": "w8a8"}, "unknown key 'precison'. Did you mean 'precision'"),
    ({"mixdown": 1, "precision": "w1a8"}, "precision: 'w1a8': expected a precision: wXaY"),
    ({"mixdown": 1, "precision": 8}, "precision: 8: expected a precision"),
    ({"mixdown": 1, "layers": {"a.b": {"precision": "w8a8", "wieghts": {}}}}, r'layers."a.b".wieghts: unknown key .* \'weights\''),
    ({"mixdown": 1, "layers": {"a": {"weights": {}}}}, "layers.a: .* expected a precision"),
    ({"mixdown": 1, "layers": {"a": {"precision": "w8a8", "weights": {"granularity": "per_chanel"}}}},
     r"layers\.a\.weights\.granularity: 'per_chanel': .*Did you mean 'per_channel'"),
    ({"mixdown": 1, "weights": {"granularity": {"per_block": 0}}}, r"weights\.granularity\.per_block: 0: expected"),
    ({"mixdown": 1, "weights": {"symmetric": "yes"}}, r"weights\.symmetric: 'yes': expected true, false or strict"),
    ({"mixdown": 1, "weights": {"method": "entropi"}}, r"weights\.method: unknown method .*'entropy'"),
    ({"mixdown": 1, "weights": {"method": {"percentile": {"valu": 1}}}}, r"weights\.method\.percentile\.valu: unknown key .*'value'"),
    ({"mixdown": 1, "calibration": {"method": {"percentile": 20}}}, "calibration.method.percentile: percentile 20.0: expected"),
    ({"mixdown": 1, "calibration": {"samples": 1.5}}, "calibration.samples: 1.5: expected a whole number"),
    ({"mixdown": 1, "candidates": []}, "candidates: .* expected 1 to 7"),
    ({"mixdown": 1, "candidates": [f"w{i}a8" for i in range(2, 10)]}, "candidates: .* expected 1 to 7"),
    ({"mixdown": 1, "candidates": ["w8a8", "fp8"]}, r"candidates\[1\]: 'fp8': expected a precision"),
    ({"mixdown": 1, "steps": ["adaruond"]}, r"steps\[0\]: unknown step 'adaruond'. Did you mean 'adaround'"),
    ({"mixdown": 1, "steps": "cle"}, "steps: 'cle': expected a list"),
    ({"mixdown": 1, "steps": [{"cle": {"x": float("nan")}}]}, r"steps\[0\]\.cle\.x: nan: expected a finite number"),
    ({"mixdown": 1, "tensors": {"x": {"min": 6, "max": 0}}}, "tensors.x: min is 6.0 and max is 0.0"),
    ({"mixdown": 1, "tensors": {"x": {"min": float("inf")}}}, "tensors.x.min: inf: expected a finite number"),
    ({"mixdown": 1, "tensors": {"x": {}}}, "tensors.x: .*at least one of"),
    ({"mixdown": 1, "tensors": {"x": "a99"}}, "tensors.x: 'a99': expected a data type"),
    ({"mixdown": 1, "bypass": "conv"}, "bypass: 'conv': expected a list"),
    ({"mixdown": 1, "bias": "int8"}, "bias: 'int8': expected float or int32"),
    ({"mixdown": 1, "model": {"sha256": "abc"}}, "model.sha256: 'abc': expected 64 hexadecimal digits"),
    ({"mixdown": 1, "encodings": {"frozen": "*"}}, "encodings: .* expected {file"),
    ({"mixdown": 1, "target": "x" * 5000}, "target: .*expected a name"),
]


@pytest.mark.parametrize(("data", "words"), BAD, ids=[words[:30] for _, words in BAD])
def test_what_is_wrong_is_said_with_file_path_and_what_was_expected(data: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        Recipe.parse(data, "my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@given(plain)
@example({"\n\x1b[2J": False})
@settings(deadline=None)
def test_random_values_never_end_in_a_traceback(value: Any) -> None:
    for data in (value, {"mixdown": 1, "layers": value}, *({"mixdown": 1, key: value} for key in ("calibration", "steps", "tensors"))):
        message = ""
        try:
            Recipe.parse(data)
        except BadInput as error:
            message = str(error)
        assert "\n" not in message


SETS = [
    ("precision", "w4a8", lambda r: str(r.precision) == "w4a8"),
    ("layers.features.3.conv", "w8a16", lambda r: str(r.layer("features.3.conv").precision) == "w8a16"),
    ("layers.features.3.conv.weights.granularity", "per_tensor",
     lambda r: r.layer("features.3.conv") == LayerRequest(Precision.parse("w4a8"), WeightOptions("per_tensor"))),
    ("layers.classifier.weights.granularity", "{per_block: 32}", lambda r: r.layer("classifier").weights.granularity == BlockSize(32)),
    ("layers.classifier.weights.granularity.per_block", "32", lambda r: r.layer("classifier").weights.granularity == BlockSize(32)),
    ("layers.new.one.weights.symmetric", "strict",
     lambda r: r.layer("new.one") == LayerRequest(r.precision, WeightOptions(symmetric="strict"))),
    ('layers."odd.precision"', "w4a16", lambda r: str(r.layer("odd.precision").precision) == "w4a16"),
    ('layers."odd.precision".precision', "w4a16", lambda r: str(r.layer("odd.precision").precision) == "w4a16"),
    ("layers.features.3.conv", "null", lambda r: r.layer("features.3.conv") is None),
    ("layers.op:Gemm", "fp16", lambda r: str(r.layer("op:Gemm").precision) == "fp16"),
    ("tensors.logits.max", "3", lambda r: dict(r.tensors)["logits"] == TensorRequest(Int(16), maximum=3.0)),
    ("tensors.a.b.min", "-1", lambda r: dict(r.tensors)["a.b"] == TensorRequest(minimum=-1.0)),
    ("calibration.samples", "64", lambda r: r.calibration.samples == 64),
    ("calibration.weights", "mse", lambda r: r.calibration.weights == Mse()),
    ("calibration.method.percentile.value", "99", lambda r: r.calibration.method == Percentile(99.0)),
    ("steps", "[]", lambda r: r.steps == ()),
    ("steps", "null", lambda r: r.steps is None),
    ("candidates", "[w8a8, w4a8]", lambda r: len(r.candidates) == 2),
    ("weights.granularity", "null", lambda r: r.weights == WeightOptions()),
    ("bypass", "[a, b]", lambda r: r.bypass == ("a", "b")),
]


@pytest.mark.parametrize(("key", "value", "holds"), SETS, ids=[f"{k}={v}" for k, v, _ in SETS])
def test_one_key_is_set_by_its_dotted_path(key: str, value: str, holds: Any) -> None:
    recipe = Recipe.from_yaml(DOCUMENTED)
    assert holds(recipe.set(key, value))
    assert recipe.set_text(f"{key}={value}") == recipe.set(key, value)
    assert recipe == Recipe.from_yaml(DOCUMENTED), "the original stays as it was"


def test_a_name_the_recipe_has_wins_over_a_key_of_the_format() -> None:
    recipe = Recipe(layers={"block": "w8a8", "block.weights": "w8a8"})  # type: ignore[arg-type]
    assert str(recipe.set("layers.block.weights", "w4a8").layer("block.weights").precision) == "w4a8"  # type: ignore[union-attr]
    changed = recipe.set("layers.block.weights.weights.granularity", "per_tensor").layer("block.weights")
    assert changed == LayerRequest(Precision.parse("w8a8"), WeightOptions("per_tensor"))


def test_a_name_with_an_equals_sign_can_be_quoted() -> None:
    assert Recipe().set_text('layers."a=b"=w4a8').layer("a=b") == LayerRequest(Precision.parse("w4a8"))


@pytest.mark.parametrize(("text", "words"), [
    ("precison=w8a8", "unknown key 'precison'. Did you mean 'precision'"),
    ("precision=w99a8", "precision: 'w99a8': expected a precision"),
    ("precision", "expected KEY=VALUE"),
    ("=w8a8", "expected KEY=VALUE"),
    ("calibration.sample=3", "unknown key 'sample'. Did you mean 'samples'"),
    ("calibration..samples=3", "name is missing"),
    ('layers."a=w8a8', "expected KEY=VALUE"),
    ("steps=[cle", "not valid YAML"),
    ("mixdown=2", "unknown key 'mixdown'"),
    ("bias.x=1", "bias: .*expected float or int32"),
])
def test_a_bad_assignment_is_one_clear_line(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        Recipe().set_text(text)
    assert str(caught.value).startswith("--set")
    assert "\n" not in str(caught.value)


def test_layers_and_bypass_change_by_copy() -> None:
    recipe = Recipe.from_yaml(DOCUMENTED)
    changed = recipe.with_layer("classifier", "w4a8")
    assert changed.layer("classifier") == LayerRequest(Precision.parse("w4a8"), WeightOptions("per_tensor")), "options stay"
    assert changed.with_layer("classifier", None).layer("classifier") is None
    both = recipe.with_layers({"a": Precision.parse("fp16"), "features.3.conv": None})
    assert [n for n, _ in both.layers] == ["classifier", "op:Gemm", "a"]
    assert recipe.with_bypass("x").bypass == ("features.0.conv", "x")
    assert recipe.with_bypass(["features.0.conv", "x", "x"]).bypass == ("features.0.conv", "x")
    assert recipe.with_bypass("features.0.conv", False).bypass == ()
    with pytest.raises(BadInput, match=r"layers.x: 'w0a0'"):
        recipe.with_layer("x", "w0a0")


def test_the_fingerprint_follows_the_content_and_not_the_path() -> None:
    recipe = Recipe.from_yaml(DOCUMENTED)
    assert recipe.fingerprint() == replace(recipe, model=ModelRef("elsewhere.onnx")).fingerprint()
    assert recipe.fingerprint() == replace(recipe, model=None).fingerprint()
    assert recipe.fingerprint() != replace(recipe, model=ModelRef(sha256="0" * 64)).fingerprint()
    assert recipe.fingerprint() != recipe.set("calibration.seed", 1).fingerprint()
    assert recipe.fingerprint() != replace(recipe, layers=recipe.layers[::-1]).fingerprint(), "the order decides between globs"


def test_the_range_method_of_a_class_of_tensors() -> None:
    recipe = Recipe(calibration=CalibrationOptions(method=Mse(), activations=Entropy(), weights=Sqnr()))
    assert recipe.method_for("activations") == recipe.method_for("inputs") == recipe.method_for("outputs") == Entropy()
    assert recipe.method_for("weights") == Sqnr()
    assert replace(recipe, weights=WeightOptions(method=MinMax())).method_for("weights") == MinMax()
    assert recipe.method_for("weights", Percentile()) == Percentile()
    assert Recipe().method_for("outputs") == MinMax()


@dataclass(frozen=True)
class Info:
    name: str
    op_type: str = "Conv"
    module: str = ""


LAYERS = [Info("features.0.conv", module="features.0"), Info("features.3.conv", module="features.3"),
          Info("Conv_7", module="head.conv"), Info("classifier", "Gemm", "head.fc")]


def matched(layers: dict[str, str]) -> dict[str, str]:
    recipe = Recipe(layers=layers)  # type: ignore[arg-type]
    return {name: str(request.precision) for name, request in match_layers(recipe, LAYERS).items()}


def test_the_exact_name_beats_the_module_beats_globs_beats_the_op_type() -> None:
    assert matched({"classifier": "w2a8", "head.fc": "w3a8", "class*": "w4a8", "op:Gemm": "w5a8"}) == {"classifier": "w2a8"}
    assert matched({"head.fc": "w3a8", "class*": "w4a8", "op:Gemm": "w5a8"}) == {"classifier": "w3a8"}
    assert matched({"class*": "w4a8", "op:Gemm": "w5a8"}) == {"classifier": "w4a8"}
    assert matched({"op:Gemm": "w5a8"}) == {"classifier": "w5a8"}


def test_the_later_glob_wins_and_globs_reach_modules() -> None:
    assert matched({"features.*": "w4a8", "*.3.*": "w8a8"}) == {"features.0.conv": "w4a8", "features.3.conv": "w8a8"}
    assert matched({"*.3.*": "w8a8", "features.*": "w4a8"}) == {"features.0.conv": "w4a8", "features.3.conv": "w4a8"}
    assert matched({"head.*": "fp16"}) == {"Conv_7": "fp16", "classifier": "fp16"}
    assert matched({}) == {}


def test_names_the_model_lacks_are_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"layers: the model has no layer 'clasifier'. Did you mean 'classifier'"):
        matched({"clasifier": "w8a8"})
    with pytest.raises(BadInput, match=r"no layer of the model is 'op:Gem'. Did you mean 'op:Gemm'"):
        matched({"op:Gem": "w8a8"})
    recipe = Recipe(bypass=("op:Conv", "classifier"), tensors={"logits": "a16", "act*": "a16", "act_1": "a8"})  # type: ignore[arg-type]
    assert match_bypass(recipe, LAYERS) == {layer.name for layer in LAYERS}
    found = match_tensors(recipe, ["logits", "act_1", "act_2"])
    assert {n: str(r.dtype) for n, r in found.items()} == {"act_1": "int8", "act_2": "int16", "logits": "int16"}
    check_names(recipe, LAYERS, ["logits", "act_1"])
    with pytest.raises(BadInput, match=r"tensors: the model has no tensor 'logits'. Did you mean 'logit'"):
        check_names(recipe, LAYERS, ["logit", "act_1"])
    with pytest.raises(BadInput, match=r"bypass: the model has no layer 'feature.0.conv'"):
        check_names(Recipe(bypass=("feature.0.conv",)), LAYERS, [])


def test_recipes_are_loaded_from_yaml_and_json_files(tmp_path: Path) -> None:
    recipe = Recipe.from_yaml(DOCUMENTED)
    (tmp_path / "r.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    (tmp_path / "r.json").write_text(recipe.to_json(), encoding="utf-8")
    assert load_recipe(tmp_path / "r.yaml") == load_recipe(tmp_path / "r.json") == recipe
    (tmp_path / "r.yaml").write_text("mixdown: 1\nprecision: w8a\n")
    with pytest.raises(BadInput, match=r"r\.yaml: precision: 'w8a': expected"):
        load_recipe(tmp_path / "r.yaml")
