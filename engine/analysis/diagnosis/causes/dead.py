"""Dead channels: always zero. They cost size and time, and now and then they hold large weights that set a range."""
from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from engine.analysis.diagnosis.facts import LayerFacts
from engine.analysis.diagnosis.kinds import Array, Finding, Transform, Variant
from engine.analysis.diagnosis.operands import Operand, quantized
from engine.analysis.diagnosis.remedies import ideas
from engine.analysis.diagnosis.thresholds import MIN_SEVERITY
from engine.analysis.diagnosis.words import percent, plural, some, the
from engine.quant.weights import weight_encoding

REMEDIES = ("search_range", "finer_scales", "more_bits")


class DeadChannels:
    """Output channels without weights, or activation channels that no sample moves."""

    id = "dead_channels"
    general = False

    def probes(self, facts: LayerFacts) -> Mapping[str, Variant]:
        """What if the weights that only meet zeros did not count for the weight's range."""
        found: dict[str, Variant] = {}
        for operand in facts.operands:
            weight = _weight_behind(facts, operand)
            if weight is not None and len(dead(facts, operand)):
                found[f"alive:{operand.name}"] = {weight.name: self._without(facts, weight, dead(facts, operand))}
        return found

    def find(self, facts: LayerFacts) -> Iterator[Finding]:
        for operand in facts.operands:
            gone = dead(facts, operand)
            if not len(gone):
                continue
            count, weight = facts.channels[operand.name].count, _weight_behind(facts, operand)
            probe = f"alive:{operand.name}"
            severity = 0.0
            if weight is not None and probe in facts.noise:
                severity = facts.share(facts.noise[f"all:{weight.name}"] - facts.noise[probe])
            because = "" if operand.kind == "weight" else f" on all {facts.samples} samples"
            effect = (f"Their weights are never used but set the range of the others: {percent(severity)} of this layer's noise. "
                      "A searched range, finer scales or more bits help." if severity >= MIN_SEVERITY else
                      "That adds no noise, but costs size and time: such channels can be pruned before quantization.")
            words = f"{plural(len(gone), 'channel')} of {count} ({some(gone.tolist())}) of {the(operand)} are zero{because}. {effect}"
            found = () if weight is None or severity < MIN_SEVERITY else ideas(facts, weight, *REMEDIES)
            evidence = {"dead": float(len(gone)), "channels": float(count), "share": len(gone) / count}
            yield Finding(operand.name, words, severity, evidence, found)

    def _without(self, facts: LayerFacts, weight: Operand, gone: Array) -> Transform:
        plan, axis = facts.sim.plan.weights[weight.quantizer], facts.layer.input_axis
        assert axis is not None

        def run(x: Array) -> Array:
            alive = np.array(x)
            np.moveaxis(alive, axis, 0)[gone] = 0.0
            encoding = weight_encoding(torch.from_numpy(alive), plan.dtype, plan.symmetry, plan.granularity, plan.method)
            return quantized(encoding)(alive)
        return run


def dead(facts: LayerFacts, operand: Operand) -> Array:
    """The operand's channels that are zero throughout."""
    channels = facts.channels.get(operand.name)
    return np.flatnonzero(channels.reach == 0) if channels is not None else np.zeros(0, dtype=np.int64)


def _weight_behind(facts: LayerFacts, operand: Operand) -> Operand | None:
    """The quantized weight whose input channels are the channels of this activation."""
    layer, weight = facts.layer, facts.operands[0]
    if operand.kind == "weight" or layer.input_axis is None or not weight.integer or operand.name not in facts.channels:
        return None
    same = layer.weight_shape[layer.input_axis] == facts.channels[operand.name].count
    return weight if same and weight.quantizer in facts.sim.plan.weights else None
