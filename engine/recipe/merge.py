"""A change merged into a recipe's plain values: what a remedy does, for the engine and for the page alike."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.recipe.parts import DEFAULT_STEPS, STEP_ORDER

# What the short form of an entry under these keys stands for: `conv: w4a8` is `conv: {precision: w4a8}`.
_SHORT = {"layers": "precision", "tensors": "type"}


def merged(data: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's values with a change merged in: other entries and other settings of the same entry stay."""
    new = dict(data)
    for key, value in change.items():
        if key == "steps":
            new[key] = with_steps(new.get(key), value)
        else:
            new[key] = _entries(new.get(key) or {}, value, _SHORT[key]) if key in _SHORT else _values(new.get(key), value)
    return new


def with_steps(before: Sequence[Any] | None, more: Sequence[Any]) -> list[Any]:
    """A recipe's step lines with some more, each where it belongs; those that are there already stay as they are.

    What rescales weights comes before what rounds them, whatever was clicked first. Without a `steps:` key the recipe means
    `DEFAULT_STEPS`, and these stay.
    """
    lines = [step.name for step in DEFAULT_STEPS] if before is None else list(before)
    for line in more:
        if _name(line) in [_name(known) for known in lines]:
            continue
        rank = _rank(line)
        lines.insert(next((i for i, known in enumerate(lines) if _rank(known) > rank), len(lines)), line)
    return lines


def _name(line: Any) -> str:
    """The name in `cle` or `{cle: {...}}`."""
    return str(next(iter(line), "")) if isinstance(line, Mapping) else str(line)


def _rank(line: Any) -> int:
    name = _name(line)
    return STEP_ORDER.index(name) if name in STEP_ORDER else len(STEP_ORDER)


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
