"""Careful reading of results from files that nobody vouches for: a value of the wrong kind is no value."""
from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

MAX_ROWS = 2000
MAX_TEXT = 400
Row = Mapping[str, Any]


def number(value: Any) -> float | None:
    """A finite number, else None; `True` is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def number_in(row: Any, *path: str) -> float | None:
    """The number at a path of keys."""
    return number(value_in(row, *path))


def value_in(row: Any, *path: str) -> Any:
    """Whatever is at a path of keys; None where the path breaks."""
    for key in path:
        row = row.get(key) if isinstance(row, Mapping) else None
    return row


def text(value: Any, limit: int = MAX_TEXT) -> str:
    """A text on one line, at most `limit` characters; anything but a text or a number is empty."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    words = " ".join(visible(str(value)[: 4 * limit]).split())
    return words if len(words) <= limit else words[: limit - 1] + "…"


def visible(words: str) -> str:
    """Without control characters and those that turn the reading direction: what is read is what is there."""
    return "".join(c for c in words if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))


def text_in(row: Any, *path: str) -> str:
    """The text at a path of keys."""
    return text(value_in(row, *path))


def rows(value: Any) -> list[Row]:
    """The mappings in a list, at most 2,000."""
    return [row for row in value[:MAX_ROWS] if isinstance(row, Mapping)] if isinstance(value, list) else []


def texts(value: Any) -> list[str]:
    """The texts in a list."""
    return [words for item in value[:MAX_ROWS] if (words := text(item))] if isinstance(value, list) else []


def ends(value: Any) -> tuple[float, float] | None:
    """A pair of finite numbers, the lower first."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    low, high = number(value[0]), number(value[1])
    return None if low is None or high is None else (min(low, high), max(low, high))


def ends_in(row: Any, *path: str) -> tuple[float, float] | None:
    """The pair at a path of keys."""
    return ends(value_in(row, *path))
