"""A set of samples: named input arrays, labels, and the scaling that turns stored numbers into model inputs."""
from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from engine.errors import BadInput

_HASH_ROWS = 256
Array = np.ndarray[Any, np.dtype[Any]]


class Rows(Protocol):
    """What a dataset needs of an input: a numpy array is one, a folder of lazily decoded pictures another."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> Any: ...


class InputInfo(Protocol):
    """A model input as `engine.graph` describes it."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> Sequence[int | str | None] | None: ...


@dataclass(frozen=True)
class Scaling:
    """`raw * scale + offset` in `dtype`; tuples hold one value per channel along `axis` of the stored array."""

    scale: float | tuple[float, ...]
    offset: float | tuple[float, ...] = 0.0
    dtype: str = "float32"
    axis: int = 1

    def apply(self, raw: Array) -> Array:
        """The model input for stored values."""
        dtype = np.dtype(self.dtype)
        return raw.astype(dtype) * self._along(self.scale, raw.ndim) + self._along(self.offset, raw.ndim)

    def _along(self, value: float | tuple[float, ...], ndim: int) -> Array:
        shape = [1] * ndim
        if isinstance(value, tuple):
            shape[self.axis] = len(value)
        return np.asarray(value, dtype=self.dtype).reshape(shape)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples along the first axis of every input; made by `load_data`, or by hand from arrays.

    Inputs named in `shared` are states: they belong to every sample. `passed` are those of them that are
    given to the model as they are; the others are repeated to the size of the batch. `classes` names the label
    numbers, for people: no result depends on it.
    """

    name: str
    inputs: Mapping[str, Rows]
    labels: Array | None = None
    scaling: Mapping[str, Scaling] = field(default_factory=dict)
    source: str = ""
    notes: tuple[str, ...] = ()
    shared: frozenset[str] | None = None
    passed: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.inputs:
            raise BadInput(f"{self.name}: the data has no input arrays")
        if self.shared is None:
            n = self._longest()
            states = frozenset(k for k, v in self.inputs.items() if n > 1 and v.shape and v.shape[0] == 1)
            object.__setattr__(self, "shared", states)

    def _longest(self) -> int:
        if self.labels is not None:
            return len(self.labels)
        return max((v.shape[0] for v in self.inputs.values() if v.shape), default=0)

    @cached_property
    def _length(self) -> int:
        if self.labels is not None:
            return len(self.labels)
        return max((v.shape[0] for n, v in self.inputs.items() if v.shape and not self._is_shared(n)), default=self._longest())

    def __len__(self) -> int:
        return self._length

    def _is_shared(self, name: str) -> bool:
        return self.shared is not None and name in self.shared

    def _has_samples(self, name: str) -> bool:
        return not self._is_shared(name) and self.inputs[name].shape[:1] == (len(self),)

    def take(self, indices: Sequence[int] | Array) -> Dataset:
        """The samples at `indices`, in their order."""
        at = np.asarray(indices, dtype=np.int64)
        # Before `bind`, arrays that are no inputs may be of any shape; they are carried along as they are.
        inputs = {n: rows[at] if self._has_samples(n) else rows for n, rows in self.inputs.items()}
        labels = None if self.labels is None else self.labels[at]
        return replace(self, inputs=inputs, labels=labels)

    def subset(self, n: int, seed: int = 0) -> Dataset:
        """`n` samples drawn without replacement, in their original order; all of them where there are fewer."""
        if n < 1:
            raise BadInput(f"{self.name}: {n} samples were asked for: expected at least 1")
        if n >= len(self):
            return self
        return self.take(np.sort(np.random.default_rng(seed).permutation(len(self))[:n]))

    def split(self, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Two disjoint parts that together are the whole; the first has `fraction` of the samples."""
        if len(self) < 2 or not 0.0 < fraction < 1.0:
            raise BadInput(f"{self.name}: {len(self)} samples cannot be split at {fraction}: "
                           "expected at least 2 samples and a fraction between 0 and 1")
        count = min(max(round(len(self) * fraction), 1), len(self) - 1)
        order = np.random.default_rng(seed).permutation(len(self))
        return self.take(np.sort(order[:count])), self.take(np.sort(order[count:]))

    def batch(self, start: int, stop: int) -> dict[str, Array]:
        """The model inputs of samples `start`..`stop`, scaled; states are shared by all of them."""
        stop = min(stop, len(self))
        out: dict[str, Array] = {}
        for name, rows in self.inputs.items():
            if self._is_shared(name):
                raw = np.asarray(rows[:])
                if name not in self.passed:
                    raw = np.repeat(raw, stop - start, axis=0)
            elif self._has_samples(name):
                raw = np.asarray(rows[start:stop])
            else:
                raise BadInput(f"{self.source or self.name}: array {name!r} has shape {list(rows.shape)}, not one row for each of "
                               f"{len(self)} samples")
            out[name] = self.scaling[name].apply(raw) if name in self.scaling else raw
        return out

    def batches(self, size: int) -> Iterator[dict[str, Array]]:
        """All samples in batches of `size` (the last may be smaller)."""
        for start in range(0, len(self), size):
            yield self.batch(start, start + size)

    def bind(self, inputs: Sequence[InputInfo]) -> Dataset:
        """This data checked against a model's inputs and reduced to them; raises `BadInput` where it does not fit."""
        from engine.data.check import bind

        return bind(self, inputs)

    @cached_property
    def sha256(self) -> str:
        """A hash of the content: names, types, shapes, values, labels and scaling, whatever file they came from."""
        digest = hashlib.sha256()
        for name, rows in sorted(self.inputs.items()):
            digest.update(f"{name}|{rows.dtype}|{rows.shape}|{self.scaling.get(name)}".encode())
            content = getattr(rows, "content_hash", None)  # lazily decoded rows hash their files
            if content is not None:
                digest.update(content())
            elif rows.shape and len(rows):
                digest.update(np.ascontiguousarray(rows[:]).reshape(-1).view(np.uint8).data)
        if self.labels is not None:
            digest.update(f"labels|{self.labels.dtype}|{self.labels.shape}".encode())
            digest.update(np.ascontiguousarray(self.labels).tobytes())
        return digest.hexdigest()

    @cached_property
    def row_hashes(self) -> tuple[bytes, ...]:
        """One hash per sample of the scaled model inputs, the same whether they were stored as bytes or floats."""
        names = sorted(n for n in self.inputs if not self._is_shared(n))
        out: list[bytes] = []
        for start in range(0, len(self), _HASH_ROWS):
            batch = self.batch(start, start + _HASH_ROWS)
            rows = [np.ascontiguousarray(_comparable(batch[n])) for n in names]
            for i in range(len(rows[0]) if rows else 0):
                digest = hashlib.blake2b(digest_size=16)
                for row in rows:
                    digest.update(row[i].tobytes())
                out.append(digest.digest())
        return tuple(out)

    def overlap(self, other: Dataset) -> int:
        """How many of this set's samples occur in the other as well."""
        theirs = set(other.row_hashes)
        return sum(key in theirs for key in self.row_hashes)

    @property
    def nbytes(self) -> int:
        """Bytes of the stored inputs."""
        return sum(math.prod(v.shape) * v.dtype.itemsize for v in self.inputs.values())


def _comparable(values: Array) -> Array:
    # Minus zero equals zero, and float32 against float64 of the same numbers is no difference that matters.
    return values.astype(np.float32) + np.float32(0) if values.dtype.kind == "f" else values.astype(np.int64)
