"""Progress and cancellation: one callable that every long job is given.

`progress(fraction, message)` is called at least about once per second of work with a fraction in
0..1 and a short message; it raises `Cancelled` when the user has asked to stop.
"""
from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]


def silent(fraction: float, message: str) -> None:
    """A progress that shows nothing and never cancels."""


def part(progress: Progress, start: float, stop: float) -> Progress:
    """The progress of a sub-job that fills `start`..`stop` of the whole."""
    return lambda fraction, message: progress(start + (stop - start) * fraction, message)
