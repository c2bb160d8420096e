"""Data against the inputs of a model: names, types, shapes and values, each failure said in one line."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np

from engine.data.dataset import Array, Dataset, InputInfo, Rows
from engine.errors import BadInput, nearest

_CHUNK_ROWS = 4096
UNUSABLE = "unusable: "  # how the note about an array begins that could not be read


def bind(data: Dataset, inputs: Sequence[InputInfo]) -> Dataset:
    """The dataset with exactly the model's inputs, converted where nothing is lost; the rest is noted."""
    known = {info.name for info in inputs}
    extra = [name for name in data.inputs if name not in known]
    for info in inputs:
        if info.name not in data.inputs:
            for note in data.notes:
                if note.startswith(f"{UNUSABLE}array {info.name!r} "):
                    raise BadInput(f"{_of(data)}: {note.removeprefix(UNUSABLE)}")
            raise BadInput(f"{_of(data)}: no array for the model input {info.name!r}. {nearest(info.name, data.inputs)}")
    for name in data.scaling:
        if name not in data.inputs:
            raise BadInput(f"{_of(data)}: scaling is stated for {name!r}, which is no input. {nearest(name, known)}")
    shared, passed = _states(data, inputs)
    _check_shapes(data, inputs, shared)
    notes = [f"ignored: {name!r} is no input of the model" for name in extra]
    rows = {info.name: _typed(data, info, notes) for info in inputs}
    # The model's type wins over the stated one, so that a float16 model is fed float16.
    scaling = {i.name: replace(data.scaling[i.name], dtype=i.dtype) for i in inputs if i.name in data.scaling}
    fresh = tuple(n for n in notes if n not in data.notes)
    bound = replace(data, inputs=rows, scaling=scaling, notes=data.notes + fresh, shared=shared, passed=passed)
    check_values(bound)
    return bound


def _states(data: Dataset, inputs: Sequence[InputInfo]) -> tuple[frozenset[str], frozenset[str]]:
    """Inputs that all samples share, and those of them that the model takes as they are (fixed first axis)."""
    shapes = {info.name: data.inputs[info.name].shape for info in inputs}
    free = {i.name: s[0] for i in inputs if (s := shapes[i.name]) and not _fixed(i, s)}
    n = max((free or {name: s[0] for name, s in shapes.items() if s}).values(), default=0)
    shared = {i.name for i in inputs if (s := shapes[i.name]) and s[0] != n and (s[0] == 1 or _fixed(i, s))}
    passed = {i.name for i in inputs if i.name in shared and i.shape and isinstance(i.shape[0], int)}
    return frozenset(shared), frozenset(passed)


def _fixed(info: InputInfo, shape: tuple[int, ...]) -> bool:
    # A state such as (layers, 1, hidden) has its whole shape fixed by the model, a first axis above 1 included.
    dims = tuple(info.shape or ())
    return bool(dims) and dims[0] != 1 and dims == tuple(shape)


def _check_shapes(data: Dataset, inputs: Sequence[InputInfo], shared: frozenset[str]) -> None:
    named: dict[str, tuple[int, str]] = {}
    counts: dict[str, int] = {}
    for info in inputs:
        shape = tuple(data.inputs[info.name].shape)
        _check_shape(data, info, shape)
        if info.name not in shared:
            counts[info.name] = shape[0]
        for size, dim in list(zip(shape, info.shape or shape, strict=True))[1:]:
            if isinstance(dim, str):
                first, by = named.setdefault(dim, (size, info.name))
                if first != size:
                    raise BadInput(f"{_of(data)}: dimension {dim!r} is {first} in {by!r} but {size} in {info.name!r}")
    if data.labels is not None:
        counts["labels"] = len(data.labels)
    check_counts(_of(data), counts)


def _check_shape(data: Dataset, info: InputInfo, shape: tuple[int, ...]) -> None:
    where = f"{_of(data)}: array {info.name!r} has shape {_text(shape)}"
    if info.shape is None:
        return
    wanted = _text(info.shape)
    if len(shape) != len(info.shape):
        hint = ": is the first axis the samples?" if len(shape) == len(info.shape) - 1 else ""
        raise BadInput(f"{where}: the model expects {wanted}{hint}")
    if not shape:
        raise BadInput(f"{where}: expected a first axis of samples")
    if not _matches(shape, info.shape):
        for order in permutations(range(1, len(shape))) if len(shape) <= 5 else ():
            axes = (0, *order)
            if _matches(tuple(shape[a] for a in axes), info.shape):
                raise BadInput(f"{where}: the model expects {wanted}: transpose the axes to {axes}")
        raise BadInput(f"{where}: the model expects {wanted}")


def _matches(shape: tuple[int, ...], dims: Sequence[int | str | None]) -> bool:
    return all(not isinstance(d, int) or d == s for s, d in list(zip(shape, dims, strict=True))[1:])


def check_counts(where: str, counts: dict[str, int]) -> None:
    """All sample counts are the same and above 0, or `BadInput`."""
    for name, n in counts.items():
        if n == 0:
            raise BadInput(f"{where}: {name!r} is empty: expected at least one sample")
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name!r} {n}" for name, n in list(counts.items())[:6])
        raise BadInput(f"{where}: the arrays differ in their number of samples: {shown}")


def _typed(data: Dataset, info: InputInfo, notes: list[str]) -> Rows:
    """The rows in the model's type, or stored as they are when a scaling makes it."""
    rows, name = data.inputs[info.name], info.name
    have, want = np.dtype(rows.dtype), _dtype(data, info)
    if name in data.scaling:
        if want.kind != "f":
            raise BadInput(f"{_of(data)}: scaling is stated for {name!r}, but the model expects {want}: remove it")
        return rows
    if have == want:
        return rows
    if want.kind == "f" and have.kind in "iub":
        raise BadInput(f"{_of(data)}: array {name!r} is {have}, the model expects {want}: state the scaling in the "
                       f'file ("scaling": {{"{name}": {{"scale": …, "offset": …}}}}) or store {want}')
    array = np.asarray(rows)
    if have.kind == "f" and want.kind != "f":
        raise BadInput(f"{_of(data)}: array {name!r} is {have}, the model expects {want}")
    if want.kind in "iu" and array.size and have.kind in "iu":
        limits, low, high = np.iinfo(want), int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            raise BadInput(f"{_of(data)}: array {name!r} holds {low} to {high}, which {want} does not")
    if want.kind == "b" and array.size and not np.isin(array, (0, 1)).all():
        raise BadInput(f"{_of(data)}: array {name!r} is {have}, the model expects bool: only 0 and 1 convert")
    notes.append(f"converted: {name!r} from {have} to {want}")
    with np.errstate(over="ignore"):
        return array.astype(want)


def _dtype(data: Dataset, info: InputInfo) -> np.dtype[Any]:
    try:
        dtype = np.dtype(info.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "biuf":
        raise BadInput(f"{_of(data)}: the model input {info.name!r} takes {info.dtype}: data of that type is not read")
    return dtype


def check_values(data: Dataset) -> None:
    """No NaN and no infinity in arrays and labels; says how many there are and where the first is."""
    labels: list[tuple[str, Any]] = [] if data.labels is None else [("labels", data.labels)]
    arrays: Iterable[tuple[str, Any]] = [*data.inputs.items(), *labels]
    for name, array in arrays:
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            continue
        count, first = 0, ""
        for start in range(0, len(array), _CHUNK_ROWS):
            bad = ~np.isfinite(array[start: start + _CHUNK_ROWS])
            found = int(np.count_nonzero(bad))
            if found and not count:
                at = np.unravel_index(int(np.argmax(bad)), bad.shape)
                value = array[start: start + _CHUNK_ROWS][at]
                first = f"{value} at {[int(at[0]) + start, *(int(i) for i in at[1:])]}"
            count += found
        if count:
            raise BadInput(f"{_of(data)}: array {name!r} holds {count:,} values that are NaN or infinite, "
                           f"the first {first}: expected finite numbers")


def _of(data: Dataset) -> str:
    return data.source or data.name


def _text(shape: Sequence[int | str | None]) -> str:
    return "[" + ", ".join("?" if d is None else str(d) for d in shape) + "]"


def as_array(value: object, where: str) -> Array:
    """A number array from what a user's function returned, or `BadInput`."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise BadInput(f"{where}: {array.dtype}: expected an array of numbers")
    return array
