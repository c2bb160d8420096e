"""Progress and cancellation: one callable that every long job is given.

`progress(fraction, message)` is called at least about once per second of work with a fraction in
0..1 and a short message; it raises `Cancelled` when the user has asked to stop.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[float, str], None]


def silent(fraction: float, message: str) -> None:
    """A progress that shows nothing and never cancels."""


def part(progress: Progress, start: float, stop: float) -> Progress:
    """The progress of a sub-job that fills `start`..`stop` of the whole."""
    return lambda fraction, message: progress(start + (stop - start) * fraction, message)


class Later(Exception):
    """A job that runs between the batches of another needs what that one is just making: it is run again after it."""


class Making:
    """What is being made just now. Whoever needs the same thing meanwhile, on top of its maker, has to come back later."""

    def __init__(self) -> None:
        self._now: set[object] = set()

    @contextmanager
    def of(self, thing: object, words: str) -> Iterator[None]:
        """While the block runs, `thing` is being made; raises `Later` with `words` where it is already."""
        if thing in self._now:
            raise Later(words)
        self._now.add(thing)
        try:
            yield
        finally:
            self._now.discard(thing)
