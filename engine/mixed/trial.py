"""Measured recipes: what a search knows for sure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from engine.mixed.space import Array, Choice
from engine.progress import Progress


@dataclass(frozen=True)
class Measured:
    """A recipe run on some samples.

    Attributes:
        kl: of its output from the float model's, nats per sample (half the squared error where outputs are no class scores).
        drop: float minus quantized in the metric; above 0 is a loss.
        ci95: the drop's paired interval; None where the metric gives none.
        sqnr_db: at the first output.
        agreement: share of samples with the float model's class; None where outputs are no class scores.
        flips: samples lost and won.
        value: the quantized recipe's own score.
        error: of its output, as `error_vector` says; None where it was not looked at.
    """

    kl: float
    drop: float
    ci95: tuple[float, float] | None
    samples: int
    value: float
    sqnr_db: float
    agreement: float | None = None
    flips: tuple[int, int] | None = None
    error: Array | None = field(default=None, compare=False, repr=False)

    def worst(self) -> float:
        """The upper end of the drop's interval; the drop itself without one."""
        return self.drop if self.ci95 is None else self.ci95[1]


@dataclass(frozen=True)
class Trial:
    """A measured choice of one space, with its totals and the predicted KL before it was run. `why` says what it was tried for."""

    space: int
    choice: Choice
    totals: Array
    predicted: float
    measured: Measured
    why: str


Measure = Callable[[int, Choice, Progress], Measured]
Tell = Callable[[Sequence[Trial]], None]


def front(trials: Iterable[Trial], column: int) -> list[Trial]:
    """The trials that no other beats in both cost and measured KL, from the cheapest on."""
    best: list[Trial] = []
    for trial in sorted(trials, key=lambda t: (float(t.totals[column]), t.measured.kl)):
        if not best or trial.measured.kl < best[-1].measured.kl:
            best.append(trial)
    return best
