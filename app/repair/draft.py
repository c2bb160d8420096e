"""A chain of steps as it lies on the page: lines that can be moved, switched off and set. Pure functions.

A recipe knows no step that is switched off: off lines live in the draft alone and are left out of what is run or accepted.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app import recipes

MAX_LINES = 24
MAX_TEXT = 200


@dataclass(frozen=True)
class Line:
    """One step: its name, the options that differ from the defaults, and whether it takes part."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    on: bool = True

    @property
    def step(self) -> Any:
        """The line of the recipe: the name, or a mapping from it to the options."""
        return {self.name: dict(self.options)} if self.options else self.name


Lines = tuple[Line, ...]
DEFAULT: Lines = (Line("fold_batch_norm"),)


def of_steps(steps: Any) -> Lines:
    """The lines that a recipe's `steps` stand for; without that key they are the default."""
    if steps is None:
        return DEFAULT
    return tuple(_line(step) for step in steps) if isinstance(steps, list) else ()


def _line(step: Any) -> Line:
    if isinstance(step, Mapping) and step:
        name, options = next(iter(step.items()))
        return Line(str(name), dict(options) if isinstance(options, Mapping) else {})
    return Line(str(step))


def of_recipe(doc: Mapping[str, Any]) -> Lines:
    """The lines of a recipe."""
    return of_steps(doc.get("steps"))


def to_steps(lines: Iterable[Line]) -> list[Any]:
    """What the recipe says under `steps`: the lines that take part."""
    return [line.step for line in lines if line.on]


def put_into(doc: Mapping[str, Any], lines: Iterable[Line]) -> recipes.Doc:
    """The recipe with these steps; the default needs no key."""
    steps = to_steps(lines)
    rest = {k: v for k, v in doc.items() if k != "steps"}
    return rest if steps == to_steps(DEFAULT) else {**rest, "steps": steps}


def same(left: Iterable[Line], right: Iterable[Line]) -> bool:
    """Whether both are the same chain: lines that are off do not count."""
    return to_steps(left) == to_steps(right)


def prefix(lines: Iterable[Line], others: Iterable[Line]) -> int:
    """How many steps both begin with."""
    count = 0
    for one, other in zip(to_steps(lines), to_steps(others), strict=False):
        if one != other:
            break
        count += 1
    return count


def places(lines: Sequence[Line]) -> list[int]:
    """Where in the draft each step of the recipe stands."""
    return [i for i, line in enumerate(lines) if line.on]


def without(lines: Sequence[Line], place: int) -> Lines:
    """The draft with one line switched off."""
    return tuple(Line(line.name, line.options, line.on and i != place) for i, line in enumerate(lines))


def read(value: Any) -> Lines | None:
    """The lines in the component's document, `{n, o, on}` each; None where it is no such document."""
    if not isinstance(value, list) or len(value) > MAX_LINES:
        return None
    found = [_read_line(item) for item in value]
    return None if None in found else tuple(line for line in found if line is not None)


def _read_line(item: Any) -> Line | None:
    if not isinstance(item, Mapping) or not isinstance(item.get("n"), str) or not isinstance(item.get("o", {}), Mapping):
        return None
    options = {str(k): v for k, v in dict(item.get("o") or {}).items()}
    plain = all(_plain(v) for v in options.values())
    return Line(item["n"][:MAX_TEXT], options, item.get("on") is not False) if plain and len(options) < 100 else None


def _plain(value: Any) -> bool:
    """A number, a flag or a short text; a list of such, as `layers:` of a step may be."""
    if isinstance(value, list):
        return len(value) <= 2000 and all(not isinstance(v, list) and _plain(v) for v in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) or (isinstance(value, str) and len(value) <= MAX_TEXT)


def sent(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """The lines as the component gets them, and as they are kept."""
    return [{"n": line.name, "o": dict(line.options), "on": line.on} for line in lines]


def told(lines: Iterable[Line]) -> str:
    """The line of history."""
    names = [line.name for line in lines if line.on]
    return f"steps: {', '.join(names) or 'none'}"[:120]
