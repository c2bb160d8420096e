"""A folder that appears whole or not at all.

Rules:
1. files are written into a hidden folder beside the wanted one, which is renamed when all are there;
2. an existing folder is replaced only if it is empty or holds nothing but files of an earlier export;
3. whatever ends the writing (an error, Cancel, Ctrl-C) leaves the old folder as it was and no new one; after a kill
   the hidden folder stays, and the next export to the same place removes it.
"""
from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import BadInput


@contextmanager
def whole_folder(out: Path, known: frozenset[str]) -> Iterator[Path]:
    """Yields the folder to write into; it becomes `out` when the block ends without an exception."""
    out = out.absolute()
    check_ours(out, known)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _clean(out)
        partial = _beside(out, "partial")
        partial.mkdir()
    except OSError as error:
        raise BadInput(f"{out}: the folder cannot be written: {error.strerror or error}") from None
    try:
        yield partial
        _swap(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_ours(out: Path, known: frozenset[str]) -> None:
    """Rule 2."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BadInput(f"{out}: is no folder; choose another place to export to")
    foreign = sorted(p.name for p in out.iterdir() if p.name not in known) if out.is_dir() else []
    if foreign:
        raise BadInput(f"{out}: holds {foreign[0]!r}{f' and {len(foreign) - 1} other files' if len(foreign) > 1 else ''} that no export "
                       "wrote; choose an empty or a new folder")


def _beside(out: Path, what: str) -> Path:
    return out.parent / f".{out.name}.{what}-{os.getpid()}"


def _swap(partial: Path, out: Path) -> None:
    """Two renames; what stood there goes last."""
    previous = _beside(out, "previous")
    try:
        if out.exists():
            out.rename(previous)
        try:
            partial.rename(out)
        except OSError:
            if previous.exists():
                previous.rename(out)
            raise
    except OSError as error:
        raise BadInput(f"{out}: the folder cannot be replaced: {error.strerror or error}") from None
    shutil.rmtree(previous, ignore_errors=True)


def _clean(out: Path) -> None:
    """Folders of exports that were killed, by processes that are gone. One killed between the two renames is put back."""
    for what in ("previous", "partial"):
        for left in out.parent.glob(f".{out.name}.{what}-*"):
            pid = left.name.rsplit("-", 1)[1]
            if not pid.isdigit() or (int(pid) != os.getpid() and Path(f"/proc/{pid}").exists()):
                continue
            if what == "previous" and not out.exists():
                left.rename(out)
            else:
                shutil.rmtree(left, ignore_errors=True)


def write_whole(path: Path, text: str) -> None:
    """A single file, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
