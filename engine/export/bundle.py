"""The files of an export: the float model, its encodings, the QDQ twin, the recipe and the report.

Rules:
1. `model.onnx` is the graph that was simulated, steps applied, with its own opset, metadata and names;
2. illegal precisions are refused (`IllegalPrecision`) unless they are allowed by hand;
3. `recipe.yaml` says what was asked of the *original* model: its sha256, no path, the steps as they ran. On
   `model.onnx` it is refused, because the sha256 is another: nothing is repaired twice, and `replay` can run it;
4. the folder appears whole or not at all (`folder.py`).
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import BadInput, IllegalPrecision
from engine.export.dialects import text_of
from engine.export.dialects.registry import dialect
from engine.export.entries import write_encodings
from engine.export.exported import exported
from engine.export.folder import whole_folder
from engine.export.qdq import qdq_model
from engine.graph.load import MAX_FILE_BYTES
from engine.graph.notes import without_notes
from engine.progress import Progress, silent
from engine.quant.precision import Float, Int
from engine.recipe import EncodingsFile, ModelRef, Recipe
from engine.recipe.methods import write_method
from engine.sim.quantsim import QuantSim

MODEL, QDQ, RECIPE, REPORT, CERTIFICATE = "model.onnx", "model_qdq.onnx", "recipe.yaml", "report.json", "certificate.json"
ENCODINGS = {"1.0.0": "model.encodings", "0.6.1": "model_0.6.1.encodings"}
_WORDS = {MODEL: "the float model, steps applied", QDQ: "the model with Q/DQ nodes and integer weights",
          RECIPE: "what was asked, for the original model", REPORT: "what was measured"}
OURS = frozenset({MODEL, QDQ, RECIPE, REPORT, CERTIFICATE, "report.html", *ENCODINGS.values()})
VERSIONS = ("1.0.0", "0.6.1")
NOTE = """# Exported by Mixdown, for the original model (sha256 below). model.onnx beside this file has the steps applied
# already; on it this recipe is refused, so that nothing is repaired twice.
"""


@dataclass(frozen=True)
class ExportedFile:
    """One file of an export."""

    name: str
    path: Path
    bytes: int
    sha256: str
    what: str


def encodings_name(version: str) -> str:
    """The name of the encodings file of a dialect."""
    return ENCODINGS.get(version, f"model_{version}.encodings")


def export(sim: QuantSim, out: Path, report: Mapping[str, Any] | None = None, versions: tuple[str, ...] = VERSIONS,
           progress: Progress = silent, allow_illegal: bool = False, recipe: Recipe | None = None) -> tuple[ExportedFile, ...]:
    """Writes a calibrated simulation to the folder `out`.

    Args:
        report: what was measured; without it the report holds what was asked and resolved.
        recipe: what the recipe file says, where it should say more than `sim.recipe` (steps that were left to the default).

    Raises:
        IllegalPrecision: rule 2, naming the layers.
        BadInput: missing calibration, an opset that cannot be raised, a folder that holds other files.
    """
    versions = tuple(dict.fromkeys(versions))
    for version in versions:
        dialect(version)
    if not allow_illegal:
        refuse_illegal(sim)
    recipe = exported_recipe(sim, recipe or sim.recipe, versions)
    with whole_folder(Path(out), OURS | {encodings_name(v) for v in versions}) as folder:
        contents = _contents(sim, recipe, versions, progress)
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
        contents[REPORT] = _report(sim, recipe, report, hashes)
        for name, data in contents.items():
            progress(0.9, f"Writing {name}")
            _write(folder / name, data)
        hashes[REPORT] = hashlib.sha256(contents[REPORT]).hexdigest()
    progress(1.0, f"Exported to {out}")
    return tuple(ExportedFile(name, Path(out) / name, len(data), hashes[name], _WORDS.get(name, "the encodings of all tensors"))
                 for name, data in contents.items())


def refuse_illegal(sim: QuantSim) -> None:
    """Rule 2."""
    illegal = sim.plan.illegal()
    if illegal:
        shown = "; ".join(f"{entry.name}: {entry.precision} ({entry.reason})" for entry in illegal[:3])
        more = f"; and {len(illegal) - 3} more" if len(illegal) > 3 else ""
        raise IllegalPrecision(f"{len(illegal)} layers have a precision that {sim.target.name} does not run: {shown}{more}. "
                               "Change their precision, choose another target, or export with --allow-illegal")


def exported_recipe(sim: QuantSim, recipe: Recipe, versions: tuple[str, ...]) -> Recipe:
    """Rule 3. Encodings that came from a file are in the exported one, which the recipe then names."""
    changed = replace(recipe, model=ModelRef(sha256=sim.model.sha256) if sim.model.sha256 else None)
    if changed.encodings is not None and versions:
        changed = replace(changed, encodings=EncodingsFile(encodings_name(versions[0]), changed.encodings.frozen))
    return changed


def quantizer_args(recipe: Recipe) -> dict[str, Any]:
    """What both dialects note about how the encodings were found; readers do not need it."""
    weights, activations = recipe.precision.weights, recipe.precision.activations
    method = write_method(recipe.calibration.method)
    return {"quant_scheme": method if isinstance(method, str) else next(iter(method)), "param_bitwidth": weights.bits,
            "activation_bitwidth": activations.bits, "dtype": "int" if isinstance(weights, Int) else "float",
            "is_symmetric": recipe.weights.symmetric is not False,
            "per_channel_quantization": recipe.weights.granularity != "per_tensor"}


def _contents(sim: QuantSim, recipe: Recipe, versions: tuple[str, ...], progress: Progress) -> dict[str, bytes]:
    """Every file but the report, by name."""
    progress(0.0, "Collecting the encodings")
    found = exported(sim.model, sim.target, sim.placement, sim.plan, sim.quantization)
    proto = without_notes(sim.model.proto)
    if proto.ByteSize() > MAX_FILE_BYTES:
        raise BadInput(f"{sim.model.name}: {proto.ByteSize():,} bytes; models above 2 GB are not exported")
    contents = {MODEL: proto.SerializeToString()}
    bypassed = tuple(entry.name for entry in sim.plan.layers if entry.bypassed)
    for i, version in enumerate(versions):
        progress(0.1 + 0.2 * i / len(versions), f"Encodings {version}")
        data = write_encodings(version, sim.model, found.complete, quantizer_args(recipe), bypassed)
        contents[encodings_name(version)] = text_of(data).encode()
    progress(0.3, "Making the QDQ model")
    contents[QDQ] = qdq_model(sim.model, found.simulated).SerializeToString()
    contents[RECIPE] = (NOTE + recipe.to_yaml()).encode()
    return contents


def _report(sim: QuantSim, recipe: Recipe, report: Mapping[str, Any] | None, hashes: Mapping[str, str]) -> bytes:
    """The report with the files' hashes; keys that were not measured are those of the plan."""
    weights = {layer.name: layer for layer in sim.model.layers}
    layers = [{"name": entry.name, "weight": weights[entry.name].weight, "module": weights[entry.name].module,
               "op_type": weights[entry.name].op_type, "requested": str(entry.requested), "precision": str(entry.precision),
               "legal": entry.legal, "reason": entry.reason} for entry in sim.plan.layers]
    base = {"model": {"name": sim.model.name, "sha256": sim.model.sha256, "opset": sim.model.opset}, "layers": layers,
            "recipe": recipe.to_dict()}
    data = {**base, **(report or {}), "export": {"files": dict(hashes), "bias": recipe.bias,
                                                 "floats": sorted({str(t) for t in sim.plan.types.values() if isinstance(t, Float)})}}
    return (json.dumps(data, indent=1, ensure_ascii=False, default=_plain) + "\n").encode()


def _plain(value: Any) -> Any:
    """numpy numbers in a report."""
    return value.item() if hasattr(value, "item") else str(value)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise BadInput(f"{path.parent.name}/{path.name}: cannot be written: {error.strerror or error}") from None
