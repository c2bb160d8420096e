"""Concat and Add whose inputs have very different ranges and end up on one grid."""
from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from engine.analysis.diagnosis.channels import own_grids
from engine.analysis.diagnosis.facts import LayerFacts
from engine.analysis.diagnosis.joins import Join
from engine.analysis.diagnosis.kinds import Finding, Variant
from engine.analysis.diagnosis.operands import Operand, rounded
from engine.analysis.diagnosis.remedies import ideas
from engine.analysis.diagnosis.thresholds import MIN_SEVERITY, MIN_STEPS, TWO_BITS
from engine.analysis.diagnosis.words import percent
from engine.quant.encoding import encode_range

REMEDIES = ("search_range", "more_bits", "bypass")


class UnbalancedConcat:
    """The inputs of a Concat share the union of their ranges."""

    id = "unbalanced_concat"
    general = False

    def probes(self, facts: LayerFacts) -> Mapping[str, Variant]:
        """What if each input had a range of its own."""
        found: dict[str, Variant] = {}
        for operand, join, _ in _unbalanced(facts, "Concat"):
            channels = facts.channels.get(operand.name)
            if channels is not None and sum(join.sizes) == channels.count:
                found[f"apart:{operand.name}"] = {operand.name: own_grids(operand, channels.shared(join.groups()))}
        return found

    def find(self, facts: LayerFacts) -> Iterator[Finding]:
        for operand, join, reaches in _unbalanced(facts, "Concat"):
            severity = facts.gained(operand, f"apart:{operand.name}")
            if severity >= MIN_SEVERITY and _few_steps(operand, reaches):
                words = _words(operand, join, reaches, "share one scale", severity)
                yield Finding(operand.name, words, severity, _evidence(facts, operand, reaches), ideas(facts, operand, *REMEDIES))


class UnbalancedAdd:
    """The larger input of an Add sets the steps of the sum, in which the smaller one drowns."""

    id = "unbalanced_add"
    general = False

    def probes(self, facts: LayerFacts) -> Mapping[str, Variant]:
        """What if the sum had the steps that the smaller input needs."""
        found: dict[str, Variant] = {}
        for operand, _, reaches in _unbalanced(facts, "Add"):
            assert operand.encoding is not None and operand.encoding.grid is not None
            low, high = float(operand.encoding.low), float(operand.encoding.high)
            share = min(reaches) / max(reaches)
            fine = encode_range(low * share, high * share, operand.encoding.grid)
            found[f"fine:{operand.name}"] = {operand.name: rounded(fine, operand.factor)}
        return found

    def find(self, facts: LayerFacts) -> Iterator[Finding]:
        for operand, join, reaches in _unbalanced(facts, "Add"):
            severity = facts.gained(operand, f"fine:{operand.name}")
            if severity >= MIN_SEVERITY and _few_steps(operand, reaches):
                words = _words(operand, join, reaches, "are rounded together in their sum", severity)
                yield Finding(operand.name, words, severity, _evidence(facts, operand, reaches), ideas(facts, operand, *REMEDIES))


def _unbalanced(facts: LayerFacts, op_type: str) -> Iterator[tuple[Operand, Join, tuple[float, ...]]]:
    for operand in facts.operands:
        if operand.name not in facts.joins or not operand.per_tensor:
            continue
        join, reaches = facts.joins[operand.name]
        if join.op_type == op_type and min(reaches) > 0 and max(reaches) >= TWO_BITS * min(reaches):
            yield operand, join, reaches


def _few_steps(operand: Operand, reaches: tuple[float, ...]) -> bool:
    """The noise must be large beside the smaller input: beside the larger one it always is small."""
    assert operand.encoding is not None and operand.encoding.scale is not None
    return min(reaches) < MIN_STEPS * float(operand.encoding.scale) * operand.factor


def _words(operand: Operand, join: Join, reaches: tuple[float, ...], how: str, severity: float) -> str:
    small, large = int(np.argmin(reaches)), int(np.argmax(reaches))
    ratio = reaches[large] / reaches[small]
    return (f"{join.op_type} {join.node} brings together {join.inputs[large]} (up to {reaches[large]:.4g}) and {join.inputs[small]} (up to "
            f"{reaches[small]:.4g}), which {how} of {operand.bits} bits: the smaller one keeps {np.log2(ratio):.1f} bits less. That makes "
            f"{percent(severity)} of this layer's noise. A range that clips the larger one, or more bits for the {join.op_type}, help.")


def _evidence(facts: LayerFacts, operand: Operand, reaches: tuple[float, ...]) -> dict[str, float]:
    assert operand.encoding is not None and operand.encoding.scale is not None
    return {"largest_reach": max(reaches), "smallest_reach": min(reaches), "ratio": max(reaches) / min(reaches),
            "steps_of_smallest": min(reaches) / (float(operand.encoding.scale) * operand.factor), "sqnr_db": facts.sqnr_db}
