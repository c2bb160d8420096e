"""What was measured of one layer: the noise at its output by operand and kind, and its channels."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from engine.analysis.diagnosis.bench import SIGNAL
from engine.analysis.diagnosis.channels import Channels
from engine.analysis.diagnosis.joins import Join
from engine.analysis.diagnosis.kinds import Array, Variant
from engine.analysis.diagnosis.operands import Operand, clipped, quantized, rounded
from engine.analysis.diagnosis.thresholds import QUIET_DB
from engine.graph.layers import Layer
from engine.quant.histogram import MinMax
from engine.sim.quantsim import QuantSim

WHOLE = "whole"  # all operands quantized
NO_NOISE_DB = 200.0  # stands for an SQNR without noise, in texts and files


@dataclass(frozen=True)
class Limits:
    """An activation's values beside its range: on calibration data and on unseen ones."""

    seen: MinMax | None
    unseen: MinMax | None


@dataclass
class LayerFacts:
    """Facts of one layer under the present recipe.

    Attributes:
        samples, available: run here, and there are in all.
        noise: variant → noise power at the layer's output; `SIGNAL` → the power of the float output.
        channel_sqnr_db: of the median channel of the output.
        channels: by operand; activations' over the samples, weights' over the tensor.
        joins: the Concat or Add that an activation comes from, with the reach of each of its inputs.
    """

    sim: QuantSim
    layer: Layer
    operands: tuple[Operand, ...]
    samples: int
    available: int
    channels: Mapping[str, Channels] = field(default_factory=dict)
    joins: Mapping[str, tuple[Join, tuple[float, ...]]] = field(default_factory=dict)
    limits: Mapping[str, Limits] = field(default_factory=dict)
    noise: Mapping[str, float] = field(default_factory=dict)
    channel_sqnr_db: float = NO_NOISE_DB

    def take(self, noise: Mapping[str, Array]) -> None:
        """The results of the experiments, by channel."""
        self.noise = {key: float(power.sum()) for key, power in noise.items()}
        signal, whole = np.broadcast_arrays(noise[SIGNAL], noise[WHOLE])
        alive = signal > 0
        if alive.any():
            self.channel_sqnr_db = float(np.median([decibels(s, n) for s, n in zip(signal[alive], whole[alive], strict=True)]))

    def base_probes(self) -> dict[str, Variant]:
        """The experiments that every diagnosis rests on: everything, and each operand clipped, rounded, both."""
        found: dict[str, Variant] = {WHOLE: {o.name: quantized(o.encoding, o.factor) for o in self.operands}}
        for o in self.operands:
            found[f"all:{o.name}"] = {o.name: quantized(o.encoding, o.factor)}
            found[f"clip:{o.name}"] = {o.name: clipped(o.encoding, o.factor)}
            found[f"round:{o.name}"] = {o.name: rounded(o.encoding, o.factor)}
        return found

    def operand(self, name: str) -> Operand:
        return next(o for o in self.operands if o.name == name)

    def integers(self) -> Iterator[Operand]:
        """Operands on a grid."""
        return (o for o in self.operands if o.integer)

    @property
    def total(self) -> float:
        """The noise that shares refer to. Parts may cancel or add up in the whole, so it is the larger of both."""
        return max(self.noise.get(WHOLE, 0.0), sum(self.noise.get(f"all:{o.name}", 0.0) for o in self.operands))

    def share(self, noise: float) -> float:
        """A part of the layer's noise, 0..1."""
        return 0.0 if self.total <= 0 else min(max(noise / self.total, 0.0), 1.0)

    def part(self, kind: str, operand: Operand) -> float:
        """The share that is `clip` or `round` of one operand."""
        clip, rounding = (self.noise.get(f"{k}:{operand.name}", 0.0) for k in ("clip", "round"))
        return 0.0 if clip + rounding <= 0 else self.own(operand) * (clip if kind == "clip" else rounding) / (clip + rounding)

    def own(self, operand: Operand) -> float:
        """The share of all noise of one operand."""
        return self.share(self.noise.get(f"all:{operand.name}", 0.0))

    def gained(self, operand: Operand, probe: str) -> float:
        """The share that goes away when an operand is treated as in a probe."""
        if probe not in self.noise:
            return 0.0
        return self.share(self.noise[f"all:{operand.name}"] - self.noise[probe])

    @property
    def sqnr_db(self) -> float:
        """At the layer's output with only this layer quantized."""
        return decibels(self.noise.get(SIGNAL, 0.0), self.noise.get(WHOLE, 0.0))

    @property
    def noisy(self) -> bool:
        """Whether the layer is worth a diagnosis. One large channel must not hide that the others drown: what follows may well
        scale them up again."""
        return min(self.sqnr_db, self.channel_sqnr_db) < QUIET_DB


def decibels(signal: float, noise: float) -> float:
    """`10 log10(signal / noise)`, between ±200."""
    if noise <= 0:
        return NO_NOISE_DB
    return min(max(10 * math.log10(max(signal / noise, 1e-20)), -NO_NOISE_DB), NO_NOISE_DB)
