"""A project as one zip file, to hand on or keep; reading one from a stranger is bounded in every way."""
from __future__ import annotations

import mmap
import shutil
import sqlite3
import time
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from engine.errors import BadInput
from engine.store.archive import (
    FORMAT,
    KINDS,
    MANIFEST,
    MAX_FILES,
    MAX_MANIFEST,
    Bounded,
    checked_entries,
    content,
    plain_text,
    read_manifest,
    too_dense,
)
from engine.store.files import (
    UPLOAD_LIMIT,
    atomic_file,
    check_space,
    copy_stream,
    disk_errors,
    safe_name,
    strict_json,
)
from engine.store.latency_file import table_path
from engine.store.projects import PATHS, new_id
from engine.store.records import Project

if TYPE_CHECKING:
    from engine.store import Store

_WEIGHTS = (".data", ".bin", ".weight", ".weights", "_data")


def export_project(store: Store, project: str, out: Path) -> Path:
    """Writes the project's choices, history, measurements and inputs to one zip file."""
    row = store.projects.get(project)
    files = _files(row)
    names = {key: f"inputs/{safe_name(path.name) if key == 'model' else f'{key}-{safe_name(path.name)}'}"
             for key, path in files.items()}
    beside = {path: f"inputs/{path.name}" for path in [*_external_data(row.model), *_tables(store, project)]}
    with disk_errors("The project cannot be exported"):
        out.parent.mkdir(parents=True, exist_ok=True)
    check_space(out.parent, sum(p.stat().st_size for p in [*files.values(), *beside]), out.name)
    manifest = {"mixdown_project": FORMAT, "name": row.name, "metric": row.metric, "target": row.target,
                "created": row.created, "thumbnail": row.thumbnail, "files": names, "beside": list(beside.values()),
                "history": [[r.seq, r.recipe, r.label, r.created, r.parent] for r in store.history.lines(project)],
                "pointer": store.history.current(project).seq, "snapshots": store.snapshots.all(project), "runs": _runs(store, project)}
    text = strict_json(manifest)
    if len(text) > MAX_MANIFEST:
        raise BadInput(f"the history of {row.name!r} is too long for an archive ({len(text) / 1e6:,.0f} MB, at most "
                       f"{MAX_MANIFEST / 1e6:.0f}). Make a new project from its last recipe")
    entries = [*((path, names[key]) for key, path in files.items()), *beside.items()]  # one file may be in two roles
    for packing in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        _write(out, text, entries, packing)
        if not too_dense(sum(p.stat().st_size for p, _ in entries), out.stat().st_size):
            break  # else it would be refused as a bomb: data of nothing but zeros
    return out


def _write(out: Path, manifest: str, entries: list[tuple[Path, str]], packing: int) -> None:
    with atomic_file(out) as file, zipfile.ZipFile(file, "w", packing) as archive:
        archive.writestr(MANIFEST, manifest)
        for path, name in entries:
            archive.write(path, name)


def import_project(store: Store, source: Path | IO[bytes], limit: int = UPLOAD_LIMIT) -> Project:
    """A new project from such a zip file; anything unexpected in it is refused and leaves nothing behind."""
    store.lock.require()
    try:
        with Bounded(source) as bounded, zipfile.ZipFile(bounded) as archive:
            infos = checked_entries(archive, limit, bounded.size)
            manifest = read_manifest(archive, infos)
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
    """Files beside a model in which its weights lie: those whose names stand in it, so the names stay."""
    near = sorted(p for p in model.parent.iterdir()
                  if p.is_file() and p != model and p.name.endswith(_WEIGHTS) and p.name == safe_name(p.name))
    if not near or not model.stat().st_size:
        return []
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return [path for path in near[:MAX_FILES] if content.find(path.name.encode()) >= 0]


def _tables(store: Store, project: str) -> list[Path]:
    """The table of latencies, where the project has one."""
    path = table_path(store.projects.folder(project))
    return [path] if path.is_file() else []


def _runs(store: Store, project: str) -> list[list[Any]]:
    out: list[list[Any]] = []
    size = 0
    for run in reversed([r for kind in KINDS for r in store.runs.all(project, kind)]):
        report = store.runs.report(run.id)
        size += len(strict_json(report))
        if report is None or size > MAX_MANIFEST // 2:
            continue
        out.append([run.fingerprint, run.kind, report])
    return out[::-1]


def _build(store: Store, archive: zipfile.ZipFile, infos: dict[str, zipfile.ZipInfo], manifest: dict[str, Any],
           limit: int) -> Project:
    said = content(manifest)
    files = dict(said.files)
    files |= {path: path for path in infos if path != MANIFEST and path not in files.values()}  # external weights
    missing = [path for path in files.values() if path not in infos]
    if missing or "model" not in files:
        raise BadInput(f"the project file lacks {missing[0] if missing else 'a model'!r}: it is not whole")
    check_space(store.home, sum(info.file_size for info in infos.values()), "the project")
    project = new_id(said.name)
    folder = store.projects.folder(project)
    try:
        with disk_errors("the project cannot be unpacked"):
            (folder / "inputs").mkdir(parents=True)
        for entry in set(files.values()):
            with archive.open(infos[entry]) as file:
                limit -= copy_stream(file, folder / entry, limit, entry)
        paths: dict[str, Any] = {role: folder / files[role] for role in PATHS if role in files}
        now = time.time()
        made = Project(project, said.name, now, now, metric=plain_text(manifest.get("metric", ""), 200),
                       target=plain_text(manifest.get("target", ""), 200), thumbnail=manifest.get("thumbnail"), **paths)
        with store.database.transaction() as c:
            store.projects.insert(made)
            _insert_lines(c, project, said.lines, int(manifest["pointer"]))
            store.snapshots.restore(project, said.snapshots)
            for fingerprint, kind, report in said.runs:
                store.runs.add(project, fingerprint, kind, report)
        return made
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _insert_lines(c: sqlite3.Connection, project: str, lines: list[list[Any]], pointer: int) -> None:
    c.executemany("INSERT INTO history(project, seq, recipe, label, created, parent) VALUES(?,?,?,?,?,?)",
                  [(project, *line) for line in lines])
    parents = {line[0]: line[4] for line in lines}
    seq: int | None = pointer
    while seq is not None and parents[seq] is not None:
        c.execute("UPDATE history SET redo=? WHERE project=? AND seq=?", (seq, project, parents[seq]))
        seq = parents[seq]
    c.execute("UPDATE projects SET pointer=? WHERE id=?", (pointer, project))
