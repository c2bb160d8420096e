"""A change merged into a recipe's plain values: what a remedy does, for the engine and for the page alike."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What the short form of an entry under these keys stands for: `conv: w4a8` is `conv: {precision: w4a8}`.
_SHORT = {"layers": "precision", "tensors": "type"}


def merged(data: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's values with a change merged in: other entries and other settings of the same entry stay."""
    new = dict(data)
    for key, value in change.items():
        new[key] = _entries(new.get(key) or {}, value, _SHORT[key]) if key in _SHORT else _values(new.get(key), value)
    return new


def _entries(before: Mapping[str, Any], change: Mapping[str, Any], short: str) -> dict[str, Any]:
    """Named entries, each in its long form where it is changed."""
    found = dict(before)
    for name, value in change.items():
        old, new = (v if isinstance(v, Mapping) else {short: v} for v in (found.get(name, {}), value))
        found[name] = _values(old, new)
    return found


def _values(before: Any, change: Any) -> Any:
    if isinstance(before, Mapping) and isinstance(change, Mapping):
        return {**before, **{key: _values(before.get(key), value) for key, value in change.items()}}
    if isinstance(before, list) and isinstance(change, list):
        return [*before, *(value for value in change if value not in before)]
    return change
