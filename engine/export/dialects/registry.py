"""The dialects by version, each a reader and a writer of the same `EncodingsFileContent`."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.errors import BadInput, nearest
from engine.export.dialects.content import EncodingsFileContent
from engine.recipe.reader import At

Read = Callable[[dict[str, Any], At], EncodingsFileContent]
Write = Callable[[EncodingsFileContent], dict[str, Any]]


@dataclass(frozen=True)
class EncodingsDialect:
    """How one version of the format is read (from parsed JSON) and written (to plain values)."""

    version: str
    read: Read
    write: Write


_DIALECTS: dict[str, EncodingsDialect] = {}


def register(version: str, read: Read, write: Write) -> None:
    """Adds a dialect; a module calls this once when it is imported."""
    _DIALECTS[version] = EncodingsDialect(version, read, write)


def versions() -> tuple[str, ...]:
    """The versions that can be read and written."""
    return tuple(_DIALECTS)


def dialect(version: str) -> EncodingsDialect:
    """The dialect of a version; raises `BadInput` naming those that exist."""
    if version not in _DIALECTS:
        raise BadInput(f"there is no encodings dialect {version[:40]!r} here. {nearest(version, _DIALECTS)}")
    return _DIALECTS[version]
