"""What a number of samples can promise: how small a drop they tell from none, and which observed drop they certify.

With n samples of which a share changes its answer, the paired interval has a width of its own. A promise by its upper end can
only be kept where that is small enough, whatever the network does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.data.statistics import tango
from engine.mixed.trial import Measured


@dataclass(frozen=True)
class Certifies:
    """What the samples of a promise can say, in units of the metric.

    Attributes:
        half: half the width of the paired 95 % interval at the observed flips.
        smallest: the least drop whose upper end these samples can certify: none observed, flips as they are.
        observed_at_most: the greatest observed drop that certifies `asked` by the upper end; None where none does.
        needed: samples from which on the observed drop would certify `asked`; None where it is not below it.
    """

    samples: int
    half: float
    smallest: float
    observed_at_most: float | None
    needed: int | None

    def to_json(self) -> dict[str, Any]:
        return dict(self.__dict__)


def certifies(found: Measured, asked: float | None) -> Certifies | None:
    """What can be certified with as many samples as were measured; None where the metric gives no interval."""
    if found.ci95 is None or found.samples < 2:
        return None
    half = max(found.ci95[1] - found.drop, 0.0)
    smallest = _upper(found, 0.0, half)
    most = None if asked is None or smallest > asked else _most(found, asked, half)
    needed = None
    if asked is not None and found.drop < asked:
        needed = found.samples if found.ci95[1] <= asked else round(found.samples * (half / (asked - found.drop)) ** 2 + 0.5)
    return Certifies(found.samples, half, smallest, most, needed)


def _upper(found: Measured, drop: float, half: float) -> float:
    """The upper end were the observed drop another one, with as many flips."""
    if found.flips is None:
        return drop + half
    flips = max(sum(found.flips), round(drop * found.samples))
    lost = round((flips + drop * found.samples) / 2)
    return tango(lost, flips - lost, found.samples)[1]


def _most(found: Measured, asked: float, half: float) -> float:
    """By bisection over whole samples: the upper end rises with the drop."""
    low, high = 0, max(int(asked * found.samples) + 1, 1)
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _upper(found, middle / found.samples, half) <= asked else (low, middle)
    return low / found.samples
