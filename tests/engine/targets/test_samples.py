"""Placement and resolution on the sample models: the rules that decide a real network's accuracy."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.graph import Model, load_model
from engine.progress import silent
from engine.ptq.fold_batch_norm import FoldBatchNorm, fold_batch_norm
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim
from engine.targets import Placement, load_target, place, resolve, target_names

SAMPLES = Path(__file__).parents[3] / "sample_models"
NAMES = ("fashion_mobilenet", "fashion_vit")


def sample(name: str) -> Model:
    path = SAMPLES / name / "model.onnx"
    if not path.is_file():
        pytest.skip(f"{path} has not been made")
    return load_model(path)


@pytest.fixture(scope="module")
def folded() -> tuple[Model, Placement]:
    sim = QuantSim(sample("fashion_mobilenet"), Recipe())
    fold_batch_norm(sim, None, FoldBatchNorm(), silent)
    return sim.model, place(sim.model, load_target("htp_v73"))


def reader_types(model: Model, tensor: str) -> set[str]:
    return {user.op_type for user, _ in model.values[tensor].uses()}


def test_depthwise_layers_of_the_mobilenet_keep_their_own_quantizer(folded: tuple[Model, Placement]) -> None:
    model, placement = folded
    clipped = [layer for layer in model.layers if reader_types(model, layer.output) == {"Clip"}]
    assert {layer.kind for layer in clipped} >= {"depthwise", "pointwise"}
    for layer in clipped:
        slot = placement.slots[layer.output]
        assert slot.quantized == (layer.kind == "depthwise"), placement.explain(layer.output)
        assert (placement.units[layer.name] == layer.name) == (layer.kind == "depthwise")


def test_linear_bottlenecks_and_shortcuts_of_the_mobilenet_have_one_encoding_each(folded: tuple[Model, Placement]) -> None:
    model, placement = folded
    adds = [node for node in model.graph if node.op_type == "Add"]
    assert adds
    for node in adds:
        for value in (*node.inputs, *node.outputs):
            assert value is not None and placement.slots[str(value.name)].quantized
            assert placement.slots[str(value.name)].tied is None


def test_the_vision_transformer_runs_its_patterns_as_one_op() -> None:
    model = sample("fashion_vit")
    placement = place(model, load_target("htp_v73"))
    for node in model.graph:
        output = placement.slots.get(str(node.outputs[0].name))
        if node.op_type in ("LayerNormalization", "Gelu", "Softmax"):
            assert output is not None and output.quantized
            assert (output.fixed_range == (0.0, 1.0)) == (node.op_type == "Softmax")
        if node.op_type == "MatMul" and placement.units[str(node.name)] != node.name:
            assert output is not None and not output.quantized and "MatMul with its bias" in output.reason
    dynamic = [n for n in model.graph if n.op_type == "MatMul" and all(v is not None and v.const_value is None for v in n.inputs)]
    assert len(placement.dynamic_pairs) == len(dynamic) >= 4
    assert all(placement.slots[pair.second].symmetric for pair in placement.dynamic_pairs)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", target_names())
def test_every_float_tensor_of_a_sample_is_explained(name: str, target: str) -> None:
    model = sample(name)
    placement = place(model, load_target(target))
    for tensor in model.values:
        words = placement.explain(tensor)
        assert words.startswith(tensor) and words.endswith(".") and len(words) > len(tensor) + 20
    assert {layer.weight for layer in model.layers} <= set(placement.weights)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["fp16", "w8a16", "w8a8", "w4a8"])
def test_uniform_recipes_of_a_sample_are_legal_and_have_no_boundaries(name: str, precision: str) -> None:
    model, target = sample(name), load_target("htp_v73")
    plan = resolve(model, Recipe(precision=precision), target, strict=True)  # type: ignore[arg-type]
    assert {str(layer.precision) for layer in plan.layers} == {precision}
    assert plan.boundaries == () and not any(layer.reason for layer in plan.layers)


def test_one_wide_layer_of_the_mobilenet_widens_what_it_reads(folded: tuple[Model, Placement]) -> None:
    model, placement = folded
    layer = next(layer for layer in model.layers if layer.kind == "depthwise")
    plan = resolve(model, Recipe(layers={layer.name: "w8a16"}), load_target("htp_v73"), placement)  # type: ignore[arg-type]
    assert str(plan.layer(layer.name).precision) == "w8a16"
    assert plan.types[layer.reads[0]].bits == 16
    assert len(plan.boundaries) == 2
