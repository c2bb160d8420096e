"""What the command line shows: a progress bar with time left, tables, and JSON that any parser reads."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from engine.errors import BadInput
from engine.progress import Progress, silent


class Bar:
    """A tqdm bar on stderr as a `Progress`; nothing is drawn when stderr is no terminal."""

    def __init__(self, quiet: bool) -> None:
        shown = not quiet and sys.stderr.isatty()
        self._bar = (
            tqdm(total=1000, bar_format="{desc:<44.44} {percentage:3.0f} % |{bar}| {elapsed} < {remaining}", leave=False) if shown else None
        )
        self._last = 0.0

    @property
    def progress(self) -> Progress:
        return silent if self._bar is None else self._show

    def _show(self, fraction: float, message: str) -> None:
        now = time.monotonic()
        if self._bar is None or (now - self._last < 0.1 and fraction < 1.0):
            return
        self._last = now
        self._bar.set_description_str(message, refresh=False)
        self._bar.n = max(self._bar.n, round(1000 * min(max(fraction, 0.0), 1.0)))
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows of cells in columns two spaces apart; the columns in `right` are set flush right."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def write_json(path: Path, value: Any) -> None:
    """Writes strict JSON (no NaN), all at once: a reader sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(plain(value), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror}); name a file in a folder that exists") from None
    finally:
        if temporary.exists():
            temporary.unlink()


def plain(value: Any) -> Any:
    """Numpy numbers as Python's, tuples as lists, NaN and infinity as null."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def count(number: float) -> str:
    """115,234 as `115.2 k`."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= limit:
            return f"{number / limit:.1f}{unit}"
    return f"{number:.0f}"


def share(value: float | None, ends: Sequence[float] | None = None, scale: float = 100.0) -> str:
    """`92.35 % (91.80 to 92.85)`."""
    if value is None:
        return "–"
    text = f"{value * scale:.2f}{' %' if scale == 100.0 else ''}"
    return text if not ends else f"{text} ({ends[0] * scale:.2f} to {ends[1] * scale:.2f})"
