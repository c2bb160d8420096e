"""The zip file of a project as a stranger may have made it: every size, count, name and value is checked before use."""
from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from engine.errors import BadInput
from engine.store.files import safe_name, strict_json
from engine.store.projects import PATHS, clean_name

FORMAT = 1
MANIFEST = "project.json"
KINDS = ("measure", "float")  # results that travel: others are made again in a moment
MAX_FILES = 64
MAX_MANIFEST = 64_000_000
MAX_LINES = 20_000
MAX_READ = 4_000_000  # the list of a zip file's entries is read in one go: a longer one is not ours
MAX_RATIO = 200  # unpacked against packed, beyond what is small anyway
SMALL = 64_000_000
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for gigabytes of memory to unpack a few bytes


def too_dense(unpacked: int, packed: int) -> bool:
    """Whether so many bytes from so few are a bomb rather than data."""
    return unpacked > max(SMALL, MAX_RATIO * packed)


class Bounded(io.RawIOBase):
    """A file of which nobody reads more than a little at once, whatever its own figures say."""

    def __init__(self, source: Path | IO[bytes]) -> None:
        self._own = isinstance(source, Path)
        self._file: IO[bytes] = source.open("rb") if isinstance(source, Path) else source
        self.size = self._file.seek(0, io.SEEK_END)
        self._file.seek(0)

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(MAX_READ + 1 if size < 0 else min(size, MAX_READ + 1))
        if len(data) > MAX_READ:
            raise BadInput("the project file's list of entries is longer than any that Export project writes")
        return data

    def close(self) -> None:
        if self._own:
            self._file.close()
        super().close()


def checked_entries(archive: zipfile.ZipFile, limit: int, packed: int) -> dict[str, zipfile.ZipInfo]:
    """The entries by name, where all of them are plain files that `export_project` might have written; `packed` is the file's size."""
    infos = archive.infolist()
    if len(infos) > MAX_FILES:
        raise BadInput(f"the project file holds {len(infos):,} files: expected at most {MAX_FILES}")
    for info in infos:
        parts = PurePosixPath(info.filename).parts
        plain = info.filename == MANIFEST or (len(parts) == 2 and parts[0] == "inputs" and parts[1] == safe_name(parts[1]))
        link = (info.external_attr >> 16) & 0o170000 == 0o120000
        if not plain or link or info.flag_bits & 1 or info.compress_type not in _PACKED:
            raise BadInput(f"the project file holds {info.filename[:80]!r}: expected only {MANIFEST} and plain files "
                           "in inputs/. It was not made by Export project")
    names = {info.filename for info in infos}
    unpacked = sum(info.file_size for info in infos)
    if len(names) < len(infos):
        raise BadInput("the project file holds two files of one name. It was not made by Export project")
    if too_dense(unpacked, packed):
        raise BadInput(f"the project file would unpack from {packed / 1e6:,.1f} MB to {unpacked / 1e6:,.0f} MB, over {MAX_RATIO} times "
                       "its size. It was not made by Export project")
    if unpacked > limit:
        raise BadInput(f"the project file unpacks to more than {limit / 1e6:,.0f} MB. Bring its model and data to the "
                       "server by path instead")
    return {info.filename: info for info in infos}


def read_manifest(archive: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo]) -> dict[str, Any]:
    """The manifest as JSON of a known version."""
    if MANIFEST not in infos:
        raise BadInput(f"the zip file has no {MANIFEST}: expected a file made by Export project")
    with archive.open(infos[MANIFEST]) as file:
        data = file.read(MAX_MANIFEST + 1)
    if len(data) > MAX_MANIFEST:
        raise BadInput(f"{MANIFEST} is larger than {MAX_MANIFEST / 1e6:.0f} MB: it was not made by Export project")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise BadInput(f"{MANIFEST} is not valid JSON: the file is damaged, or not made by Export project") from None
    version = value.get("mixdown_project") if isinstance(value, dict) else None
    if not isinstance(version, int) or not 1 <= version <= FORMAT:
        raise BadInput(f"{MANIFEST}: format {str(version)[:20]!r}: this Mixdown reads formats up to {FORMAT}. "
                       "Update Mixdown, or export the project again")
    return dict(value)


@dataclass(frozen=True)
class Content:
    """What a manifest says, checked: history lines are `seq, recipe, label, created, parent`, runs `fingerprint, kind, report`."""

    name: str
    lines: list[list[Any]]
    runs: list[tuple[str, str, dict[str, Any]]]
    files: dict[str, str]
    snapshots: dict[str, int]


def plain_text(value: Any, limit: int) -> str:
    """A text that the database can keep, at most `limit` characters."""
    return str(value)[:limit].encode("utf-8", "replace").decode()  # half a character would stop the database


def content(manifest: dict[str, Any]) -> Content:
    """The manifest's values, cut to their limits; anything else than `export_project` writes is a `BadInput`."""
    try:
        return _content(manifest)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise BadInput(f"{MANIFEST}: not as Export project writes it ({str(error)[:100]})") from None


def _content(manifest: dict[str, Any]) -> Content:
    lines: list[list[Any]] = [[int(s), plain_text(recipe, 1_000_000), plain_text(label, 300), _time(made), None if p is None else int(p)]
                              for s, recipe, label, made, p in manifest["history"][:MAX_LINES]]
    seqs = {line[0] for line in lines}
    # A parent always comes earlier, so no walk along parents can run in circles.
    ordered = all(0 < line[0] < 1e9 and (line[4] is None or (line[4] in seqs and line[4] < line[0])) for line in lines)
    if len(seqs) < len(lines) or not ordered or manifest["pointer"] not in seqs:
        raise ValueError("its history does not hang together")
    if not isinstance(manifest.get("thumbnail"), dict | type(None)):
        raise ValueError("its thumbnail is no mapping")
    strict_json([manifest.get("thumbnail"), manifest["runs"][:MAX_LINES]])  # what cannot be written is refused before anything is
    runs = [(plain_text(key, 200), kind, dict(report)) for key, kind, report in manifest["runs"][:MAX_LINES] if kind in KINDS]
    files = {role: str(path) for role, path in manifest["files"].items() if role in PATHS}
    if MANIFEST in files.values():
        raise ValueError("it names itself as an input")
    snapshots = {plain_text(name, 60): int(seq) for name, seq in list(dict(manifest.get("snapshots") or {}).items())[:102] if seq in seqs}
    return Content(clean_name(str(manifest["name"])), lines, runs, files, snapshots)


def _time(value: Any) -> float:
    return min(max(float(value), 0.0), 1e11) if value == value else 0.0  # NaN differs from itself
