"""Latency by a table that a person measured on the device: CSV with a header and one row for each case.

    op_type,precision,shape,microseconds
    Conv,w8a8,64x64x3x3,41.5
    Conv,w8a8,,60

`shape` (of the weight, or of the output, joined by x) is optional: a row with the layer's shape beats one without.
Layers alone are counted, each by itself: what a device overlaps or fuses is not in a table.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import BadInput, nearest
from engine.quant.precision import Precision

if TYPE_CHECKING:
    from engine.graph.layers import Layer

NEEDED = ("op_type", "precision", "microseconds")
MOST_BYTES, MOST_ROWS = 4_000_000, 100_000
Key = tuple[str, str, str]


@dataclass(frozen=True)
class LatencyTable:
    """Microseconds by (op type, precision, shape or nothing)."""

    name: str
    rows: Mapping[Key, float]

    def of(self, layer: Layer, precision: Precision, notes: list[str]) -> float:
        """Microseconds of a layer; 0 with a note where its op type has no row at all.

        Raises:
            BadInput: its op type has rows, but none for this precision.
        """
        for shape in (layer.weight_shape, layer.output_shape, ()):
            found = self.rows.get((layer.op_type, str(precision), "x".join(map(str, shape))))
            if found is not None:
                return found
        have = sorted({p for op, p, _ in self.rows if op == layer.op_type})
        if not have:
            notes.append(f"{self.name}: no row for {layer.op_type}; such layers count as 0 microseconds")
            return 0.0
        weight = "x".join(map(str, layer.weight_shape))
        raise BadInput(f"{self.name}: no row for {layer.op_type} {layer.name} at {precision} (weight {weight}); its op type has "
                       f"rows for {', '.join(have[:8])}. Add `{layer.op_type},{precision},,MICROSECONDS`")


def load_latency(path: Path) -> LatencyTable:
    """The table in a CSV file."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    return parse_latency(text_of(data, path.name), path.name)


def text_of(data: bytes, name: str) -> str:
    """The text of a table that came as bytes, of which one more than `MOST_BYTES` need be read.

    Raises:
        BadInput: too long, or no text.
    """
    if len(data) > MOST_BYTES:
        raise BadInput(f"{name}: more than {MOST_BYTES:,} bytes; a latency table has at most so many")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{name}: not a text in UTF-8; expected CSV with the columns {', '.join(NEEDED)}") from None


def parse_latency(text: str, name: str = "latency table") -> LatencyTable:
    """The table in a CSV text.

    Raises:
        BadInput: naming the line and what was expected.
    """
    try:
        return LatencyTable(name, _rows(csv.DictReader(io.StringIO(text), skipinitialspace=True), name))
    except csv.Error as error:
        raise BadInput(f"{name}: not CSV: {error}") from None


def _rows(reader: csv.DictReader[str], name: str) -> dict[Key, float]:
    columns = [c.strip() for c in reader.fieldnames or ()]
    for needed in NEEDED:
        if needed not in columns:
            raise BadInput(f"{name}, line 1: no column {needed!r}. {nearest(needed, columns)} Expected op_type, precision, "
                           "microseconds, and optionally shape")
    reader.fieldnames = columns
    rows: dict[Key, float] = {}
    for row in reader:
        at = f"{name}, line {reader.line_num}"
        if len(rows) >= MOST_ROWS:
            raise BadInput(f"{at}: more than {MOST_ROWS:,} rows")
        cells = {key: (row.get(key) or "").strip() for key in (*NEEDED, "shape")}
        try:
            key = (cells["op_type"], str(Precision.parse(cells["precision"])), cells["shape"].lower().replace(" ", ""))
        except BadInput as error:
            raise BadInput(f"{at}, column precision: {error}") from None
        if not key[0]:
            raise BadInput(f"{at}, column op_type: it is empty; expected the type of an operator, such as Conv")
        if key in rows:
            raise BadInput(f"{at}: a second row for {' '.join(k for k in key if k)}")
        rows[key] = _number(cells["microseconds"], f"{at}, column microseconds")
    if not rows:
        raise BadInput(f"{name}: no rows below the header")
    return rows


def _number(text: str, at: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise BadInput(f"{at}: it is {text[:40]!r}; expected a number from 0 up")
    return value
