"""How far a simulation is from the float model on samples kept aside: what `auto` decides by.

Class scores are judged by the KL divergence of the output, everything else by its noise. Both are far finer than a count of
changed answers, which serves the goal alone.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.builtin_metrics import agreement, decibels, kl_divergence
from engine.data.metrics import looks_like_classes
from engine.progress import Progress, silent
from engine.sim.calibration import Samples, fixed_batch
from engine.sim.chain import batches
from engine.sim.padding import Padding
from engine.sim.quantization import FLOAT, Quantization
from engine.sim.quantsim import QuantSim

BATCH = 8


@dataclass(frozen=True)
class Verdict:
    """On samples kept aside, against the float model.

    Attributes:
        loss: what is compared, lower is better: mean KL in nats, or noise over signal where the output is no class scores.
        sqnr_db: of the first output, higher is better.
        agreement: share of samples with the float model's class; None where the output is no class scores.
        samples: how many there were.
    """

    loss: float
    sqnr_db: float
    agreement: float | None
    samples: int = 0

    @property
    def words(self) -> str:
        """The figures in a line."""
        if self.agreement is None:
            return f"SQNR {self.sqnr_db:.1f} dB"
        return f"KL {self.loss:.3g}, agreement {100 * self.agreement:.1f} %, SQNR {self.sqnr_db:.1f} dB"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        kl = None if self.agreement is None else self.loss
        return {"kl": kl, "sqnr_db": self.sqnr_db, "agreement": self.agreement}


class Judge:
    """Holds the float model's outputs on the samples kept aside."""

    def __init__(self, sim: QuantSim, data: Samples, progress: Progress = silent) -> None:
        """`sim`: its graph as it is now is the float model."""
        self._data = data
        self._mask = Padding.of(sim.model).mask
        self._size = 1 if fixed_batch(sim.chain) else BATCH
        self._reference = self._outputs(sim, FLOAT, progress)
        self._classes = looks_like_classes(sim.model.outputs[0]) and not _embeddings(self._reference)

    def of(self, sim: QuantSim, quantization: Quantization | None = None, progress: Progress = silent) -> Verdict:
        """The verdict on a simulation with ranges, or on a part of its encodings."""
        found = self._outputs(sim, sim.quantization if quantization is None else quantization, progress)
        mask = None if self._mask is None else np.asarray(self._data.batch(0, len(self._data))[self._mask])
        real = mask.astype(bool) if mask is not None and self._reference.shape[:2] == mask.shape else slice(None)
        a, b = (x[real].astype(np.float64) for x in (self._reference, found))
        signal, noise = float((a**2).sum()), float(((a - b) ** 2).sum())
        if not self._classes or not np.isfinite(found).all():
            share = noise / signal if signal > 0 and np.isfinite(noise) else float("inf")
            return Verdict(share, decibels(signal, noise), None if not self._classes else 0.0, len(found))
        loss = float(kl_divergence(self._reference, found, mask).mean())
        return Verdict(loss, decibels(signal, noise), float(agreement(found, self._reference, mask).mean()), len(found))

    def shares(self, sim: QuantSim) -> Mapping[str, float]:
        """The loss with weights alone quantized, and with activations alone."""
        found = sim.quantization
        return {"weights": self.of(sim, Quantization({}, found.constants)).loss,
                "activations": self.of(sim, Quantization(found.activations, {})).loss}

    def _outputs(self, sim: QuantSim, quantization: Quantization, progress: Progress) -> np.ndarray:
        parts, name = [], sim.chain.output_names[0]
        for start, stop in batches(len(self._data), self._size):
            progress(start / len(self._data), f"Judging: sample {start} of {len(self._data)}")
            parts.append(sim.chain.run(quantization, self._data.batch(start, stop))[name])
        return np.concatenate(parts)


def _embeddings(output: np.ndarray) -> bool:
    """Whether rows are vectors of length 1 in all directions: no class scores, whatever their name."""
    return output.ndim == 2 and bool((output < 0).any()) and bool(np.allclose(np.linalg.norm(output, axis=1), 1.0, atol=1e-3))
