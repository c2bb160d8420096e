"""What a runtime can run, as data: one JSON file per target, checked against `data/schema.json`.

A `Target` holds facts only. Where quantizers go is `placement.py`'s business and which types they
take `resolve.py`'s; neither knows a device's name. A file with AIMET's six sections is a target too
(`aimet_config.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from engine.errors import BadInput, nearest
from engine.quant.precision import MAX_BITS, MIN_BITS, Int, Precision
from engine.safe_yaml import load_yaml
from engine.targets.aimet_config import is_aimet_config, target_data
from engine.targets.facts import DynamicWeights, NormRule, PrecisionException, Target

__all__ = ["Target", "load_target", "target_from", "target_names"]
DATA = Path(__file__).parent / "data"
_RANGE = re.compile(r"w(\d{1,2})(?:-(\d{1,2}))?a(\d{1,2})(?:-(\d{1,2}))?")


def target_names() -> tuple[str, ...]:
    """The targets that come with Mixdown."""
    return tuple(sorted(path.stem for path in DATA.glob("*.json") if path.stem != "schema"))


def load_target(name_or_path: str | Path) -> Target:
    """A bundled target by its name, or one from a JSON file (ours, or AIMET's runtime configuration).

    Raises:
        BadInput: no such target, or the file breaks the schema; the message names file, place and value.
    """
    text = str(name_or_path)
    if text in target_names():
        return _bundled(text)
    path = Path(name_or_path)
    if path.suffix != ".json" and not path.is_file():
        raise BadInput(
            f"{text[:80]!r} is no target: expected a name or the path of a .json file. {nearest(text, target_names())}"
        )
    data = load_yaml(path) if path.suffix == ".json" else None
    if not isinstance(data, dict):
        raise BadInput(f"{path}: a target is a JSON object in a .json file")
    return target_from(target_data(data, path.stem, str(path)) if is_aimet_config(data) else data, str(path))


@cache
def _bundled(name: str) -> Target:
    path = DATA / f"{name}.json"
    return target_from(json.loads(path.read_text(encoding="utf-8")), str(path.name))


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((DATA / "schema.json").read_text(encoding="utf-8")))


def target_from(data: Mapping[str, Any], source: str) -> Target:
    """A `Target` from what a JSON file holds; `source` is named in errors."""
    error = jsonschema.exceptions.best_match(_validator().iter_errors(dict(data)))
    if error is not None:
        place = (
            "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path).lstrip(".")
            or "the object"
        )
        raise BadInput(f"{source}: {place} is {str(error.instance)[:80]!r}: {error.message[:200]}")
    dynamic = data.get("dynamic_weights", {})
    sets: dict[str, Any] = {key: frozenset(data.get(key, ())) for key in _SETS}
    flags: dict[str, Any] = {key: data[key] for key in _FLAGS if key in data}
    if "exportable_bits" in data:
        flags["exportable_bits"] = frozenset(data["exportable_bits"])
    return Target(
        name=data["name"],
        title=data.get("title", data["name"]),
        precisions=_precisions(data["precisions"], source),
        exceptions=tuple(_exception(e, source) for e in data.get("exceptions", ())),
        activation_symmetry=data["activations"]["symmetry"],
        weight_symmetry=data["weights"]["symmetry"],
        weight_symmetry_by_op=dict(data["weights"].get("symmetry_by_op", {})),
        per_channel_ops=frozenset(data["weights"]["per_channel_ops"]),
        supergroups=tuple(tuple(frozenset(op.split("|")) for op in chain) for chain in data["supergroups"]),
        fixed_ranges={op: _fixed(op, pair, source) for op, pair in data["fixed_ranges"].items()},
        norms={op: NormRule(**rule) for op, rule in data.get("norms", {}).items()},
        dynamic_weights=DynamicWeights(**{**dynamic, "ops": frozenset(dynamic.get("ops", ()))}),
        derived_scaling=data.get("derived_scaling", True),
        **sets,
        **flags,
    )


_SETS = (
    "supergroup_exclusions",
    "one_op_patterns",
    "grid_preserving",
    "no_output_quantizer",
    "tied_inputs",
    "tied_forward",
    "constant_operands",
)
_FLAGS = ("model_inputs_quantized", "model_outputs_quantized", "parameters_quantized")


def _exception(data: Mapping[str, Any], source: str) -> PrecisionException:
    return PrecisionException(
        frozenset(data.get("op_types", ())),
        frozenset(data.get("kinds", ())),
        _precisions(data["precisions"], source),
        data["reason"],
    )


def _fixed(op: str, pair: list[float], source: str) -> tuple[float, float]:
    low, high = float(pair[0]), float(pair[1])
    if not low < high:
        raise BadInput(f"{source}: fixed_ranges.{op} is {pair}: expected the lower bound first")
    return low, high


def _precisions(names: list[str], source: str) -> frozenset[Precision]:
    """Precisions by name; `w2-16a8` stands for a range of widths."""
    found: set[Precision] = set()
    for name in names:
        match = _RANGE.fullmatch(name)
        if not match:
            found.add(_parsed(name, source))
            continue
        w_low, w_high, a_low, a_high = (int(g) if g else 0 for g in match.groups())
        bits = (w_low, w_high or w_low, a_low, a_high or a_low)
        if not all(MIN_BITS <= b <= MAX_BITS for b in bits):
            raise BadInput(f"{source}: precisions: {name!r} leaves {MIN_BITS} to {MAX_BITS} bits")
        found.update(
            Precision(Int(w), Int(a)) for w in range(bits[0], bits[1] + 1) for a in range(bits[2], bits[3] + 1)
        )
    return frozenset(found)


def _parsed(name: str, source: str) -> Precision:
    try:
        return Precision.parse(name)
    except BadInput as error:
        raise BadInput(f"{source}: precisions: {error}") from None
