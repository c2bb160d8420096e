"""Numbers as words: accuracies, intervals, sizes, counts and times, the same on every page."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MINUS = "\u2212"


def minus(text: str) -> str:
    """A true minus sign, as wide as a plus."""
    return text.replace("-", MINUS)


def bounds(result: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """The interval of a result: `ci95` is a pair of ends, or half the width around the value."""
    if not result or result.get("ci95") is None or result.get("value") is None:
        return None
    ci, value = result["ci95"], float(result["value"])
    if isinstance(ci, Sequence):
        return float(ci[0]), float(ci[1])
    return value - float(ci), value + float(ci)


def half_width(result: Mapping[str, Any] | None) -> float | None:
    """Half the width of the interval."""
    ends = bounds(result)
    return None if ends is None else (ends[1] - ends[0]) / 2


def scale(unit: str) -> float:
    """What a metric's value is multiplied with on screen: fractions are shown in percent."""
    return 100.0 if unit == "%" else 1.0


def figure(value: float | None, unit: str, sign: bool = False) -> str:
    """A metric's value with two or three figures after the point, without its unit."""
    if value is None:
        return "\u2013"
    digits = 2 if unit in ("%", "dB") else 4
    shown = f"{value * scale(unit):{'+' if sign else ''}.{digits}f}"
    return shown.lstrip("+-") if float(shown) == 0 else minus(shown)


def size(count: float) -> tuple[str, str]:
    """Bytes as a number and its unit."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            number = count / limit
            return (f"{number:.2f}" if number < 10 else f"{number:.1f}"), unit
    return f"{count:.0f}", "B"


def size_text(count: float) -> str:
    """Bytes in one text."""
    return " ".join(size(count))


def count_text(count: float) -> str:
    """A count with a unit prefix: 3.5 M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            number = count / limit
            return f"{number:.2f} {unit}" if number < 10 else f"{number:.1f} {unit}"
    return f"{count:,.0f}"


def short(value: float | None) -> str:
    """A range's end or a scale: three significant figures."""
    if value is None:
        return "\u2013"
    return minus(f"{value:.3g}")


def share(value: float | None) -> str:
    """A fraction in percent, with what is too small to see said as such."""
    if value is None:
        return "\u2013"
    if 0 < value < 5e-5:
        return "< 0.01 %"
    return f"{value * 100:.2f} %"


def seconds(value: float | None) -> str:
    """A time left."""
    if value is None:
        return ""
    if value < 1:
        return "under 1 s left"
    if value < 90:
        return f"{value:.0f} s left"
    return f"{value / 60:.0f} min left"
