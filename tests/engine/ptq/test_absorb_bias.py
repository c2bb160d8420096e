"""High biases move on exactly: by the folded norm's statistics, by data, never further than the data allow."""
from __future__ import annotations

import numpy as np
import pytest
from onnx import NodeProto

from engine.data import Dataset
from engine.graph import Model
from engine.ptq import StepReport, apply_steps
from engine.recipe import Recipe
from engine.recipe.parts import Step
from engine.sim.quantsim import QuantSim
from tests.engine.ptq.equivalence_nets import convs, data, net, node, same
from tests.graphs import weights

HIGH = np.float32([9.0, -9.0, 6.0, 0.1, 12.0, 5.0])  # what is added to six channels of about ±2


def run(model: Model, samples: Dataset | None, *steps: str) -> tuple[Model, StepReport]:
    """The model after absorb_bias (and steps before it), and its report."""
    sim = QuantSim(model.clone(), Recipe(target="generic", steps=tuple(Step(name) for name in (*steps, "absorb_bias"))))
    report = apply_steps(sim, samples)[-1]
    return sim.model, report


def pair(*between: NodeProto, reader: NodeProto | None = None, **more: np.ndarray) -> Model:
    constants = {"w0": weights(6, 3, 1, 1), "b0": HIGH, "w1": weights(4, 6, 1, 1, seed=1), **more}
    return net([node("Conv", "x w0 b0", "a"), *between, reader or node("Conv", "m w1", "y")], constants)


BETWEEN = {
    "Relu": [node("Relu", "a", "m")],
    "LeakyRelu": [node("LeakyRelu", "a", "m", alpha=0.1)],
    "MaxPool": [node("Relu", "a", "r"), node("MaxPool", "r", "m", kernel_shape=[3, 3], pads=[1, 1, 1, 1])],
    "GlobalAveragePool": [node("Relu", "a", "r"), node("GlobalAveragePool", "r", "m")],
    "AveragePool that leaves its border out": [node("Relu", "a", "r"), node("AveragePool", "r", "m", kernel_shape=[3, 3], pads=[1] * 4)],
}


@pytest.mark.parametrize("name", BETWEEN)
def test_data_say_what_is_always_there(name: str) -> None:
    before = pair(*BETWEEN[name])
    after, report = run(before, data(before))
    gone = HIGH - after.constant("b0")
    assert (gone[[0, 2, 4]] > 1.0).all() and gone[1] == gone[3] == 0.0
    same(before, after, data(before, 64, seed=8))
    (change,) = report.layers
    assert change.after < change.before - 1.0 and report.equivalent  # type: ignore[operator]


def normed(gamma: float = 0.5) -> Model:
    rng = np.random.default_rng(0)
    constants = {"w0": weights(6, 3, 1, 1), "g": np.full(6, gamma, np.float32), "beta": HIGH, "mean": np.zeros(6, np.float32),
                 "var": rng.uniform(0.9, 1.1, 6).astype(np.float32), "w1": weights(4, 6, 1, 1, seed=1)}
    return net([node("Conv", "x w0", "c"), node("BatchNormalization", "c g beta mean var", "n"), node("Relu", "n", "m"),
                node("Conv", "m w1", "y")], constants)


def test_the_folded_norm_says_it_without_data() -> None:
    before = normed()
    after, report = run(before, None, "fold_batch_norm")
    assert "not compared" in report.changes[-1]
    plain = QuantSim(before.clone(), Recipe(target="generic"))
    apply_steps(plain, None)
    bias = next(layer.bias for layer in plain.model.layers if layer.name == "c_node")
    gone = plain.model.constant(str(bias)) - after.constant(str(bias))
    assert gone == pytest.approx(np.maximum(HIGH - 3 * 0.5, 0), abs=1e-5), "beta - 3 gamma"


def test_data_limit_what_the_norm_says() -> None:
    before = normed(0.5)
    samples = data(before, low=-12.0, high=12.0)  # far wider than the norm believes: values reach zero
    after, report = run(before, samples, "fold_batch_norm")
    same(before, after, samples)
    alone, _ = run(before, None, "fold_batch_norm")
    assert report.equivalent
    bias = next(str(layer.bias) for layer in after.layers if layer.name == "c_node")
    assert (after.constant(bias) >= alone.constant(bias) - 1e-6).all() and (after.constant(bias) > alone.constant(bias) + 0.1).any()


def test_after_equalization_the_norms_follow_the_factors() -> None:
    before = normed()
    after, report = run(before, data(before), "fold_batch_norm", "cle")
    assert report.changes
    same(before, after, data(before, 64, seed=8))


def test_a_limit_per_channel_goes_down_with_it() -> None:
    before = pair(node("Clip", "a low high", "m"), low=np.float32(0), high=np.float32(11.0))
    _, kept = run(before, data(before))
    assert any("one limit for all channels" in line for line in kept.warnings) and not kept.changes
    limits = np.float32([11, 3, 7, 2, 13, 6]).reshape(1, 6, 1, 1)
    limited = pair(node("Relu", "a", "r"), node("Min", "r limits", "m"), limits=limits)
    after, report = run(limited, data(limited))
    assert report.changes
    same(limited, after, data(limited, 64, seed=8))


LEFT = {
    "padding": (pair(node("Relu", "a", "m"), reader=node("Conv", "m w3", "y", pads=[1] * 4), w3=weights(4, 6, 3, 3)), "padded with zeros"),
    "a product": (pair(node("Relu", "a", "r"), node("Mul", "r f", "m"), f=np.float32(0.5)), "does not keep a shift"),
    "a Pad": (pair(node("Relu", "a", "r"), node("Pad", "r pads", "m"), pads=np.array([0, 0, 1, 1, 0, 0, 1, 1])), "does not keep a shift"),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_a_shift_does_not_pass_is_left(name: str) -> None:
    before, why = LEFT[name]
    after, report = run(before, data(before))
    assert np.array_equal(after.constant("b0"), HIGH) and "found nothing to absorb" in report.warnings[0]
    assert any(why in line for line in report.warnings)


def test_every_reader_gets_its_share() -> None:
    constants = {"w0": weights(6, 3, 1, 1), "b0": HIGH, "v": weights(2, 6, seed=4), "w1": weights(6, 3, seed=2), "c": weights(2)}
    nodes = [node("Conv", "x w0 b0", "a"), node("Relu", "a", "r"), node("GlobalAveragePool", "r", "p"), node("Flatten", "p", "f"),
             node("Gemm", "f v c", "g", transB=1, alpha=0.5, beta=2.0), node("MatMul", "f w1", "h"), node("Concat", "g h", "y", axis=1)]
    before = net(nodes, constants)
    after, report = run(before, data(before))
    assert report.changes and [n.op_type for n in after.graph].count("Add") == 1, "the MatMul has no bias: it gets one"
    same(before, after, data(before, 64, seed=8))


def test_without_anything_that_says_so_nothing_is_absorbed() -> None:
    before = pair(node("Relu", "a", "m"))
    after, report = run(before, None)
    assert np.array_equal(after.constant("b0"), HIGH) and "without calibration data" in report.warnings[0]
    low = net([node("Conv", "x w0 b0", "a"), node("Relu", "a", "r"), node("Conv", "r w1 b1", "y")], convs(3, 6, 4))
    _, nothing = run(low, data(low))
    assert "no channel stays well above zero" in nothing.warnings[0]
