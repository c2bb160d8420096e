"""A project as one zip file, to hand on or keep; reading one from a stranger is bounded in every way."""
from __future__ import annotations

import json
import shutil
import sqlite3
import time
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from engine.errors import BadInput
from engine.store.files import (
    UPLOAD_LIMIT,
    atomic_file,
    check_space,
    copy_stream,
    disk_errors,
    safe_name,
    strict_json,
)
from engine.store.projects import PATHS, clean_name, new_id
from engine.store.records import Project

if TYPE_CHECKING:
    from engine.store import Store

FORMAT = 1
MANIFEST = "project.json"
MAX_FILES = 64
MAX_MANIFEST = 16_000_000
MAX_LINES = 20_000
_KINDS = ("measure", "float")


def export_project(store: Store, project: str, out: Path) -> Path:
    """Writes the project's choices, history, measurements and inputs to one zip file."""
    row = store.projects.get(project)
    files = _files(row)
    names = {key: f"inputs/{safe_name(path.name) if key == 'model' else f'{key}-{safe_name(path.name)}'}"
             for key, path in files.items()}
    beside = {path: f"inputs/{path.name}" for path in _external_data(row.model)}
    with disk_errors("The project cannot be exported"):
        out.parent.mkdir(parents=True, exist_ok=True)
    check_space(out.parent, sum(p.stat().st_size for p in [*files.values(), *beside]), out.name)
    manifest = {"mixdown_project": FORMAT, "name": row.name, "metric": row.metric, "target": row.target,
                "created": row.created, "thumbnail": row.thumbnail, "files": names, "beside": list(beside.values()),
                "history": [[r.seq, r.recipe, r.label, r.created, r.parent] for r in store.history.lines(project)],
                "pointer": store.history.current(project).seq, "runs": _runs(store, project)}
    with atomic_file(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, strict_json(manifest))
        for path, name in [*((path, names[key]) for key, path in files.items()), *beside.items()]:
            archive.write(path, name)
    return out


def import_project(store: Store, source: Path | IO[bytes], limit: int = UPLOAD_LIMIT) -> Project:
    """A new project from such a zip file; anything unexpected in it is refused and leaves nothing behind."""
    try:
        with zipfile.ZipFile(source) as archive:
            infos = _checked_entries(archive, limit)
            manifest = _manifest(archive, infos)
            return _build(store, archive, infos, manifest, limit)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise BadInput(f"the file is not a project that can be read: {str(error)[:200]}. Expected a zip file made by "
                       "Export project") from None


def _files(row: Project) -> dict[str, Path]:
    files: dict[str, Path] = {key: path for key in PATHS if (path := getattr(row, key)) is not None}
    for key, path in files.items():
        if not path.is_file() or path.suffix.lower() in (".yaml", ".yml"):
            what = "describes a folder of pictures" if path.is_file() else "is not a file (any more)"
            raise BadInput(f"{key}: {path} {what}: a project is exported with its files. Choose an .npz file in the "
                           "project, or put the file back")
    return files


def _external_data(model: Path) -> list[Path]:
    """Files in which exporters put a large model's weights; the model names them, so their names stay."""
    names = (f"{model.name}.data", f"{model.name}_data", f"{model.stem}.data", "weights.bin")
    return [path for name in names if name == safe_name(name) and (path := model.parent / name).is_file()]


def _runs(store: Store, project: str) -> list[list[Any]]:
    out: list[list[Any]] = []
    size = 0
    for run in reversed([r for kind in _KINDS for r in store.runs.all(project, kind)]):
        report = store.runs.report(run.id)
        size += len(strict_json(report))
        if report is None or size > MAX_MANIFEST // 2:
            continue
        out.append([run.fingerprint, run.kind, report])
    return out[::-1]


def _checked_entries(archive: zipfile.ZipFile, limit: int) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > MAX_FILES:
        raise BadInput(f"the project file holds {len(infos):,} files: expected at most {MAX_FILES}")
    for info in infos:
        parts = PurePosixPath(info.filename).parts
        plain = info.filename == MANIFEST or (len(parts) == 2 and parts[0] == "inputs" and parts[1] == safe_name(parts[1]))
        link = (info.external_attr >> 16) & 0o170000 == 0o120000
        if not plain or link or info.flag_bits & 1:
            raise BadInput(f"the project file holds {info.filename[:80]!r}: expected only {MANIFEST} and plain files "
                           "in inputs/. It was not made by Export project")
    if sum(info.file_size for info in infos) > limit:
        raise BadInput(f"the project file unpacks to more than {limit / 1e6:,.0f} MB. Bring its model and data to the "
                       "server by path instead")
    return {info.filename: info for info in infos}


def _manifest(archive: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo]) -> dict[str, Any]:
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
        raise BadInput(f"{MANIFEST}: format {str(version)[:20]!r}: this Mixdown reads formats up to {FORMAT}")
    return dict(value)


def _build(store: Store, archive: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo], manifest: dict[str, Any],
           limit: int) -> Project:
    try:
        name, lines, runs, files = _content(manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{MANIFEST}: not as Export project writes it ({str(error)[:100]})") from None
    files |= {path: path for path in infos if path != MANIFEST and path not in files.values()}  # external weights
    missing = [path for path in files.values() if path not in infos]
    if missing or "model" not in files:
        raise BadInput(f"the project file lacks {missing[0] if missing else 'a model'!r}: it is not whole")
    check_space(store.home, sum(info.file_size for info in infos.values()), "the project")
    project = new_id(name)
    folder = store.projects.folder(project)
    try:
        with disk_errors("the project cannot be unpacked"):
            (folder / "inputs").mkdir(parents=True)
        for entry in set(files.values()):
            with archive.open(infos[entry]) as file:
                limit -= copy_stream(file, folder / entry, limit, entry)
        paths: dict[str, Any] = {role: folder / files[role] for role in PATHS if role in files}
        now = time.time()
        made = Project(project, name, now, now, metric=_text(manifest.get("metric", ""), 200),
                       target=_text(manifest.get("target", ""), 200), thumbnail=manifest.get("thumbnail"), **paths)
        with store.database.transaction() as c:
            store.projects.insert(made)
            _insert_lines(c, project, lines, int(manifest["pointer"]))
            for fingerprint, kind, report in runs:
                store.runs.add(project, fingerprint, kind, report)
        return made
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _text(value: Any, limit: int) -> str:
    return str(value)[:limit].encode("utf-8", "replace").decode()  # half a character would stop the database


def _content(manifest: dict[str, Any]) -> tuple[str, list[list[Any]], list[tuple[str, str, dict[str, Any]]], dict[str, str]]:
    lines: list[list[Any]] = [[int(s), _text(recipe, 1_000_000), _text(label, 300), _time(made), None if p is None else int(p)]
                              for s, recipe, label, made, p in manifest["history"][:MAX_LINES]]
    seqs = {line[0] for line in lines}
    # A parent always comes earlier, so no walk along parents can run in circles.
    ordered = all(0 < line[0] < 1e9 and (line[4] is None or (line[4] in seqs and line[4] < line[0])) for line in lines)
    if len(seqs) < len(lines) or not ordered or manifest["pointer"] not in seqs:
        raise ValueError("its history does not hang together")
    if not isinstance(manifest.get("thumbnail"), dict | type(None)):
        raise ValueError("its thumbnail is no mapping")
    runs = [(_text(key, 200), kind, dict(report)) for key, kind, report in manifest["runs"][:MAX_LINES] if kind in _KINDS]
    files = {role: str(path) for role, path in manifest["files"].items() if role in PATHS}
    if MANIFEST in files.values():
        raise ValueError("it names itself as an input")
    return clean_name(str(manifest["name"])), lines, runs, files


def _time(value: Any) -> float:
    return min(max(float(value), 0.0), 1e11) if value == value else 0.0  # NaN differs from itself


def _insert_lines(c: sqlite3.Connection, project: str, lines: list[list[Any]], pointer: int) -> None:
    c.executemany("INSERT INTO history(project, seq, recipe, label, created, parent) VALUES(?,?,?,?,?,?)",
                  [(project, *line) for line in lines])
    parents = {line[0]: line[4] for line in lines}
    seq: int | None = pointer
    while seq is not None and parents[seq] is not None:
        c.execute("UPDATE history SET redo=? WHERE project=? AND seq=?", (seq, project, parents[seq]))
        seq = parents[seq]
    c.execute("UPDATE projects SET pointer=? WHERE id=?", (pointer, project))

