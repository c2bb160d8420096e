"""Scores on disk, keyed by content: what a cell depends on and nothing else.

A cell's key is made of the graph, the data in their order, the mode, and the encodings that its change
sets or removes (with the base's, where the base is not float). One changed layer leaves the others' files
as they are; the same question twice costs nothing; a stopped sweep goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from engine.analysis.sensitivity.candidates import Branch, Candidate
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table


class ScoreCache:
    """Per-sample parts of cells in a folder of small npz files."""

    def __init__(self, folder: Path, context: str) -> None:
        """`context` says what all cells share: graph, data, order, metric."""
        self.folder = folder / hashlib.sha256(context.encode()).hexdigest()[:24]

    def load(self, sweep: Sweep, table: Table) -> int:
        """Fills the table with what is known; returns the number of cells that were found."""
        found = 0
        for base in sweep.branches:
            for candidate in base.candidates:
                parts = self._read(self._path(base, candidate))
                if parts:
                    found += 1
                    for item, precision in ((candidate.item, candidate.precision), *candidate.twins):
                        table.put(item, precision, 0, {name: values[: table.question.samples] for name, values in parts.items()})
        return found

    def save(self, sweep: Sweep, table: Table) -> None:
        """Writes every cell that has scores; a disk that is full costs the cache and nothing else."""
        if "kl" not in table.parts:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for base in sweep.branches:
                for candidate in base.candidates:
                    self._write(self._path(base, candidate), candidate, table)
        except OSError:
            return

    def recall(self, key: Sequence[str]) -> dict[str, np.ndarray]:
        """Arrays that were kept under a content of any kind; empty where there are none."""
        return self._read(self._file(list(key)))

    def remember(self, key: Sequence[str], arrays: Mapping[str, np.ndarray]) -> None:
        """Keeps arrays under a content; a disk that is full costs the cache and nothing else."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            _store(self._file(list(key)), arrays)

    def _path(self, base: Branch, candidate: Candidate) -> Path:
        everything = (*base.quantization.activations.items(), *base.quantization.constants.items())
        return self._file([sorted(f"{n}={e.key()}" for n, e in everything), candidate.key])

    def _file(self, content: list[Any]) -> Path:
        return self.folder / f"{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]}.npz"

    def _write(self, path: Path, candidate: Candidate, table: Table) -> None:
        count = int(table.count()[candidate.item, candidate.precision])
        kept = self._read(path)
        if not count or (kept and len(kept["kl"]) >= count):
            return
        _store(path, {n: v[candidate.item, candidate.precision, :count] for n, v in table.parts.items()})

    @staticmethod
    def _read(path: Path) -> dict[str, np.ndarray]:
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
            return {}


def _store(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a file all at once: a reader sees the old one or the new one."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
