"""Pinned encodings: they stay with their weight, and only while the recipe asks for their type."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import BadInput
from engine.graph import from_proto
from engine.quant.encoding import Encoding
from engine.recipe import Recipe
from engine.recipe.parts import WeightOptions
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net

W4, W8 = Recipe(precision="w4a8", target="generic"), Recipe(precision="w8a8", target="generic")  # type: ignore[arg-type]


@pytest.fixture
def sim() -> QuantSim:
    return QuantSim(from_proto(conv_net(), "net").clone(), W4)


def rounded(sim: QuantSim) -> tuple[str, Encoding]:
    """What a rounding step does: a narrower grid, the weight on it, and the pin."""
    name = sim.model.layers[1].weight
    usual = sim.constants()[name]
    assert usual.grid is not None and usual.scale is not None
    narrow = Encoding(usual.dtype, usual.granularity, usual.grid, usual.scale * 0.8, usual.zero_point)
    sim.model.set_constant(name, narrow.fake_quantize(torch.from_numpy(np.array(sim.model.constant(name)))).numpy())
    sim.graph_changed()
    sim.pin(name, narrow)
    return name, narrow


def test_a_weight_on_its_pinned_grid_is_not_rounded_again(sim: QuantSim) -> None:
    name, narrow = rounded(sim)
    weight = torch.from_numpy(np.array(sim.model.constant(name)))
    assert sim.constants()[name] is narrow
    assert torch.equal(narrow.fake_quantize(weight), weight)


def test_a_pin_moves_along_and_serves_its_own_type_alone(sim: QuantSim) -> None:
    name, narrow = rounded(sim)
    assert sim.moved(W4).constants()[name] is narrow
    wide = sim.moved(W8).constants()[name]
    assert wide is not narrow and wide.dtype != narrow.dtype
    tensor_wise = Recipe(precision="w4a8", target="generic", weights=WeightOptions("per_tensor"))  # type: ignore[arg-type]
    assert sim.moved(tensor_wise).constants()[name].granularity != narrow.granularity


def test_what_one_simulation_pins_another_does_not_see(sim: QuantSim) -> None:
    other = sim.moved(W4)
    name, _ = rounded(sim)
    assert name in sim.pinned and name not in other.pinned


def test_a_changed_graph_keeps_pins_of_weights_that_stayed(sim: QuantSim) -> None:
    name, narrow = rounded(sim)
    sim.model = sim.model.clone()
    other = sim.model.layers[0].weight
    sim.model.set_constant(other, sim.model.constant(other) * 2)
    sim.graph_changed()
    assert sim.constants()[name] is narrow
    sim.model.set_constant(name, sim.model.constant(name) * 2)
    sim.graph_changed()
    assert name not in sim.pinned and sim.constants()[name] is not narrow


def test_unpin_and_override(sim: QuantSim) -> None:
    name, narrow = rounded(sim)
    sim.override(name, wide_encoding(sim, name))
    assert sim.constants()[name] is not narrow
    sim.reset([name])
    assert sim.constants()[name] is narrow
    sim.unpin([name])
    assert sim.constants()[name] is not narrow
    with pytest.raises(BadInput, match="no weight 'nothing'"):
        sim.pin("nothing", narrow)


def wide_encoding(sim: QuantSim, name: str) -> Encoding:
    return sim.moved(W8).constants()[name]
