"""From a recipe to plain values, YAML, JSON and a fingerprint. Reading them back gives the same recipe."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.quant.precision import DataType, Int
from engine.recipe.methods import write_method
from engine.recipe.parts import (
    VERSION,
    BlockSize,
    CalibrationOptions,
    LayerRequest,
    Step,
    TensorRequest,
    WeightOptions,
)

if TYPE_CHECKING:
    from engine.recipe.recipe import Recipe


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """The recipe as the YAML format writes it; what is at its default and says nothing is left out."""
    data: dict[str, Any] = {"mixdown": VERSION}
    if recipe.model is not None:
        data["model"] = _given({"path": recipe.model.path, "sha256": recipe.model.sha256})
    data["target"] = recipe.target
    data["precision"] = str(recipe.precision)
    data["candidates"] = [str(p) for p in recipe.candidates]
    optional: dict[str, Any] = {
        "weights": write_weights(recipe.weights),
        "activations": _given({"symmetric": recipe.activations.symmetric}),
        "layers": {name: write_layer(request) for name, request in recipe.layers},
        "bypass": list(recipe.bypass),
        "tensors": {name: write_tensor(request) for name, request in recipe.tensors},
    }
    if recipe.bias != "float":
        data["bias"] = recipe.bias
    data.update({key: value for key, value in optional.items() if value})
    if recipe.encodings is not None:
        data["encodings"] = {"file": recipe.encodings.file, "frozen": recipe.encodings.frozen}
    data["calibration"] = _calibration(recipe.calibration)
    if recipe.steps is not None:
        data["steps"] = [step_line(step) for step in recipe.steps]
    return data


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def write_weights(options: WeightOptions) -> dict[str, Any]:
    """Weight options as plain values."""
    size = options.granularity
    return _given({
        "granularity": {"per_block": size.size} if isinstance(size, BlockSize) else size,
        "symmetric": options.symmetric,
        "method": None if options.method is None else write_method(options.method),
    })


def write_layer(request: LayerRequest) -> str | dict[str, Any]:
    """A layer's request: its precision alone where that is all."""
    if request.weights is None:
        return str(request.precision)
    return {"precision": str(request.precision), "weights": write_weights(request.weights)}


def write_tensor(request: TensorRequest) -> str | dict[str, Any]:
    """A tensor's request: its type alone where that is all."""
    data = _given({
        "type": None if request.dtype is None else _type(request.dtype),
        "symmetric": request.symmetric,
        "min": request.minimum,
        "max": request.maximum,
        "method": None if request.method is None else write_method(request.method),
    })
    return str(data["type"]) if list(data) == ["type"] else data


def _type(dtype: DataType) -> str:
    return f"a{dtype.bits}" if isinstance(dtype, Int) else str(dtype)


def _calibration(options: CalibrationOptions) -> dict[str, Any]:
    data: dict[str, Any] = {"method": write_method(options.method), "samples": options.samples, "seed": options.seed}
    for name in ("weights", "activations", "inputs", "outputs"):
        method = getattr(options, name)
        if method is not None:
            data[name] = write_method(method)
    return data


def step_line(step: Step) -> str | dict[str, Any]:
    """A step as the line of a recipe: its name, or its name with options."""
    return {step.name: thaw(step.options)} if step.options else step.name


def thaw(value: Any) -> Any:
    """Frozen mappings and tuples as dicts and lists, all the way down."""
    if isinstance(value, Mapping):
        return {key: thaw(v) for key, v in value.items()}
    return [thaw(v) for v in value] if isinstance(value, (list, tuple)) else value


def fingerprint(recipe: Recipe) -> str:
    """A hash of what the recipe says; where the model's file lies is no part of it."""
    data = to_dict(recipe)
    if "model" in data:
        data["model"].pop("path", None)
        if not data["model"]:
            del data["model"]
    # The order of layers and tensors is kept, since a later glob beats an earlier one.
    for key in ("layers", "tensors"):
        data[key] = list(data.get(key, {}).items())
    text = json.dumps(data, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
