"""SmoothQuant: the same function, smaller outliers; fused and written-out norms; one factor for all readers; shortcuts."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.data import load_data
from engine.errors import BadInput
from engine.graph import Model, load_model
from engine.ptq import StepReport, apply_steps
from engine.ptq.equivalence import difference
from engine.ptq.pairs import norm_links
from engine.recipe import Recipe
from engine.recipe.parts import Step
from engine.sim.quantization import FLOAT
from engine.sim.quantsim import QuantSim
from tests.engine.ptq.equivalence_nets import data, net, node, same
from tests.graphs import weights

WIDTH, TOKENS = 6, 4
OUTLIER = np.float32([1, 1, 30, 1, 1, 1])


def smoothed(model: Model, **options: object) -> tuple[Model, StepReport]:
    sim = QuantSim(model.clone(), Recipe(target="generic", steps=(Step("smooth_quant", options),)))
    (report,) = apply_steps(sim, data(model))
    return sim.model, report


def values(model: Model, name: str) -> np.ndarray:
    """max|x| of each channel of a tensor [batch, tokens, channels]."""
    sim = QuantSim(model, Recipe(target="generic"))
    found = sim.chain.run(FLOAT, data(model).batch(0, 24), [name])[name]
    return np.abs(found).max(axis=(0, 1))  # type: ignore[no-any-return]


FUSED = [node("LayerNormalization", "x gamma beta", "n")]
WRITTEN = [node("ReduceMean", "x axes", "mu", keepdims=1), node("Sub", "x mu", "d"), node("Pow", "d two", "d2"),
           node("ReduceMean", "d2 axes", "v", keepdims=1), node("Add", "v eps", "ve"), node("Sqrt", "ve", "sd"), node("Div", "d sd", "z"),
           node("Mul", "z gamma", "zg"), node("Add", "zg beta", "n")]
RMS = [node("Pow", "x two", "x2"), node("ReduceMean", "x2 axes", "v", keepdims=1), node("Add", "v eps", "ve"), node("Sqrt", "ve", "sd"),
       node("Div", "x sd", "z"), node("Mul", "z gamma", "n")]
CONSTANTS = {"gamma": OUTLIER, "beta": OUTLIER * np.float32(0.1), "axes": np.array([-1]), "two": np.float32(2), "eps": np.float32(1e-5),
             "q": weights(WIDTH, 5, seed=1), "k": weights(WIDTH, 5, seed=2), "v1": weights(WIDTH, 5, seed=3)}
READERS = [node("MatMul", "n q", "a"), node("MatMul", "n k", "b"), node("MatMul", "n v1", "c"), node("Concat", "a b c", "y", axis=-1)]


def normed(norm: list[object], *rest: object) -> Model:
    nodes = [*norm, *(rest or READERS)]
    reads = {i for n in nodes for i in n.input}  # type: ignore[attr-defined]
    return net(nodes, {k: v for k, v in CONSTANTS.items() if k in reads}, (TOKENS, WIDTH))  # type: ignore[arg-type]


@pytest.mark.parametrize("norm", [FUSED, WRITTEN, RMS], ids=["fused", "written out", "rms"])
def test_an_outlier_moves_into_all_readers(norm: list[object]) -> None:
    before = normed(norm)
    after, report = smoothed(before)
    x, w = values(before, "n"), np.stack([np.abs(before.constant(n)).max(axis=1) for n in ("q", "k", "v1")]).max(axis=0)
    s = np.sqrt(x) / np.sqrt(w)
    s /= np.exp(np.log(s).mean())
    assert values(after, "n") == pytest.approx(x / s, rel=1e-3), "equation 4"
    for name in ("q", "k", "v1"):
        assert after.constant(name) == pytest.approx(before.constant(name) * s[:, None], rel=1e-4), "one factor for all"
    same(before, after, data(before, 64, seed=5))
    (change,) = report.layers
    assert change.after < 0.5 * change.before and report.equivalent  # type: ignore[operator]


def test_alpha_says_how_much_moves() -> None:
    before = normed(FUSED)
    ratio = [float(np.ptp(np.log(values(smoothed(before, alpha=a)[0], "n")))) for a in (0.0, 0.5, 1.0)]
    assert ratio[2] < 1e-3 < ratio[1] < ratio[0] + 1e-6
    with pytest.raises(BadInput, match="at most 1"):
        smoothed(before, alpha=1.5)


def test_a_shortcut_stops_it_or_gets_the_unscaled_tensor() -> None:
    square = {**CONSTANTS, "o": weights(WIDTH, WIDTH, seed=7)}
    nodes = [*FUSED, node("MatMul", "n o", "a"), node("Add", "a n", "y")]
    before = net(nodes, {k: square[k] for k in ("gamma", "beta", "o")}, (TOKENS, WIDTH))
    after, report = smoothed(before)
    assert "found nothing to smooth" in report.warnings[0] and "detours: true" in report.warnings[-1]
    after, report = smoothed(before, detours=True)
    assert [n.op_type for n in after.graph] == ["LayerNormalization", "Mul", "MatMul", "Add"]
    assert values(after, "n").max() < 0.5 * values(before, "n").max()
    same(before, after, data(before, 64, seed=5))


def test_scale_and_shift_that_several_norms_share_are_not_shared_any_more() -> None:
    second = [node("LayerNormalization", "x gamma beta", "m"), node("MatMul", "m k", "b"), node("Add", "a b", "y")]
    before = normed(FUSED, node("MatMul", "n q", "a"), *second)
    after, report = smoothed(before)
    assert len(report.layers) == 2
    same(before, after, data(before, 64, seed=5))


def test_a_linear_layer_in_front_takes_the_factors() -> None:
    first = weights(WIDTH, WIDTH, seed=8) * OUTLIER
    constants = {"w": first, "b": OUTLIER, "q": CONSTANTS["q"]}
    before = net([node("MatMul", "x w", "p"), node("Add", "p b", "h"), node("Relu", "h", "r"), node("MatMul", "r q", "y")],
                 constants, (TOKENS, WIDTH))
    after, report = smoothed(before)
    assert values(after, "r").max() < 0.5 * values(before, "r").max() and len(report.layers) == 1
    same(before, after, data(before, 64, seed=5))
    untouched, report = smoothed(before, layers=False)
    assert "found nothing to smooth" in report.warnings[0] and np.array_equal(untouched.constant("w"), first)


def test_it_needs_data() -> None:
    sim = QuantSim(normed(FUSED), Recipe(target="generic", steps=(Step("smooth_quant"),)))
    with pytest.raises(BadInput, match="calibration data"):
        apply_steps(sim, None)


def test_all_norms_of_the_transformer_are_found() -> None:
    model = load_model(Path(__file__).parents[3] / "sample_models" / "fashion_vit" / "model.onnx")
    links, stay = norm_links(model)
    assert len(links) == 7 and not stay
    names = [str(r.weight.node.name) for r in links[0].route.readers]
    assert sorted(names) == [f"blocks.0.attention.{n}" for n in ("key", "query", "value")]


def test_the_samples_keep_their_function_on_all_evaluation_images(sample: Path) -> None:
    model, evaluation = load_model(sample / "model.onnx"), load_data(sample / "evaluation.npz")
    for options in ({}, {"detours": True}):
        sim = QuantSim(model.clone(), Recipe(target="generic", steps=(Step("fold_batch_norm"), Step("smooth_quant", options))))
        reports = apply_steps(sim, load_data(sample / "calibration.npz").subset(64, 0))
        assert bool(reports[-1].changes) is (sample.name == "fashion_vit")
        assert difference(model, sim.model, evaluation, len(evaluation)) <= 1e-4
