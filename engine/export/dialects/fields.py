"""Fields that the dialects share, read from strangers."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.export.dialects.content import MAX_SCALES, Entry
from engine.recipe.reader import At


def header(data: dict[str, Any], at: At) -> dict[str, Any]:
    """Producer, quantizer arguments and excluded layers."""
    excluded = at.key("excluded_layers")
    return {"producer": at.key("producer").mapping(data.get("producer", {})),
            "quantizer_args": at.key("quantizer_args").mapping(data.get("quantizer_args", {})),
            "excluded_layers": tuple(excluded.text(name) for name in excluded.items(data.get("excluded_layers", [])))}


def unique(at: At, entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries, each name once."""
    seen: set[str] = set()
    found = tuple(entries)
    for entry in found:
        if entry.name in seen:
            at.fail(entry.name, "one encoding for each tensor, it has two")
        seen.add(entry.name)
    return found


def numbers(at: At, value: object) -> tuple[float, ...]:
    """A list of finite numbers."""
    items = at.items(value)
    if len(items) > MAX_SCALES:
        at.fail(len(items), f"at most {MAX_SCALES:,} numbers")
    return tuple(at.item(i).number(item) for i, item in enumerate(items))


def offsets(at: At, value: object, count: int, bits: int, symmetric: bool) -> tuple[int, ...]:
    """The offsets of `count` scales; a symmetric tensor may state one for all, or none (then the grid's middle)."""
    items = [at.item(i).whole(int(v) if isinstance(v, float) and v.is_integer() else v, -(2**32), 0) for i, v in enumerate(at.items(value))]
    if symmetric and len(items) <= 1:
        return tuple(items or [-(2 ** (bits - 1))]) * count
    return tuple(items)
