"""A project's card: a thumbnail of its precisions layer by layer, accuracy, size."""
from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from app import numbers


def bits(precision: str) -> int:
    """Weight bits of a precision's name."""
    match = re.fullmatch(r"w(\d+)a\d+", precision)
    return int(match[1]) if match else 16 if "16" in precision else 32


def strips(thumbnail: Mapping[str, Any] | None) -> str:
    """One bar a layer: its height says its bits, its colour whether they are few."""
    layers = list((thumbnail or {}).get("layers") or [])
    bars = []
    for layer in layers:
        n = bits(str(layer.get("precision", "")))
        height = 12 + 88 * {32: 1.0, 16: 0.8}.get(n, min(n, 16) / 14)
        tone = "text3" if n >= 16 else "accent" if n >= 8 else "ok"
        bars.append(f"<i style='height:{height:.0f}%;background:var(--{tone})'></i>")
    many = " many" if len(layers) > 120 else ""
    return f"<div class='bars{many}' title='one bar a layer: its weight bits'>{''.join(bars)}</div>"


def card(project: Any) -> str:
    """The card of a project."""
    seen = project.thumbnail or {}
    unit = "%" if project.metric in ("", "top1", "top5", "agreement", "miou") else ""
    fp32, quantized, cost = seen.get("fp32") or {}, seen.get("quantized") or {}, seen.get("cost") or {}
    accuracy = "not measured"
    if quantized.get("value") is not None:
        accuracy = f"{numbers.figure(fp32.get('value'), unit)} → {numbers.figure(quantized.get('value'), unit)} {unit}"
    size = numbers.size_text(cost["size_bytes"]) if cost.get("size_bytes") else "\u2013"
    ratio = f" {cost['fp32_size_bytes'] / cost['size_bytes']:.1f}\u00d7" if cost.get("size_bytes") and cost.get("fp32_size_bytes") else ""
    return (f"<div class=md-card>{strips(seen)}<div class=nm>{escape(project.name)}</div>"
            f"<div class=sb>{escape(project.model.name)} · {escape(project.target or '')}</div>"
            f"<div class=kv><div><span>accuracy</span><b>{escape(accuracy)}</b></div>"
            f"<div><span>size</span><b>{escape(size + ratio)}</b></div></div></div>")
