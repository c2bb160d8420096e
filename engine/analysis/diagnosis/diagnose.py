"""The diagnosis of layers: gather facts, let each cause judge, try the remedies, keep those that help."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from engine.analysis.diagnosis.bench import Bench, measure, walk
from engine.analysis.diagnosis.causes import CAUSES
from engine.analysis.diagnosis.channels import Channels, ChannelWatch, channels_of
from engine.analysis.diagnosis.facts import LayerFacts, Limits
from engine.analysis.diagnosis.joins import Join, join_before
from engine.analysis.diagnosis.kinds import Diagnosis, Finding
from engine.analysis.diagnosis.operands import Operand, operands_of
from engine.analysis.diagnosis.thresholds import DOMINANT, SAMPLES
from engine.analysis.diagnosis.trial import tried
from engine.graph.layers import Layer
from engine.progress import Progress, part, silent
from engine.sim.calibration import Samples, Statistics
from engine.sim.quantsim import QuantSim


def diagnose(sim: QuantSim, data: Samples, unseen: Statistics | None = None, layers: Sequence[str] | None = None,
             progress: Progress = silent, samples: int = SAMPLES) -> tuple[Diagnosis, ...]:
    """Why layers lose accuracy under the present recipe, the gravest first.

    Each layer is run alone from its float inputs, so that its noise is its own and not what came before it.

    Args:
        sim: calibrated.
        data: samples to run, the first `samples` of them; the calibration data.
        unseen: statistics of evaluation data, gathered for the tensors of `sim.statistics`; None leaves out what needs them.
        layers: names; None takes all.

    Raises:
        BadInput: a layer that does not exist, or a simulation that is not calibrated.
    """
    some = First(data, samples)
    chosen = sim.model.layers if layers is None else tuple(sim.model.layer(name) for name in layers)
    facts = _facts(sim, chosen, some, unseen, part(progress, 0.0, 0.2))
    benches = [Bench(sim.model, sim.chain, f.layer) for f in facts]
    probes = {f.layer.name: {k: v for group in (f.base_probes(), *(c.probes(f) for c in CAUSES)) for k, v in group.items()} for f in facts}
    noise = measure(sim.chain, some, benches, probes, part(progress, 0.2, 0.6))
    for f in facts:
        f.take(noise[f.layer.name])
    found = [(f, *one) for f in facts for one in _found(f)]
    return _diagnoses(sim, some, benches, found, part(progress, 0.6, 1.0))


def _found(facts: LayerFacts) -> list[tuple[str, Finding]]:
    """What the causes say of one layer, without general words for what a particular cause has said."""
    found = [(cause, finding) for cause in CAUSES for finding in cause.find(facts)]
    told = {finding.tensor for cause, finding in found if not cause.general and finding.severity > DOMINANT}
    return [(cause.id, finding) for cause, finding in found if not (cause.general and finding.tensor in told)]


class First:
    """The first samples of a data set."""

    def __init__(self, data: Samples, count: int) -> None:
        self.data, self.available, self.count = data, len(data), min(count, len(data))

    def __len__(self) -> int:
        return self.count

    def batch(self, start: int, stop: int) -> dict[str, np.ndarray]:
        return self.data.batch(start, stop)


def _facts(sim: QuantSim, layers: Iterable[Layer], data: First, unseen: Statistics | None, progress: Progress) -> list[LayerFacts]:
    """Operands, channels' ranges and joins, from one walk of the float model. Layers with nothing on a grid are left out."""
    quantization = sim.quantization
    found = []
    for layer in layers:
        operands = operands_of(sim, quantization, layer)
        if any(o.integer for o in operands):
            found.append(LayerFacts(sim, layer, operands, len(data), data.available))
    joins = {o.name: join for f in found for o in f.operands if o.kind == "activation" and (join := join_before(sim.model, o.name))}
    watch = ChannelWatch((o.name, o.axis) for f in found for o in f.operands if o.kind == "activation" and o.axis is not None)
    reaches: dict[str, float] = {name: 0.0 for join in joins.values() for name in join.inputs}

    def visit(values: Mapping[str, np.ndarray], valid: object) -> None:
        watch.visit(values, valid)  # type: ignore[arg-type]
        for name in reaches:
            reaches[name] = max(reaches[name], float(np.abs(values[name]).max(initial=0.0)))

    walk(sim.chain, data, {name for name, _ in watch.keys} | set(reaches), visit, progress)
    for f in found:
        _complete(f, watch, joins, reaches, unseen)
    return found


def _complete(f: LayerFacts, watch: ChannelWatch, joins: Mapping[str, Join], reaches: Mapping[str, float],
              unseen: Statistics | None) -> None:
    channels = {o.name: _channels(f.sim, watch, o) for o in f.operands if o.axis is not None}
    f.channels = {name: c for name, c in channels.items() if c is not None}
    f.joins = {o.name: (joins[o.name], tuple(reaches[n] for n in joins[o.name].inputs)) for o in f.operands if o.name in joins}
    f.limits = {o.name: Limits(f.sim.statistics.get(o.quantizer), None if unseen is None else unseen.get(o.quantizer))
                for o in f.operands if o.kind == "activation"}


def _channels(sim: QuantSim, watch: ChannelWatch, operand: Operand) -> Channels | None:
    assert operand.axis is not None
    if operand.kind == "weight":
        return channels_of(sim.model.constant(operand.name), operand.axis)
    return watch.found.get((operand.name, operand.axis))


def _diagnoses(sim: QuantSim, data: Samples, benches: list[Bench], found: list[tuple[LayerFacts, str, Finding]],
               progress: Progress) -> tuple[Diagnosis, ...]:
    remedies = tried(sim, data, benches, [(facts, finding.ideas) for facts, _, finding in found], progress)
    made = [Diagnosis(facts.layer.name, finding.tensor, cause, finding.words, finding.severity, finding.evidence, kept)
            for (facts, cause, finding), kept in zip(found, remedies, strict=True)]
    return tuple(sorted(made, key=lambda d: -d.severity))
