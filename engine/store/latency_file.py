"""A project's table of latencies: one CSV file among its inputs, so that it is copied, exported and imported with them.

Jobs name it by a hash of its content. What is in it is checked by who reads it (`engine/mixed/latency.py`).
"""
from __future__ import annotations

import hashlib
from pathlib import Path

from engine.errors import BadInput
from engine.store.files import atomic_file, disk_errors

ARGUMENT = "latency_table"  # of a job: the hash of the table that it counts by
MOST_BYTES = 4_000_000
_NAME = "latency.csv"


def table_path(folder: Path) -> Path:
    """Where the table of the project in this folder is, or would be."""
    return folder / "inputs" / _NAME


def table_hash(text: str) -> str:
    """What jobs know a table by."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_table(folder: Path) -> str:
    """The text; empty where there is none, or none that can be read."""
    try:
        with table_path(folder).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        return data.decode() if len(data) <= MOST_BYTES else ""
    except (OSError, UnicodeDecodeError):
        return ""


def write_table(folder: Path, text: str) -> None:
    """Keeps a table in place of the one before it; an empty text removes it. `BadInput` on a full disk."""
    path = table_path(folder)
    if not text:
        path.unlink(missing_ok=True)
        return
    with disk_errors("The latency table cannot be kept"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            file.write(text.encode())


def table_text(folder: Path, wanted: str) -> str:
    """The table that a job was asked with.

    Raises:
        BadInput: it was replaced or removed since.
    """
    text = read_table(folder)
    if table_hash(text) != wanted:
        raise BadInput("the latency table was replaced or removed since this was asked for; ask again")
    return text
