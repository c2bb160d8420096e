"""The optimization of AdaRound (arXiv 2004.10568, section 3.3): Adam on the roundings of one layer."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from engine.ptq.rounding import SoftRounding, rise, rise_slope, undecided

Watch = Callable[[int, float], None]  # (iteration, loss): told of every iteration; may raise to stop


@dataclass(frozen=True)
class Schedule:
    """How long and how hard the roundings are pushed; the fields are those of the technique's config."""

    iterations: int
    learning_rate: float
    warm_start: float
    regularization: float
    beta_start: float
    beta_end: float

    def beta(self, iteration: int) -> float | None:
        """The exponent of the rounding term, along a cosine from start to end; None while the term is off."""
        begin = self.warm_start * self.iterations
        if iteration < begin:
            return None
        done = (iteration - begin) / max(self.iterations - begin, 1)
        return self.beta_end + 0.5 * (self.beta_start - self.beta_end) * (1 + math.cos(math.pi * done))


class Objective(Protocol):
    """What a layer's weight [groups, outputs, inputs] costs: squared output error, summed over channels, mean over positions.

    `unit` is what a rounding term of 1 counts beside the loss.
    """

    @property
    def unit(self) -> float: ...

    def value_and_gradient(self, weight: Tensor, iteration: int) -> tuple[float, Tensor]:
        """The loss of a weight and its gradient by it; may look at another batch in each iteration."""
        ...

    def by_channel(self, weight: Tensor) -> Tensor:
        """The loss of each output channel [groups, outputs] on all the data."""
        ...


def fit(rounding: SoftRounding, objective: Objective, schedule: Schedule, watch: Watch) -> None:
    """Learns the roundings in place."""
    adam = torch.optim.Adam([rounding.a], lr=schedule.learning_rate)
    for iteration in range(schedule.iterations):
        loss, gradient = objective.value_and_gradient(rounding.soft(), iteration)
        by_h = rounding.through(gradient)
        beta = schedule.beta(iteration)
        if beta is not None:
            by_h.add_(undecided(rise(rounding.a), beta)[1], alpha=schedule.regularization * objective.unit)
        rounding.a.grad = by_h.mul_(rise_slope(rounding.a))
        adam.step()
        watch(iteration, loss)


def chosen(rounding: SoftRounding, objective: Objective) -> tuple[Tensor, float, float]:
    """(codes less the zero point, loss before, loss after): in each output channel the better of learned and nearest rounding.

    Output channels do not share a weight, so the choice is free in each and the layer is never worse than nearest.
    """
    learned, nearest = rounding.hard(), rounding.to_nearest()
    after, before = (objective.by_channel(codes * rounding.scale) for codes in (learned, nearest))
    codes = torch.where((after < before)[:, :, None], learned, nearest)
    return codes, float(before.sum()), float(torch.minimum(after, before).sum())
