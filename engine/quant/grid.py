"""Integer grids: which codes a width and a symmetry allow."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from engine.errors import BadInput, nearest
from engine.quant.precision import MAX_BITS, MIN_BITS

Symmetry = Literal["asymmetric", "symmetric", "strict", "unsigned"]


@dataclass(frozen=True)
class Grid:
    """The codes `qmin..qmax` of an integer type.

    `asymmetric`: 0..2^b-1, any zero point on the grid. `symmetric`: -2^(b-1)..2^(b-1)-1, zero point 0.
    `strict`: symmetric without the most negative code. `unsigned`: 0..2^b-1 with zero point 0, for
    ranges without negative values; `encode_range` turns it into `symmetric` where a range has some.
    """

    bits: int
    symmetry: Symmetry

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise BadInput(f"a grid of {self.bits} bits: {MIN_BITS} to {MAX_BITS} bits are possible")
        if self.symmetry not in get_args(Symmetry):
            raise BadInput(f"{self.symmetry!r} is no symmetry. {nearest(str(self.symmetry), get_args(Symmetry))}")

    @property
    def signed(self) -> bool:
        """Whether codes below zero exist."""
        return self.symmetry in ("symmetric", "strict")

    @property
    def symmetric(self) -> bool:
        """Whether the zero point is always 0."""
        return self.symmetry != "asymmetric"

    @property
    def qmin(self) -> int:
        """The lowest code."""
        if not self.signed:
            return 0
        return -(1 << (self.bits - 1)) + (self.symmetry == "strict")

    @property
    def qmax(self) -> int:
        """The highest code."""
        return (1 << (self.bits - self.signed)) - 1

    @property
    def steps(self) -> int:
        """Steps from the lowest to the highest code; there is one level more."""
        return self.qmax - self.qmin

    @property
    def min_scale(self) -> float:
        """The smallest scale in use (AIMET's): `min(1.19e-7, 0.01 / steps)`, so that none is ever zero."""
        return min(1.19e-7, 0.01 / self.steps)

    def for_low(self, low: float) -> Grid:
        """The grid used for a range that begins at `low`: `unsigned` falls back to `symmetric` below zero."""
        return Grid(self.bits, "symmetric") if self.symmetry == "unsigned" and low < 0 else self
