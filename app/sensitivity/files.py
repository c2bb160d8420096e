"""The scores as files: CSV for a spreadsheet, JSON as the engine gave them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from app.sensitivity import scale
from app.sensitivity.cells import Scores, rank_text

COLUMNS = (
    "item",
    "precision",
    "mode",
    "score",
    "unit",
    "value",
    "low95",
    "high95",
    "kind",
    "samples",
    "fair_shares",
    "rank",
    "below_resolution",
    "legal",
    "rough",
)


def to_csv(scores: Scores, illegal: Mapping[str, Mapping[str, str]]) -> str:
    """One row a cell of the shown score, in network order."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n")
    write.writerow(COLUMNS)
    for item in scores.items:
        for precision in scores.precisions:
            cell = scores.cell(item, precision)
            if cell is not None:
                share = scale.relative(scores, item, precision)
                write.writerow(
                    [
                        safe(item),
                        precision,
                        scores.mode,
                        scores.score,
                        scores.unit,
                        cell.value,
                        cell.low,
                        cell.high,
                        "estimate" if cell.estimate else "exact",
                        cell.samples,
                        share,
                        rank_text(scores, precision, item).replace("\u2013", " to "),
                        cell.below,
                        precision not in illegal.get(item, {}),
                        cell.rough,
                    ]
                )
    return out.getvalue()


def safe(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return "'" + name if name[:1] in "=+-@\t\r" else name


def to_json(estimate: Mapping[str, Any] | None, exact: Mapping[str, Any] | None) -> str:
    """Both answers, apart, so that estimates and measurements are not mixed."""
    return json.dumps({k: v for k, v in (("estimate", estimate), ("exact", exact)) if v}, indent=1, allow_nan=False)
