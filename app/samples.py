"""The bundled sample models: found by their folders, titled by their model cards."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "sample_models"
FIRST = "fashion_mobilenet"


@dataclass(frozen=True)
class Sample:
    """A bundled model with its data; `title` is the first heading of its card."""

    name: str
    title: str
    model: Path
    evaluation: Path
    calibration: Path
    training: Path | None
    card: Path | None


def bundled_samples(folder: Path = FOLDER) -> list[Sample]:
    """The samples that are whole (a model and its data), the one for newcomers first."""
    found = [sample for path in sorted(folder.glob("*/model.onnx")) if (sample := _sample(path.parent)) is not None]
    return sorted(found, key=lambda sample: (sample.name != FIRST, sample.name))


def _sample(folder: Path) -> Sample | None:
    evaluation, calibration = folder / "evaluation.npz", folder / "calibration.npz"
    if not evaluation.is_file() or not calibration.is_file():
        return None
    training, card = folder / "training.npz", folder / "CARD.md"
    return Sample(folder.name, _title(card, folder.name), folder / "model.onnx", evaluation, calibration,
                  training if training.is_file() else None, card if card.is_file() else None)


def _title(card: Path, name: str) -> str:
    if card.is_file():
        for line in card.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("# "):
                return line[2:].strip()
    return name.replace("_", " ").capitalize()
