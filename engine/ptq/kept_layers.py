"""Layers that a step has finished, on disk under a hash of everything they came from.

A run that was killed goes on where it stopped with the same bits, and an edit of a late layer keeps what was done before it. Files
are written whole or not at all, and a broken one counts as absent.
"""
from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

MAX_BYTES = 1 << 30  # of all kept layers; the oldest go first


class LayerCache:
    """Arrays by key in a folder, which is made when it is first written to."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self.folder, self.max_bytes = folder, max_bytes

    def get(self, key: str) -> dict[str, np.ndarray] | None:
        """The arrays of a finished layer; None where it was never finished, or its file cannot be read."""
        path = self._path(key)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
            os.utime(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return found

    def put(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keeps a finished layer. A full disk costs the kept layer and not the run."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
            try:
                with os.fdopen(handle, "wb") as file:
                    np.savez(file, **arrays)  # type: ignore[arg-type]
                os.replace(name, self._path(key))
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError:
            return
        self._prune()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npz"

    def _prune(self) -> None:
        found = sorted(((path.stat().st_mtime_ns, path.stat().st_size, path) for path in self.folder.glob("*.npz")), reverse=True)
        total = 0
        for _, size, path in found:
            total += size
            if total > self.max_bytes:
                path.unlink(missing_ok=True)
