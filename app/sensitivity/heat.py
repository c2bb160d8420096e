"""The heatmap's data as they travel to the browser: one short row a cell, no colours."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.sensitivity import scale, words
from app.sensitivity.cells import Cell, Scores
from app.sensitivity.rows import Reasons, noisy_rows

Data = dict[str, Any]


def heat_data(scores: Scores, order: Sequence[str], reasons: Reasons, theme: str, selected: str, precision: str) -> Data:
    """Items in the order drawn (columns), precisions (rows), and the cells row by row.

    A cell is `[step, strength 0..1, filled 0..1, text, illegal, known]`; `filled` is the share of its samples that are
    done, 0 for an estimate. `hover` holds the words of each cell, in the same order.
    """
    places = [(item, p) for p in scores.precisions for item in order]
    return {
        "theme": theme,
        "items": list(order),
        "labels": words.short_names(order),
        "precisions": list(scores.precisions),
        "selected": order.index(selected) if selected in order else -1,
        "chosen": scores.precisions.index(precision) if precision in scores.precisions else -1,
        "noisy": noisy_rows(scores),
        "cells": [_cell(scores, item, p, bool(reasons.get(item, {}).get(p))) for item, p in places],
        "hover": [_hover(scores, item, p, reasons.get(item, {}).get(p, "")) for item, p in places],
    }


def _cell(scores: Scores, item: str, precision: str, illegal: bool) -> list[Any]:
    cell, share = scores.cell(item, precision), scale.relative(scores, item, precision)
    filled = round(scores.filled(cell), 2)
    return [scale.step(share), round(scale.strength(share), 2), filled, _short(scores, cell, share), int(illegal), int(cell is not None)]


def _hover(scores: Scores, item: str, precision: str, why: str) -> str:
    said = words.cell_text(scores, item, precision).replace("<br>", "\n")
    return said + (f"\nnot on this target: {why}" if why else "")


def _short(scores: Scores, cell: Cell | None, share: float | None) -> str:
    """The cell's number; `~` before an estimate whose size is not to be trusted."""
    text = _number(scores, cell, share)
    return f"~{text}" if cell is not None and cell.rough and text else text


def _number(scores: Scores, cell: Cell | None, share: float | None) -> str:
    if cell is None:
        return ""
    if cell.below:
        return "\u2248 0"
    if scores.score in ("kl", "agreement") and share is not None and scores.mode != "one-off":
        return words.times(share).removesuffix("\u00d7") if share >= 0.01 else ""
    return words.plain(cell.value, scores.score)
