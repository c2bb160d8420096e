"""Clipping or rounding dominated: which of the two makes a layer's noise, and in which operand."""
from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.analysis.diagnosis.facts import LayerFacts
from engine.analysis.diagnosis.kinds import Finding, Variant
from engine.analysis.diagnosis.operands import Operand
from engine.analysis.diagnosis.remedies import ideas
from engine.analysis.diagnosis.thresholds import DOMINANT
from engine.analysis.diagnosis.words import percent, the, way_out


class Clipping:
    """Values outside the range make most of the noise."""

    id = "clipping"
    general = True

    def probes(self, facts: LayerFacts) -> Mapping[str, Variant]:
        return {}

    def find(self, facts: LayerFacts) -> Iterator[Finding]:
        for operand in _dominant(facts, "clip"):
            encoding = operand.encoding
            assert encoding is not None
            share, low, high = facts.part("clip", operand), float(encoding.low.min()), float(encoding.high.max())
            words = (f"Clipping of {the(operand)} makes {percent(share)} of this layer's noise (SQNR {facts.sqnr_db:.1f} dB): its range is "
                     f"{low:.4g} to {high:.4g}, and values beyond are cut off, an error that grows with their distance. A wider range "
                     "or more bits help.")
            evidence = {"clipping_share": share, "rounding_share": facts.part("round", operand), "low": low, "high": high,
                        "sqnr_db": facts.sqnr_db}
            found = ideas(facts, operand, "full_range", "search_range", "search_grid", "more_bits", "bypass")
            yield Finding(operand.name, words, share, evidence, found)


class Rounding:
    """The steps of the grid are too coarse."""

    id = "rounding"
    general = True

    def probes(self, facts: LayerFacts) -> Mapping[str, Variant]:
        return {}

    def find(self, facts: LayerFacts) -> Iterator[Finding]:
        for operand in _dominant(facts, "round"):
            encoding = operand.encoding
            assert encoding is not None and encoding.scale is not None
            share, step = facts.part("round", operand), float(encoding.scale.median())
            words = (f"Rounding of {the(operand)} makes {percent(share)} of this layer's noise (SQNR {facts.sqnr_db:.1f} dB): with "
                     f"{operand.bits} bits the steps of {step:.3g} are coarse for its values. "
                     f"{way_out(operand, 'Finer scales, a', 'A')} narrower range or more bits help; each bit takes off 6 dB.")
            evidence = {"rounding_share": share, "clipping_share": facts.part("clip", operand), "step": step, "bits": float(operand.bits),
                        "sqnr_db": facts.sqnr_db}
            found = ideas(facts, operand, "search_range", "finer_scales", "fold", "round_well", "more_bits", "blocks",
                          "bypass")
            yield Finding(operand.name, words, share, evidence, found)


def _dominant(facts: LayerFacts, kind: str) -> Iterator[Operand]:
    """The operand whose `kind` of noise is more than all the rest, where the layer is noisy at all."""
    if facts.noisy:
        yield from (o for o in facts.integers() if facts.part(kind, o) > DOMINANT)
