"""Progress and cancellation: one callable that every long job is given.

`progress(fraction, message)` is called at least about once per second of work with a fraction in
0..1 and a short message; it raises `Cancelled` when the user has asked to stop.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

Progress = Callable[[float, str], None]
T = TypeVar("T")


def silent(fraction: float, message: str) -> None:
    """A progress that shows nothing and never cancels."""


def part(progress: Progress, start: float, stop: float) -> Progress:
    """The progress of a sub-job that fills `start`..`stop` of the whole."""
    return lambda fraction, message: progress(start + (stop - start) * fraction, message)


def track(items: Sequence[T] | Iterable[T], progress: Progress, message: str, total: int | None = None) -> Iterator[T]:
    """Yields the items and reports after each; `total` is needed when the items have no length."""
    n = total if total is not None else len(items)  # type: ignore[arg-type]
    progress(0.0, message)
    for i, item in enumerate(items):
        yield item
        progress((i + 1) / max(n, 1), message)
