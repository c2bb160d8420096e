"""Calibration statistics on disk: an npz keyed by what they were gathered from, so that a restart costs no second pass."""
from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np

from engine.quant.histogram import Histogram, MinMax
from engine.sim.calibration import Statistics

_KINDS = {"histogram": Histogram, "min_max": MinMax}


def save_statistics(path: Path, statistics: Statistics) -> None:
    """Writes all at once: a reader sees the whole file or none."""
    arrays: dict[str, np.ndarray] = {}
    index = []
    for i, (name, observer) in enumerate(statistics.items()):
        kind = "histogram" if isinstance(observer, Histogram) else "min_max"
        index.append([name, kind])
        arrays.update({f"{i}.{key}": array for key, array in observer.to_arrays().items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, index=np.frombuffer(json.dumps(index).encode(), dtype=np.uint8), **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_statistics(path: Path) -> Statistics | None:
    """The statistics of a file, or None where there is none that can be read (it is a cache: it is made again)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            index = json.loads(bytes(file["index"]))
            found: Statistics = {}
            for i, (name, kind) in enumerate(index):
                arrays = {key.split(".", 1)[1]: file[key] for key in file.files if key.startswith(f"{i}.")}
                found[name] = _KINDS[kind].from_arrays(arrays)
            return found
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
        return None
