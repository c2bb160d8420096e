"""A layer's encodings and its neighbours in words; plain values for the inspector."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import numbers

Facts = Mapping[str, Any]

def encoding(found: Facts | None) -> str:
    """Scale, zero point, granularity and codes of a tensor on a grid, then what it loses there; empty in float."""
    if not found or not found.get("scale"):
        return ""
    levels = found.get("levels") or ["", ""]
    said = [str(found.get("granularity")), f"codes {numbers.minus(str(levels[0]))} to {levels[1]}",
            f"scale {_span(found['scale'], numbers.short)}", f"zero point {_span(found['zero_point'], str)}"]
    if found.get("saturated") is not None:
        said.append(f"{numbers.share(found['saturated'])} saturated")
    if found.get("rounding") is not None:
        said.append(f"rounding {100 * found['rounding']:.0f} % of its noise, clipping the rest")
    if found.get("sqnr_db") is not None:
        said.append(f"SQNR {numbers.minus(format(found['sqnr_db'], '.1f'))} dB")
    return " \u00b7 ".join(said)


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
