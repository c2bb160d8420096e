"""The inspector's plots and words, made from a real layer's facts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from app import layer_plots, layer_words
from engine.analysis.layer_facts import layer_facts
from engine.data import Dataset
from engine.graph import from_proto
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    """Of the second layer of a small chain, as they travel: through JSON."""
    data = Dataset("x", {"x": np.random.default_rng(0).normal(size=(20, 3, 12, 12)).astype(np.float32)})
    sim = QuantSim(from_proto(conv_net(3), "net"), Recipe(precision="w4a8", target="generic"))
    sim.calibrate(data)
    return dict(json.loads(json.dumps(layer_facts(sim, "conv1", data), allow_nan=False)))


def test_activations_are_drawn_on_their_grid(facts: dict[str, Any]) -> None:
    drawn = layer_plots.activations(facts)
    assert drawn[0]["left"].startswith("Reads ") and drawn[0]["title"] == "activation value"
    reads = next(t for t in facts["tensors"] if t["role"] == "reads")
    assert drawn[0]["clip"] == [reads["low"], reads["high"]] and "every 8th level" in drawn[0]["right"] and "saturated" in drawn[0]["right"]
    assert sum(drawn[0]["counts"]) == 20 * 8 * 144
    spacing = np.diff(drawn[0]["grid"])
    assert np.allclose(spacing, 8 * reads["step"], rtol=1e-3), "the lines are levels of the grid"


def test_channels_tell_what_each_saturates(facts: dict[str, Any]) -> None:
    drawn = layer_plots.channels(facts)
    assert drawn is not None and len(drawn["notes"]) == len(drawn["low"]) == 8 == len(drawn["limits"]["low"])
    assert all("saturated" in note and "rounding" in note and "SQNR" in note for note in drawn["notes"])
    assert "0 saturate" in drawn["right"]
    assert layer_plots.activation_channels(facts)[0]["low"] and "16 samples" in layer_plots.activation_channels(facts)[0]["right"]


def test_one_plot_alone_has_the_whole_width() -> None:
    assert layer_plots.beside([None, {"half": 0.45}]) == [{"half": 0}]
    assert [p["half"] for p in layer_plots.beside([{"half": 0.55}, {"half": 0.45}])] == [0.55, 0.45]


def test_an_encoding_in_words_has_scale_zero_point_and_losses(facts: dict[str, Any]) -> None:
    weight = layer_words.encoding(facts["encoding"])
    assert weight.startswith("per channel \u00b7 codes \u22128 to 7 \u00b7 scale ") and " to " in weight.split("scale ")[1]
    assert "zero point 0" in weight and "rounding 100 % of its noise" in weight and weight.endswith(" dB")
    reads = next(t for t in facts["tensors"] if t["role"] == "reads")
    assert f"zero point {reads['zero_point'][0]}" in layer_words.encoding(reads)
    assert layer_words.encoding({"dtype": "fp16"}) == "" == layer_words.encoding(None)


def test_neighbours_have_both_directions_and_their_precision(facts: dict[str, Any]) -> None:
    (fed, before, _), (read, after, _) = layer_words.neighbours(facts)
    assert (fed, before) == ("Fed by", [("conv0", "w4a8")]) and read == "Read by" and ("conv2", "w4a8") in after
    assert layer_words.neighbours({}) == [], "facts from before there were neighbours"
    ends = layer_words.neighbours({"neighbours": {"input": True, "feeds": [], "readers": [], "more_readers": 3}})
    assert ends == [("Fed by", [], "the model's input"), ("Read by", [], "3 more layers")]
