"""The files of an export, read back from disk as a stranger's would be."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from engine.errors import BadInput
from engine.export.bundle import ENCODINGS, MODEL, QDQ, RECIPE, REPORT
from engine.export.dialects import EncodingsFileContent, read_encodings
from engine.export.entries import to_quantization
from engine.export.exported import Exported, exported
from engine.export.qdq_reader import Found, read_quantizers
from engine.graph.load import read_proto
from engine.graph.model import Model
from engine.graph.simplify import name_nodes
from engine.quant.encoding import Encoding
from engine.quant.precision import FP16
from engine.recipe import Recipe, load_recipe
from engine.safe_yaml import parse_json, read_text
from engine.sim.quantization import Quantization
from engine.targets.placement import place
from engine.targets.plan import Plan
from engine.targets.resolve import resolve
from engine.targets.slots import Placement
from engine.targets.target import load_target

MAX_REPORT = 16 * 1024**2


@dataclass(frozen=True)
class Bundle:
    """An export as its files say it.

    Attributes:
        model: of `model.onnx`, exactly that graph: it is not simplified again.
        contents: encodings files by dialect version; the first is the one that the simulation uses.
        quantizations: what they mean on the model.
        own: of the first, the tensors that the target gives a quantizer of their own.
        placement, plan: of the recipe, resolved anew on `model.onnx`.
        halved: tensors of muted layers that are exported in fp16.
        quantizers: of the QDQ graph.
    """

    folder: Path
    model: Model
    qdq: onnx.ModelProto
    recipe: Recipe
    report: Mapping[str, Any]
    contents: Mapping[str, EncodingsFileContent]
    quantizations: Mapping[str, Quantization]
    own: Quantization
    placement: Placement
    plan: Plan
    halved: frozenset[str]
    quantizers: Mapping[str, list[Found]]
    hashes: Mapping[str, str]


def read_bundle(folder: Path) -> Bundle:
    """All files of an export; raises `BadInput` naming the file that is missing or cannot be read."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; expected one that `export` wrote")
    proto, sha = read_proto(folder / MODEL)
    qdq, qdq_sha = read_proto(folder / QDQ, quantized=True)
    graph = ir.from_proto(proto)
    name_nodes(graph.graph)
    model = Model(graph, proto.graph.name or "model", sha, folder / MODEL)
    contents = {version: read_encodings(folder / name) for version, name in ENCODINGS.items() if (folder / name).is_file()}
    if not contents:
        raise BadInput(f"{folder}: no encodings file; expected {' or '.join(ENCODINGS.values())}")
    quantizations = {version: to_quantization(content, model) for version, content in contents.items()}
    recipe = load_recipe(folder / RECIPE)
    target = load_target(recipe.target)
    placement = place(model, target)
    plan = resolve(model, recipe, target, placement)
    planned = _planned(model, recipe, placement, plan)
    first = next(iter(quantizations.values()))
    return Bundle(folder, model, qdq, recipe, _report(folder / REPORT), contents, quantizations, _own(first, planned), placement, plan,
                  frozenset(planned.halved), read_quantizers(qdq), {MODEL: sha, QDQ: qdq_sha})


def _planned(model: Model, recipe: Recipe, placement: Placement, plan: Plan) -> Exported:
    """The names that an export of this plan has; the encodings are stand-ins."""
    mark = Encoding(FP16)
    constants = dict.fromkeys((*plan.weights, *(n for n in plan.activations if placement.slots[n].kind == "constant")), mark)
    activations = {n: mark for n in plan.activations if n not in constants}
    return exported(model, load_target(recipe.target), placement, plan, Quantization(activations, constants))


def _own(found: Quantization, planned: Exported) -> Quantization:
    """The file's encodings without those that only restate another tensor's."""
    restated = set(planned.complete.activations) - set(planned.simulated.activations)
    return Quantization({n: e for n, e in found.activations.items() if n not in restated}, found.constants, found.biases)


def _report(path: Path) -> dict[str, Any]:
    data = parse_json(read_text(path, MAX_REPORT), str(path), MAX_REPORT)
    if not isinstance(data, dict):
        raise BadInput(f"{path}: expected a JSON object")
    return data
