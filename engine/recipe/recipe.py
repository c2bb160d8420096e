"""The Recipe: what a person asks for, frozen and versioned, the same in YAML, JSON and Python."""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from engine.errors import BadInput
from engine.quant.methods import RangeMethod
from engine.quant.precision import FP16, Int, Precision
from engine.recipe.edit import changed
from engine.recipe.parse import read_layer, read_precision, read_recipe, read_tensor
from engine.recipe.parts import (
    MAX_CANDIDATES,
    ActivationOptions,
    CalibrationOptions,
    EncodingsFile,
    LayerRequest,
    ModelRef,
    Step,
    TensorRequest,
    WeightOptions,
)
from engine.recipe.reader import At
from engine.recipe.text import fingerprint, to_dict
from engine.safe_yaml import dump_yaml, load_yaml, parse_json, parse_yaml

W8A8 = Precision(Int(8), Int(8))
CANDIDATES = (Precision(FP16, FP16), Precision(Int(8), Int(16)), W8A8, Precision(Int(4), Int(8)))
_WEIGHTS, _ACTIVATIONS, _CALIBRATION = WeightOptions(), ActivationOptions(), CalibrationOptions()
TensorClass = Literal["weights", "activations", "inputs", "outputs"]


@dataclass(frozen=True)
class Recipe:
    """A request for quantization; the graph and the target resolve it.

    Texts are taken for precisions, and mappings for `layers` and `tensors`. Precedence, highest first:
    a layer's exact node name, its exact module path, globs (the later wins), `op:TYPE`, the base
    `precision`; `bypass` over `layers`; `tensors` over what layers ask of a tensor.
    """

    precision: Precision = W8A8
    target: str = "htp_v73"
    model: ModelRef | None = None
    candidates: tuple[Precision, ...] = CANDIDATES
    weights: WeightOptions = _WEIGHTS
    activations: ActivationOptions = _ACTIVATIONS
    bias: Literal["float", "int32"] = "float"
    layers: tuple[tuple[str, LayerRequest], ...] = ()
    bypass: tuple[str, ...] = ()
    tensors: tuple[tuple[str, TensorRequest], ...] = ()
    encodings: EncodingsFile | None = None
    calibration: CalibrationOptions = _CALIBRATION
    steps: tuple[Step, ...] | None = None

    def __post_init__(self) -> None:
        at = At("Recipe")
        put = object.__setattr__
        put(self, "precision", read_precision(at.key("precision"), self.precision))
        put(self, "candidates", tuple(read_precision(at.key("candidates"), p) for p in self.candidates))
        put(self, "layers", _pairs(self.layers, lambda n, v: read_layer(at.key("layers").key(n), v)))
        put(self, "tensors", _pairs(self.tensors, lambda n, v: read_tensor(at.key("tensors").key(n), v)))
        put(self, "bypass", tuple(self.bypass))
        if self.steps is not None:
            put(self, "steps", tuple(Step(s) if isinstance(s, str) else s for s in self.steps))
        for key in ("layers", "tensors"):
            names = [name for name, _ in getattr(self, key)]
            if len(set(names)) < len(names):
                at.key(key).fail(names, "each name once")
        if not 1 <= len(self.candidates) <= MAX_CANDIDATES or len(set(self.candidates)) < len(self.candidates):
            at.key("candidates").fail([str(p) for p in self.candidates],
                                      f"1 to {MAX_CANDIDATES} precisions, each once")

    @staticmethod
    def parse(mapping: object, source: str = "recipe") -> Recipe:
        """The recipe in plain values; raises `BadInput` with the file, the dotted path and what was expected."""
        return Recipe(**read_recipe(mapping, source))

    @staticmethod
    def from_yaml(text: str | bytes, source: str = "recipe") -> Recipe:
        """The recipe in a YAML text."""
        return Recipe.parse(parse_yaml(text, source), source)

    @staticmethod
    def from_json(text: str | bytes, source: str = "recipe") -> Recipe:
        """The recipe in a JSON text."""
        return Recipe.parse(parse_json(text, source), source)

    def to_dict(self) -> dict[str, Any]:
        """Plain values in the order of the format."""
        return to_dict(self)

    def to_yaml(self) -> str:
        """YAML that `from_yaml` reads back as an equal recipe."""
        return dump_yaml(self.to_dict())

    def to_json(self) -> str:
        """JSON that `from_json` reads back as an equal recipe."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def fingerprint(self) -> str:
        """A hash of what the recipe says, whatever file it is in and wherever the model lies."""
        return fingerprint(self)

    def set(self, key: str, value: object) -> Recipe:
        """A copy with one key changed by dotted path (see `engine.recipe.edit`); texts are read as YAML."""
        return Recipe.parse(changed(self, key, value), "--set")

    def set_text(self, assignment: str) -> Recipe:
        """A copy changed by one `KEY=VALUE` of the command line."""
        key, equals, value = _partition(assignment)
        if not equals or not key:
            raise BadInput(f"--set {assignment[:200]!r}: expected KEY=VALUE, such as calibration.samples=64")
        return self.set(key, value)

    def with_layer(self, name: str, precision: Precision | LayerRequest | str | None) -> Recipe:
        """A copy where one layer asks for `precision` (its weight options stay), or for nothing of its own."""
        return self.with_layers({name: precision})

    def with_layers(self, requests: Mapping[str, Precision | LayerRequest | str | None]) -> Recipe:
        """A copy with the requests of several layers changed, each as `with_layer` does."""
        layers = dict(self.layers)
        for name, wanted in requests.items():
            if wanted is None:
                layers.pop(name, None)
                continue
            request = read_layer(At("recipe").key("layers").key(name), _request(wanted))
            if not isinstance(wanted, LayerRequest) and name in layers:
                request = replace(request, weights=layers[name].weights)
            layers[name] = request
        return replace(self, layers=tuple(layers.items()))

    def with_bypass(self, names: str | Iterable[str], bypassed: bool = True) -> Recipe:
        """A copy that keeps the named layers in float, or no longer does."""
        changed = [names] if isinstance(names, str) else list(names)
        kept = [n for n in self.bypass if n not in changed]
        return replace(self, bypass=tuple(self.bypass) + tuple(dict.fromkeys(n for n in changed if n not in self.bypass))
                       if bypassed else tuple(kept))

    def layer(self, name: str) -> LayerRequest | None:
        """The entry of `layers` with exactly this name."""
        return dict(self.layers).get(name)

    def method_for(self, kind: TensorClass, own: RangeMethod | None = None) -> RangeMethod:
        """The range method: a tensor's or layer's own, `weights.method`, the class's, the general one."""
        chosen = own or (self.weights.method if kind == "weights" else None) or getattr(self.calibration, kind)
        if chosen is None and kind in ("inputs", "outputs"):
            chosen = self.calibration.activations
        return chosen or self.calibration.method


def _request(wanted: Precision | LayerRequest | str) -> object:
    return LayerRequest(wanted) if isinstance(wanted, Precision) else wanted


def _pairs(value: Any, read: Any) -> tuple[tuple[str, Any], ...]:
    items = value.items() if isinstance(value, Mapping) else value
    return tuple((name, read(name, request)) for name, request in items)


def _partition(assignment: str) -> tuple[str, str, str]:
    """KEY and VALUE at the first `=` outside double quotes, since a quoted name may hold one."""
    quoted = False
    for i, char in enumerate(assignment):
        quoted ^= char == '"'
        if char == "=" and not quoted:
            return assignment[:i].strip(), "=", assignment[i + 1:]
    return assignment, "", ""


def load_recipe(path: Path | str) -> Recipe:
    """The recipe of a YAML or JSON file."""
    return Recipe.parse(load_yaml(path), str(path))
