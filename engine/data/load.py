"""`load_data`: one way in for an `.npz`, a `data.yaml` folder of pictures, or a function of the user's."""
from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.check import UNUSABLE, as_array
from engine.data.dataset import Array, Dataset, InputInfo
from engine.data.npz import CLASSES, LABELS, MAX_BYTES, SCALING, parse_classes, parse_scaling, read_npz
from engine.errors import BadInput, MixdownError, nearest


def load_data(spec: str | Path, inputs: Sequence[InputInfo] | None = None, *, allow_code: bool = False,
              limit: int = MAX_BYTES) -> Dataset:
    """The samples that `spec` names, checked against the model's `inputs` where they are given.

    `spec` is an `.npz`, a `data.yaml`, or with `allow_code` (the command line's) `package.module:function`.
    Without `inputs` all arrays are kept, and `Dataset.bind(inputs)` checks them later: until then nobody knows
    which of them are inputs, and what is none may be of any shape and hold anything.
    """
    text = str(spec)
    path = Path(text)
    if path.suffix.lower() == ".npz":
        data = _load_npz(path, inputs, limit)
    elif path.suffix.lower() in (".yaml", ".yml"):
        from engine.data.images import load_images

        data = load_images(path, inputs)
    elif _is_code(text, path):
        if not allow_code:
            raise BadInput(f"{text!r} names Python code, which runs only from the command line: give an .npz or a data.yaml")
        data = _from_code(text)
    else:
        raise BadInput(f"{text!r} is no data: expected an .npz, a data.yaml"
                       f"{' or package.module:function' if allow_code else ''}"
                       f"{'' if path.exists() else ' (no such file)'}")
    return data if inputs is None else data.bind(inputs)


def _is_code(text: str, path: Path) -> bool:
    module, _, name = text.partition(":")
    return not path.exists() and name.isidentifier() and all(p.isidentifier() for p in module.split("."))


def _load_npz(path: Path, inputs: Sequence[InputInfo] | None, limit: int) -> Dataset:
    known = None if inputs is None else {info.name for info in inputs}
    special = (SCALING, LABELS, CLASSES)
    arrays, unread, unusable = read_npz(path, lambda n: known is None or n in known or n in special, limit)
    scaling = parse_scaling(path, arrays.pop(SCALING)) if SCALING in arrays and SCALING not in (known or ()) else {}
    labels = arrays.get(LABELS) if LABELS in (known or ()) else arrays.pop(LABELS, None)
    classes = () if CLASSES in (known or ()) else _classes(path, arrays, known is not None)
    if labels is not None and labels.ndim == 0:
        raise BadInput(f"{path}: array 'labels' is a single number: expected one label per sample")
    notes = tuple(f"ignored: {name!r} is no input of the model" for name in unread)
    notes += tuple(UNUSABLE + problem for problem in unusable.values())
    if CLASSES not in (known or ()):
        unusable.pop(CLASSES, None)  # noted; names are for people, and nothing waits for them
    if unusable and (known is not None or not arrays):
        raise BadInput(f"{path}: {next(iter(unusable.values()))}")
    if not arrays:
        wanted = ", ".join(repr(n) for n in sorted(known or ())) or "one for each model input"
        near = nearest(next(iter(known)), unread) if known else ""
        raise BadInput(f"{path}: holds no input arrays: expected {wanted}. {near}".rstrip())
    return Dataset(path.name, dict(arrays), labels, scaling, str(path), notes, classes=classes)


def _classes(path: Path, arrays: dict[str, Array], bound: bool) -> tuple[str, ...]:
    """Takes the class names out of the arrays. Where the inputs are not known yet, an array of that name that does not
    look like names may be one."""
    array = arrays.get(CLASSES)
    if array is None or not (bound or (array.dtype == np.uint8 and bytes(array.reshape(-1)[:1]) == b"[")):
        return ()
    return parse_classes(path, arrays.pop(CLASSES))


def _from_code(spec: str) -> Dataset:
    result = call_user(spec, import_function(spec))
    if isinstance(result, Dataset):
        return result
    if not isinstance(result, Mapping):
        raise BadInput(f"{spec} returned {type(result).__name__}: expected a mapping from input name to array")
    arrays: dict[str, Array] = {str(k): as_array(v, f"{spec}: {k!r}") for k, v in result.items()}
    return Dataset(spec, {k: v for k, v in arrays.items() if k != LABELS}, arrays.get(LABELS), {}, spec)


def import_function(spec: str) -> Callable[..., Any]:
    """The function that `package.module:function` names, searched from the working directory as well."""
    module_name, _, name = spec.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise BadInput(f"{spec}: the module {module_name!r} cannot be imported: {_line(error)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise BadInput(f"{spec}: the module {module_name!r} has no function {name!r}")
    result: Callable[..., Any] = function
    return result


def call_user(spec: str, function: Callable[..., Any], *args: Any) -> Any:
    """Calls a user's function; what it raises becomes a `BadInput` that names the function and the line."""
    try:
        return function(*args)
    except MixdownError:
        raise
    except Exception as error:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        at = f" at {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
        raise BadInput(f"{spec} raised {_line(error)}{at}") from error


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
