"""From plain values (YAML, JSON, a mapping) to the parts of a recipe; every failure names file, key and value."""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from engine.errors import BadInput
from engine.quant.precision import DataType, Precision, parse_type
from engine.recipe.methods import read_method
from engine.recipe.parts import (
    MAX_CANDIDATES,
    STEP_NAMES,
    VERSION,
    ActivationOptions,
    BlockSize,
    CalibrationOptions,
    EncodingsFile,
    GranularityChoice,
    LayerRequest,
    ModelRef,
    Step,
    TensorRequest,
    WeightOptions,
)
from engine.recipe.reader import At

T = TypeVar("T")
Reader = Callable[[At, object], T]
_PRECISION = "wXaY with 2 to 16 bits, fp16, bf16 or fp32"


def read_recipe(value: object, source: str) -> dict[str, Any]:
    """The fields of a `Recipe` that the mapping sets; `null` leaves a key at its default."""
    at = At(source)
    data = at.mapping(value, ("mixdown", *READERS))
    version = data.pop("mixdown", None)
    if version != VERSION or isinstance(version, bool):
        at.key("mixdown").fail(version, f"the version of the recipe's format, `mixdown: {VERSION}`")
    return {key: READERS[key](at.key(key), v) for key, v in data.items() if v is not None}


def read_precision(at: At, value: object) -> Precision:
    """`w8a8`, `fp16`, …"""
    if isinstance(value, Precision):
        return value
    text = at.text(value, f"a precision: {_PRECISION}")
    try:
        return Precision.parse(text)
    except BadInput:
        at.fail(value, f"a precision: {_PRECISION}")


def read_layer(at: At, value: object) -> LayerRequest:
    """A precision, or `{precision: …, weights: {…}}`."""
    if isinstance(value, LayerRequest):
        return value
    if not isinstance(value, Mapping):
        return LayerRequest(read_precision(at, value))
    data = at.mapping(value, ("precision", "weights"))
    if data.get("precision") is None:
        at.fail(value, "a precision, or {precision: w8a16, weights: {granularity: per_tensor}}")
    weights = data.get("weights")
    return LayerRequest(read_precision(at.key("precision"), data["precision"]),
                        None if weights is None else read_weights(at.key("weights"), weights))


def read_weights(at: At, value: object) -> WeightOptions:
    """`{granularity: …, symmetric: …, method: …}`."""
    readers: dict[str, Reader[Any]] = {
        "granularity": read_granularity, "symmetric": _symmetric, "method": read_method}
    return WeightOptions(**_fields(at, value, readers))


def read_granularity(at: At, value: object) -> GranularityChoice:
    """`per_tensor`, `per_channel` or `{per_block: 64}`."""
    if isinstance(value, Mapping):
        data = at.mapping(value, ("per_block",))
        return BlockSize(at.key("per_block").whole(data.get("per_block"), 1, 65536))
    word = at.choice(value, ("per_tensor", "per_channel", "{per_block: 64}"))
    return "per_tensor" if word == "per_tensor" else "per_channel"


def _symmetric(at: At, value: object) -> Literal[True, False, "strict"]:
    if value == "strict":
        return "strict"
    if not isinstance(value, bool):
        at.fail(value, "true, false or strict")
    return value


def _fields(at: At, value: object, readers: Mapping[str, Reader[Any]]) -> dict[str, Any]:
    """The keys that are set, each read by its reader; `null` is as if the key were not there."""
    data = at.mapping(value, readers)
    return {key: readers[key](at.key(key), v) for key, v in data.items() if v is not None}


def _type(at: At, value: object) -> DataType:
    text = at.text(value, "a data type: int2 to int16 (or a8, a16, …), fp16, bf16 or fp32")
    try:
        return parse_type(text)
    except BadInput:
        at.fail(value, "a data type: int2 to int16 (or a8, a16, …), fp16, bf16 or fp32")


def read_tensor(at: At, value: object) -> TensorRequest:
    """A data type, or `{type: a16, symmetric: false, min: 0, max: 6, method: mse}`; `dtype` is read as `type`."""
    if isinstance(value, TensorRequest):
        return value
    if not isinstance(value, Mapping):
        return TensorRequest(_type(at, value))
    readers: dict[str, Reader[Any]] = {
        "type": _type, "dtype": _type, "symmetric": At.boolean, "min": At.number, "max": At.number,
        "method": read_method}
    data = _fields(at, value, readers)
    if "type" in data and "dtype" in data:
        at.fail(value, "either type or dtype")
    if not data:
        at.fail(value, "at least one of type, symmetric, min, max, method")
    names = {"type": "dtype", "min": "minimum", "max": "maximum"}
    try:
        return TensorRequest(**{names.get(k, k): v for k, v in data.items()})
    except BadInput as error:
        at.problem(error)


def _named(read: Reader[T]) -> Reader[tuple[tuple[str, T], ...]]:
    """A reader of a mapping from names to what `read` reads, in the file's order."""
    return lambda at, value: tuple((k, read(at.key(k), v)) for k, v in at.mapping(value).items())


def _list(read: Reader[T], low: int = 0, high: int = 10_000) -> Reader[tuple[T, ...]]:
    """A reader of a list without repetitions."""
    def reader(at: At, value: object) -> tuple[T, ...]:
        items = tuple(read(at.item(i), v) for i, v in enumerate(at.items(value)))
        if not low <= len(items) <= high:
            at.fail(value, f"{low} to {high} items")
        if len(set(items)) < len(items):
            at.fail(value, "no repetitions")
        return items
    return reader


def _model(at: At, value: object) -> ModelRef:
    data = _fields(at, value, {"path": At.text, "sha256": At.text})
    if "sha256" in data and not re.fullmatch(r"[0-9a-f]{64}", data["sha256"]):
        at.key("sha256").fail(data["sha256"], "64 hexadecimal digits")
    return ModelRef(**data)


def _encodings(at: At, value: object) -> EncodingsFile:
    data = _fields(at, value, {"file": At.text, "frozen": At.text})
    if "file" not in data:
        at.fail(value, "{file: NAME.encodings, frozen: GLOB}")
    return EncodingsFile(**data)


def _calibration(at: At, value: object) -> CalibrationOptions:
    classes = ("method", "weights", "activations", "inputs", "outputs")
    readers: dict[str, Reader[Any]] = dict.fromkeys(classes, read_method)
    readers["samples"] = lambda a, v: a.whole(v, 1, 10_000_000)
    readers["seed"] = lambda a, v: a.whole(v, 0, 2**32 - 1)
    return CalibrationOptions(**_fields(at, value, readers))


def _step(at: At, value: object) -> Step:
    options: object = {}
    if isinstance(value, Mapping) and len(value) == 1:
        value, options = next(iter(value.items()))
    name = at.text(value, "the name of a step, or {step: {option: value}}")
    if name not in STEP_NAMES:
        at.unknown("step", name, STEP_NAMES)
    data = at.key(name).mapping({} if options is None else options)
    for key, option in data.items():
        _plain(at.key(name).key(key), option)
    return Step(name, data)


def _plain(at: At, value: object) -> None:
    """Options are numbers, words, lists and mappings of these; which of them exist is the step's affair."""
    if isinstance(value, Mapping):
        for key, v in at.mapping(value).items():
            _plain(at.key(key), v)
    elif isinstance(value, (list, tuple)):
        for i, v in enumerate(value):
            _plain(at.item(i), v)
    elif isinstance(value, float):
        at.number(value)
    elif value is not None and not isinstance(value, (str, int)):
        at.fail(value, "a number, a word, a list or a mapping")


def _steps(at: At, value: object) -> tuple[Step, ...]:
    return tuple(_step(at.item(i), v) for i, v in enumerate(at.items(value)))


def _activations(at: At, value: object) -> ActivationOptions:
    return ActivationOptions(**_fields(at, value, {"symmetric": At.boolean}))


def _bias(at: At, value: object) -> str:
    return at.choice(value, ("float", "int32"))


READERS: dict[str, Reader[Any]] = {
    "model": _model,
    "target": At.text,
    "precision": read_precision,
    "candidates": _list(read_precision, 1, MAX_CANDIDATES),
    "weights": read_weights,
    "activations": _activations,
    "bias": _bias,
    "layers": _named(read_layer),
    "bypass": _list(At.text),
    "tensors": _named(read_tensor),
    "encodings": _encodings,
    "calibration": _calibration,
    "steps": _steps,
}
