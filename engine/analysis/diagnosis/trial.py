"""Remedies on trial: the layer runs under the changed recipe, and what does not help it is not offered."""
from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.analysis.diagnosis.bench import Bench, measure
from engine.analysis.diagnosis.change import apply_change
from engine.analysis.diagnosis.facts import WHOLE, LayerFacts, decibels
from engine.analysis.diagnosis.kinds import Remedy, Variant
from engine.analysis.diagnosis.operands import operands_of, quantized
from engine.analysis.diagnosis.thresholds import MIN_GAIN_DB
from engine.errors import BadInput
from engine.progress import Progress, silent
from engine.sim.calibration import Samples
from engine.sim.quantsim import QuantSim

# A change of these needs data or another graph: it cannot be tried on the layer alone.
UNTRIED = ("calibration", "steps")
Ideas = tuple[LayerFacts, tuple[Remedy, ...]]


def tried(sim: QuantSim, data: Samples, benches: Sequence[Bench], ideas: Sequence[Ideas],
          progress: Progress = silent) -> list[tuple[Remedy, ...]]:
    """For each set of ideas those that help, the best first: what costs no bits before what does."""
    variants: dict[str, dict[str, Variant]] = {}
    notes: dict[tuple[str, str], str] = {}
    for n, (facts, remedies) in enumerate(ideas):
        progress(0.5 * n / len(ideas), f"Trying remedies for {facts.layer.name}")
        known = variants.setdefault(facts.layer.name, {})
        for remedy in remedies:
            key = _key(remedy)
            if key not in known and not _untried(remedy) and (made := _variant(sim, facts, remedy)) is not None:
                known[key], notes[facts.layer.name, key] = made
    noise = measure(sim.chain, data, benches, variants, lambda f, m: progress(0.5 + 0.5 * f, m))
    return [_kept(facts, remedies, {k: float(v.sum()) for k, v in noise.get(facts.layer.name, {}).items()}, notes)
            for facts, remedies in ideas]


def _variant(sim: QuantSim, facts: LayerFacts, remedy: Remedy) -> tuple[Variant, str] | None:
    """The layer's operands under the changed recipe, and a note where the layer's precision changes with it; None where the
    recipe or the target refuses it."""
    trial = copy.copy(sim)  # its caches of encodings are shared: what is derived here need not be derived again
    try:
        trial.update(apply_change(sim.recipe, remedy.change))
        plan = trial.plan.layer(facts.layer.name)
        if not plan.legal and sim.plan.layer(facts.layer.name).legal:
            return None
        operands = operands_of(trial, trial.quantization, facts.layer)
    except BadInput:
        return None
    moved = plan.precision != sim.plan.layer(facts.layer.name).precision and not plan.bypassed and str(plan.precision) not in remedy.title
    note = f" The target then runs the layer in {plan.precision}." if moved else ""
    return {o.name: quantized(o.encoding, o.factor) for o in operands}, note


def _kept(facts: LayerFacts, remedies: Sequence[Remedy], noise: Mapping[str, float],
          notes: Mapping[tuple[str, str], str]) -> tuple[Remedy, ...]:
    kept = []
    for remedy in remedies:
        if _untried(remedy):
            kept.append(remedy)
        elif _key(remedy) in noise:
            gain = decibels(facts.noise[WHOLE], noise[_key(remedy)])
            if gain >= MIN_GAIN_DB:
                words = f"{remedy.words}{notes[facts.layer.name, _key(remedy)]} Tried on {facts.samples} samples: {_worth(gain)}."
                kept.append(replace(remedy, gain_db=gain, words=words))
    return tuple(sorted(kept, key=lambda r: (r.costs_bits, -(r.gain_db or 0.0) if not r.costs_bits else 0.0)))


def _worth(gain: float) -> str:
    return "no noise is left at the layer's output" if gain >= 100 else f"the noise at the layer's output falls by {gain:.1f} dB"


def _untried(remedy: Remedy) -> bool:
    """Whether the layer alone cannot show what it is worth, or that was found in another way."""
    return remedy.gain_db is not None or any(key in UNTRIED for key in remedy.change)


def _key(remedy: Remedy) -> str:
    change: Any = remedy.change
    return json.dumps(change, sort_keys=True)
