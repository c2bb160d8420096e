"""What a training run tells about itself."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """One epoch's figures: mean training loss, validation loss (lower is better), wall seconds, samples per second."""

    number: int
    loss: float
    validation: float
    seconds: float
    rate: float
    learning_rate: float


@dataclass
class Training:
    """How a run went.

    Attributes:
        start: the validation loss before the first step, which is the simulation's as it was given.
        epochs: figures of the epochs that were finished.
        best: the number of the epoch whose weights were kept; 0 where none was better than the start.
        notes: what happened on the way, in words.
    """

    start: float = math.nan
    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def best_loss(self) -> float:
        """The validation loss of what is kept."""
        return self.start if not self.best else next(e.validation for e in self.epochs if e.number == self.best)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"start": self.start, "best": self.best, "notes": list(self.notes), "epochs": [asdict(e) for e in self.epochs]}

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> Training:
        """The reverse of `to_json`."""
        return Training(found["start"], [Epoch(**e) for e in found["epochs"]], found["best"], list(found["notes"]))
