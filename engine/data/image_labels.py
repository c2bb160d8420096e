"""Labels of pictures: the name of the folder they lie in, or a CSV file."""
from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.dataset import Array
from engine.errors import BadInput, nearest
from engine.safe_yaml import read_text

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm")
MAX_CSV_BYTES = 50_000_000


def read_labels(path: Path, folder: Path, files: list[Path],
                data: dict[str, Any]) -> tuple[list[Path], Array, tuple[str, ...], tuple[str, ...]]:
    """The files that have labels, their class numbers, a note that says what the numbers mean, and the classes' names
    (none where the labels are numbers already)."""
    spec = data["labels"]
    if spec == "folder":
        named = {f: f.relative_to(folder).parts[0] for f in files if len(f.relative_to(folder).parts) > 1}
        if len(named) < len(files):
            raise BadInput(f"{path}: labels: folder: {len(files) - len(named)} pictures lie in no class folder")
    elif isinstance(spec, str) and spec.lower().endswith(".csv"):
        named = _csv(path.parent / spec, folder)
        files = [f for f in files if f in named]
    else:
        raise BadInput(f"{path}: labels is {repr(spec)[:60]}: expected `folder` or the name of a .csv file")
    if not files:
        raise BadInput(f"{path}: no picture has a label in {spec!r}")
    classes = data.get("classes") or sorted({named[f] for f in files}, key=lambda c: (not c.isdecimal(), c))
    if not isinstance(classes, list):
        raise BadInput(f"{path}: classes: expected a list of names, in the order of the model's outputs")
    numeric = "classes" not in data and all(c.isdecimal() and len(c) < 10 for c in classes)
    index = {c: int(c) for c in classes} if numeric else {str(c): i for i, c in enumerate(classes)}
    for file in files:
        if named[file] not in index:
            raise BadInput(f"{path}: {file.name} has the label {named[file][:60]!r}. {nearest(named[file], index)}")
    note = "labels: " + ", ".join(f"{n}={i}" for n, i in list(index.items())[:10])
    names = () if numeric else tuple(" ".join(str(c).split())[:120] for c in classes)
    return files, np.array([index[named[f]] for f in files], np.int64), (note,), names


def _csv(file: Path, folder: Path) -> dict[Path, str]:
    """File to label from rows of `file,label`; a heading row is skipped, rows outside the folder are refused."""
    named: dict[Path, str] = {}
    root = folder.resolve()
    number = 0
    try:
        for number, row in enumerate(csv.reader(io.StringIO(read_text(file, MAX_CSV_BYTES))), 1):
            if not row or (number == 1 and Path(row[0]).suffix.lower() not in SUFFIXES):
                continue
            target = folder / row[0].strip()
            if len(row) < 2 or not target.resolve().is_relative_to(root) or not target.is_file():
                raise BadInput(f"{file}, line {number}: {','.join(row)[:80]!r}: expected a picture inside {folder}, and its label")
            named[target] = row[1].strip()
    except (csv.Error, ValueError, OSError) as error:
        raise BadInput(f"{file}, line {number + 1}: not a CSV of file,label ({' '.join(str(error).split())[:80]})") from None
    return named
