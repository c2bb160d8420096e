"""Reads the four gzipped idx files of Fashion-MNIST from a folder."""
from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
UNSIGNED_BYTE = 8


@dataclass(frozen=True)
class Split:
    """Labelled images: `images` is [N, 1, 28, 28] and `labels` [N], both of bytes."""

    images: Bytes
    labels: Bytes

    def take(self, rows: NDArray[np.int64]) -> Split:
        """The images at `rows`, in that order."""
        return Split(self.images[rows], self.labels[rows])


def read_idx(path: Path) -> Bytes:
    """The array in one gzipped idx file of bytes."""
    with gzip.open(path) as file:
        _, kind, rank = struct.unpack(">HBB", file.read(4))
        if kind != UNSIGNED_BYTE:
            raise ValueError(f"{path.name}: elements of type {kind}, expected bytes ({UNSIGNED_BYTE})")
        shape = struct.unpack(f">{rank}I", file.read(4 * rank))
        return np.frombuffer(file.read(), np.uint8).reshape(shape)


def load_split(folder: Path, name: str) -> Split:
    """The split `train` (60,000 images) or `t10k` (10,000: the test split)."""
    images = read_idx(folder / f"{name}-images-idx3-ubyte.gz")
    return Split(images[:, None], read_idx(folder / f"{name}-labels-idx1-ubyte.gz"))
