"""What each step of the recipe gave: the recipe measured with none of its steps, with the first, and so on."""
from __future__ import annotations

from collections.abc import Callable
from html import escape

from engine.report import svg, words
from engine.report.facts import Facts
from engine.report.markup import paragraph
from engine.report.values import Row, ends_in, number_in, rows, text_in, value_in

WIDTH, ROW, LEFT, RIGHT = 680.0, 26.0, 130.0, 190.0
MAX_STEPS = 24


def steps(facts: Facts) -> str:
    """A bar for the drop after each step with its interval, and a sentence each; empty where no waterfall was measured."""
    found = [r for r in rows(value_in(facts.steps, "rows")) if number_in(r, "drop", "value") is not None][:MAX_STEPS]
    if len(found) < 2:
        return ""
    said = "".join(f"<li>{escape(text_in(row, 'words'))}</li>" for row in found[1:] if text_in(row, "words"))
    return f"{paragraph(text_in(facts.steps, 'words'))}{_drawing(found, text_in(facts.steps, 'metric'))}<ul>{said}</ul>"


def _drawing(found: list[Row], metric: str) -> str:
    spans = [v for row in found for v in (number_in(row, "drop", "value") or 0.0, *(ends_in(row, "drop", "ci95") or ()))]
    low, high = min(0.0, *spans), max(0.0, *spans)
    low, high = low - 0.03 * (high - low or 1.0), high + 0.03 * (high - low or 1.0)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)

    bottom, scale = ROW * len(found) + 4, 100.0 if words.is_share(metric) else 1.0
    parts: list[str] = []
    for tick in svg.ticks(low, high, 5):
        parts.append(svg.line(x(tick), 0, x(tick), bottom, svg.SOFT))
        parts.append(svg.label(x(tick), bottom + 11, words.minus(f"{scale * tick:g}"), 8.5, svg.INK3, "middle"))
    axis = f"drop against float, {words.unit(metric, True)}".rstrip(", ")
    parts.append(svg.label(LEFT + (WIDTH - LEFT - RIGHT) / 2, bottom + 24, axis, 8.5, svg.INK3, "middle"))
    for i, row in enumerate(found):
        parts += _row(row, ROW * i + ROW / 2, x, metric)
    parts.append(svg.line(x(0), 0, x(0), bottom, svg.INK2, 1.2))
    return svg.svg(WIDTH, bottom + 28, parts, "drop after each step with its 95 percent interval")


def _row(row: Row, y: float, x: Callable[[float], float], metric: str) -> list[str]:
    value, ends = number_in(row, "drop", "value") or 0.0, ends_in(row, "drop", "ci95")
    hue = svg.HOT if value_in(row, "harm") is True else svg.OK if value_in(row, "gain") is True else svg.INK3
    name = text_in(row, "step") or "no steps"
    sqnr, change = number_in(row, "sqnr_db"), number_in(row, "change", "value")
    told = [f"{words.figure(change, metric, True)} {words.unit(metric, True)}".strip()] if change is not None else []
    told += [f"{sqnr:.1f} dB"] if sqnr is not None else []
    out = [svg.label(LEFT - 8, y + 3.5, svg.clipped(name, 22), 10, svg.INK, "end"),
           svg.rect(min(x(0), x(value)), y - 7, abs(x(value) - x(0)), 14, hue, text_in(row, "words"))]
    if ends is not None:
        out.append(svg.line(x(ends[0]), y, x(ends[1]), y, svg.INK, 1.2))
    harm = "  does harm" if value_in(row, "harm") is True else ""
    return [*out, svg.label(WIDTH - RIGHT + 8, y + 3.5, ", ".join(told) + harm, 9, svg.HOT if harm else svg.INK2)]
