"""Files and JSON of the store: written whole or not at all, bounded, strictly valid."""
from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from engine.errors import BadInput

UPLOAD_LIMIT = 2_000_000_000
DISK_RESERVE = 200_000_000
_CHUNK = 1 << 20
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextlib.contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turns a full or unwritable disk into a `BadInput` in plain words."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise BadInput(f"{what}: the disk is full. Nothing was changed. Free some space and try again") from None
        raise BadInput(f"{what}: {error.strerror or error}. Nothing was changed") from None


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears under its name only when the block ends well."""
    with disk_errors(f"{path.name} cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raises `BadInput` when `needed` bytes and a reserve do not fit on the disk."""
    free = shutil.disk_usage(folder).free
    if free < needed + DISK_RESERVE:
        raise BadInput(f"{what}: {needed / 1e6:,.0f} MB are needed and {DISK_RESERVE / 1e6:,.0f} MB must stay free, but the "
                       f"disk has {free / 1e6:,.0f} MB left. Free some space and try again")


def copy_stream(source: Any, path: Path, limit: int = UPLOAD_LIMIT, what: str = "") -> int:
    """Streams `source` to `path` in pieces, at most `limit` bytes; returns the size."""
    what = what or path.name
    size = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise BadInput(f"{what}: larger than the limit of {limit / 1e6:,.0f} MB. Put the file on the server "
                               "and give its path instead")
            if size % (64 * _CHUNK) < _CHUNK:
                check_space(path.parent, 0, what)
            file.write(chunk)
    return size


def safe_name(name: str, fallback: str = "file") -> str:
    """A plain file name: no folders, no control or odd characters, at most 100 characters."""
    base = re.split(r"[/\\]", name)[-1]
    base = re.sub(r"[^A-Za-z0-9._+-]", "_", base).lstrip(".")
    stem, dot, suffix = base.rpartition(".")
    short = f"{stem[: 99 - len(suffix)]}{dot}{suffix}" if dot and len(suffix) < 20 else base[:100]
    return short or fallback


def free_name(folder: Path, name: str) -> Path:
    """A path in `folder` under `name`, numbered where that name is taken."""
    path = folder / name
    stem, suffix = path.stem, path.suffix
    for number in range(2, 10_000):
        if not path.exists():
            return path
        path = folder / f"{stem}-{number}{suffix}"
    raise BadInput(f"{name}: too many files of that name")


def file_identity(path: Path | None) -> list[Any] | None:
    """Path, size and time of change: differs whenever a file was put in another's place."""
    if path is None:
        return None
    try:
        facts = path.stat()
    except OSError:
        return [str(path), "missing"]
    return [str(path), facts.st_size, facts.st_mtime_ns]


def strict_json(value: Any) -> str:
    """Strictly valid JSON on one line: NaN and infinities become null, arrays and numpy numbers plain ones."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError):
        return json.dumps(_plain(value, 0), allow_nan=False, separators=(",", ":"))


def _plain(value: Any, depth: int) -> Any:
    if depth > 64:
        raise ValueError("a value nested deeper than 64 levels cannot be written as JSON")
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy arrays and numbers, known here by what they do: numpy is not imported
        return _plain(value.tolist(), depth + 1)
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name), depth + 1) for name in value.__dataclass_fields__}
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
