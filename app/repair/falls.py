"""The data of the waterfall: what each step gave, from the recipe without steps to the end of the chain."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import numbers, tooltips
from app.repair import draft, words
from app.repair.ask import Known
from app.repair.draft import Lines

Data = dict[str, Any]
Row = Mapping[str, Any]


def falls_data(lines: Lines, known: Known, unit: str, theme: str, place: int,
               metric: str = "") -> Data:
    """Stages with their numbers on the screen's scale; steps that are not measured yet are ghosts."""
    rows, titles = list(known.rows), _titles(lines)
    first = _ghost(known, 0) | {"label": words.START, "place": -1}
    stages = [_plate(rows[0], words.START, "as quantized", "start", unit) if rows else first]
    spots = draft.places(lines)
    for k, spot in enumerate(spots, start=1):
        ghost = k >= len(rows)
        found = _ghost(known, k) if ghost else _step(rows[k - 1], rows[k], unit)
        stages.append({**found, "label": titles[spot], "place": spot, "sel": spot == place})
    if rows and len(rows) == len(spots) + 1 and spots:
        stages.append(_plate(rows[-1], "With all", "", "end", unit))
    fp32 = (known.result.get("fp32") or {}).get("value")
    return {"theme": theme, "unit": unit, "points": words.points(unit), "stages": stages, "float": _scaled(fp32, unit),
            "floatText": f"float {numbers.figure(fp32, unit)}" if fp32 is not None else "",
            "words": words.verdict(rows, unit), "tips": {"sqnr": tooltips.tip("sqnr"), "metric": tooltips.tip(metric)}}


def _titles(lines: Lines) -> list[str]:
    """The names; steps that occur twice are numbered."""
    names = [line.name for line in lines]
    return [f"{n} {names[:i].count(n) + 1}" if names.count(n) > 1 else n for i, n in enumerate(names)]


def _scaled(value: Any, unit: str) -> float | None:
    return None if value is None else round(float(value) * numbers.scale(unit), 6)


def _plate(row: Row, label: str, sub: str, kind: str, unit: str) -> Data:
    """A level: the value with the interval of its drop against the float model."""
    value, drop = (row.get("quantized") or {}).get("value"), row.get("drop") or {}
    ends, level = numbers.bounds(drop), None if drop.get("value") is None or value is None else float(value) + float(drop["value"])
    low, high = (level - ends[1], level - ends[0]) if ends and level is not None else (None, None)
    lost = "" if drop.get("value") is None else f"drop {numbers.figure(float(drop['value']), unit)}"
    return {"kind": kind, "label": label, "sub": sub or lost, "v": _scaled(value, unit),
            "lo": _scaled(low, unit), "hi": _scaled(high, unit), "text": numbers.figure(value, unit),
            "hover": words.hover({**row, "change": None}, label, unit),
            "sqnr": row.get("sqnr_db"), "sqnrText": _decibels(row), "place": -1}


def _step(before: Row, row: Row, unit: str) -> Data:
    """A bar from the value before to the value after, with the paired interval of the change."""
    start, value = ((r.get("quantized") or {}).get("value") for r in (before, row))
    ends = numbers.bounds(row.get("change"))
    low, high = (float(start) + ends[0], float(start) + ends[1]) if ends and start is not None else (None, None)
    return {"kind": "step", "from": _scaled(start, unit), "v": _scaled(value, unit), "lo": _scaled(low, unit), "hi": _scaled(high, unit),
            "text": words.change(row, unit), "tone": words.tone(row), "open": not words.resolved(row), "harm": bool(row.get("harm")),
            "sub": "kept" if row.get("kept") else words.took(row.get("seconds")), "sqnr": row.get("sqnr_db"), "sqnrText": _decibels(row),
            "hover": words.hover(row, str(row.get("step") or ""), unit)}


def _decibels(row: Row) -> str:
    return "" if row.get("sqnr_db") is None else numbers.figure(float(row["sqnr_db"]), "dB")[:-1]


def _ghost(known: Known, k: int) -> Data:
    """A step that is not measured: it waits, runs, or was never run."""
    job, running = known.job, known.running
    now = job is not None and job.state == "running" and running.get("index", 1) == k
    share = words.share(running, str(job.message or "")) if now and job is not None else None
    said = "runs now" if now else "waits" if job is not None else "not run yet" if k else "as quantized"
    return {"kind": "ghost", "sub": said, "share": share, "now": now, "hover": said, "text": ""}


def note(known: Known, name: str) -> str:
    """Beside the title: what the heights and whiskers mean."""
    samples = known.result.get("samples")
    if not samples:
        return ""
    return f"{name} on {samples:,} samples; whiskers: 95 %, paired; hollow: below resolution"


def harmful(rows: Sequence[Row]) -> list[int]:
    """The numbers of the steps that do harm, from 1."""
    return [k for k, row in enumerate(rows) if k and row.get("harm")]
