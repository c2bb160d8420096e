"""The head of the page: one sentence, and the three numbers that decide."""
from __future__ import annotations

from html import escape

from engine.report import svg, words
from engine.report.facts import Facts
from engine.report.markup import paragraph
from engine.report.values import ends_in, number_in, text_in

WIDTH, HEIGHT = 220.0, 40.0


def ratio(facts: Facts, whole: str, part: str) -> float | None:
    """How many times smaller a cost is than that of FP32."""
    before, after = number_in(facts.report, "cost", whole), number_in(facts.report, "cost", part)
    return before / after if before and after and before > 0 and after > 0 else None


def verdict(facts: Facts) -> str:
    """What it comes to, in one sentence."""
    smaller, faster = ratio(facts, "fp32_size_bytes", "size_bytes"), ratio(facts, "fp32_bops", "bops")
    gains = [f"{words.times(smaller)} times smaller"] if smaller else []
    gains += [f"{words.times(faster)} times less compute"] if faster else []
    head = words.listed(gains) if gains else "The mix"
    return f"{head[:1].upper()}{head[1:]}{', ' if gains else ': '}{loss(facts)}."


def loss(facts: Facts) -> str:
    """The drop in words, with what the samples cannot resolve called that."""
    drop, ends = number_in(facts.report, "drop", "value"), ends_in(facts.report, "drop", "ci95")
    metric, samples = facts.metric, number_in(facts.report, "samples")
    if drop is None:
        return "the loss was not measured"
    unit = words.unit(metric, True)
    on = f"on {samples:,.0f} samples" if samples else "on the evaluation data"
    if ends is None:
        return f"{words.figure(abs(drop), metric)} {unit} {'lost' if drop > 0 else 'gained'} {on} (no interval)".replace("  ", " ")
    span = f"{words.figure(ends[0], metric)} to {words.figure(ends[1], metric)}, 95 % paired"
    if ends[0] <= 0 <= ends[1]:
        most = words.figure(max(ends[1], 0.0), metric)
        return f"without a loss that shows {on}: at most {most} {unit} with 95 % confidence".replace("  ", " ")
    return f"{words.figure(abs(drop), metric)} {unit} {'lost' if drop > 0 else 'gained'} {on} ({span})".replace("  ", " ")


def numbers(facts: Facts) -> str:
    """The three cards."""
    return f"<div class=cards>{_drop(facts)}{_size(facts)}{_compute(facts)}</div>"


def _card(title: str, value: str, unit: str, lines: list[str], drawing: str, tone: str = "") -> str:
    below = "".join(paragraph(line) for line in lines if line)
    return (f"<div class='card {tone}'><h3>{escape(title)}</h3><div class=big>{escape(value)}<small>{escape(unit)}</small></div>"
            f"{drawing}{below}</div>")


def _drop(facts: Facts) -> str:
    report, metric = facts.report, facts.metric
    value, ends = number_in(report, "drop", "value"), ends_in(report, "drop", "ci95")
    if value is None:
        return _card("Drop, paired", "–", "", ["Not measured: there were no evaluation data."], "")
    before, after = number_in(report, "fp32", "value"), number_in(report, "quantized", "value")
    unit = words.unit(metric)
    lost, won, samples = (number_in(report, *path) for path in (("drop", "flips_lost"), ("drop", "flips_won"), ("samples",)))
    lines = [f"{words.metric_name(metric)}: {words.figure(before, metric)} {unit} float, {words.figure(after, metric)} {unit} quantized"]
    if ends is not None:
        span = f"95 % interval {words.figure(ends[0], metric)} to {words.figure(ends[1], metric)}, paired"
        lines.append(f"{span}: below resolution" if ends[0] <= 0 <= ends[1] else span)
    if lost is not None and won is not None and samples:
        lines.append(f"{lost:,.0f} of {samples:,.0f} samples lost, {won:,.0f} won")
    tone = "hot" if ends is not None and ends[0] > 0 else "ok"
    return _card("Drop, paired", words.figure(value, metric), words.unit(metric, True), lines, _whisker(value, ends, tone), tone)


def _whisker(value: float, ends: tuple[float, float] | None, tone: str) -> str:
    """The drop with its interval around a zero line."""
    low, high = ends or (value, value)
    reach = 1.15 * max(abs(low), abs(high), abs(value), 1e-9)

    def x(v: float) -> float:
        return WIDTH / 2 + (WIDTH / 2 - 8) * v / reach

    hue = svg.HOT if tone == "hot" else svg.OK
    middle = HEIGHT / 2 - 6
    return svg.svg(WIDTH, HEIGHT, [
        svg.line(8, middle, WIDTH - 8, middle, svg.SOFT, 2), svg.line(x(0), 3, x(0), 2 * middle - 3, svg.INK2, 1.4),
        svg.rect(x(low), middle - 3.5, x(high) - x(low), 7, hue, radius=3.5, more=' opacity=".35"'), svg.circle(x(value), middle, 4.5, hue),
        svg.label(x(0), HEIGHT - 3, "0", 9, svg.INK3, "middle"), svg.label(8, HEIGHT - 3, "better", 9, svg.INK3),
        svg.label(WIDTH - 8, HEIGHT - 3, "worse", 9, svg.INK3, "end")], "the drop with its interval, zero in the middle")


def _bar(share: float) -> str:
    return svg.svg(WIDTH, HEIGHT, [
        svg.rect(0, 9, WIDTH, 10, svg.SOFT, radius=5), svg.rect(0, 9, max(WIDTH * min(share, 1.0), 4), 10, svg.ACCENT, radius=5),
        svg.label(WIDTH, HEIGHT - 3, "FP32", 9, svg.INK3, "end")], f"{100 * share:.1f} percent of FP32")


def _size(facts: Facts) -> str:
    found = ratio(facts, "fp32_size_bytes", "size_bytes")
    before, after = number_in(facts.report, "cost", "fp32_size_bytes"), number_in(facts.report, "cost", "size_bytes")
    lines = ["Not known."]
    if found:
        lines = [f"{words.size(after)} of weights instead of {words.size(before)}", "scales and biases included; exact"]
    return _card("Smaller", words.times(found), "×" if found else "", lines, _bar(1 / found) if found else "")


def _compute(facts: Facts) -> str:
    found = ratio(facts, "fp32_bops", "bops")
    bops = number_in(facts.report, "cost", "bops")
    lines = ["Not known."]
    if found:
        lines = [f"{words.percent(1 / found, 2)} of the bit operations of FP32",
                 f"{words.count(bops)} a sample: multiplications times the bits of both factors; exact, and no promise of seconds"]
    return _card("Less compute", words.times(found), "×" if found else "", lines, _bar(1 / found) if found else "")


def title(facts: Facts) -> str:
    """The model's name."""
    return text_in(facts.report, "model", "name") or "A quantized model"
