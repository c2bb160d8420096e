"""Which layers cost what: the additive score of each layer at its precision, as a waterfall."""
from __future__ import annotations

from engine.report import svg, words
from engine.report.facts import Facts
from engine.report.markup import paragraph
from engine.report.story import effective
from engine.report.values import number_in, rows, text_in, value_in

WIDTH, ROW, LEFT, RIGHT, SHOWN = 680.0, 19.0, 190.0, 96.0, 10
ADDING = ("one-on", "estimate")


def waterfall(facts: Facts) -> str:
    """Scores that add, from nothing to the whole mix; empty where they are not known for the layers of this mix."""
    if text_in(facts.sensitivity, "mode") not in ADDING:
        return ""
    scores = rows(value_in(facts.sensitivity, "scores"))
    known = {(text_in(r, "layer"), text_in(r, "precision")): r for r in scores if text_in(r, "metric") == "kl"}
    mine = [(text_in(layer, "name"), known.get((text_in(layer, "name"), effective(layer)))) for layer in facts.layers]
    found = [(name, max(number_in(row, "value") or 0.0, 0.0)) for name, row in mine if row is not None]
    total = sum(value for _, value in found)
    if len(found) < 2 or total <= 0:
        return ""
    estimate = any(value_in(row, "estimate") is True for _, row in mine if row is not None)
    samples = number_in(facts.sensitivity, "samples")
    found.sort(key=lambda item: -item[1])
    worst, rest = found[:SHOWN], found[SHOWN:]
    half = next(i + 1 for i in range(len(found)) if sum(v for _, v in found[: i + 1]) >= 0.5 * total)
    kind = "Estimated from gradients" if estimate else "Each layer was quantized by itself and run"
    said = (f"{kind}{f' on {samples:,.0f} samples' if samples else ''}: the divergence of the output (KL, in nats a sample; lower is "
            f"better) that each layer causes at its precision. "
            f"{words.plural(half, 'layer')} of {len(found)} make{'s' if half == 1 else ''} half of the sum.")
    steps = worst + ([(f"{len(rest)} other layers", sum(v for _, v in rest))] if rest else [])
    return f"{paragraph(said)}{_drawing(steps, total)}"


def _drawing(steps: list[tuple[str, float]], total: float) -> str:
    def x(v: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * v / total

    parts, at = [], 0.0
    bottom = ROW * (len(steps) + 1) + 4
    for i, (name, value) in enumerate([*steps, ("the sum", total)]):
        y, last = ROW * i, i == len(steps)
        start = 0.0 if last else at
        hue = svg.INK2 if last else svg.ACCENT if i < len(steps) - 1 or len(steps) <= SHOWN else svg.INK3
        parts.append(svg.label(LEFT - 8, y + 13, svg.clipped(name, 32), 9.5, svg.INK, "end", 600 if last else 400))
        parts.append(svg.rect(x(start), y + 3, max(x(start + value) - x(start), 1), ROW - 6, hue, f"{name}: {value:.3g} nats"))
        parts.append(svg.label(x(start + value) + 6, y + 13, f"{value:.2g}" if last else f"{100 * value / total:.0f} %", 9, svg.INK2))
        at += value
        if not last:
            parts.append(svg.line(x(at), y + ROW - 3, x(at), y + ROW + 3, svg.LINE))
    return svg.svg(WIDTH, bottom, parts, "scores of the layers, adding up to the sum")
