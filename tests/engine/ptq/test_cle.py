"""Cross-layer equalization: exact in every net it touches, equal ranges where it can, untouched where it cannot, and words for why."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.data import Dataset, load_data
from engine.errors import BadInput, Cancelled
from engine.graph import Model, load_model
from engine.ptq import StepReport, apply_steps
from engine.ptq.channels import ChannelWeight
from engine.ptq.equivalence import difference
from engine.ptq.pairs import layer_links
from engine.recipe import Recipe
from engine.recipe.parts import Step
from engine.sim.quantsim import QuantSim
from tests.engine.ptq.equivalence_nets import convs, data, net, node, same, spread
from tests.graphs import weights


def equalized(model: Model, samples: Dataset | None = None, **options: object) -> tuple[Model, StepReport]:
    """The model after cle, with the report; samples are made where none are given."""
    sim = QuantSim(model.clone(), Recipe(target="generic", steps=(Step("cle", options),)))
    (report,) = apply_steps(sim, samples or data(model))
    return sim.model, report


def ranges(model: Model, name: str, side: str) -> np.ndarray:
    """max|w| of each output or input channel of a layer."""
    weight = ChannelWeight.of(model.nodes[name])
    assert weight is not None
    largest = weight.largest()
    return (largest.max(axis=2) if side == "outputs" else largest.max(axis=1)).reshape(-1)  # type: ignore[no-any-return]


def pair(*between: object, **more: np.ndarray) -> Model:
    """conv a → between → conv y, 1x1, with 3, 6 and 4 channels; the last node between makes `m`."""
    constants = convs(3, 6, 4)
    constants["w1"] = spread(constants["w1"], 1, 11)
    return net([node("Conv", "x w0 b0", "a"), *between, node("Conv", "m w1 b1", "y")], {**constants, **more})  # type: ignore[list-item]


def objective(model: Model) -> float:
    """What equation 9 maximizes: the sum of the precisions' products over the channels of a pair."""
    r1, r2 = ranges(model, "a_node", "outputs"), ranges(model, "y_node", "inputs")
    return float((r1 / r1.max() * r2 / r2.max()).sum())


COMMUTE = {
    "Relu": [node("Relu", "a", "m")],
    "LeakyRelu": [node("LeakyRelu", "a", "m", alpha=0.2)],
    "PRelu": [node("PRelu", "a slope", "m")],
    "MaxPool": [node("Relu", "a", "r"), node("MaxPool", "r", "m", kernel_shape=[2, 2], strides=[2, 2])],
    "AveragePool with padding": [node("AveragePool", "a", "m", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)],
    "Pad with zeros": [node("Pad", "a pads", "m")],
    "Resize": [node("Resize", "a none scales", "m", mode="nearest")],
    "Dropout": [node("Dropout", "a", "m")],
    "a constant factor": [node("Mul", "a factor", "m")],
    "an upper limit per channel": [node("Relu", "a", "r"), node("Min", "r limits", "m")],
}
CONSTANTS = {
    "slope": np.linspace(-0.1, 0.4, 6, dtype=np.float32).reshape(6, 1, 1), "factor": np.float32([[[0.5]]]),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "none": np.zeros(0, np.float32),
    "scales": np.array([1, 1, 2, 2], np.float32), "limits": np.linspace(0.1, 3, 6, dtype=np.float32).reshape(1, 6, 1, 1),
}


@pytest.mark.parametrize("name", COMMUTE)
def test_a_pair_gets_equal_ranges_and_keeps_the_function(name: str) -> None:
    between = COMMUTE[name]
    reads = {i for n in between for i in n.input}
    before = pair(*between, **{k: v for k, v in CONSTANTS.items() if k in reads})
    after, report = equalized(before)
    assert ranges(after, "a_node", "outputs") == pytest.approx(ranges(after, "y_node", "inputs"), rel=1e-3)
    assert ranges(before, "a_node", "outputs") != pytest.approx(ranges(before, "y_node", "inputs"), rel=0.5)
    same(before, after, data(before, 64, seed=1))
    assert objective(after) > 1.2 * objective(before)
    assert report.equivalent and [change.layer for change in report.layers] == ["a_node", "y_node"]


def test_equation_11() -> None:
    before = pair(node("Relu", "a", "m"))
    after, _ = equalized(before)
    expected = np.sqrt(ranges(before, "a_node", "outputs") * ranges(before, "y_node", "inputs"))
    assert ranges(after, "a_node", "outputs") == pytest.approx(expected, rel=1e-4)
    s = ranges(before, "a_node", "outputs") / expected
    assert after.constant("b0") == pytest.approx(before.constant("b0") / s, rel=1e-5)


@pytest.mark.parametrize("op", ["HardSwish", "Sigmoid", "Elu", "Softplus", "Tanh"])
def test_what_does_not_commute_is_left(op: str) -> None:
    before = pair(node(op, "a", "m"))
    after, report = equalized(before)
    assert np.array_equal(after.constant("w0"), before.constant("w0"))
    assert report.warnings[0] == "found nothing to equalize" and any(f"({op}) does not commute" in x for x in report.warnings)


def test_silu_is_left_since_it_reads_the_tensor_twice() -> None:
    _, report = equalized(pair(node("Sigmoid", "a", "s"), node("Mul", "a s", "m")))
    assert report.warnings[0] == "found nothing to equalize"


def depthwise_net(middle: object) -> Model:
    constants = {**convs(3, 6), "d": spread(weights(6, 1, 3, 3), 0, 8), "bd": weights(6), "w2": spread(weights(4, 6, 1, 1), 1, 9)}
    nodes = [node("Conv", "x w0 b0", "a"), node("Relu", "a", "ra"),
             node("Conv", "ra d bd", "c", group=6, pads=[1, 1, 1, 1]), middle, node("Conv", "m w2", "y")]
    return net(nodes, constants)  # type: ignore[arg-type]


def test_a_depthwise_triple_gets_the_cube_root() -> None:
    before = depthwise_net(node("Relu", "c", "m"))
    after, report = equalized(before)
    product = ranges(before, "a_node", "outputs") * ranges(before, "c_node", "outputs") * ranges(before, "y_node", "inputs")
    for name, side in (("a_node", "outputs"), ("c_node", "outputs"), ("y_node", "inputs")):
        assert ranges(after, name, side) == pytest.approx(np.cbrt(product), rel=1e-3)
    same(before, after, data(before))
    assert "2 sources" in report.changes[-1]


def relu6(limit: float) -> Model:
    return pair(node("Clip", "a low high", "m"), low=np.float32(0), high=np.float32(limit))


def test_a_clip_that_cuts_nothing_becomes_a_relu() -> None:
    before = relu6(1000.0)
    after, report = equalized(before)
    assert [n.op_type for n in after.graph] == ["Conv", "Relu", "Conv"] and "m_node: a Relu" in report.changes[0]
    same(before, after, data(before))


def test_a_clip_that_cuts_is_left_with_a_reason() -> None:
    before = relu6(0.5)
    after, report = equalized(before)
    assert [n.op_type for n in after.graph] == ["Conv", "Clip", "Conv"]
    assert "m_node cuts values" in report.warnings[-1] and "channel_clip" in report.warnings[-1]
    same(before, after, data(before))
    _, kept = equalized(relu6(1000.0), replace_clip=False)
    assert kept.warnings[0] == "found nothing to equalize"


def test_a_limit_per_channel_is_exact_and_can_be_equalized_again() -> None:
    before = relu6(0.5)
    after, _ = equalized(before, channel_clip=True)
    assert [n.op_type for n in after.graph] == ["Conv", "Clip", "Min", "Conv"]
    assert ranges(after, "a_node", "outputs") == pytest.approx(ranges(after, "y_node", "inputs"), rel=1e-3)
    same(before, after, data(before, 64))
    again, second = equalized(after)
    assert [n.op_type for n in again.graph] == ["Conv", "Clip", "Min", "Conv"] and second.changes
    same(before, again, data(before, 64))


def test_without_data_a_clip_stays_and_a_relu_pair_does_not() -> None:
    for model, found in ((relu6(1000.0), False), (pair(node("Relu", "a", "m")), True)):
        sim = QuantSim(model.clone(), Recipe(target="generic", steps=(Step("cle"),)))
        (report,) = apply_steps(sim, None)
        assert bool(report.changes) is found


def test_a_residual_sum_ends_it_and_the_rest_is_scaled() -> None:
    constants = {**convs(3, 4, 4, 4, 2)}
    nodes = [node("Conv", "x w0 b0", "a"), node("Relu", "a", "r"), node("Conv", "r w1 b1", "c"), node("Relu", "c", "rc"),
             node("Conv", "rc w2 b2", "e"), node("Add", "e r", "s"), node("Conv", "s w3 b3", "y")]
    before = net(nodes, constants)
    after, report = equalized(before)
    assert np.array_equal(after.constant("w0"), before.constant("w0")) and np.array_equal(after.constant("w3"), before.constant("w3"))
    assert not np.array_equal(after.constant("w1"), before.constant("w1"))
    assert any("s_node (Add)" in line for line in report.warnings)
    same(before, after, data(before))


def test_a_shared_weight_is_left_and_a_shared_bias_is_not_shared_any_more() -> None:
    constants = {**convs(3, 4, 4, 4, 2), "b": weights(4)}
    shared = [node("Conv", "x w0 b", "a"), node("Relu", "a", "r"), node("Conv", "r w1 b", "c"), node("Relu", "c", "rc"),
              node("Conv", "rc w1 b", "e"), node("Relu", "e", "re"), node("Conv", "re w3", "y")]
    before = net(shared, {k: v for k, v in constants.items() if k not in ("w2", "b0", "b1", "b2", "b3")})
    after, report = equalized(before)
    assert np.array_equal(after.constant("w1"), before.constant("w1"))
    assert any("its weight is shared" in line for line in report.warnings)
    same(before, after, data(before))
    biased = net([node("Conv", "x w0 b", "a"), node("Relu", "a", "r"), node("Conv", "r w1 b", "c"), node("Relu", "c", "rc"),
                  node("Conv", "rc w2", "y")], {k: constants[k] for k in ("w0", "w1", "w2", "b")})
    after, report = equalized(biased)
    assert "2 sources" in report.changes[-1]
    same(biased, after, data(biased))


def test_an_output_read_by_two_layers_is_scaled_for_both() -> None:
    constants = {**convs(3, 6, 4), "v": spread(weights(4, 6, 1, 1, seed=5), 1, 5)}
    before = net([node("Conv", "x w0 b0", "a"), node("Relu", "a", "r"), node("Conv", "r w1 b1", "c"), node("Conv", "r v", "e"),
                  node("Add", "c e", "y")], constants)
    after, report = equalized(before)
    assert "a_node → c_node, e_node" in report.changes[0] or "a_node → e_node, c_node" in report.changes[0]
    both = np.maximum(ranges(after, "c_node", "inputs"), ranges(after, "e_node", "inputs"))
    assert ranges(after, "a_node", "outputs") == pytest.approx(both, rel=1e-3)
    same(before, after, data(before))


def test_an_output_that_the_model_gives_away_is_left() -> None:
    model = pair(node("Relu", "a", "m"))
    model.graph.outputs.append(model.values["m"])
    model.changed()
    _, report = equalized(model)
    assert report.warnings[0] == "found nothing to equalize" and any("is an output of the model" in x for x in report.warnings)


def test_parts_of_a_concat_are_scaled_each_for_itself() -> None:
    constants = {**convs(3, 4), "v": spread(weights(2, 3, 1, 1, seed=3), 0, 4), "w2": spread(weights(5, 6, 1, 1), 1, 2)}
    before = net([node("Conv", "x w0 b0", "a"), node("Relu", "a", "ra"), node("Conv", "x v", "e"), node("LeakyRelu", "e", "re"),
                  node("Concat", "re ra", "m", axis=1), node("Conv", "m w2", "y")], constants)
    after, _ = equalized(before)
    outputs = np.concatenate([ranges(after, "e_node", "outputs"), ranges(after, "a_node", "outputs")])
    assert outputs == pytest.approx(ranges(after, "y_node", "inputs"), rel=1e-3)
    same(before, after, data(before))


def test_channels_are_found_behind_a_flatten_and_a_mean() -> None:
    constants = {**convs(3, 4), "fc": spread(weights(5, 4 * 64), 1, 2), "axes": np.array([2, 3]), "w": spread(weights(4, 5), 0, 3)}
    flat = net([node("Conv", "x w0 b0", "a"), node("Relu", "a", "r"), node("Flatten", "r", "f"), node("Gemm", "f fc", "y", transB=1)],
               {k: constants[k] for k in ("w0", "b0", "fc")})
    after, _ = equalized(flat)
    assert ranges(after, "a_node", "outputs") == pytest.approx(ranges(after, "y_node", "inputs").reshape(4, 64).max(1), rel=1e-3)
    same(flat, after, data(flat))
    mean = net([node("Conv", "x w0 b0", "a"), node("Relu", "a", "r"), node("ReduceMean", "r axes", "f", keepdims=0),
                node("MatMul", "f w", "y")], {k: constants[k] for k in ("w0", "b0", "axes", "w")})
    after, _ = equalized(mean)
    assert ranges(after, "a_node", "outputs") == pytest.approx(ranges(after, "y_node", "inputs"), rel=1e-3)
    same(mean, after, data(mean))


@pytest.mark.parametrize("kind", ["grouped", "transposed", "grouped transposed", "multiplier"])
def test_grouped_and_transposed_convolutions(kind: str) -> None:
    constants = convs(3, 6)
    first = [node("Conv", "x w0 b0", "a"), node("Relu", "a", "r")]
    shape, op, group = {"grouped": ((4, 3, 3, 3), "Conv", 2), "transposed": ((6, 4, 2, 2), "ConvTranspose", 1),
                        "grouped transposed": ((6, 2, 2, 2), "ConvTranspose", 2), "multiplier": ((12, 1, 3, 3), "Conv", 6)}[kind]
    outputs = 12 if kind == "multiplier" else 4
    constants |= {"w1": spread(weights(*shape), 1 if shape[1] > 1 else 0, 3), "w2": spread(weights(2, outputs, 1, 1), 1, 6)}
    before = net([*first, node(op, "r w1", "c", group=group), node("Relu", "c", "rc"), node("Conv", "rc w2", "y")], constants)
    after, report = equalized(before)
    assert "2 sources" in report.changes[-1]
    assert ranges(after, "c_node", "outputs") == pytest.approx(ranges(after, "y_node", "inputs"), rel=1e-3)
    same(before, after, data(before))


def test_weights_on_the_left() -> None:
    constants = {"w0": spread(weights(6, 8), 0, 1), "w1": weights(4, 6, seed=2), "row": weights(5)}
    before = net([node("MatMul", "w0 x", "a"), node("Relu", "a", "r"), node("MatMul", "w1 r", "y")],
                 {k: constants[k] for k in ("w0", "w1")}, (8, 5))
    after, report = equalized(before)
    assert ranges(after, "a_node", "outputs") == pytest.approx(ranges(after, "y_node", "inputs"), rel=1e-3) and report.changes
    same(before, after, data(before))
    nodes = [node("MatMul", "w0 x", "a"), node("Add", "a row", "b"), node("Relu", "b", "r"), node("MatMul", "w1 r", "y")]
    added = net(nodes, constants, (8, 5))
    after, report = equalized(added)
    assert not report.changes, "what is added runs along another axis than the channels"
    same(added, after, data(added))


def attention(heads: int = 2, size: int = 3, tokens: int = 5) -> Model:
    width = heads * size
    constants = {n: spread(weights(width, width, seed=i), 1, i) for i, n in enumerate(("q", "k", "v"))}
    constants |= {"o": spread(weights(width, width, seed=9), 0, 9), "bv": weights(width), "split": np.array([-1, tokens, heads, size]),
                  "join": np.array([-1, tokens, width])}
    nodes = []
    for n, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [node("MatMul", f"x {n}", f"{n}1"), *([node("Add", "v1 bv", "v2")] if n == "v" else []),
                  node("Reshape", "v2 split" if n == "v" else f"{n}1 split", f"{n}3"), node("Transpose", f"{n}3", f"{n}4", perm=order)]
    nodes += [node("MatMul", "q4 k4", "s"), node("Softmax", "s", "p", axis=-1), node("MatMul", "p v4", "c"),
              node("Transpose", "c", "c2", perm=[0, 2, 1, 3]), node("Reshape", "c2 join", "c3"), node("MatMul", "c3 o", "y")]
    return net(nodes, constants, (tokens, width), "attention")


def test_values_and_output_projection_of_an_attention() -> None:
    before = attention()
    after, report = equalized(before)
    assert [x.source.name for x in layer_links(before)[0]] == ["v1_node"]
    assert ranges(after, "v1_node", "outputs") == pytest.approx(ranges(after, "y_node", "inputs"), rel=1e-3)
    same(before, after, data(before))
    assert any("q1_node" in line for line in report.warnings)


def test_dead_and_infinite_channels_are_left() -> None:
    before = pair(node("Relu", "a", "m"))
    w0, w1 = before.constant("w0").copy(), before.constant("w1").copy()
    w0[1], w1[:, 2], w0[3] = 0.0, 0.0, 1e-30
    before.set_constant("w0", w0)
    before.set_constant("w1", w1)
    after, _ = equalized(before)
    for channel in (1, 2, 3):
        assert np.array_equal(after.constant("w0")[channel], w0[channel])
        assert np.array_equal(after.constant("w1")[:, channel], w1[:, channel])
        assert after.constant("b0")[channel] == before.constant("b0")[channel]
    assert not np.array_equal(after.constant("w0")[0], w0[0])
    same(before, after, data(before))


def cancelling() -> Model:
    """Two equal branches, their channels in another order, whose difference is nothing but rounding."""
    constants, order = {**convs(3, 6, 4)}, [3, 1, 5, 0, 2, 4]
    constants |= {"v0": constants["w0"][order], "c0": constants["b0"][order], "v1": constants["w1"][:, order]}
    return net([node("Conv", "x w0 b0", "a"), node("Relu", "a", "r"), node("Conv", "r w1 b1", "c"), node("Conv", "x v0 c0", "e"),
                node("Relu", "e", "re"), node("Conv", "re v1 b1", "f"), node("Sub", "c f", "y")], constants)


def test_a_net_that_rounding_alone_would_change_is_left_as_it_was() -> None:
    before = cancelling()
    after, report = equalized(before)
    assert "left everything as it was" in report.warnings[0] and report.changes == ()
    assert all(np.array_equal(after.constant(n), before.constant(n)) for n in ("w0", "w1", "v0", "v1"))


def test_cancelling_leaves_the_simulation_as_it_was() -> None:
    before = pair(node("Relu", "a", "m"))
    sim = QuantSim(before, Recipe(target="generic", steps=(Step("cle"),)))

    def stop(fraction: float, message: str) -> None:
        if fraction >= 0.6:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        apply_steps(sim, data(before), stop)
    assert sim.model is before


def test_the_graph_that_is_given_is_not_touched() -> None:
    before = pair(node("Relu", "a", "m"))
    kept = {name: before.constant(name).copy() for name in ("w0", "b0", "w1")}
    equalized(before)
    assert all(np.array_equal(before.constant(name), value) for name, value in kept.items())


@pytest.mark.parametrize(("options", "text"), [({"tolerance": 0.0}, "at least"), ({"max_iterations": "many"}, "max_iterations"),
                                               ({"clips": True}, "no option 'clips'")])
def test_bad_options_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        equalized(pair(node("Relu", "a", "m")), **options)


@pytest.mark.parametrize("options", [{}, {"channel_clip": True}], ids=["default", "channel_clip"])
def test_the_samples_keep_their_function_on_all_evaluation_images(sample: Path, options: dict[str, object]) -> None:
    model, evaluation = load_model(sample / "model.onnx"), load_data(sample / "evaluation.npz")
    calibration = load_data(sample / "calibration.npz")
    sim = QuantSim(model.clone(), Recipe(target="generic", steps=(Step("fold_batch_norm"), Step("cle", options))))
    reports = apply_steps(sim, calibration.subset(64, 0))
    assert reports[-1].changes
    assert difference(model, sim.model, evaluation, len(evaluation)) <= 1e-4
