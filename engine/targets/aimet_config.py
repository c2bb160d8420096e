"""AIMET's runtime configuration as a target.

Its six sections, in rising precedence: `defaults, params, op_type, supergroups, model_input,
model_output`; booleans are the strings "True" and "False". What AIMET keeps in code beside the
file (norm parameters, dynamic MatMul, kinds of grid, the depthwise exception) is taken from our
data for the same family of hardware, because the file cannot say it. Not read: `hw_version`, and
`is_input_quantized` and `is_quantized` of single ops and parameters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import BadInput

SECTIONS = ("defaults", "params", "op_type", "supergroups", "model_input", "model_output")
_BASE = Path(__file__).parent / "data" / "htp_v73.json"
# AIMET writes op types by names of its own beside those of ONNX.
_OP_NAMES = {
    "LayerNorm": "LayerNormalization",
    "RmsNorm": "RMSNormalization",
    "RMSNorm": "RMSNormalization",
    "InstanceNorm": "InstanceNormalization",
    "GroupNorm": "GroupNormalization",
    "BatchNorm": "BatchNormalization",
    "Gelu": "Gelu",
    "GELU": "Gelu",
    "ConvTranspose1d": "ConvTranspose",
}
_LISTED_PATTERNS = {("MatMul", "Add"): "MatMulAdd"}


def is_aimet_config(data: Mapping[str, Any]) -> bool:
    """Whether a JSON object has AIMET's sections (two of them may be missing in files by hand)."""
    return (
        "defaults" in data and sum(section in data for section in SECTIONS) >= 4 and "precisions" not in data
    )


def target_data(data: Mapping[str, Any], name: str, source: str) -> dict[str, Any]:
    """The same facts as an object of our schema."""
    for section in SECTIONS:
        kind = list if section == "supergroups" else dict
        if not isinstance(data.get(section, kind()), kind):
            raise BadInput(
                f"{source}: {section} is a {type(data[section]).__name__}: expected a {kind.__name__}"
            )
    base: dict[str, Any] = json.loads(_BASE.read_text(encoding="utf-8"))
    defaults = data["defaults"]
    result = {
        **base,
        "name": name[:60],
        "title": f"AIMET configuration {name}"[:200],
        "exceptions": [],
        "precisions": _precisions(defaults, source) or base["precisions"],
        "activations": {"symmetry": _activations(defaults, source)},
        "weights": _weights(data, source),
        "supergroups": _supergroups(data, source),
        "fixed_ranges": _fixed_ranges(data, source),
        "parameters_quantized": _flag(_section(defaults, "params", source), "is_quantized", True, source),
        "model_inputs_quantized": _flag(data.get("model_input", {}), "is_input_quantized", False, source),
        "model_outputs_quantized": _flag(data.get("model_output", {}), "is_output_quantized", True, source),
    }
    named = {op for op, rule in _ops(data, source) if "is_output_quantized" in rule}  # what the file says beats ours
    result["no_output_quantizer"] = sorted(_unquantized(data, source) | (set(base["no_output_quantizer"]) - named))
    return result


def _section(data: Mapping[str, Any], key: str, source: str) -> Mapping[str, Any]:
    found = data.get(key, {})
    if not isinstance(found, Mapping):
        raise BadInput(f"{source}: {key} is {str(found)[:60]!r}: expected an object")
    return found


def _flag(data: Mapping[str, Any], key: str, default: bool, source: str) -> bool:
    value = data.get(key, default)
    if isinstance(value, bool):
        return value
    if value in ("True", "False"):
        return bool(value == "True")
    raise BadInput(f'{source}: {key} is {str(value)[:60]!r}: expected "True" or "False"')


def _symmetry(symmetric: bool, defaults: Mapping[str, Any], source: str) -> str:
    """Strict symmetry drops the most negative level of symmetric grids; it says nothing of asymmetric ones."""
    if not symmetric:
        return "asymmetric"
    return "strict" if _flag(defaults, "strict_symmetric", False, source) else "symmetric"


def _activations(defaults: Mapping[str, Any], source: str) -> str:
    symmetric = _flag(_section(defaults, "ops", source), "is_symmetric", False, source)
    if symmetric and _flag(defaults, "unsigned_symmetric", False, source):
        return "unsigned"
    return _symmetry(symmetric, defaults, source)


def _weights(data: Mapping[str, Any], source: str) -> dict[str, Any]:
    defaults = data["defaults"]
    symmetric = _flag(_section(defaults, "params", source), "is_symmetric", False, source)
    weight = _section(_section(data, "params", source), "weight", source)
    symmetric = _flag(weight, "is_symmetric", symmetric, source)
    everywhere = _flag(defaults, "per_channel_quantization", False, source)
    channels = (
        set(json.loads(_BASE.read_text(encoding="utf-8"))["weights"]["per_channel_ops"])
        if everywhere
        else set()
    )
    by_op: dict[str, str] = {}
    for op, rule in _ops(data, source):
        if _flag(rule, "per_channel_quantization", op in channels, source):
            channels.add(op)
        else:
            channels.discard(op)
        own = _section(_section(rule, "params", source), "weight", source)
        if "is_symmetric" in own:
            by_op[op] = _symmetry(_flag(own, "is_symmetric", symmetric, source), defaults, source)
    return {
        "symmetry": _symmetry(symmetric, defaults, source),
        "symmetry_by_op": by_op,
        "per_channel_ops": sorted(channels),
    }


def _ops(data: Mapping[str, Any], source: str) -> list[tuple[str, Mapping[str, Any]]]:
    ops = _section(data, "op_type", source)
    return [(_OP_NAMES.get(op, op), _section(ops, op, source)) for op in ops]


def _unquantized(data: Mapping[str, Any], source: str) -> set[str]:
    default = _flag(_section(data["defaults"], "ops", source), "is_output_quantized", True, source)
    return {op for op, rule in _ops(data, source) if not _flag(rule, "is_output_quantized", default, source)}


def _fixed_ranges(data: Mapping[str, Any], source: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for op, rule in _ops(data, source):
        limits = _section(rule, "encoding_constraints", source)
        if "min" in limits and "max" in limits:
            found[op] = [limits["min"], limits["max"]]
    return found


def _supergroups(data: Mapping[str, Any], source: str) -> list[list[str]]:
    chains: list[list[str]] = []
    for entry in data.get("supergroups", []):
        ops = entry.get("op_list") if isinstance(entry, Mapping) else None
        if not isinstance(ops, list) or not ops or not all(isinstance(op, str) for op in ops):
            raise BadInput(
                f"{source}: supergroups holds {str(entry)[:60]!r}: expected an object with op_list, a list of op types"
            )
        chains.append([_OP_NAMES.get(op, op) for op in map(str, ops)])
    # Single names and MatMul+Add are patterns of ours already: a constant bias is asked for there.
    return [chain for chain in chains if len(chain) > 1 and tuple(chain) not in _LISTED_PATTERNS]


def _precisions(defaults: Mapping[str, Any], source: str) -> list[str]:
    """`supported_kernels` as precisions: pairs of activation and parameter types."""
    kernels = defaults.get("supported_kernels", [])
    if not isinstance(kernels, list):
        raise BadInput(f"{source}: supported_kernels is {str(kernels)[:60]!r}: expected a list")
    names = []
    for kernel in kernels:
        try:
            sides = [kernel["param"], kernel["activation"]]
            types = [
                "fp" + str(s["bitwidth"]) if s["dtype"] == "float" else str(s["bitwidth"]) for s in sides
            ]
        except (KeyError, TypeError):
            raise BadInput(
                f"{source}: supported_kernels holds {str(kernel)[:60]!r}: expected activation and param, "
                "each with bitwidth and dtype"
            ) from None
        names.append(f"w{types[0]}a{types[1]}")
    return names
