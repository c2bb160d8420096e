"""Every measured mix as a dot: size against the metric, and the front that no other mix beats."""
from __future__ import annotations

from itertools import pairwise

from engine.report import svg, words
from engine.report.facts import Facts
from engine.report.markup import paragraph
from engine.report.values import Row, ends_in, number_in, text_in

WIDTH, HEIGHT, LEFT, BOTTOM = 680.0, 230.0, 58.0, 34.0
NAMED = 12


def front(facts: Facts) -> str:
    """The picture; empty with fewer than three measured mixes."""
    points = [p for row in facts.runs if (p := _point(row)) is not None]
    if len(points) < 3:
        return ""
    best = _front(points)
    base = number_in(facts.report, "fp32", "value")
    said = (f"{words.plural(len(points), 'mix', 'mixes')} measured on the same samples; the line joins those that no other beats "
            f"in both size and {words.metric_name(facts.metric)}. The large dot is this mix, with its 95 % interval.")
    return f"{paragraph(said)}{_drawing(points, best, base, facts.metric)}"


def _point(row: Row) -> tuple[float, float, Row] | None:
    size, value = number_in(row, "size_bytes"), number_in(row, "value")
    return None if size is None or value is None or size <= 0 else (size, value, row)


def _front(points: list[tuple[float, float, Row]]) -> list[tuple[float, float, Row]]:
    out: list[tuple[float, float, Row]] = []
    for point in sorted(points, key=lambda p: (p[0], -p[1])):
        if not out or point[1] > out[-1][1]:
            out.append(point)
    return out


def _drawing(points: list[tuple[float, float, Row]], best: list[tuple[float, float, Row]], base: float | None, metric: str) -> str:
    values = [p[1] for p in points] + ([base] if base is not None else [])
    low, high = min(values), max(values)
    low, high = low - 0.08 * (high - low or 1e-3), high + 0.08 * (high - low or 1e-3)
    least, most = min(p[0] for p in points), max(p[0] for p in points)
    least, most = least - 0.06 * (most - least or least), most + 0.16 * (most - least or most)

    def x(v: float) -> float:
        return LEFT + (WIDTH - LEFT - 12) * (v - least) / (most - least)

    def y(v: float) -> float:
        return 8 + (HEIGHT - BOTTOM - 8) * (high - min(max(v, low), high)) / (high - low)

    parts = []
    for tick in svg.ticks(low, high, 5):
        parts.append(svg.line(LEFT, y(tick), WIDTH - 12, y(tick), svg.SOFT))
        parts.append(svg.label(LEFT - 6, y(tick) + 3, f"{words.figure(tick, metric)} {words.unit(metric)}", 8.5, svg.INK3, "end"))
    for tick in svg.ticks(least, most, 6):
        parts.append(svg.label(x(tick), HEIGHT - BOTTOM + 14, words.size(tick), 8.5, svg.INK3, "middle"))
    if base is not None:
        parts.append(svg.line(LEFT, y(base), WIDTH - 12, y(base), svg.INK2, 1, "4 3"))
        parts.append(svg.label(WIDTH - 14, y(base) - 4, "float", 8.5, svg.INK2, "end"))
    parts += [svg.line(x(a[0]), y(a[1]), x(b[0]), y(b[1]), svg.ACCENT, 1.4) for a, b in pairwise(best)]
    for size, value, row in sorted(points, key=lambda p: p[2].get("now") is True):
        now, ends = row.get("now") is True, ends_in(row, "ci95")
        if now and ends is not None:
            parts.append(svg.line(x(size), y(ends[0]), x(size), y(ends[1]), svg.INK2, 1.4))
        tip = f"{text_in(row, 'label')}: {words.figure(value, metric)} {words.unit(metric)}, {words.size(size)}"
        if len(points) <= NAMED:
            parts.append(svg.label(x(size) + 8, y(value) + 12, svg.clipped(text_in(row, "label"), 24), 8.5, svg.INK2))
        parts.append(svg.circle(x(size), y(value), 6 if now else 3.6, svg.ACCENT if now else svg.PAPER, svg.ACCENT, tip))
    parts.append(svg.label(LEFT, HEIGHT - 4, f"size of the weights; upwards: {words.metric_name(metric)}", 8.5, svg.INK3))
    return svg.svg(WIDTH, HEIGHT, parts, "measured mixes, size against the metric")
