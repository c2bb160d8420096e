"""Every cause on a model built to have exactly that fault, and on its twin without it."""
from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from engine.analysis.diagnosis import Diagnosis, Remedy, apply_change, diagnose
from engine.analysis.diagnosis.causes import CAUSES
from engine.analysis.diagnosis.thresholds import MIN_GAIN_DB
from engine.data import Dataset, load_data
from engine.errors import BadInput
from engine.graph import Model, load_model
from engine.ptq import apply_steps
from engine.recipe import Recipe
from engine.sim.calibration import gather
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net, model, weights

INPUTS, OUTPUTS, SAMPLES = 32, 16, 40
PER_TENSOR = {"weights": {"granularity": "per_tensor"}}


def gemm(weight: np.ndarray) -> Model:
    """x → Gemm `fc` → logits."""
    return model([helper.make_node("Gemm", ["x", "w"], ["logits"], name="fc", transB=1)], {"x": ["batch", INPUTS]},
                 {"logits": ["batch", OUTPUTS]}, {"w": weight})


def normal(scale: Any = 1.0, seed: int = 1) -> Dataset:
    """Normal values; `scale` may differ by channel."""
    x = np.random.default_rng(seed).normal(size=(SAMPLES, INPUTS)) * scale
    return Dataset("normal", {"x": x.astype(np.float32)})


def plain() -> np.ndarray:
    return weights(OUTPUTS, INPUTS)


def found(net: Model, data: Dataset, recipe: Mapping[str, Any], unseen: Dataset | None = None) -> tuple[Diagnosis, ...]:
    sim = QuantSim(net, Recipe.parse({"mixdown": 1, "target": "generic", **recipe}))
    sim.calibrate(data)
    return diagnose(sim, data, None if unseen is None else gather(sim.chain, unseen, sim.statistics))


def only(diagnoses: tuple[Diagnosis, ...], cause: str) -> Diagnosis:
    one, = (d for d in diagnoses if d.cause == cause)
    return one


def causes(diagnoses: tuple[Diagnosis, ...]) -> set[str]:
    return {d.cause for d in diagnoses}


def remedy(diagnosis: Diagnosis, title: str) -> Remedy:
    return next(r for r in diagnosis.remedies if title in r.title)


def test_a_healthy_layer_has_no_diagnosis() -> None:
    assert found(gemm(plain()), normal(), {"precision": "w8a8"}, normal(seed=2)) == ()


def test_clipping_of_an_activation() -> None:
    data = normal()
    clipped = only(found(gemm(plain()), data, {"precision": "w8a8", "tensors": {"x": {"min": -1.0, "max": 1.0}}}), "clipping")
    assert (clipped.layer, clipped.tensor) == ("fc", "x")
    assert clipped.severity > 0.95, "a third of all normal values lies beyond one standard deviation"
    best = clipped.remedies[0]
    assert best.title == "Full range" and best.gain_db is not None and best.gain_db > 20
    x = data.batch(0, SAMPLES)["x"]
    assert best.change == {"tensors": {"x": {"min": pytest.approx(x.min()), "max": pytest.approx(x.max())}}}


def test_clipping_of_a_weight() -> None:
    recipe = {"precision": "w8a8", "tensors": {"w": {"method": {"percentile": 75}}}}
    clipped = only(found(gemm(plain()), normal(), recipe), "clipping")
    assert clipped.tensor == "w" and clipped.severity > 0.9
    assert "min_max" in str([r.change for r in clipped.remedies])


@pytest.mark.parametrize(("precision", "tensor", "more"), [("w3a8", "w", {"layers": {"fc": "w4a8"}}),
                                                           ("w8a4", "x", {"tensors": {"x": {"type": "a8"}}})])
def test_rounding(precision: str, tensor: str, more: dict[str, Any]) -> None:
    coarse = only(found(gemm(plain()), normal(), {"precision": precision}), "rounding")
    assert coarse.tensor == tensor and coarse.severity > 0.9 and coarse.evidence["clipping_share"] < 0.05
    bits = next(r for r in coarse.remedies if r.change == more)
    added = 1 if tensor == "w" else 4
    assert bits.gain_db == pytest.approx(6.0 * added, abs=2.5), "each bit takes off 6 dB"
    assert bits.costs_bits


def test_rounding_before_batch_normalization_offers_to_fold_it() -> None:
    from engine.graph import from_proto

    net = from_proto(conv_net(2), "net")
    data = Dataset("toy", {"x": np.random.default_rng(0).normal(size=(8, 3, 12, 12)).astype(np.float32)})
    convs = [d for d in found(net, data, {"precision": "w3a8", "steps": []}) if d.layer == "conv1"]
    assert remedy(only(tuple(convs), "rounding"), "Fold").change == {"steps": ["fold_batch_norm"]}


def test_outlier_channel_of_an_activation() -> None:
    scale = np.ones(INPUTS)
    scale[5] = 40
    weight = plain()
    weight[:, 5] /= 40
    few = only(found(gemm(weight), normal(scale), {"precision": "w8a8"}), "outlier_channels")
    assert few.tensor == "x" and few.evidence["outliers"] == 1 and few.severity > 0.8
    assert "(5)" in few.words and "rounding" not in causes(found(gemm(weight), normal(scale), {"precision": "w8a8"}))
    assert remedy(few, "16 bits").gain_db is not None
    assert "outlier_channels" not in causes(found(gemm(plain()), normal(), {"precision": "w8a8"}))


def test_outlier_channel_of_a_weight() -> None:
    weight = plain()
    weight[3] *= 50
    few = only(found(gemm(weight), normal(), {"precision": "w8a8", **PER_TENSOR}), "outlier_channels")
    assert few.tensor == "w" and "(3)" in few.words and few.severity > 0.8
    assert causes(found(gemm(weight), normal(), {"precision": "w8a8", **PER_TENSOR})) == {"outlier_channels"}
    assert few.remedies[0].change["layers"]["fc"]["weights"] == {"granularity": "per_channel"}
    assert found(gemm(weight), normal(), {"precision": "w8a8", "weights": {"granularity": "per_channel"}}) == ()


def test_range_imbalance() -> None:
    spread = np.geomspace(1, 1 / 256, OUTPUTS)[:, None].astype(np.float32)
    unequal = only(found(gemm(plain() * spread), normal(), {"precision": "w8a8", **PER_TENSOR}), "range_imbalance")
    assert unequal.tensor == "w" and unequal.severity > 0.5
    assert unequal.evidence["ratio"] == pytest.approx(1 / 16, rel=0.5), "the middle of a geometric row from 1 to 1/256"
    assert unequal.remedies[0].title == "Per-channel weights"
    equal = found(gemm(plain()), normal(), {"precision": "w4a8", **PER_TENSOR})
    assert "range_imbalance" not in causes(equal) and "outlier_channels" not in causes(equal)


def joined(op: str, large: float) -> tuple[Model, Dataset]:
    """Two inputs, one `large` times the other, joined before `fc`; the weights make up for it in a Concat."""
    half = INPUTS // 2 if op == "Concat" else INPUTS
    weight = plain()
    if op == "Concat":
        weight[:, :half] /= large
    net = model([helper.make_node(op, ["a", "b"], ["j"], name="join", **({"axis": 1} if op == "Concat" else {})),
                 helper.make_node("Relu", ["j"], ["r"], name="relu"),
                 helper.make_node("Gemm", ["r", "w"], ["logits"], name="fc", transB=1)],
                {"a": ["batch", half], "b": ["batch", half]}, {"logits": ["batch", OUTPUTS]}, {"w": weight})
    rng = np.random.default_rng(3)
    return net, Dataset("two", {"a": (rng.normal(size=(SAMPLES, half)) * large).astype(np.float32),
                                "b": rng.normal(size=(SAMPLES, half)).astype(np.float32)})


@pytest.mark.parametrize(("op", "cause"), [("Concat", "unbalanced_concat"), ("Add", "unbalanced_add")])
def test_unbalanced_joins(op: str, cause: str) -> None:
    unequal = only(found(*joined(op, 60.0), {"precision": "w16a8"}), cause)
    assert unequal.tensor == "r" and unequal.severity > 0.5
    assert unequal.evidence["ratio"] == pytest.approx(60, rel=0.4)
    assert "join" in unequal.words and "a (up to" in unequal.words
    assert remedy(unequal, "16 bits").change == {"tensors": {"r": {"type": "a16"}}}
    assert cause not in causes(found(*joined(op, 1.0), {"precision": "w16a8"}))


def test_calibration_unlike_evaluation() -> None:
    unlike = only(found(gemm(plain()), normal(0.25), {"precision": "w8a8"}, normal(1.0, seed=2)), "unlike_data")
    assert unlike.tensor == "x" and unlike.severity > 0.8
    assert unlike.evidence["clipped_calibration"] == 0.0
    assert 0.2 < unlike.evidence["clipped_unseen"] < 0.5, "the range ends near 0.25 x 3.5 standard deviations"
    change = remedy(unlike, "Widen").change["tensors"]["x"]
    assert change["max"] == pytest.approx(unlike.evidence["unseen_maximum"])
    assert "unlike_data" not in causes(found(gemm(plain()), normal(1.0), {"precision": "w8a8"}, normal(1.0, seed=2)))


def test_more_samples_are_offered_where_there_are_some() -> None:
    some = {"precision": "w8a8", "calibration": {"samples": 8}}
    unlike = only(found(gemm(plain()), normal(0.25), some, normal(1.0, seed=2)), "unlike_data")
    assert remedy(unlike, "More calibration").change == {"calibration": {"samples": SAMPLES}}


def test_dead_channels() -> None:
    scale = np.ones(INPUTS)
    scale[[2, 7]] = 0
    gone = only(found(gemm(plain()), normal(scale), {"precision": "w8a8"}), "dead_channels")
    assert (gone.tensor, gone.evidence["dead"], gone.severity, gone.remedies) == ("x", 2, 0.0, ())
    weight = plain()
    weight[4] = 0
    assert only(found(gemm(weight), normal(), {"precision": "w8a8"}), "dead_channels").tensor == "w"


def test_dead_channels_with_large_weights_are_at_fault() -> None:
    scale, weight = np.ones(INPUTS), plain()
    scale[2], weight[:, 2] = 0, 20
    gone = only(found(gemm(weight), normal(scale), {"precision": "w8a8"}), "dead_channels")
    assert gone.severity > 0.8
    assert gone.remedies and "never used" in gone.words


def test_every_offered_change_is_a_recipe_that_helps_as_said() -> None:
    data, net, recipe = normal(), gemm(plain()), Recipe(precision="w3a8", target="generic")  # type: ignore[arg-type]
    sim = QuantSim(net, recipe)
    sim.calibrate(data)
    feeds = data.batch(0, 32)
    reference = QuantSim(net, Recipe(precision="fp32", target="generic")).run(feeds)["logits"]  # type: ignore[arg-type]
    before = np.square(sim.run(feeds)["logits"] - reference).sum()
    offered = [r for d in diagnose(sim, data) for r in d.remedies if r.gain_db is not None and "bypass" not in r.change]
    assert offered
    for one in offered:
        sim.update(apply_change(recipe, one.change))
        gain = 10 * np.log10(before / np.square(sim.run(feeds)["logits"] - reference).sum())
        assert gain == pytest.approx(one.gain_db, abs=1.5), one.title  # the whole recipe also rounds the output


def test_changes_are_merged() -> None:
    recipe = Recipe.parse({"mixdown": 1, "layers": {"fc": "w4a8", "other": "w8a8"}, "tensors": {"x": "a16"}, "bypass": ["first"]})
    recipe = apply_change(recipe, {"layers": {"fc": {"precision": "w4a8", "weights": {"granularity": "per_channel"}}}})
    recipe = apply_change(recipe, {"layers": {"fc": "w8a8"}, "tensors": {"x": {"method": "mse"}}, "bypass": ["fc"]})
    data = recipe.to_dict()
    assert data["layers"] == {"fc": {"precision": "w8a8", "weights": {"granularity": "per_channel"}}, "other": "w8a8"}
    assert data["tensors"] == {"x": {"type": "a16", "method": "mse"}}
    assert data["bypass"] == ["first", "fc"]


def test_a_layer_with_its_last_state_alone() -> None:
    """An LSTM whose sequence nobody reads has no first output; its diagnosis stands all the same."""
    hidden = 8
    net = model([helper.make_node("LSTM", ["x", "w", "r"], ["", "last"], name="lstm", hidden_size=hidden),
                 helper.make_node("Reshape", ["last", "shape"], ["h"], name="flat"),
                 helper.make_node("Gemm", ["h", "f"], ["out"], name="fc", transB=1)],
                {"x": [5, "batch", 6]}, {"out": ["batch", 4]},
                {"w": weights(1, 4 * hidden, 6), "r": weights(1, 4 * hidden, hidden), "f": weights(4, hidden),
                 "shape": np.array([-1, hidden])})
    sim = QuantSim(net, Recipe.parse({"mixdown": 1, "target": "generic", "precision": "w3a8"}))

    class Sequences:
        """The batch is the second axis."""

        def __len__(self) -> int:
            return 12

        def batch(self, start: int, stop: int) -> dict[str, np.ndarray]:
            return {"x": np.random.default_rng(0).normal(size=(5, 12, 6)).astype(np.float32)[:, start:stop]}

    sim.calibrate(Sequences())
    assert {d.layer for d in diagnose(sim, Sequences()) if d.cause == "rounding"} == {"lstm", "fc"}


def test_unknown_layers_are_named() -> None:
    sim = QuantSim(gemm(plain()), Recipe(target="generic"))
    sim.calibrate(normal())
    with pytest.raises(BadInput, match="fd"):
        diagnose(sim, normal(), layers=["fd"])


@pytest.mark.parametrize("precision", ["w4a8", "w8a4"])
def test_samples(sample: Path, precision: str) -> None:
    net = load_model(sample / "model.onnx")
    data = load_data(sample / "calibration.npz", net.inputs)
    sim = QuantSim(net, Recipe(precision=precision))  # type: ignore[arg-type]
    apply_steps(sim, None)
    sim.calibrate(data.subset(64))
    begin = time.process_time()
    diagnoses = diagnose(sim, data)
    assert time.process_time() - begin < 2.0
    assert diagnoses and causes(diagnoses) <= {c.id for c in CAUSES}
    assert "rounding" in causes(diagnoses), "4 bits, min-max: nothing is clipped"
    assert "clipping" not in causes(diagnoses)
    severities = [d.severity for d in diagnoses]
    assert severities == sorted(severities, reverse=True) and severities[-1] >= 0 and severities[0] <= 1.0
    for d in diagnoses:
        for r in d.remedies:
            assert r.gain_db is None or r.gain_db >= MIN_GAIN_DB
            apply_change(sim.recipe, r.change)


def test_steps_are_offered_where_they_can_help_and_land_in_the_recipe() -> None:
    weight = plain() * np.geomspace(1, 64, OUTPUTS, dtype=np.float32)[:, None]
    uneven = only(found(gemm(weight), normal(), {"precision": "w4a8", **PER_TENSOR}), "range_imbalance")
    equalize = remedy(uneven, "Equalize channels")
    assert equalize.change == {"steps": ["cle"]} and not equalize.costs_bits
    assert [s.name for s in apply_change(Recipe(), equalize.change).steps or ()] == ["fold_batch_norm", "cle"]
    coarse = only(found(gemm(plain()), normal(), {"precision": "w3a16", **PER_TENSOR}), "rounding")
    assert coarse.tensor == "w"
    rounding = remedy(coarse, "Round weights in one pass")
    assert apply_change(Recipe(steps=("adaround",)), {"steps": ["cle"]}).steps[0].name == "cle"  # type: ignore[index,arg-type]
    assert rounding.change == {"steps": ["gptq"]}


def test_a_step_that_the_recipe_has_is_not_offered_again() -> None:
    weight = plain() * np.geomspace(1, 64, OUTPUTS, dtype=np.float32)[:, None]
    given = found(gemm(weight), normal(), {"precision": "w4a8", "steps": ["cle", "gptq"], **PER_TENSOR})
    assert given and not any("steps" in r.change for d in given for r in d.remedies)


def test_outliers_of_activations_in_front_of_a_linear_layer_can_be_smoothed() -> None:
    scale = np.ones(INPUTS)
    scale[3] = 80.0
    outliers = only(found(gemm(plain()), normal(scale), {"precision": "w8a6"}), "outlier_channels")
    assert remedy(outliers, "Smooth activations").change == {"steps": ["smooth_quant"]}
