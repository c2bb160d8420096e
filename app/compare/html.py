"""Pieces of HTML of the page Compare; every text is escaped, pictures are checked before they are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")
Cell = tuple[str, str, str]
MAX_DB = 200.0  # what equal outputs have


def tip_table(columns: Sequence[tuple[str, str, str]], rows: Sequence[Sequence[Cell]], tones: Sequence[str] = ()) -> str:
    """A table whose heads and cells have tooltips: a column is (name, class, tip), a cell (text, class, tip)."""
    head = "".join(f"<th class='{cls}' title='{escape(tip)}'>{escape(name)}</th>" for name, cls, tip in columns)
    marks = [*tones, *[""] * (len(rows) - len(tones))]
    body = "".join(f"<tr class='{mark}'>{_cells(columns, row)}</tr>" for row, mark in zip(rows, marks, strict=False))
    inner = f"<table class='md-table cmp-runs'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class=md-scroll tabindex=0>{inner}</div>"


def _cells(columns: Sequence[tuple[str, str, str]], row: Sequence[Cell]) -> str:
    return "".join(
        f"<td class='{cls} {own}' title='{escape(tip)}'>{escape(words)}</td>"
        for (_, cls, _), (words, own, tip) in zip(columns, row, strict=True)
    )


def gallery(samples: Sequence[Mapping[str, Any]], kind: str, scale: float) -> str:
    """Samples as pictures where there are any, else as cards of text; the bar is the margin against `scale`."""
    return f"<div class=cmp-gallery>{''.join(_card(s, kind, scale) for s in samples)}</div>"


def _card(sample: Mapping[str, Any], kind: str, scale: float) -> str:
    number, address = f"{int(sample.get('index') or 0):,}", str(sample.get("picture") or "")
    where = place(sample)
    text = number if not sample.get("position") else f"<span>{number}<small>at {escape(where.rpartition(' ')[2])}</small></span>"
    shown = f"<img src='{address}' alt='{escape(where)}' loading=lazy>" if PICTURE.fullmatch(address) else f"<div class=no>{text}</div>"
    return f"<figure class={kind} title='{escape(_tip(sample, where))}'>{shown}<figcaption>{_caption(sample, scale)}</figcaption></figure>"


def place(sample: Mapping[str, Any]) -> str:
    """What an answer is of: `sample 12`, or `sample 12, position 5` (rows and columns with a comma between)."""
    at = sample.get("position")
    return f"sample {int(sample.get('index') or 0):,}" + ("" if not at else f", position {','.join(str(int(p)) for p in at)}")


def _caption(sample: Mapping[str, Any], scale: float) -> str:
    if "sqnr_right" in sample:
        return f"<b>{float(sample['sqnr_right']):.1f} dB</b><span>cosine {float(sample['cosine_right']):.3f}</span>"
    if "margin" not in sample:
        before, after = (float(sample.get(key) or 0) for key in ("score_left", "score_right"))
        return f"<b>{before:.3f}</b> \u2192 {after:.3f}"
    width = min(100.0, 100.0 * float(sample["margin"]) / scale) if scale > 0 else 0.0
    at = f"<span>at {','.join(str(int(p)) for p in sample['position'])}</span>" if sample.get("position") and sample.get("picture") else ""
    return (
        f"<b>{escape(str(sample.get('left', '')))}</b><span>{escape(str(sample.get('right', '')))}</span>{at}"
        f"<i><u style='width:{width:.0f}%'></u></i>"
    )


def _tip(sample: Mapping[str, Any], where: str) -> str:
    if "sqnr_right" in sample:
        sides = ((side, float(sample[f"sqnr_{side}"]), float(sample[f"cosine_{side}"])) for side in ("left", "right"))
        told = "; ".join(f"{side} {_decibels(db)}, cosine {cosine:.4f}" for side, db, cosine in sides)
        return f"{where}, against the float model's output: {told}"
    if "margin" not in sample:
        return f"{where}: the score on the left and on the right"
    truth = f"; truly {sample['truth']}" if sample.get("truth") else ""
    return (
        f"{where}{truth}. Left: {sample.get('left')}, by a margin of {float(sample['margin']):.3f}; right: {sample.get('right')}, "
        f"by {float(sample.get('margin_right') or 0):.3f} (greatest output minus the second; small is a close decision)"
    )


def _decibels(value: float) -> str:
    return "the same" if value >= MAX_DB else f"SQNR {value:.1f} dB"
