"""Projects: a row and a folder each; made, changed, duplicated and deleted without touching others."""
from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.errors import BadInput, nearest
from engine.store.database import Database
from engine.store.files import disk_errors, free_name, safe_name, strict_json
from engine.store.records import Project

PATHS = ("model", "evaluation", "calibration", "training")
_TEXTS = ("name", "metric", "target", "sample")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,60}\Z")
UPLOADS = ".uploads"


class Projects:
    """All projects of a home. Paths inside the home are stored relative to it, so that it can be moved."""

    def __init__(self, database: Database, home: Path) -> None:
        self._database, self._home = database, home

    def folder(self, project: str) -> Path:
        """The project's own folder, holding `inputs/`, `results/`, `exports/` and the calibration cache."""
        if not _ID.match(project):
            raise BadInput(f"{project[:60]!r} is no project id: expected small letters, digits and dashes")
        return self._home / project

    def create(self, name: str, model: Path | str, beside: Sequence[Path] = (), **fields: Any) -> Project:
        """A new project; files that lie in the upload area move into its folder, others stay where they are.

        `beside` are uploads that the model names, such as its weights: they keep their names and lie beside it.
        """
        self._database.writer.require()
        fields = {"name": clean_name(name), "model": model} | fields
        for key in PATHS:
            if fields.get(key) is not None:
                fields[key] = self._existing(key, fields[key])
        beside = [self._existing("weights", file) for file in beside]
        now = time.time()
        key = new_id(fields["name"])
        with disk_errors("The project's folder cannot be made"):
            (self.folder(key) / "inputs").mkdir(parents=True)
        try:
            for path in PATHS:
                if fields.get(path) is not None:
                    fields[path] = self._adopt(key, fields[path])
            for file in beside:
                self._adopt(key, file)
            return self.insert(Project(key, created=now, updated=now, **fields))
        except BaseException:
            shutil.rmtree(self.folder(key), ignore_errors=True)
            raise

    def insert(self, project: Project) -> Project:
        """Writes a whole new row."""
        with self._database.transaction() as c:
            c.execute("INSERT INTO projects(id, created, updated, thumbnail, name, metric, target, sample, model, "
                      "evaluation, calibration, training) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
                      (project.id, project.created, project.updated,
                       None if project.thumbnail is None else strict_json(project.thumbnail),
                       *(getattr(project, key) for key in _TEXTS),
                       *(self._stored(getattr(project, key)) for key in PATHS)))
        return project

    def get(self, project: str) -> Project:
        """A project by its id; `BadInput` names the nearest ones where it is not there."""
        with self._database.reading() as c:
            row = c.execute("SELECT * FROM projects WHERE id=?", (project,)).fetchone()
        if row is None:
            raise BadInput(f"there is no project {project[:60]!r}: it may have been deleted in another window. "
                           + nearest(project, [p.id for p in self.all()]))
        return self._project(row)

    def all(self) -> list[Project]:
        """Every project, the last used first."""
        with self._database.reading() as c:
            rows = c.execute("SELECT * FROM projects ORDER BY updated DESC, id").fetchall()
        return [self._project(row) for row in rows]

    def update(self, project: str, **fields: Any) -> Project:
        """Changes some of `name`, `metric`, `target`, `thumbnail` and the paths of model and data."""
        unknown = set(fields) - set(PATHS) - set(_TEXTS) - {"thumbnail"}
        if unknown:
            raise BadInput(f"a project has no {min(unknown)!r}. "
                           + nearest(min(unknown), [*PATHS, *_TEXTS, "thumbnail"]))
        self._database.writer.require()
        old = self.get(project)
        if "name" in fields:
            fields["name"] = clean_name(fields["name"])
        for key in PATHS:
            if fields.get(key) is not None:
                fields[key] = self._adopt(project, self._existing(key, fields[key]))
            elif key == "model" and key in fields:
                raise BadInput("a project needs a model: give the path of an ONNX file")
        values = {key: self._stored(value) if key in PATHS else value for key, value in fields.items()}
        if values.get("thumbnail") is not None:
            values["thumbnail"] = strict_json(values["thumbnail"])
        now = time.time()
        values["updated"] = now
        with self._database.transaction() as c:
            c.execute(f"UPDATE projects SET {','.join(f'{key}=?' for key in values)} WHERE id=?",
                      (*values.values(), project))
        return replace(old, **fields, updated=now)

    def delete(self, project: str) -> None:
        """Removes a project with its folder; files that it referenced elsewhere stay."""
        self.get(project)
        with self._database.transaction() as c:
            c.execute("DELETE FROM projects WHERE id=?", (project,))
        shutil.rmtree(self.folder(project), ignore_errors=True)

    def duplicate(self, project: str, name: str | None = None) -> Project:
        """A copy with its own inputs, results and history. Inputs are linked where they can be: they never change."""
        self._database.writer.require()
        old = self.get(project)
        new = replace(old, name=clean_name(name or f"{old.name} (copy)"), created=time.time(), updated=time.time(),
                      id=new_id(name or old.name))
        source, copy = self.folder(project), self.folder(new.id)
        moved = {key: copy / path.relative_to(source) for key in PATHS
                 if (path := getattr(old, key)) is not None and path.is_relative_to(source)}
        new = replace(new, **moved)
        try:
            with disk_errors("The copy cannot be made"):
                (copy / "inputs").mkdir(parents=True)
                for part in ("inputs", "results"):
                    if (source / part).is_dir():
                        shutil.copytree(source / part, copy / part, copy_function=_link, dirs_exist_ok=True)
            with self._database.transaction() as c:
                self.insert(new)
                for table, columns in (("history", "seq, recipe, label, created, parent, redo"),
                                       ("snapshots", "name, seq"),
                                       ("runs", "fingerprint, kind, created, report, file")):
                    c.execute(f"INSERT INTO {table}(project, {columns}) SELECT ?, {columns} FROM {table} "
                              "WHERE project=? ORDER BY rowid", (new.id, project))
                c.execute("UPDATE projects SET pointer=(SELECT pointer FROM projects WHERE id=?) WHERE id=?",
                          (project, new.id))
        except BaseException:
            shutil.rmtree(copy, ignore_errors=True)
            raise
        return new

    def _existing(self, key: str, path: Path | str) -> Path:
        path = Path(os.path.abspath(Path(path).expanduser()))  # without "..", which would escape `_adopt`
        try:
            if (path.is_file() and os.access(path, os.R_OK)) or (key != "model" and path.is_dir()):
                return path
        except (OSError, ValueError):
            pass
        raise BadInput(f"{key}: {str(path)[:300]} is not a file that can be read on this server. Check the path, or "
                       "upload the file")

    def _adopt(self, project: str, path: Path) -> Path:
        staged = self._home / UPLOADS
        if not path.is_relative_to(staged):
            return path
        with disk_errors(f"{path.name} cannot be moved into the project"):
            target = free_name(self.folder(project) / "inputs", safe_name(path.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
            if path.parent != staged and not any(path.parent.iterdir()):
                path.parent.rmdir()
        return target

    def _stored(self, path: Path | None) -> str | None:
        if path is None:
            return None
        return f"home:{path.relative_to(self._home)}" if path.is_relative_to(self._home) else str(path)

    def _project(self, row: sqlite3.Row) -> Project:
        paths = {key: self._path(row[key]) for key in PATHS}
        thumbnail: Mapping[str, Any] | None = json.loads(row["thumbnail"]) if row["thumbnail"] else None
        return Project(row["id"], created=row["created"], updated=row["updated"], thumbnail=thumbnail,
                       **{key: row[key] for key in _TEXTS}, **paths)

    def _path(self, text: str | None) -> Any:
        if text is None:
            return None
        return self._home / text[5:] if text.startswith("home:") else Path(text)


def clean_name(name: str) -> str:
    """A project's name on one line without control characters, at most 80 characters."""
    name = " ".join("".join(ch if ch.isprintable() else " " for ch in str(name)).split())[:80]
    if not name:
        raise BadInput("the project's name is empty: expected 1 to 80 characters")
    return name


def new_id(name: str) -> str:
    """An id that no other project has and that a person recognizes in a file manager."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "project"
    return f"{slug}-{secrets.token_hex(3)}"


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
