"""A project's card: a thumbnail of its rack, the accuracy before and after with the paired drop, size, and when it was used.

A thumbnail may come from a stranger's archive: whatever is odd in it is left out.
"""
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from html import escape
from typing import Any

from app import job_words, numbers

MEANING = ("One bar a layer, in order. Height: its share of the size (square root). Green: below 8 bits; blue: 8 to 15; "
           "outlined: 16 and more, or float.")
PERCENT = ("", "top1", "top5", "agreement", "miou", "accuracy")
MANY = 120


def bits(precision: str) -> int:
    """Weight bits of a precision's name."""
    match = re.fullmatch(r"w(\d{1,2})a\d{1,2}", precision)
    return int(match[1]) if match else 16 if "16" in precision else 32


def strips(thumbnail: Mapping[str, Any] | None) -> str:
    """One bar a layer: height by size, colour and outline by bits."""
    layers = [x for x in _list(_dict(thumbnail).get("layers"))[:400] if isinstance(x, Mapping)]
    if not layers:
        return "<div class='bars none'>not measured yet</div>"
    shares = [_number(layer.get("share")) or 0.0 for layer in layers]
    most = max(shares) or 1.0
    bars = []
    for layer, share in zip(layers, shares, strict=True):
        n = bits(str(layer.get("precision", ""))[:20])
        kind = "wide" if n >= 16 else "mid" if n >= 8 else "few"
        bars.append(f"<i class={kind} style='height:{6 + 94 * math.sqrt(max(share, 0.0) / most):.0f}%'></i>")
    many = " many" if len(layers) > MANY else ""
    return f"<div class='bars{many}' role=img aria-label='{len(layers)} layers' title='{escape(MEANING)}'>{''.join(bars)}</div>"


def card(project: Any, job: Any = None, gone: str = "") -> str:
    """The card of a project; `job` is what runs in it, `gone` says which of its files is missing."""
    seen = _dict(project.thumbnail)
    below = gone or f"{project.model.name} · {project.target or 'no target'}"
    running = ""
    if job is not None:
        running = f"<div class=run title='{escape(job_words.name(job))}'><i style='width:{100 * job.fraction:.0f}%'></i></div>"
    return (f"<div class=md-card>{strips(seen)}<div class=nm><b title='{escape(project.name)}'>{escape(project.name)}</b>"
            f"<span>{escape(job_words.ago(project.updated))}</span></div>"
            f"<div class='sb{' hot' if gone else ''}' title='{escape(below)}'>{escape(below)}</div>"
            f"<div class=kv>{''.join(_figure(*part) for part in _figures(seen, str(project.metric)))}</div>{running}</div>")


def _figures(seen: Mapping[str, Any], metric: str) -> list[tuple[str, str, str, str, str]]:
    """Label, number, unit, note and tooltip of each figure."""
    fp32, quantized, drop, cost = (_dict(seen.get(key)) for key in ("fp32", "quantized", "drop", "cost"))
    name = str(quantized.get("metric") or metric)
    unit = "%" if name in PERCENT else "dB" if name == "sqnr" else ""
    before, after, lost = (_number(x.get("value")) for x in (fp32, quantized, drop))
    ends = [_number(x) for x in _list(drop.get("ci95"))[:2]]
    size, whole = _number(cost.get("size_bytes")), _number(cost.get("fp32_size_bytes"))
    figure = [("accuracy" if unit == "%" else name[:12] or "accuracy",
               "not measured" if after is None else f"{numbers.figure(before, unit)} → {numbers.figure(after, unit)}",
               unit if after is not None else "", "", "Float, then quantized, on the evaluation data. Higher is better.")]
    if lost is not None:
        span = f"{numbers.figure(ends[0], unit)} to {numbers.figure(ends[1], unit)}" if len(ends) == 2 and None not in ends else ""
        figure.append(("drop, paired", numbers.figure(lost, unit), "pp" if unit == "%" else unit, span,
                       "Float minus quantized on the same samples, with its 95 % interval. Lower is better."))
    if size:
        figure.append(("size", *numbers.size(size), f"{whole / size:.1f}× smaller" if whole else "",
                       "Weights of all layers at their bits. Lower is better."))
    return figure


def _figure(label: str, number: str, unit: str, note: str, tip: str) -> str:
    return (f"<div title='{escape(tip)}'><span>{escape(label)}</span><b>{escape(number)} <small>{escape(unit)}</small></b>"
            f"<em>{escape(note)}</em></div>")


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None  # also not NaN
