"""Drawing by hand: small pure functions to SVG text. Every name and text is escaped here, every number is finite."""
from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

# The light tokens of the workbench: a report is paper.
INK, INK2, INK3, LINE, SOFT, PAPER = "#141A22", "#4A5867", "#657283", "#CFD6DE", "#E9EDF1", "#FFFFFF"
OK, MID, HOT, ACCENT = "#128476", "#C77F00", "#CB3B1C", "#1C64D9"


def n(value: float) -> str:
    """A coordinate with at most two decimals; what is not finite is 0."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if math.isfinite(value) else "0"


def svg(width: float, height: float, parts: Iterable[str], label: str) -> str:
    """A drawing that fills its column; `label` is what a screen reader says."""
    return (f'<svg viewBox="0 0 {n(width)} {n(height)}" width="100%" role="img" aria-label="{escape(label)}" '
            f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>')


def rect(x: float, y: float, width: float, height: float, fill: str, tip: str = "", radius: float = 0, more: str = "") -> str:
    """A filled rectangle, with a tip on hover."""
    inner = f"<title>{escape(tip)}</title>" if tip else ""
    return (f'<rect x="{n(x)}" y="{n(y)}" width="{n(max(width, 0))}" height="{n(max(height, 0))}" fill="{escape(fill)}"'
            f'{f" rx={chr(34)}{n(radius)}{chr(34)}" if radius else ""}{more}>{inner}</rect>')


def line(x1: float, y1: float, x2: float, y2: float, stroke: str = LINE, width: float = 1, dash: str = "") -> str:
    """A straight line."""
    dashed = f' stroke-dasharray="{escape(dash)}"' if dash else ""
    return f'<line x1="{n(x1)}" y1="{n(y1)}" x2="{n(x2)}" y2="{n(y2)}" stroke="{stroke}" stroke-width="{n(width)}"{dashed}/>'


def circle(x: float, y: float, radius: float, fill: str, stroke: str = "none", tip: str = "") -> str:
    """A dot."""
    inner = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<circle cx="{n(x)}" cy="{n(y)}" r="{n(radius)}" fill="{fill}" stroke="{stroke}" stroke-width="1.6">{inner}</circle>'


def label(x: float, y: float, words: str, size: float = 10, fill: str = INK2, anchor: str = "start", weight: int = 400,
          turn: float = 0) -> str:
    """A line of text; `turn` in degrees about its own start."""
    turned = f' transform="rotate({n(turn)} {n(x)} {n(y)})"' if turn else ""
    return (f'<text x="{n(x)}" y="{n(y)}" font-size="{n(size)}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}"{turned}>'
            f"{escape(words)}</text>")


def clipped(words: str, most: int) -> str:
    """A text that keeps both ends where it is too long."""
    return words if len(words) <= most else f"{words[: most // 2]}…{words[-(most - most // 2 - 1):]}"


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers from `low` to `high`, about `count` of them."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low]
    raw = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, first + 3 * count) if k * step <= high + 1e-9 * span]
