"""Rows as an aligned table."""
from __future__ import annotations

from collections.abc import Mapping, Sequence


def show(rows: Sequence[Mapping[str, object]]) -> None:
    """Prints rows that share the first row's kind of keys; rows with other keys start a new table."""
    start = 0
    while start < len(rows):
        keys = list(rows[start])
        stop = start
        while stop < len(rows) and list(rows[stop]) == keys:
            stop += 1
        _table(keys, [[_text(row[key]) for key in keys] for row in rows[start:stop]])
        start = stop


def _table(keys: list[str], lines: list[list[str]]) -> None:
    widths = [max(len(key), *(len(line[i]) for line in lines)) for i, key in enumerate(keys)]
    for line in (keys, *lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print()


def _text(value: object) -> str:
    return "" if value is None else str(value)
