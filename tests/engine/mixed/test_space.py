"""The problem: what adds up per layer is what the whole resolved recipe costs, and groups are those of the graph."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from engine.analysis.facts import activation_peak
from engine.data import Dataset
from engine.errors import BadInput
from engine.graph import Model
from engine.mixed.build import bases
from engine.mixed.space import Choice, Space
from engine.mixed.writing import written
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim
from engine.targets.cost import cost_of
from tests.engine.mixed.spaces import drawn, of_model
from tests.engine.targets.graphs import build, chain

SETS = [("htp_v73", ["w8a8", "w8a16", "w4a8", "fp16"]), ("generic", ["w8a8", "w4a16", "w3a4", "w8a16", "fp16"])]


def agrees(sim: QuantSim, space: Space, choice: Choice) -> None:
    """The recipe that asks for a choice gets it, at the cost and with the conversions that the space says."""
    assert space.allows(choice)
    moved = sim.moved(written(sim, space.named(choice), [p.name for p in space.places if p.fixed]))
    assert {e.name: e.precision for e in moved.plan.layers} == space.named(choice)
    cost, totals = cost_of(moved.model, moved.plan), space.totals(choice)
    assert (cost.size_bytes, cost.bops) == (totals[1], totals[2])
    assert len(moved.plan.boundaries) == space.boundaries(choice)


@pytest.mark.parametrize(("target", "candidates"), SETS)
def test_sums_are_the_cost_of_the_resolved_recipe(sample_model: Model, calibration: Dataset, target: str, candidates: list[str]) -> None:
    model = sample_model.with_sample(calibration.bind(sample_model.inputs).batch(0, 1))
    for base in bases(Recipe(target=target), [Precision.parse(c) for c in candidates]):
        sim, space = of_model(model, Recipe(target=target, precision=base), candidates)
        rng = random.Random(0)
        for _ in range(12):
            agrees(sim, space, drawn(space, rng))


def fork() -> Model:
    """Two readers of one tensor, two layers with one weight, and an Add."""
    lines = ["c0 = Conv(x, w0) -> a", "c1 = Conv(a, w1) -> b", "c2 = Conv(a, w2) -> c", "add = Add(b, c) -> d", "c3 = Conv(d, w1) -> y"]
    return build(lines, {"x": (1, 4, 4, 4)}, ["y"], {f"w{i}": (4, 4, 1, 1) for i in range(3)})


def test_layers_that_share_a_tensor_or_a_weight_are_one_group_and_say_why() -> None:
    sim, space = of_model(fork(), Recipe(target="generic"), ["w8a8", "w4a8", "w8a16"])
    groups = {tuple(space.places[p].name for p in g.places): g for g in space.groups}
    assert set(groups) == {("c0",), ("c1", "c2", "c3")}
    shared = groups["c1", "c2", "c3"]
    assert "tensor a" in shared.why
    assert "weight w1" in shared.why
    rng = random.Random(1)
    for _ in range(30):
        choice = drawn(space, rng)
        agrees(sim, space, choice)
        have = space.named(choice)
        assert have["c1"].activations == have["c2"].activations
        assert have["c1"].weights == have["c3"].weights


def test_what_others_ask_of_a_tensor_is_the_least_an_option_has() -> None:
    """The Add asks 16 bits of the tensor that c1 reads, so c1 has no option with 8."""
    model = build(["c0 = Conv(x, w0) -> a", "c1 = Conv(a, w1) -> b", "add = Add(a, b) -> y"], {"x": (1, 4, 4, 4)}, ["y"],
                  {"w0": (4, 4, 1, 1), "w1": (4, 4, 1, 1)})
    sim, space = of_model(model, Recipe(target="generic", precision="w8a16"), ["w8a8", "w4a8", "w8a16"])  # type: ignore[arg-type]
    found = {p.name: {str(o.precision) for o in p.options} for p in space.places}
    assert found["c0"] == {"w8a8", "w4a8", "w8a16"}
    assert found["c1"] == {"w8a16", "w4a16"}
    agrees(sim, space, drawn(space, random.Random(0)))


def test_bypassed_layers_stay_and_hand_set_ones_where_asked() -> None:
    recipe = Recipe(bypass=("c0",)).with_layers({"c1": "w8a16"})
    _, space = of_model(chain(4), recipe, ["w8a8", "w4a8"])
    assert [len(p.options) for p in space.places] == [1, 2, 2, 2]
    sim, space = of_model(chain(4), recipe, ["w8a8", "w4a8"], keep=frozenset({"c1"}))
    assert [str(p.options[0].precision) for p in space.places[:2]] == ["fp32", "w8a16"]
    assert space.places[0].fixed == "bypassed"
    assert len(space.places[1].options) == 1
    agrees(sim, space, drawn(space, random.Random(0)))


def test_legal_combinations_only_unless_asked() -> None:
    _, space = of_model(chain(2), Recipe(), ["w8a8", "w4a16", "w2a8"], allow_illegal=True)
    assert len(space.places[0].options) == 3
    _, space = of_model(chain(2), Recipe(), ["w8a8", "w4a8", "w2a8"])
    assert {str(o.precision) for o in space.places[0].options} == {"w8a8", "w4a8"}
    with pytest.raises(BadInput, match="nothing to choose"):
        of_model(chain(2), Recipe(), ["w8a8", "w2a8"])


def test_an_option_without_a_score_is_none() -> None:
    scores = {"c0": {"w8a8": 0.1}, "c1": {"w8a8": 0.1, "w4a8": 0.2}}
    _, space = of_model(chain(2), Recipe(), ["w8a8", "w4a8"], scores)
    assert [len(p.options) for p in space.places] == [1, 2]


def test_a_choice_is_written_over_patterns_and_keeps_what_a_line_says_of_a_weights_grid() -> None:
    recipe = Recipe.parse({"mixdown": 1, "layers": {"op:Conv": {"precision": "w8a16", "weights": {"granularity": "per_tensor"}}}})
    sim, space = of_model(chain(3), recipe, ["w8a8", "w4a8", "w8a16"])
    rng = random.Random(2)
    for _ in range(10):
        choice = drawn(space, rng)
        agrees(sim, space, choice)
        moved = sim.moved(written(sim, space.named(choice)))
        assert {str(p.granularity) for p in moved.plan.weights.values()} == {str(p.granularity) for p in sim.plan.weights.values()}


def test_uniform_takes_the_nearest_wider_option() -> None:
    _, space = of_model(fork(), Recipe(target="generic"), ["w8a8", "w4a8"])
    assert {str(p) for p in space.named(space.uniform(Precision.parse("w4a8"))).values()} == {"w4a8"}
    assert {str(p) for p in space.named(space.uniform(Precision.parse("w6a8"))).values()} == {"w8a8"}
    assert replace(space, groups=()).allows((0, 0, 0, 0))


def test_the_peak_of_activations_follows_their_types(sample_model: Model, calibration: Dataset) -> None:
    """On a chain without anything in float it is a quarter of the float32 peak, half of it where all are at 16 bits."""
    model = chain(4)
    _, space = of_model(model, Recipe(target="generic"), ["w8a8", "w8a16"])
    whole = activation_peak(model)
    low, high = (space.uniform(Precision.parse(p)) for p in ("w8a8", "w8a16"))
    assert space.activation_peak(low) == whole // 4
    assert whole // 4 < (space.activation_peak(high) or 0) <= whole // 2
    bound = sample_model.with_sample(calibration.bind(sample_model.inputs).batch(0, 1))
    _, real = of_model(bound, Recipe(), ["w8a8", "w8a16"])
    peaks = [real.activation_peak(real.uniform(Precision.parse(p))) or 0 for p in ("w8a8", "w8a16")]
    assert 0 < peaks[0] <= peaks[1] <= activation_peak(bound)
