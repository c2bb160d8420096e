"""Short texts for the rack's state: a letter for a detent with runs counted (`c297dc2`), ranges for sets (`0-4,7`).

The same rules stand in `static/rack_state.js`; a test holds the two against each other.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

LETTERS = "abcdefghijklmnopqrstuvwxyz"
MOST = 100_000  # more layers than any model has: a text that claims more is refused


def pack(values: Sequence[int]) -> str:
    """Indices of detents as letters; a negative one is `_`."""
    out = []
    for value, run in groupby(values):
        count = len(list(run))
        out.append((LETTERS[value] if value >= 0 else "_") + (str(count) if count > 1 else ""))
    return "".join(out)


def unpack(text: str) -> list[int]:
    """The indices of such a text; -1 for `_`. Raises `ValueError` where it claims absurdly many."""
    out: list[int] = []
    for letter, digits in re.findall(r"([a-z_])(\d{0,6})", text[:MOST]):
        count = int(digits or 1)
        if len(out) + count > MOST:
            raise ValueError("too many layers")
        out.extend([LETTERS.find(letter)] * count)
    return out


def pack_set(values: Iterable[int]) -> str:
    """A set of layers as ranges."""
    out: list[list[int]] = []
    for value in sorted(set(values)):
        if out and value == out[-1][-1] + 1:
            out[-1][1:] = [value]
        else:
            out.append([value])
    return ",".join("-".join(str(v) for v in run) for run in out)


def unpack_set(text: str, count: int) -> list[int]:
    """The layers of such a text that exist, in order."""
    found: set[int] = set()
    for first, last in re.findall(r"(\d{1,6})(?:-(\d{1,6}))?", text[:MOST]):
        found.update(range(int(first), min(int(last or first), count - 1) + 1))
    return sorted(i for i in found if i < count)
