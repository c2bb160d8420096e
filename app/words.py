"""Sentences about layers, tensors and data, made from the engine's results."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import numbers, recipes
from app.bench import Bench
from app.readable import shape_text
from app.readouts import current

Facts = Mapping[str, Any]


def resolved_layer(bench: Bench, name: str) -> Facts:
    """What the recipe became for a layer on the target."""
    found = (bench.resolved or bench.resolved_before or {}).get("layers", [])
    return next((x for x in found if x["name"] == name), {})


def layer_facts(bench: Bench, layer: Facts, resolved: Facts) -> list[tuple[str, str, str]]:
    """The layer's key figures."""
    size, unit = numbers.size(float(resolved.get("size_bytes") or layer.get("fp32_size_bytes") or 0))
    measured = {x["name"]: x.get("sqnr_db") for x in (current(bench) or {}).get("layers", [])}
    precision = "float" if resolved.get("bypassed") else str(resolved.get("precision") or "\u2013").upper()
    return [("precision", precision, ""), ("SQNR", numbers.figure(measured.get(layer["name"]), "dB"), "dB"),
            ("size", size, unit), ("params", numbers.count_text(layer.get("params") or 0), ""),
            ("MACs", numbers.count_text(layer.get("macs") or 0), "")]


def why(bench: Bench, layer: Facts, resolved: Facts) -> str:
    """Why the layer has the precision that it has."""
    name = str(layer["name"])
    asked = recipes.requests(bench.doc, [layer])[0]
    base = recipes.base(bench.doc)
    if asked.bypassed:
        said = "The recipe keeps this layer in float (bypass)."
    elif not asked.own:
        said = f"Nothing of its own: it follows the base, {base}."
    elif name in (bench.doc.get("layers") or {}):
        said = f"The recipe asks for {asked.precision} here, over the base, {base}."
    else:
        said = f"A pattern of the recipe asks for {asked.precision}, over the base, {base}."
    if resolved.get("reason"):
        said += f" It runs at {resolved.get('precision')}: {_sentence(str(resolved['reason']))}"
    if resolved and not resolved.get("legal", True):
        said += " The target cannot run this; the simulation can, an export refuses it."
    return said


def _sentence(words: str) -> str:
    words = words.strip()
    return words if words.endswith((".", "!", "?")) else words + "."


def clip(facts: Facts) -> tuple[float | None, float | None, float | None]:
    """The clip lines of a layer's weight and the step of its grid (per-channel: the widest channel's)."""
    lines = facts.get("clip") or facts.get("clip_lines") or {}
    low = lines.get("low", facts.get("low")) if isinstance(lines, Mapping) else lines[0]
    high = lines.get("high", facts.get("high")) if isinstance(lines, Mapping) else lines[1]
    step = facts.get("step", facts.get("grid_step"))
    return _end(low, min), _end(high, max), _end(step, max)


def _end(value: Any, choose: Any) -> float | None:
    if isinstance(value, (list, tuple)):
        return float(choose(value)) if value else None
    return None if value is None else float(value)


def tensor_rows(facts: Facts) -> list[tuple[Any, ...]]:
    """Name, type, range and explanation of each tensor a layer reads or writes."""
    listed: list[tuple[str, Facts]] = []
    for key, arrow in (("inputs", "in"), ("outputs", "out"), ("tensors", "")):
        listed += [(arrow, t) for t in facts.get(key) or [] if isinstance(t, Mapping)]
    return [(t.get("name", ""), tensor_type(t), range_text(t), t.get("explanation") or t.get("reason") or arrow)
            for arrow, t in listed]


def tensor_type(tensor: Facts) -> str:
    """The type of a tensor's quantizer, or that it has none."""
    encoding = tensor.get("encoding") if isinstance(tensor.get("encoding"), Mapping) else tensor
    dtype = (encoding or {}).get("dtype") or tensor.get("dtype")
    if not dtype or tensor.get("quantized") is False:
        return "float"
    symmetry = (encoding or {}).get("symmetry") or tensor.get("symmetry")
    return f"{dtype} {symmetry}" if symmetry else str(dtype)


def range_text(tensor: Facts) -> str:
    """The range of a tensor's encoding."""
    encoding = tensor.get("encoding") if isinstance(tensor.get("encoding"), Mapping) else tensor
    low, high = (_end((encoding or {}).get(k), c) for k, c in (("low", min), ("high", max)))
    return "" if low is None or high is None else f"{numbers.short(low)} to {numbers.short(high)}"


def expected_data(model: Facts) -> list[tuple[str, str, str, str]]:
    """The arrays that data for this model must hold: name, shape, type, meaning."""
    rows = []
    for tensor in model.get("inputs", []):
        shape = list(tensor.get("shape") or [])
        rows.append((str(tensor["name"]), shape_text(["samples", *shape[1:]] if shape else shape), str(tensor["dtype"]),
                     "one row a sample, as the model was trained on"))
    rows.append(("labels", "samples", "int64", "optional: class of each sample, for top-1 accuracy"))
    return rows


def coverage(tensors: Sequence[Facts], text: str) -> list[tuple[Any, ...]]:
    """Tensors whose name, kind or reason holds the text: what gets a quantizer, and why or why not."""
    wanted = text.strip().lower()
    rows = []
    for t in tensors:
        reason = str(t.get("explanation") or t.get("reason") or "")
        if wanted and wanted not in f"{t['name']} {t.get('kind', '')} {reason}".lower():
            continue
        gets = (str(t.get("dtype") or "quantized"), "ok") if t.get("quantized") else ("float", "d")
        rows.append((t["name"], t.get("kind", ""), gets, reason))
    return rows
