"""Sentences that the function-preserving steps share."""
from __future__ import annotations

from collections.abc import Sequence

from engine.ptq.pairs import Stays

SHOWN = 12  # lines of one kind; the rest is counted


def reasons(stay: Sequence[Stays]) -> list[str]:
    """One line for each reason, with the layers that it keeps as they are."""
    by_reason: dict[str, list[str]] = {}
    for one in stay:
        by_reason.setdefault(one.reason, []).append(one.name)
    lines = [f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''} stays: {reason}"
             for reason, names in by_reason.items()]
    return lines if len(lines) <= SHOWN else [*lines[:SHOWN], f"and {len(lines) - SHOWN} more like these"]


def measured(gap: float | None) -> str:
    """How far the float outputs are from the original's."""
    if gap is None:
        return "the float outputs were not compared: no calibration data"
    return f"the float outputs differ by at most {gap:.1e} of their range on calibration data"


def undone(gap: float) -> str:
    """A step that changed the function and took it back."""
    return f"left everything as it was: the float outputs would differ by {gap:.1e} of their range, more than rounding (1e-4)"
