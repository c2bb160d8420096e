"""Files that were dropped for a new project: on disk at once, each with the part that it plays."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import BadInput

PARTS = {"model": "Model", "weights": "Weights beside the model", "evaluation": "Evaluation data", "calibration": "Calibration data",
         "training": "Training data", "": "Leave out"}
DATA = ("evaluation", "calibration", "training")
_HINTS = {"calib": "calibration", "train": "training", "val": "evaluation", "eval": "evaluation", "test": "evaluation"}
_WEIGHTS = (".data", ".bin", ".weight", ".weights", "_data")


@dataclass
class Staged:
    """An upload that lies in the store's upload area."""

    path: Path
    name: str
    size: int
    part: str


def guess(name: str, taken: Sequence[str]) -> str:
    """The part that a file plays, by its name; data without a telling name take the first free part."""
    low = name.lower()
    if low.endswith(".onnx"):
        return "" if "model" in taken else "model"
    if low.endswith(_WEIGHTS):
        return "weights"
    if not low.endswith(".npz"):
        return ""
    told = next((part for hint, part in _HINTS.items() if hint in low), None)
    free = [part for part in DATA if part not in taken]
    return told if told in free else free[0] if free else ""


def project_files(staged: Sequence[Staged], paths: dict[str, str]) -> tuple[dict[str, Path], list[Path]]:
    """What a project is made of: one file a part, and the weights beside the model. A part that is given twice is refused."""
    found: dict[str, list[Path]] = {}
    for file in staged:
        found.setdefault(file.part, []).append(file.path)
    for part, text in paths.items():
        if text.strip():
            found.setdefault(part, []).append(Path(text.strip()))
    found.pop("", None)
    beside = found.pop("weights", [])
    for part, files in found.items():
        if len(files) > 1:
            names = " and ".join(f.name for f in files[:3])
            raise BadInput(f"{PARTS[part]} is given {len(files)} times: {names}. Choose another part for all but one")
    return {part: files[0] for part, files in found.items()}, beside


def stage(client: Any, staged: list[Staged], uploads: Sequence[Any]) -> None:
    """Writes uploads to disk; the same name again takes the older one's place."""
    for upload in uploads:
        path = client.import_upload(upload, upload.name, size=upload.size)
        staged[:] = [s for s in staged if s.name != upload.name]
        staged.append(Staged(Path(path), upload.name, int(upload.size), guess(upload.name, [s.part for s in staged])))
