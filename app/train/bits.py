"""The map of what is trained: a bar a layer, as high as its weights have bits, a tick where its activations are, as HTML."""
from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Facts = Mapping[str, Any]
FLOATS = {"fp16": 16, "bf16": 16, "fp32": 32}
NAMED = 64  # with more layers than these there is no room for numbers
_BITS = re.compile(r"w(\d+)a(\d+)$")


def bits(precision: str) -> tuple[int, int, bool]:
    """Bits of weights and activations, and whether they are integers."""
    found = _BITS.match(precision)
    if found:
        return int(found[1]), int(found[2]), True
    return FLOATS.get(precision, 32), FLOATS.get(precision, 32), False


def height(count: int) -> float:
    """Share of the strip: 2 bits low, 16 and more high."""
    return min(1.0, math.log2(max(count, 2)) / 4)


def html(layers: Sequence[Facts]) -> str:
    """The strip; `layers` as resolved, with the precision that each has in the end."""
    many = len(layers) > NAMED
    cells = "".join(_cell(layer, many) for layer in layers)
    return f"<div class='tr-bits{' many' if many else ''}' role=img aria-label='{escape(told(layers))}'>{cells}</div>"


def _cell(layer: Facts, many: bool) -> str:
    name, precision = str(layer["name"]), str(layer.get("precision") or "")
    weight, activation, whole = bits(precision)
    learns = "weights train through their rounding" if whole else "weights train in float"
    number = "" if many else f"<s>{weight}</s>"
    return (f"<span class='{'' if whole else 'f'}' title='{escape(f'{name}: {precision}; {learns}')}'>"
            f"<i style='height:{100 * height(weight):.0f}%'></i><u style='bottom:{100 * height(activation):.0f}%'></u>{number}</span>")


def told(layers: Sequence[Facts], ranges: str = "") -> str:
    """The strip in words: how many layers at which precision, and what learns."""
    counts: dict[str, int] = {}
    for layer in layers:
        counts[str(layer.get("precision") or "?")] = counts.get(str(layer.get("precision") or "?"), 0) + 1
    said = ", ".join(f"{count} at {name}" for name, count in sorted(counts.items(), key=lambda kv: -kv[1]))
    learn = {"fixed": "weights learn, ranges stay", "pact": "weights learn, and ranges of activations by what they clip"}
    return f"{len(layers)} layers: {said}" + (f"; {learn.get(ranges, 'weights and ranges learn')}" if ranges else "")
