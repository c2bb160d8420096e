"""Measurements of a search on disk, by content: a stopped search goes on where it was."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.mixed.trial import Measured

VERSION = 2  # raised whenever a measurement would come out otherwise


class TrialCache:
    """One small JSON file for each measured recipe. `content`: all that they depend on beside it."""

    def __init__(self, folder: Path | None, content: Sequence[object]) -> None:
        self._folder, self._content = folder, [VERSION, *content]

    def load(self, recipe: str) -> Measured | None:
        """What is known of a recipe, by its fingerprint; a damaged file is as good as none."""
        if self._folder is None:
            return None
        try:
            value = json.loads(self._path(recipe).read_text())
            pairs = {k: None if value[k] is None else tuple(value[k]) for k in ("ci95", "flips")}
            error = np.frombuffer(base64.b64decode(value["error"]), np.float32) if value["error"] is not None else None
            return Measured(**{**value, **pairs, "error": error})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save(self, recipe: str, measured: Measured) -> None:
        """Whole or not at all; a disk that is full costs the file and nothing else."""
        if self._folder is None:
            return
        path = self._path(recipe)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            error = None if measured.error is None else base64.b64encode(measured.error.astype(np.float32).tobytes()).decode()
            temporary.write_text(json.dumps({**measured.__dict__, "error": error}))
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)

    def _path(self, recipe: str) -> Path:
        assert self._folder is not None
        text = json.dumps([*self._content, recipe])
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"
