"""How this project takes times: CPU seconds of one thread, contestants taking turns, medians of many rounds.

A machine's speed drifts, so a ratio is made within each round, from runs that lie next to each other, and the
median of the rounds is given with the least and the greatest.
"""
from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Run = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """A median with the least and the greatest."""

    median: float
    least: float
    greatest: float

    @staticmethod
    def of(values: list[float]) -> Spread:
        return Spread(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 2) -> str:
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}-{self.greatest:.{digits}f})"


@dataclass(frozen=True)
class Times:
    """CPU seconds of each contestant in each round."""

    seconds: Mapping[str, list[float]]

    def spread(self, name: str) -> Spread:
        return Spread.of(self.seconds[name])

    def ratio(self, name: str, base: str) -> Spread:
        """`name` as a multiple of `base`, round by round."""
        return Spread.of([a / b for a, b in zip(self.seconds[name], self.seconds[base], strict=True)])


def race(runs: Mapping[str, Run], rounds: int) -> Times:
    """Runs all contestants once to warm up, then `rounds` times in turns: forwards and backwards alternately."""
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(rounds):
        for name in runs if i % 2 == 0 else reversed(list(runs)):
            begin = time.process_time()
            runs[name]()
            seconds[name].append(time.process_time() - begin)
    return Times(seconds)
