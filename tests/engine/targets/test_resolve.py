"""The four rules of resolution and the hard cases of the design, each on a graph that shows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import BadInput, IllegalPrecision
from engine.graph import Model
from engine.quant.granularity import PerBlock, PerChannel, PerTensor
from engine.quant.precision import FP16, FP32, Int
from engine.quant.ranges import Mse, Percentile
from engine.recipe import (
    ActivationOptions,
    BlockSize,
    CalibrationOptions,
    LayerRequest,
    Recipe,
    TensorRequest,
    WeightOptions,
)
from engine.targets import Boundary, Plan, load_target, resolve
from tests.engine.targets.graphs import build, chain, ints

IMAGE = {"x": (1, 4, 8, 8)}
SQUARE = (4, 4, 1, 1)
I4, I8, I16 = Int(4), Int(8), Int(16)


def plan(model: Model, target: str = "htp_v73", strict: bool = False, **recipe: object) -> Plan:
    return resolve(model, Recipe(target=target, **recipe), load_target(target), strict=strict)  # type: ignore[arg-type]


def fork() -> Model:
    """`x → a → t`, which both `b` and `c` read."""
    return build(
        ["a = Conv(x, wa) -> t", "b = Conv(t, wb) -> u", "c = Conv(t, wc) -> v"],
        IMAGE,
        ["u", "v"],
        {"wa": SQUARE, "wb": SQUARE, "wc": SQUARE},
    )


# Rule 1


def test_a_layer_requests_its_weight_and_what_it_reads() -> None:
    result = plan(chain(), layers={"c1": "w4a8", "c2": "w8a16"})
    assert {n: w.dtype for n, w in result.weights.items()} == {"w0": I8, "w1": I4, "w2": I8}
    assert {n: a.dtype for n, a in result.activations.items()} == {"x": I8, "t0": I8, "t1": I16, "t2": I8}
    assert str(result.layer("c2").precision) == "w8a16" and result.layer("c2").reason == ""


def test_a_model_output_is_at_the_base() -> None:
    assert plan(chain(), precision="w8a16", layers={"c2": "w8a8"}).activations["t2"].dtype == I16


def test_an_op_without_weights_requests_what_the_recipe_says_else_the_base() -> None:
    model = build(["c = Conv(x, w) -> a", "p = GlobalAveragePool(a) -> y"], IMAGE, ["y"], {"w": SQUARE})
    assert plan(model).activations["a"].dtype == I8
    assert plan(model, layers={"op:GlobalAveragePool": "w8a16"}).activations["a"].dtype == I16
    assert plan(model, layers={"p": "w8a16"}).activations["a"].dtype == I16
    with pytest.raises(BadInput, match="no layer"):
        plan(model, layers={"op:Softmax": "w8a16"})


def test_a_layers_name_means_the_layer_alone_and_a_module_its_ops_too() -> None:
    model = build(
        ["m.c = Conv(x, w) -> a", "m.c.pool = MaxPool(a) -> b", "m.act = Tanh(b) -> y"],
        IMAGE,
        ["y"],
        {"w": SQUARE},
        attributes={"m.c.pool": {"kernel_shape": [2, 2]}},
    )
    assert plan(model, layers={"m.c": "w8a16"}).types == {"x": I16, "a": I8, "b": I8, "y": I8}
    assert plan(model, layers={"m": "w8a16"}).types == {"x": I16, "a": I16, "b": I16, "y": I8}
    assert plan(model, layers={"m.*": "w8a16"}).types["a"] == I16


def test_a_recurrent_layer_requests_the_sequence_alone() -> None:
    model = build(
        ["l = LSTM(x, w, r, , , h0, c0) -> seq, hn, cn"],
        {"x": (5, 1, 4), "h0": (1, 1, 3), "c0": (1, 1, 3)},
        ["seq", "hn"],
        {"w": (1, 12, 4), "r": (1, 12, 3)},
        attributes={"l": {"hidden_size": 3}},
    )
    result = plan(model, layers={"l": "w8a16"})
    assert set(result.activations) == {"x", "seq"} and result.activations["x"].dtype == I16
    assert result.types["h0"] == result.types["hn"] == FP32
    assert {w.dtype for w in result.weights.values()} == {I8} and len(result.weights) == 2


# Rule 2


def test_a_tensor_takes_the_most_bits_that_any_reader_requests() -> None:
    result = plan(fork(), layers={"b": "w8a16"})
    assert result.activations["t"].dtype == I16
    assert result.activations["t"].reason == "b reads t and asks for w8a16"
    assert str(result.layer("c").precision) == "w8a16" and str(result.layer("c").requested) == "w8a8"
    assert result.layer("c").reason == "t is int16: b reads t and asks for w8a16"


def test_tensors_beat_all() -> None:
    result = plan(fork(), layers={"b": "w8a16"}, tensors={"t": TensorRequest(I8)})
    assert result.activations["t"].dtype == I8 and str(result.layer("b").precision) == "w8a8"


def test_an_integer_reader_makes_the_tensor_integer_and_float_readers_get_it_dequantized() -> None:
    result = plan(fork(), layers={"b": "fp16"})
    assert result.activations["t"].dtype == I8 and result.weights["wb"].dtype == FP16
    layer = result.layer("b")
    assert str(layer.precision) == "fp16" and layer.legal
    assert "dequantized from int8" in layer.reason
    assert Boundary("t", I8, FP16, "b") in result.boundaries


def test_float_readers_alone_give_the_tensor_their_type() -> None:
    result = plan(fork(), layers={"b": "fp16", "c": "fp16"})
    assert result.activations["t"].dtype == FP16


def test_fp32_readers_alone_leave_the_tensor_without_a_quantizer() -> None:
    result = plan(fork(), "generic", layers={"b": "fp32", "c": "fp32"})
    assert "t" not in result.activations and "wb" not in result.weights and "x" in result.activations


def test_base_fp32_quantizes_nothing() -> None:
    result = plan(fork(), "generic", precision="fp32")
    assert not result.activations and not result.weights and not result.boundaries
    assert all(layer.legal for layer in result.layers)


# Rule 3


def test_moved_tensors_share_a_type_with_their_source() -> None:
    model = build(
        ["c = Conv(x, w) -> a", "t = Transpose(a) -> b", "d = Conv(b, u) -> y"],
        IMAGE,
        ["y"],
        {"w": SQUARE, "u": (4, 8, 1, 1)},
        attributes={"t": {"perm": [0, 2, 1, 3]}},
    )
    result = plan(model, layers={"d": "w8a4"})
    assert result.types["a"] == result.types["b"] == I4  # the Transpose itself asks for nothing
    assert "b" not in result.activations and str(result.layer("d").precision) == "w8a4"


def test_tied_tensors_share_a_type() -> None:
    model = build(
        ["c = Conv(x, w) -> a", "d = Conv(x, u) -> b", "k = Concat(a, b) -> e", "f = Conv(a, v) -> y", "g = Conv(e, z) -> o"],
        IMAGE,
        ["y", "o"],
        {"w": SQUARE, "u": SQUARE, "v": SQUARE, "z": (4, 8, 1, 1)},
        attributes={"k": {"axis": 1}},
    )
    result = plan(model, layers={"f": "w8a16"})
    assert {result.activations[n].dtype for n in "abe"} == {I16}
    assert {result.activations[n].tied for n in "abe"} == {"Concat k"}
    assert str(result.layer("g").precision) == "w8a16"


def test_one_symmetric_tensor_makes_its_tied_group_symmetric() -> None:
    model = build(["k = Concat(x, z) -> y"], {"x": (1, 4), "z": (1, 4)}, ["y"], attributes={"k": {"axis": 1}})
    result = plan(model, tensors={"x": TensorRequest(symmetric=True)})
    assert {a.symmetry for a in result.activations.values()} == {"symmetric"}


def test_shared_weights_are_one_group() -> None:
    model = build(["a = Conv(x, w) -> h", "b = Conv(h, w) -> y"], IMAGE, ["y"], {"w": SQUARE})
    result = plan(model, layers={"a": "w4a8"})
    assert result.weights["w"].dtype == I8
    assert str(result.layer("a").precision) == "w8a8"
    assert result.layer("a").reason == "it shares its weight with b, which asks for w8a8"


# Rule 4


def test_weights_go_up_where_propagation_made_an_illegal_combination() -> None:
    result = plan(fork(), layers={"b": "w8a16", "c": "w4a8"})
    layer = result.layer("c")
    assert str(layer.requested) == "w4a8" and str(layer.precision) == "w8a16" and layer.legal
    assert result.weights["wc"].dtype == I8
    assert "b reads t and asks for w8a16" in layer.reason and "weight raised from int4 to int8" in layer.reason


def test_strict_is_an_error_that_names_both_layers() -> None:
    with pytest.raises(IllegalPrecision, match=r"c asks for w4a8 but gets w4a16, because t is int16: b reads t"):
        plan(fork(), strict=True, layers={"b": "w8a16", "c": "w4a8"})


def test_what_the_target_does_not_have_stays_as_asked_and_is_called_illegal() -> None:
    result = plan(chain(), layers={"c1": "w4a16"})
    layer = result.layer("c1")
    assert str(layer.precision) == "w4a16" and not layer.legal and result.weights["w1"].dtype == I4
    assert layer.reason == "htp_v73 does not run Conv in w4a16; it runs fp16, w8a16, w8a8, w4a8"
    assert result.illegal() == (layer,)
    with pytest.raises(IllegalPrecision, match="c1: htp_v73 does not run Conv in w4a16"):
        plan(chain(), strict=True, layers={"c1": "w4a16"})


def test_an_illegal_base_is_illegal_everywhere_and_still_resolved() -> None:
    result = plan(chain(), precision="w3a8")
    assert len(result.illegal()) == 3 and all(str(layer.precision) == "w3a8" for layer in result.layers)
    assert not plan(chain(), "generic", precision="w3a8").illegal()


def test_a_raise_that_no_width_can_make_legal_leaves_the_layer_illegal() -> None:
    result = plan(fork(), layers={"b": "w8a12"})
    assert str(result.layer("c").precision) == "w8a12" and not result.layer("c").legal


def test_an_integer_weight_beside_a_float_tensor_is_raised_to_float() -> None:
    result = plan(chain(), tensors={"t0": TensorRequest(FP16)})
    assert str(result.layer("c1").precision) == "fp16" and result.weights["w1"].dtype == FP16


def test_a_shared_weight_is_raised_for_all_its_readers() -> None:
    model = build(
        ["a = Conv(x, w) -> h", "b = Conv(h, w) -> i", "c = Conv(i, w) -> j", "d = Conv(j, u) -> y"],
        IMAGE,
        ["y", "i"],
        {"w": SQUARE, "u": SQUARE},
    )
    result = plan(model, layers={"a": "w4a8", "b": "w4a8", "c": "w4a8"}, tensors={"h": TensorRequest(I16)})
    assert [str(layer.precision) for layer in result.layers] == ["w8a8", "w8a16", "w8a8", "w8a8"]


@pytest.mark.timeout(60)
def test_a_weight_shared_by_an_integer_and_a_float_layer_is_not_raised_in_turns_for_ever() -> None:
    model = build(["a = Conv(x, w) -> h", "b = Conv(h, w) -> y"], IMAGE, ["y"], {"w": SQUARE})
    result = plan(model, "generic", layers={"a": "w8a8", "b": "fp16"})
    assert [(str(layer.precision), layer.legal) for layer in result.layers] == [("wfp16a8", False), ("fp16", True)]
    with pytest.raises(IllegalPrecision, match="b asks for fp16"):
        plan(model, "generic", strict=True, layers={"a": "w8a8", "b": "fp16"})


def test_onnxruntime_runs_weight_only_matmuls_and_says_why() -> None:
    model = build(["m = MatMul(x, w) -> y"], {"x": (2, 8)}, ["y"], {"w": (8, 8)})
    assert plan(model, "onnxruntime", precision="fp32", layers={"m": "w4afp32"}).layer("m").legal
    assert "MatMulNBits" in plan(model, "onnxruntime", layers={"m": "w4a8"}).layer("m").reason


# Bypass


def test_a_bypassed_layer_and_what_only_it_reads_are_float() -> None:
    result = plan(chain(), bypass=["c1"])
    assert "t0" not in result.activations and "w1" not in result.weights and result.activations["t1"].dtype == I8
    layer = result.layer("c1")
    assert layer.bypassed and layer.precision.weights == layer.precision.activations == FP32
    assert str(layer.requested) == "w8a8" and layer.legal and layer.reason.startswith("bypassed")
    assert Boundary("t0", I8, FP32, "", "c0") in result.boundaries
    assert Boundary("t1", FP32, I8, "", "c1") in result.boundaries


def test_a_bypassed_layer_gets_what_others_read_dequantized() -> None:
    result = plan(fork(), bypass=["b"])
    assert result.activations["t"].dtype == I8
    assert Boundary("t", I8, FP32, "b") in result.boundaries
    assert plan(fork(), layers={"c": "fp16"}, bypass=["b"]).activations["t"].dtype == FP16


def test_a_bypassed_layer_with_a_shared_weight_says_so() -> None:
    model = build(["a = Conv(x, w) -> h", "b = Conv(h, w) -> y"], IMAGE, ["y"], {"w": SQUARE})
    layer = plan(model, bypass=["a"]).layer("a")
    assert str(layer.precision) == "w8afp32" and "with b, which asks for w8a8" in layer.reason


# Weights, norms, products of activations


def test_norm_scales_have_at_least_eight_bits_and_are_symmetric_from_sixteen() -> None:
    model = build(["n = LayerNormalization(x, s, b) -> y"], {"x": (2, 8)}, ["y"], {"s": (8,), "b": (8,)})
    four = plan(model, precision="w4a8").weights["s"]
    assert four.dtype == I8 and four.symmetry == "asymmetric" and "at least 8 bits" in four.reason
    assert plan(model, "htp_v73", precision="w16a16").weights["s"].symmetry == "symmetric"
    assert plan(model, precision="fp16").weights["s"].dtype == FP16


def test_rms_norm_scales_follow_the_output() -> None:
    model = build(["n = RMSNormalization(x, s) -> y"], {"x": (2, 8)}, ["y"], {"s": (8,)}, opset=23)
    assert plan(model, precision="w8a16").weights["s"].dtype == I16
    assert plan(model, precision="w4a8").weights["s"].dtype == I8


def test_a_wide_second_operand_is_symmetric_and_widens_the_first() -> None:
    model = build(["m = MatMul(q, k) -> y"], {"q": (1, 4, 8), "k": (1, 8, 4)}, ["y"])
    result = plan(model, tensors={"k": TensorRequest(I16)})
    assert result.activations["q"].dtype == I16 and result.activations["q"].symmetry == "asymmetric"
    assert result.activations["k"].symmetry == "symmetric"
    assert "wants the first as wide" in result.activations["q"].reason
    assert plan(model, "generic", tensors={"k": TensorRequest(I16)}).activations["q"].dtype == I8
    pinned = plan(model, tensors={"k": TensorRequest(I16), "q": TensorRequest(I8)})
    assert pinned.activations["q"].dtype == I8


def test_a_mask_has_no_type_whatever_is_asked() -> None:
    model = build(
        ["qk = MatMul(q, k) -> s", "add = Add(s, mask) -> m", "soft = Softmax(m) -> y"],
        {"q": (1, 4, 8), "k": (1, 8, 4), "mask": (1, 4, 4)},
        ["y"],
    )
    result = plan(model, precision="w8a16")
    assert set(result.activations) == {"q", "k", "s", "y"} and result.types["mask"] == FP32
    with pytest.raises(BadInput, match="mask cannot be given a type"):
        plan(model, tensors={"mask": TensorRequest(I8)})


def test_granularity_and_symmetry_come_from_the_layer_then_the_recipe_then_the_target() -> None:
    assert plan(chain()).weights["w0"].granularity == PerChannel(0)
    result = plan(
        chain(),
        weights=WeightOptions("per_tensor", "strict"),
        layers={"c1": LayerRequest("w8a8", WeightOptions("per_channel", False))},  # type: ignore[arg-type]
    )
    assert result.weights["w0"].granularity == PerTensor() and result.weights["w0"].symmetry == "strict"
    assert result.weights["w1"].granularity == PerChannel(0) and result.weights["w1"].symmetry == "asymmetric"
    assert plan(chain(), activations=ActivationOptions(True)).activations["t0"].symmetry == "symmetric"


def test_blocks_run_along_the_input_axis_and_must_fit() -> None:
    model = build(["m = MatMul(x, w) -> a", "n = MatMul(a, v) -> y"], {"x": (2, 64)}, ["y"], {"w": (64, 6), "v": (6, 4)})
    result = plan(model, "generic", weights=WeightOptions(BlockSize(32)))
    assert result.weights["w"].granularity == PerBlock(0, 32)
    assert result.weights["v"].granularity == PerChannel(1)
    assert "no blocks of 32: 32 does not divide the 6 inputs" in result.weights["v"].reason
    request = LayerRequest("w8a8", WeightOptions(BlockSize(32)))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="n: blocks of 32 do not fit v"):
        plan(model, "generic", layers={"n": request})


def test_range_methods_by_tensor_class_and_by_tensor() -> None:
    calibration = CalibrationOptions(weights=Mse(), activations=Percentile(99.9))
    result = plan(chain(), calibration=calibration, tensors={"t0": TensorRequest(method=Mse())})
    assert result.weights["w0"].method == Mse()
    assert result.activations["t1"].method == Percentile(99.9) and result.activations["t0"].method == Mse()


def test_ranges_of_the_recipe_reach_the_quantizer_that_they_mean() -> None:
    model = build(["c = Conv(x, w) -> a", "m = Mul(a, k) -> b", "f = Flatten(b) -> y"], IMAGE, ["y"], {"w": SQUARE, "k": 0.5})
    result = plan(model, tensors={"y": TensorRequest(minimum=-1.0, maximum=2.0)})
    assert (result.activations["a"].minimum, result.activations["a"].maximum) == (-2.0, 4.0)
    with pytest.raises(BadInput, match="w is a weight"):
        plan(model, tensors={"w": TensorRequest(minimum=0.0)})


def test_a_fixed_range_gives_way_to_the_recipe() -> None:
    model = build(["c = Conv(x, w) -> a", "s = Softmax(a) -> y"], IMAGE, ["y"], {"w": SQUARE})
    assert plan(model).activations["y"].fixed_range == (0.0, 1.0)
    assert plan(model, tensors={"y": TensorRequest(maximum=0.5)}).activations["y"].fixed_range is None


# Boundaries


def test_each_change_of_type_along_an_edge_is_one_boundary() -> None:
    assert plan(chain()).boundaries == ()
    result = plan(chain(), layers={"c1": "w8a16"})
    assert result.boundaries == (Boundary("t0", I8, I16, "", "c0"), Boundary("t1", I16, I8, "", "c1"))


def test_a_supergroup_makes_one_boundary_and_moves_make_none() -> None:
    model = build(
        ["c = Conv(x, w) -> a", "r = Relu(a) -> b", "f = Reshape(b, n) -> e", "g = MatMul(e, u) -> y"],
        IMAGE,
        ["y"],
        {"w": SQUARE, "n": ints(1, 256), "u": (256, 4)},
    )
    result = plan(model, layers={"g": "w8a16"})
    assert [(b.tensor, b.writer) for b in result.boundaries] == [("b", "r"), ("y", "g")]


def test_the_same_recipe_gives_the_same_plan() -> None:
    recipe = Recipe(layers={"c1": "w4a8"})  # type: ignore[arg-type]
    target = load_target("htp_v73")
    assert resolve(chain(), recipe, target) == resolve(chain(), replace(recipe), target)


def test_embeddings_take_the_layers_precision_and_their_output_its_readers() -> None:
    model = build(
        ["e = Gather(t, i) -> a", "m = MatMul(a, w) -> y"], {"i": (1, 6)}, ["y"], {"t": (10, 8), "w": (8, 8)}, {"i": "int64"}
    )
    result = plan(model, layers={"e": "w4a8", "m": "w8a16"})
    assert result.weights["t"].dtype == I4 and result.weights["t"].granularity == PerTensor()
    assert result.activations["a"].dtype == I16 and str(result.layer("e").precision) == "w4a8"


def test_random_recipes_on_htp_are_never_left_repairable() -> None:
    """Whatever legal precisions are mixed, the result is legal: rule 4 finds a way on this target."""
    model, rng = fork(), np.random.default_rng(0)
    for _ in range(100):
        layers = {n: str(rng.choice(["fp16", "w8a16", "w8a8", "w4a8"])) for n in "abc"}
        assert not plan(model, precision=str(rng.choice(["w8a8", "w8a16"])), layers=layers).illegal(), layers
