"""Calibration data unlike the evaluation data: values that calibration never saw are clipped."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from engine.analysis.diagnosis.facts import LayerFacts, decibels
from engine.analysis.diagnosis.kinds import Finding, Remedy, Variant
from engine.analysis.diagnosis.operands import Operand
from engine.analysis.diagnosis.thresholds import MIN_GAIN_DB, UNSEEN_RATE, UNSEEN_RATIO
from engine.analysis.diagnosis.words import percent, the
from engine.quant.histogram import Histogram, MinMax

BIN = 1 / 128  # the relative width of a histogram's bins: a value at the end of the range may lie in a bin with its center outside


@dataclass(frozen=True)
class Outside:
    """What a range does to a distribution: the share it clips, and the mean squared errors of clipping and rounding."""

    rate: float
    clipping: float
    rounding: float

    @property
    def error(self) -> float:
        return self.clipping + self.rounding


class UnlikeData:
    """The clipping rate on unseen samples is much higher than on calibration ones."""

    id = "unlike_data"
    general = False

    def probes(self, facts: LayerFacts) -> Mapping[str, Variant]:
        return {}

    def find(self, facts: LayerFacts) -> Iterator[Finding]:
        for operand in facts.integers():
            limits = facts.limits.get(operand.name)
            if limits is None or limits.unseen is None or operand.encoding is None or operand.encoding.scale is None:
                continue
            low, high, step = (float(v) for v in (operand.encoding.low, operand.encoding.high, operand.encoding.scale))
            seen, unseen = outside(limits.seen, low, high, step), outside(limits.unseen, low, high, step)
            if unseen is None or unseen.rate < max(UNSEEN_RATE, UNSEEN_RATIO * (seen.rate if seen else 0.0)):
                continue
            severity = self._severity(facts, operand, unseen)
            evidence = {"clipped_unseen": unseen.rate, "clipped_calibration": seen.rate if seen else 0.0, "low": low, "high": high,
                        "unseen_minimum": limits.unseen.minimum, "unseen_maximum": limits.unseen.maximum,
                        "clipping_share_of_tensor": unseen.clipping / max(unseen.error, 1e-30)}
            words = (f"On evaluation data {percent(unseen.rate)} of the values of {the(operand)} lie outside its range "
                     f"{low:.4g} to {high:.4g} (on calibration data {percent(evidence['clipped_calibration'])}); they reach "
                     f"{limits.unseen.minimum:.4g} to {limits.unseen.maximum:.4g}. The calibration data do not show what the model meets. "
                     "Calibrate on samples like the evaluation data (other scaling? other classes?), on more "
                     "of them, or set the range by hand.")
            yield Finding(operand.name, words, severity, evidence, tuple(self._ideas(facts, operand, limits.unseen)))

    def _severity(self, facts: LayerFacts, operand: Operand, unseen: Outside) -> float:
        """The operand's share of the layer's noise, had the layer been run on the unseen samples: its noise there is larger
        by what clipping adds to rounding."""
        own = facts.own(operand)
        grown = own * unseen.error / max(unseen.rounding, 1e-30)
        return 0.0 if grown <= 0 else (grown - own) / (grown + max(1.0 - own, 0.0))

    def _ideas(self, facts: LayerFacts, operand: Operand, unseen: MinMax) -> Iterator[Remedy]:
        encoding = operand.encoding
        assert encoding is not None and encoding.grid is not None and encoding.scale is not None
        low, high = min(float(encoding.low), unseen.minimum), max(float(encoding.high), unseen.maximum)
        before = outside(unseen, float(encoding.low), float(encoding.high), float(encoding.scale))
        after = outside(unseen, low, high, (high - low) / encoding.grid.steps)
        gain = decibels(before.error, after.error) if before and after else 0.0
        if gain >= MIN_GAIN_DB:
            words = (f"Sets the range of {operand.quantizer} to {low:.4g} to {high:.4g}, which holds the evaluation data looked at: by "
                     f"their histogram its error falls by {gain:.1f} dB. Judge the result on other samples.")
            yield Remedy("Widen the range", words, {"tensors": {operand.quantizer: {"min": low, "max": high}}}, gain)
        samples = facts.sim.recipe.calibration.samples
        if facts.available > samples:
            yield Remedy("More calibration samples", f"Calibrates on {facts.available} samples instead of {samples}.",
                         {"calibration": {"samples": facts.available}})


def outside(observer: MinMax | None, low: float, high: float, step: float) -> Outside | None:
    """From a histogram; None without one. Bins at the very end of the range count as inside."""
    if not isinstance(observer, Histogram) or observer.count == 0:
        return None
    centers, counts = observer.centers().double(), observer.counts().double()
    beyond = torch.maximum(low - centers, centers - high).clamp_(min=0.0)
    beyond = torch.where(beyond > torch.clamp(centers.abs() * BIN, min=step / 2), beyond, 0.0)
    out = float(counts[beyond > 0].sum()) / observer.count
    return Outside(out, float((counts * beyond**2).sum()) / observer.count, (1 - out) * step**2 / 12)
