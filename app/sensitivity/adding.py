"""How well scores add, as plain values: the numbers at the top and the pairs that do not, the worst first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app import numbers
from app.sensitivity.words import times

VERB = "additivity"
INTRO = (
    "A prediction sums what each layer does alone. This runs the whole recipe and the pairs of layers that share a tensor, and says "
    "how far the sums are off. It takes seconds for a small model, minutes for a large one."
)
COLUMNS = (("pair", "m"), ("together", "n"), ("sum", "n"), ("excess, 95 %", "n"))
PAIRS = 8
Found = Mapping[str, Any]


def facts(found: Found) -> list[tuple[str, str, str]]:
    """The whole, the sum and their ratio; label, number, unit."""
    ratio = found.get("ratio")
    return [
        ("whole, measured", numbers.short(found.get("joint")), "nats"),
        ("sum of exact", numbers.short(found.get("sum")), "nats"),
        ("whole \u00f7 sum", "\u2013" if ratio is None else times(float(ratio)), ""),
    ]


def said(found: Found) -> list[str]:
    """The sentences about the whole; those about single pairs are the table's."""
    clear = sum(not p["below_resolution"] for p in found.get("pairs") or [])
    words = [str(w) for w in found.get("words") or []]
    return words[: len(words) - min(clear, 3)]


def pair_rows(found: Found) -> list[list[Any]]:
    """The pairs whose excess is largest, in nats per sample; those that the samples cannot tell from none say so and come last."""
    pairs = sorted(found.get("pairs") or [], key=lambda p: (bool(p["below_resolution"]), -abs(float(p["excess"]))))
    return [_pair(p) for p in pairs[:PAIRS]]


def _pair(pair: Found) -> list[Any]:
    low, high = (numbers.short(v) for v in pair["ci95"])
    excess = ("below resolution", "d") if pair["below_resolution"] else f"{numbers.short(pair['excess'])} [{low}, {high}]"
    return [" + ".join(pair["layers"]), numbers.short(pair["joint"]), numbers.short(pair["sum"]), excess]
