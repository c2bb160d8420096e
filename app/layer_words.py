"""A layer's encodings as rows of a table, and its neighbours; plain values for the inspector."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import numbers

Facts = Mapping[str, Any]
COLUMNS = (("tensor", "m"), ("type", ""), ("granularity", ""), ("scale", "n"), ("zero point", "n"), ("range", "n"), ("saturated", "n"),
           ("rounding", "n"), ("SQNR, dB", "n"))


def encodings(facts: Facts) -> list[list[str]]:
    """One row per tensor: the weight first, then what the layer reads and makes."""
    weight = facts.get("encoding")
    rows = [] if not weight else [_row(f"{facts.get('weight')} (weight)", weight)]
    for tensor in facts.get("tensors") or []:
        rows.append(_row(f"{tensor.get('name')} ({tensor.get('role')})", tensor))
    return rows


def _row(name: str, found: Facts) -> list[str]:
    if not found.get("scale"):
        return [name, str(found.get("dtype") or "float"), *["\u2013"] * 7]
    rounding, level = found.get("rounding"), found.get("sqnr_db")
    return [name, _type(found), str(found.get("granularity")), _span(found["scale"], numbers.short), _span(found["zero_point"], str),
            f"{numbers.short(found.get('low'))} to {numbers.short(found.get('high'))}", numbers.share(found.get("saturated")),
            "\u2013" if rounding is None else f"{100 * rounding:.0f} %", "\u2013" if level is None else numbers.minus(f"{level:.1f}")]


def _type(found: Facts) -> str:
    """The type with its codes: int8, 0…255."""
    levels = found.get("levels")
    return str(found.get("dtype")) + (f", {numbers.minus(str(levels[0]))}\u2026{levels[1]}" if levels else "")


def _span(values: Any, text: Any) -> str:
    """One number, or the least and greatest of many scales."""
    if not isinstance(values, Sequence):
        return str(text(values))
    low, high = text(values[0]), text(values[-1])
    return str(low) if low == high else f"{low} to {high}"


def neighbours(facts: Facts) -> list[tuple[str, list[tuple[str, str]], str]]:
    """(heading, layers with their precision, what else there is) for both directions; nothing for facts without them."""
    found = facts.get("neighbours")
    if not found:
        return []
    out = []
    for key, head, end in (("feeds", "Fed by", "input"), ("readers", "Read by", "output")):
        more = [f"the model's {end}"] if found.get(end) else []
        more += [f"{found[f'more_{key}']} more layers"] if found.get(f"more_{key}") else []
        out.append((head, [(str(r["name"]), str(r["precision"])) for r in found.get(key, [])], ", ".join(more)))
    return out
