"""Small choices of a person that belong to no project, such as a tour that was skipped: one JSON file in the home."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.store.files import atomic_file, strict_json
from engine.store.lock import WriterLock

FILE = "settings.json"
_MAX = 100_000


class Settings:
    """Choices by name. A file that is missing or damaged holds none: they can be made again."""

    def __init__(self, home: Path, writer: WriterLock) -> None:
        self._path, self._writer = home / FILE, writer

    def get(self, name: str, otherwise: Any = None) -> Any:
        """The choice of that name."""
        return self._all().get(name, otherwise)

    def put(self, name: str, value: Any) -> None:
        """Keeps a choice; `None` forgets it. `BadInput` where another process writes, or on a full disk."""
        self._writer.require()
        rest = {k: v for k, v in self._all().items() if k != name}
        with atomic_file(self._path) as file:
            file.write(strict_json(rest if value is None else rest | {name: value}).encode())

    def _all(self) -> dict[str, Any]:
        try:
            with self._path.open(encoding="utf-8") as file:
                found = json.loads(file.read(_MAX))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}
