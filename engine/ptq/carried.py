"""Tensors of many batches, in memory within a budget and in files of a temporary folder beyond it."""
from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

Values = dict[str, ort.OrtValue]
Key = tuple[str, int]


class Shelf:
    """Holds `Values` by (lane, batch). `bytes` are in memory now, `peak` the most there ever were, `spilled` those in files now."""

    def __init__(self, budget: int) -> None:
        self.budget, self.bytes, self.peak, self.spilled = budget, 0, 0, 0
        self._held: dict[Key, dict[str, ort.OrtValue | Path]] = {}
        self._sizes: dict[Key, dict[str, int]] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._held

    def put(self, key: Key, values: Mapping[str, ort.OrtValue]) -> None:
        """Keeps these in place of what the key held; tensors of more than 0 bytes beyond the budget go into files."""
        kept = self._held.get(key, {})
        self.drop(key, {name for name, value in values.items() if kept.get(name) is value})
        held, sizes = self._held.setdefault(key, {}), self._sizes.setdefault(key, {})
        for name, value in values.items():
            if name in held:
                continue
            size = int(value.tensor_size_in_bytes())
            room = self.bytes + size <= self.budget
            held[name], sizes[name] = (value if room else self._write(value)), size
            self._count(size, room)

    def get(self, key: Key) -> Values:
        """What the key holds, read back from files where it is in files; not to be changed."""
        return {name: self._read(value) for name, value in self._held[key].items()}

    def drop(self, key: Key, but: set[str] | frozenset[str] = frozenset()) -> None:
        """Forgets what the key holds, except the names in `but`."""
        held, sizes = self._held.get(key, {}), self._sizes.get(key, {})
        for name in [name for name in held if name not in but]:
            value, size = held.pop(name), sizes.pop(name)
            self._count(-size, not isinstance(value, Path))
            if isinstance(value, Path):
                value.unlink(missing_ok=True)
        if not held:
            self._held.pop(key, None)
            self._sizes.pop(key, None)

    def close(self) -> None:
        """Forgets everything and deletes the files."""
        for key in list(self._held):
            self.drop(key)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _count(self, size: int, memory: bool) -> None:
        if memory:
            self.bytes += size
            self.peak = max(self.peak, self.bytes)
        else:
            self.spilled += size

    def _write(self, value: ort.OrtValue) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="mixdown_walk_")
        self._files += 1
        path = Path(self._folder.name) / f"{self._files}.npy"
        np.save(path, value.numpy(), allow_pickle=False)
        return path

    def _read(self, value: ort.OrtValue | Path) -> ort.OrtValue:
        return owned(np.load(value, allow_pickle=False)) if isinstance(value, Path) else value


def owned(array: np.ndarray) -> ort.OrtValue:
    """The array as a value with memory of its own: views of it stay good when nobody holds the array any more."""
    array = np.ascontiguousarray(array)
    value = ort.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype)
    value.update_inplace(array)
    return value
