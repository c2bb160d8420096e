"""What training gave on the evaluation data: before, after and float as dots on one scale with paired intervals, as HTML."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from app import numbers
from app.repair import words as repairs
from app.train.ask import Known

Row = Mapping[str, Any]
WAIT = "Before, after and float, on the same evaluation samples, stand here when a training is done."


@dataclass(frozen=True)
class Stage:
    """One line: a measured value with the interval of its drop."""

    name: str
    kind: str
    value: float
    low: float | None
    high: float | None
    drop: str
    hover: str


def stages(known: Known, repaired: tuple[str, Row] | None, unit: str) -> list[Stage]:
    """Before training, the best chain without training where that is another one, after training, and the float model."""
    out = [s for s in (_stage("Before training", "start", known.start, unit),
                       _stage("Best repair", "other", repaired[1] if repaired else None, unit),
                       _stage("After training", "end", known.after, unit)) if s is not None]
    fp32 = ((known.result or {}).get("fp32") or {}).get("value")
    if out and fp32 is not None:
        out.append(Stage("Float model", "float", float(fp32), None, None, "", f"Float: {numbers.figure(float(fp32), unit)} {unit}"))
    return out


def _stage(name: str, kind: str, row: Row | None, unit: str) -> Stage | None:
    value, drop = ((row or {}).get("quantized") or {}).get("value"), (row or {}).get("drop") or {}
    if row is None or value is None:
        return None
    ends = numbers.bounds(drop)
    top = float(value) + float(drop.get("value") or 0)
    low, high = (top - ends[1], top - ends[0]) if ends else (None, None)
    lost = "" if drop.get("value") is None else numbers.figure(float(drop["value"]), unit)
    return Stage(name, kind, float(value), low, high, lost, repairs.hover({**row, "change": None}, name, unit))


def html(found: Sequence[Stage], unit: str, name: str) -> str:
    """The lines."""
    ends = [v for s in found for v in (s.value, s.low, s.high) if v is not None]
    low, high = min(ends), max(ends)
    air = max((high - low) * 0.06, 1e-9)
    place = lambda v: f"{100 * (v - low + air) / (high - low + 2 * air):.2f}%"  # noqa: E731
    head = (f"<div class=tr-h><span></span><span>{escape(name)}</span><span class=n>{escape(unit)}</span>"
            f"<span class=n>drop, {escape(repairs.points(unit))}</span></div>")
    return f"<div class=tr-out role=table>{head}{''.join(_line(s, place, unit) for s in found)}</div>"


def _line(s: Stage, place: Any, unit: str) -> str:
    whisker = "" if s.low is None or s.high is None else f"<u style='left:{place(s.low)};right:calc(100% - {place(s.high)})'></u>"
    words = f"{s.name}: {numbers.figure(s.value, unit)} {unit}" + (f", drop {s.drop}" if s.drop else "")
    return (f"<div class='tr-s {s.kind}' role=row aria-label='{escape(words)}' title='{escape(s.hover)}'><span>{escape(s.name)}</span>"
            f"<span class=t>{whisker}<i style='left:{place(s.value)}'></i></span><b>{escape(numbers.figure(s.value, unit))}</b>"
            f"<b class=d>{escape(s.drop or numbers.figure(None, unit))}</b></div>")


def flips(known: Known, unit: str) -> str:
    """The paired change by training, with its interval and the samples behind it."""
    row = known.after
    if row is None or not row.get("change"):
        return ""
    change, ends = row["change"], numbers.bounds(row["change"])
    span = f" ({numbers.figure(ends[0], unit)} to {numbers.figure(ends[1], unit)})" if ends else ""
    won, lost = change.get("flips_won"), change.get("flips_lost")
    counts = "" if won is None or lost is None else f"; {won:,} samples won, {lost:,} lost"
    return f"By training {repairs.change(row, unit)} {repairs.points(unit)}{span}, paired{counts}."


def over_repair(compared: Mapping[str, Any] | None, unit: str) -> str:
    """Training against the best repair, sample by sample; `compared` has the repair on its left."""
    drop = (compared or {}).get("drop") or {}
    if drop.get("value") is None:
        return ""
    ends, value = numbers.bounds(drop), -float(drop["value"])
    span = f" ({numbers.figure(-ends[1], unit)} to {numbers.figure(-ends[0], unit)})" if ends else ""
    open_ = ends is not None and ends[0] <= 0 <= ends[1]
    sign = numbers.figure(value, unit, sign=True)
    return f"Against the best repair {sign} {repairs.points(unit)}{span}, paired" + (": below resolution." if open_ else ".")
