"""Where the accuracy goes: classes, and the samples that the quantized model answers differently."""
from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from engine.report import svg, words
from engine.report.facts import Facts
from engine.report.markup import paragraph
from engine.report.values import Row, ends_in, number_in, rows, text_in, value_in

WIDTH, ROW, LEFT, RIGHT = 680.0, 19.0, 130.0, 150.0
SHOWN, PICTURES = 16, 12
AXIS = "points of the class's right answers lost (left of 0: won)"
PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]{16,60000}={0,2}")


def classes(facts: Facts) -> str:
    """The drop of each class with its interval, largest first; what includes zero is called below resolution."""
    found = [r for r in rows(value_in(facts.report, "per_class")) if text_in(r, "name") and number_in(r, "drop", "value") is not None]
    if len(found) < 2:
        return ""
    found.sort(key=lambda r: -(number_in(r, "drop", "value") or 0.0))
    shown = found if len(found) <= SHOWN else [*found[: SHOWN - 4], *found[-4:]]
    resolved = [r for r in found if _resolved(r)]
    chance = 0.05 * len(found)
    said = (f"{words.plural(len(resolved), 'class', 'classes')} of {len(found)} moved by more than its samples leave in doubt"
            if resolved else f"In none of the {len(found)} classes does the change show against chance")
    left = "" if len(found) == len(shown) else f" Shown: the {SHOWN - 4} that lose most and the 4 that win most."
    said += f"; each interval is 95 % by itself, so chance alone moves about {chance:.1f} of them.{left}"
    return f"{paragraph(said)}{_drawing(shown)}"


def _resolved(row: Row) -> bool:
    ends = ends_in(row, "drop", "ci95")
    return ends is not None and not ends[0] <= 0 <= ends[1]


def _drawing(shown: list[Row]) -> str:
    spans = [v for row in shown for v in (number_in(row, "drop", "value") or 0.0, *(ends_in(row, "drop", "ci95") or ()))]
    low, high = min(0.0, *spans), max(0.0, *spans)
    low, high = low - 0.04 * (high - low or 1), high + 0.04 * (high - low or 1)

    def x(v: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (v - low) / (high - low)

    parts = []
    bottom = ROW * len(shown) + 4
    for tick in svg.ticks(low, high, 5):
        parts.append(svg.line(x(tick), 0, x(tick), bottom, svg.SOFT))
        parts.append(svg.label(x(tick), bottom + 11, words.minus(f"{100 * tick:g}"), 8.5, svg.INK3, "middle"))
    parts.append(svg.label(LEFT + (WIDTH - LEFT - RIGHT) / 2, bottom + 24, AXIS, 8.5, svg.INK3, "middle"))
    for i, row in enumerate(shown):
        parts += _row(row, ROW * i + ROW / 2, x)
    parts.append(svg.line(x(0), 0, x(0), bottom, svg.INK2, 1.2))
    return svg.svg(WIDTH, bottom + 28, parts, "drop of each class with its 95 percent interval")


def _row(row: Row, y: float, x: Callable[[float], float]) -> list[str]:
    value, ends, sure = number_in(row, "drop", "value") or 0.0, ends_in(row, "drop", "ci95"), _resolved(row)
    hue = svg.INK3 if not sure else svg.HOT if value > 0 else svg.OK
    change = f"{words.percent(number_in(row, 'fp32'))} → {words.percent(number_in(row, 'quantized'))}"
    tip = f"{change}, {number_in(row, 'samples') or 0:,.0f} samples"
    ink, name = svg.INK if sure else svg.INK2, svg.clipped(text_in(row, "name"), 22)
    out = [svg.label(LEFT - 8, y + 3.5, name, 10, ink, "end", 600 if sure else 400)]
    if sure:
        out.append(svg.rect(min(x(0), x(value)), y - 5.5, abs(x(value) - x(0)), 11, hue, tip))
    if ends is not None:
        out.append(svg.line(x(ends[0]), y, x(ends[1]), y, svg.INK if sure else svg.INK3, 1.2))
    out.append(svg.circle(x(value), y, 2.6, hue if sure else svg.PAPER, hue if sure else svg.INK2, tip))
    said = change if sure else "below resolution"
    return [*out, svg.label(WIDTH - RIGHT + 8, y + 3.5, said, 9, svg.INK2 if sure else svg.INK3)]


def samples(facts: Facts) -> str:
    """Pictures of the samples that were lost, the closest decisions first and the farthest last; empty without pictures."""
    found = [r for r in rows(value_in(facts.comparison, "flips", "samples")) if text_in(r, "kind") == "lost"
             and PICTURE.fullmatch(str(r.get("picture", ""))) and number_in(r, "margin") is not None]
    if not found:
        return ""
    half = PICTURES // 2
    shown = found if len(found) <= PICTURES else [*found[:half], *found[-half:]]
    lost, every = number_in(facts.comparison, "margins", "lost"), number_in(facts.comparison, "margins", "all")
    close = ""
    if lost is not None and every is not None:
        close = (f" The float model decided the lost ones by a margin of {lost:.2f} (median), all by {every:.2f}: "
                 f"{'most were close calls' if lost < 0.5 * every else 'they were no close calls'}.")
    count = int(number_in(facts.comparison, "flips", "counts", "lost") or len(found))
    thing = "sample" if value_in(facts.comparison, "positions") is None else "position"
    said = (f"{words.plural(count, thing)} that the float model has right and the quantized one has not; shown from the closest "
            f"decision to the farthest.{close}")
    return f"{paragraph(said)}<div class=pictures>{''.join(_figure(row) for row in shown)}</div>"


def _figure(row: Row) -> str:
    return (f"<figure><img src='{row['picture']}' alt='sample {escape(text_in(row, 'index'))}'><figcaption>"
            f"<b>{escape(text_in(row, 'left'))}</b> → {escape(text_in(row, 'right'))}<br>"
            f"<span>margin {number_in(row, 'margin') or 0:.2f}</span></figcaption></figure>")
