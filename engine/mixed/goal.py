"""What a solution must keep to, and what it should be best at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from engine.errors import BadInput, nearest
from engine.mixed.space import COLUMNS, Array, Space

Aim = Literal["score", "size_bytes", "bops", "latency_us"]
SLACK = 1e-9  # relative: sums of many floats


@dataclass(frozen=True)
class Goal:
    """Limits on summed values and what is made least within them.

    Attributes:
        limits: column → the most that a whole recipe may have of it (units of `space.WORDS`; `bits` as average per weight).
        aim: the column made least.
    """

    limits: Mapping[str, float] = field(default_factory=dict)
    aim: Aim = "score"

    def __post_init__(self) -> None:
        if self.aim not in get_args(Aim):
            raise BadInput(f"the aim came as {self.aim!r}. {nearest(str(self.aim), get_args(Aim))}")
        for name, most in self.limits.items():
            if name not in COLUMNS:
                raise BadInput(f"a limit on {name!r} came. {nearest(name, COLUMNS)}")
            if not most >= 0:
                raise BadInput(f"the limit on {name} is {most!r}: expected a number from 0 up")

    def bounds(self, space: Space) -> Array:
        """The limits in the order of the columns, less what no choice changes; infinite where there is none."""
        found = np.full(len(COLUMNS), np.inf)
        for name, most in self.limits.items():
            column = COLUMNS.index(name)
            whole = most * space.weight_values if name == "bits" else most
            found[column] = whole * (1 + SLACK) - space.constant[column]
        return found

    def weights(self) -> Array:
        """The aim as a weight for each column."""
        found = np.zeros(len(COLUMNS))
        found[COLUMNS.index(self.aim)] = 1.0
        return found

    def met(self, space: Space, totals: Array) -> bool:
        """Whether a whole recipe with these totals keeps to all limits."""
        return bool((totals - np.asarray(space.constant) <= self.bounds(space)).all())
