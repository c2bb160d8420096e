"""Words and tones of the page Repair: what a step gave, what runs, and why something cannot be done."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app import numbers
from app.repair.draft import Line

Row = Mapping[str, Any]
NO_DATA = "What a step gives is measured on evaluation data; there are none yet. Bring them on the page Model."
START = "No steps"
BEFORE = "Press Run: the steps are done one after the other, and the whole model is measured after each of them."
EMPTY = "Add a step: each one promises something, and is measured before it goes into the recipe."
NOTHING = "Nothing to compare yet."


def points(unit: str) -> str:
    """The unit of differences of a metric."""
    return "pp" if unit == "%" else unit


def tone(row: Row) -> str:
    """`hot` for harm, `ok` for a real gain, `same` where the samples do not tell the step from nothing."""
    change = row.get("change") or {}
    if row.get("harm"):
        return "hot"
    if row.get("gain") or (change.get("significant") and float(change.get("value") or 0) > 0):
        return "ok"
    return "same"


def resolved(row: Row) -> bool:
    """Whether the interval of the step's change leaves zero out."""
    ends = numbers.bounds(row.get("change"))
    return ends is not None and (ends[0] > 0 or ends[1] < 0)


def change(row: Row, unit: str) -> str:
    """What the step changed, with its sign."""
    value = (row.get("change") or {}).get("value")
    return "" if value is None else numbers.figure(float(value), unit, sign=True)


def decibels(value: float | None, sign: bool = False) -> str:
    """An SQNR, or a change of it."""
    return "" if value is None else f"{numbers.figure(value, 'dB', sign)} dB"


def took(seconds: float | None) -> str:
    """How long a step ran."""
    if seconds is None:
        return ""
    return "under 0.1 s" if seconds < 0.05 else f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def sub(row: Row, unit: str) -> str:
    """The card's second line."""
    drop = (row.get("drop") or {}).get("value")
    gained = row.get("sqnr_change_db")
    parts = ["" if gained is None else f"SQNR {decibels(float(gained), sign=True)}",
             "" if drop is None else f"drop {numbers.figure(float(drop), unit)} {points(unit)}",
             "kept" if row.get("kept") else took(row.get("seconds"))]
    return " \u00b7 ".join(p.replace(" ", "\u00a0") for p in parts if p)


def hover(row: Row, name: str, unit: str) -> str:
    """All that is known of a row, line by line."""
    lines, step = [name], row.get("change") or {}
    ends = numbers.bounds(step)
    if step.get("value") is not None:
        span = f", 95 % interval {_span(ends, unit)}" if ends else ""
        lines += [f"{change(row, unit)} {points(unit)}{span}", *([f"{_flips(step)} by this step"] if _flips(step) else [])]
        lines += [] if resolved(row) else ["below resolution: the interval includes zero"]
    value, lost = row.get("quantized") or {}, row.get("drop") or {}
    if value.get("value") is not None:
        lines.append(f"then {numbers.figure(float(value['value']), unit)} {unit}, {decibels(row.get('sqnr_db'))}".rstrip(", "))
    if lost.get("value") is not None:
        ends = numbers.bounds(lost)
        lines.append(f"drop {numbers.figure(float(lost['value']), unit)} {points(unit)}{f' ({_span(ends, unit)})' if ends else ''}")
    if row.get("equivalent"):
        lines.append("promises the same float function")
    return "\n".join(lines)


def _span(ends: tuple[float, float], unit: str) -> str:
    return f"{numbers.figure(ends[0], unit)} to {numbers.figure(ends[1], unit)}"


def _flips(step: Mapping[str, Any]) -> str:
    lost, won = step.get("flips_lost"), step.get("flips_won")
    return "" if lost is None or won is None else f"{lost:,} samples lost, {won:,} won"


def moving(running: Mapping[str, Any], message: str) -> str:
    """What the running step is at, in one line."""
    live = running.get("live") or {}
    if live.get("layer"):
        where = f"{live['layer']} ({live['index']} of {live['count']})" if live.get("count") else str(live["layer"])
        turn = f", {live['iteration']:,} of {live['iterations']:,} iterations" if live.get("iterations") else ""
        return where + turn
    return message


OF = re.compile(r"\((\d{1,6}) of (\d{1,6})\)")  # which layer a step's message says it is at


def share(running: Mapping[str, Any], message: str = "") -> float | None:
    """How far the running step is, where it tells its layers: in figures, else in its message."""
    live = running.get("live") or {}
    if live.get("kind") == "training" and live.get("steps"):
        return min(1.0, int(live.get("step") or 0) / int(live["steps"]))
    count, index = live.get("count"), live.get("index")
    if (not count or index is None) and (said := OF.search(message)):
        index, count = int(said[1]), int(said[2])
    if not count or index is None:
        return None
    inner = float(live.get("iteration") or 0) / float(live["iterations"]) if live.get("iterations") else 0.0
    return min(1.0, max(0.0, (float(index) - 1 + inner) / float(count)))


def options_told(line: Line) -> str:
    """What the line sets, in one short text."""
    return ", ".join(f"{key.replace('_', ' ')} {_value(value)}" for key, value in line.options.items())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else f"{len(value)} names" if isinstance(value, list) else str(value)


def verdict(rows: Sequence[Row], unit: str) -> str:
    """The chain in one sentence."""
    if len(rows) < 2:
        return ""
    first, last = ((r.get("drop") or {}).get("value") for r in (rows[0], rows[-1]))
    if first is None or last is None:
        return ""
    back = float(first) - float(last)
    if abs(back) * numbers.scale(unit) < 0.005:
        return f"No change: the drop stays at {numbers.figure(float(last), unit)} {points(unit)}"
    what = f"{numbers.figure(back, unit)} {points(unit)} won back" if back > 0 else f"{numbers.figure(-back, unit)} {points(unit)} lost"
    harm = [str(r.get("step")) for r in rows if r.get("harm")]
    said = f"{what}: the drop goes from {numbers.figure(float(first), unit)} to {numbers.figure(float(last), unit)} {points(unit)}"
    return said + (f"; {', '.join(harm)} does harm" if harm else "")


def metric(name: str) -> str:
    """The metric's name for a title."""
    return {"top1": "top-1 accuracy", "top5": "top-5 accuracy", "miou": "mean IoU"}.get(name, name.replace("_", " ") or "accuracy")


def arrow(before: float | None, after: float | None) -> str:
    """Two levels in dB and the way between them."""
    return "" if before is None or after is None else numbers.minus(f"{before:.1f} \u2192 {after:.1f} dB")
