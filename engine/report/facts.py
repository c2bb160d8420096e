"""What a report is made of: an export's folder, or results of the workbench. All of it may be hostile."""
from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.report.values import Row, number_in, rows, text_in, value_in
from engine.safe_yaml import parse_json, read_text

REPORT, RECIPE, CERTIFICATE = "report.json", "recipe.yaml", "certificate.json"
FILES = ("model.onnx", "model.encodings", "model_0.6.1.encodings", "model_qdq.onnx", RECIPE, REPORT, CERTIFICATE)
MAX_JSON = 64 * 1024**2
_CHUNK = 1 << 20


@dataclass(frozen=True)
class File:
    """A file of the export; `recorded` is the hash that the report says, empty where it says none."""

    name: str
    bytes: int
    sha256: str
    recorded: str = ""

    @property
    def changed(self) -> bool:
        """Whether the file is not the one that the report speaks of."""
        return bool(self.recorded) and self.recorded != self.sha256


@dataclass(frozen=True)
class Facts:
    """Everything the page may show; what is missing is left out of it.

    Attributes:
        report: the measured report, with DESIGN's keys.
        recipe: the recipe as YAML text.
        certificate: of `verify`, or None.
        files: of the export, empty where nothing was exported.
        sensitivity: an answer of `sensitivity`, or None.
        runs: measured recipes, each `{label, value, size_bytes, now}`, for the picture of size against accuracy.
        comparison: float against this recipe, sample by sample, or None.
        made: when it was measured, in words.
        repair: an answer of `repair`: what each step gave; None takes the report's own, where it has one.
    """

    report: Row
    recipe: str = ""
    certificate: Row | None = None
    files: tuple[File, ...] = ()
    sensitivity: Row | None = None
    runs: Sequence[Row] = ()
    comparison: Row | None = None
    made: str = ""
    repair: Row | None = None

    @property
    def steps(self) -> Row:
        """What each step gave; empty where that was not measured."""
        found = value_in(self.report, "repair") if self.repair is None else self.repair
        return found if isinstance(found, Mapping) else {}

    @property
    def layers(self) -> list[Row]:
        """The layers that have a name, in the order of execution."""
        return [layer for layer in rows(value_in(self.report, "layers")) if text_in(layer, "name")]

    @property
    def metric(self) -> str:
        """The metric's name."""
        return text_in(self.report, "fp32", "metric")

    @property
    def measured(self) -> bool:
        """Whether there is a measured drop."""
        return number_in(self.report, "drop", "value") is not None


def from_folder(folder: Path) -> Facts:
    """The facts in an export's folder.

    Raises:
        BadInput: there is no report in it, or one that cannot be read.
    """
    folder = Path(folder)
    if not (folder / REPORT).is_file():
        raise BadInput(f"{folder}: holds no {REPORT}: expected a folder that `export` or `quantize` wrote")
    report = _json(folder / REPORT)
    recipe = read_text(folder / RECIPE) if (folder / RECIPE).is_file() else ""
    certificate = _json(folder / CERTIFICATE) if (folder / CERTIFICATE).is_file() else None
    recorded = value_in(report, "export", "files")
    files = tuple(_file(folder / name, recorded) for name in FILES if (folder / name).is_file())
    made = time.strftime("%d %B %Y", time.gmtime((folder / REPORT).stat().st_mtime))
    return Facts(report, recipe, certificate, files, made=made.lstrip("0"))


def from_results(report: Row, recipe: str, folder: Path | None = None, **more: Any) -> Facts:
    """The facts of a measured recipe, with proof and files of its export where there is one."""
    if folder is not None and (folder / REPORT).is_file():
        exported = from_folder(folder)
        made = more.pop("made", "") or exported.made
        return Facts(report, exported.recipe or recipe, exported.certificate, exported.files, made=made, **more)
    return Facts(report, recipe, **more)


def _json(path: Path) -> Row:
    try:
        size = path.stat().st_size
        if size > MAX_JSON:
            raise BadInput(f"{path}: is {size:,} bytes: at most {MAX_JSON:,} are read")
        found = parse_json(path.read_bytes(), path.name, MAX_JSON)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    if not isinstance(found, Mapping):
        raise BadInput(f"{path}: expected a mapping, such as `export` writes")
    return found


def _file(path: Path, recorded: Any) -> File:
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    return File(path.name, size, digest.hexdigest(), text_in(recorded, path.name))
