"""What a training run tells about itself."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """One epoch's figures.

    Attributes:
        number: from 1 on.
        loss: mean over the training steps (lower is better).
        validation: loss on the held-out samples (lower is better).
        score: share of right answers on them (higher is better); None where outputs are no class scores.
        seconds: wall time.
        rate: training samples per second.
        learning_rate: at the end.
    """

    number: int
    loss: float
    validation: float
    score: float | None
    seconds: float
    rate: float
    learning_rate: float


@dataclass
class Training:
    """How a run went.

    Attributes:
        start: the validation loss before the first step, which is the simulation's as it was given.
        metric: what the scores are: `top1` or `agreement` on the held-out training samples (never the evaluation data); None for none.
        start_score: the score before the first step.
        float_score: the float model's.
        epochs: figures of the epochs that were finished.
        best: the number of the epoch whose weights were kept; 0 where none was better than the start.
        notes: what happened on the way, in words.
    """

    start: float = math.nan
    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0
    notes: list[str] = field(default_factory=list)
    metric: str | None = None
    start_score: float | None = None
    float_score: float | None = None

    @property
    def best_loss(self) -> float:
        """The validation loss of what is kept."""
        return self.start if not self.best else next(e.validation for e in self.epochs if e.number == self.best)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> Training:
        """The reverse of `to_json`."""
        return Training(**{**found, "epochs": [Epoch(**e) for e in found["epochs"]], "notes": list(found["notes"])})
