"""The words of a diagnosis: what was found, how much of the noise it explains, and what the recipe can do about it."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from engine.analysis.diagnosis.facts import LayerFacts

Array = np.ndarray[Any, np.dtype[Any]]
Transform = Callable[[Array], Array]
Variant = Mapping[str, Transform]
"""Operand → what is made of its float values before the layer runs; operands that are not named stay float."""


@dataclass(frozen=True)
class Remedy:
    """Something a person can do about a diagnosis.

    Attributes:
        title: a few words for a button.
        words: what it does and what it is worth at the layer's output.
        change: keys of a recipe with their new values, for `apply_change`.
        gain_db: by how much the noise at the layer's output falls, measured by running the layer under the changed
            recipe (for ranges that unseen data ask for, by their histogram); None where only a new calibration or
            another graph would show it.
        costs_bits: whether the model or its activations grow.
    """

    title: str
    words: str
    change: Mapping[str, Any]
    gain_db: float | None = None
    costs_bits: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"title": self.title, "words": self.words, "change": dict(self.change), "gain_db": self.gain_db,
                "costs_bits": self.costs_bits}


@dataclass(frozen=True)
class Diagnosis:
    """One cause of one layer's noise.

    Attributes:
        tensor: the weight or activation at fault.
        cause: a short id.
        severity: the share of the noise at the layer's output (only this layer quantized) that it explains, 0..1.
        evidence: the measured numbers that the words quote.
        remedies: the best first; only those that this version has and that were not measured to be useless.
    """

    layer: str
    tensor: str
    cause: str
    words: str
    severity: float
    evidence: Mapping[str, float] = field(default_factory=dict)
    remedies: tuple[Remedy, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"layer": self.layer, "tensor": self.tensor, "cause": self.cause, "words": self.words, "severity": self.severity,
                "evidence": dict(self.evidence), "remedies": [r.to_json() for r in self.remedies]}


@dataclass(frozen=True)
class Finding:
    """What a cause says of a layer: a diagnosis whose remedies are still ideas, to be tried."""

    tensor: str
    words: str
    severity: float
    evidence: Mapping[str, float]
    ideas: tuple[Remedy, ...]


class Cause(Protocol):
    """One cause. `probes` asks for experiments on a layer; `find` judges by their noise.

    A `general` cause is left unsaid where a particular one explains most of the same operand's noise.
    """

    id: str
    general: bool

    def probes(self, facts: LayerFacts) -> Mapping[str, Variant]: ...
    def find(self, facts: LayerFacts) -> Iterable[Finding]: ...
