"""Progress and cancellation: one callable that every long job is given.

`progress(fraction, message)` is called at least about once per second of work with a fraction in
0..1 and a short message; it raises `Cancelled` when the user has asked to stop.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Progress = Callable[[float, str], None]


def silent(fraction: float, message: str) -> None:
    """A progress that shows nothing and never cancels."""


def part(progress: Progress, start: float, stop: float) -> Progress:
    """The progress of a sub-job that fills `start`..`stop` of the whole."""
    return _Part(progress, start, stop)


def tell(progress: Progress, figures: Mapping[str, Any]) -> None:
    """Live figures of a job (a loss, say) for whoever listens; costs nothing where nobody does."""
    listener = getattr(progress, "tell", None)
    if listener is not None:
        listener(figures)


class _Part:
    """A progress within another; figures go through it."""

    def __init__(self, whole: Progress, start: float, stop: float) -> None:
        self._whole, self._start, self._stop = whole, start, stop

    def __call__(self, fraction: float, message: str) -> None:
        self._whole(self._start + (self._stop - self._start) * fraction, message)

    def tell(self, figures: Mapping[str, Any]) -> None:
        tell(self._whole, figures)


class Heard:
    """A progress whose figures go to `listener`, at most `rate` times a second (the last of a burst may be left out)."""

    def __init__(self, progress: Progress, listener: Callable[[Mapping[str, Any]], None], rate: float = 4.0) -> None:
        self._progress, self._listener, self._pause = progress, listener, 1.0 / rate
        self._last = -1e9

    def __call__(self, fraction: float, message: str) -> None:
        self._progress(fraction, message)

    def tell(self, figures: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if now - self._last >= self._pause:
            self._last = now
            self._listener(figures)


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
