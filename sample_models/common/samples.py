"""Draws the calibration, training and evaluation data of a sample model, disjoint, and writes them as npz."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sample_models.common.idx import Bytes, Split

SEED = 2026
CALIBRATION, TRAINING, EVALUATION = 1_024, 10_000, 2_000
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
SCALING = {"image": {"scale": 1 / 255, "offset": 0.0, "dtype": "float32"}}


def row_keys(images: Bytes) -> list[bytes]:
    """One hashable key per image: its bytes."""
    return [image.tobytes() for image in images]


def _distinct(images: Bytes, order: NDArray[np.int64], taken: set[bytes], count: int) -> NDArray[np.int64]:
    """The first `count` rows of `order` whose images are not in `taken`, which grows by them."""
    rows = []
    for row in order:
        key = images[row].tobytes()
        if key not in taken:
            taken.add(key)
            rows.append(row)
        if len(rows) == count:
            break
    return np.array(rows)


def draw(train: Split, test: Split) -> dict[str, Split]:
    """Three sets that share no image: Fashion-MNIST itself repeats a few, also across its splits."""
    rng = np.random.default_rng(SEED)
    evaluation = _distinct(test.images, rng.permutation(len(test.images)), set(), EVALUATION)
    taken = set(row_keys(test.images))
    rows = _distinct(train.images, rng.permutation(len(train.images)), taken, CALIBRATION + TRAINING)
    return {
        "calibration": train.take(rows[:CALIBRATION]),
        "training": train.take(rows[CALIBRATION:]),
        "evaluation": test.take(evaluation),
    }


def write(sets: dict[str, Split], folder: Path) -> None:
    """One compressed npz per set: `image` (bytes), `labels`, and how bytes become the model's floats."""
    scaling, classes = (np.frombuffer(json.dumps(x).encode(), np.uint8) for x in (SCALING, CLASSES))
    for name, split in sets.items():
        labels = split.labels.astype(np.int64)
        names = {"classes": classes} if name == "evaluation" else {}  # where people look at single pictures
        np.savez_compressed(folder / f"{name}.npz", image=split.images, labels=labels, scaling=scaling, **names)
