"""Sentences about layers, tensors and data, made from the engine's results."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import numbers, recipes
from app.bench import Bench
from app.figures.histogram import grid_every, outside
from app.readable import shape_text

Facts = Mapping[str, Any]


def resolved_layer(bench: Bench, name: str) -> Facts:
    """What the recipe became for a layer on the target."""
    found = (bench.resolved or bench.resolved_before or {}).get("layers", [])
    return next((x for x in found if x["name"] == name), {})


def precision_text(resolved: Facts) -> str:
    """The layer's effective precision on a cap."""
    return "float" if resolved.get("bypassed") else str(resolved.get("precision") or "\u2013").upper()


def layer_facts(bench: Bench, layer: Facts, resolved: Facts) -> list[tuple[str, str, str]]:
    """The layer's key figures."""
    size, unit = numbers.size(float(resolved.get("size_bytes") or layer.get("fp32_size_bytes") or 0))
    measured = {x["name"]: x.get("sqnr_db") for x in (bench.report or bench.before or {}).get("layers", [])}
    return [("SQNR", numbers.figure(measured.get(layer["name"]), "dB"), "dB"),
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
    """The clip lines of a layer's weight and the step of its grid (per channel: the widest limits, the middle step)."""
    encoding = facts.get("encoding") or {}
    if encoding.get("granularity") == "float":  # the limits of a float type are not clip lines
        return None, None, None
    return encoding.get("low"), encoding.get("high"), encoding.get("step")


def weights_caption(facts: Facts) -> tuple[str, str]:
    """What the weights' histogram shows: type and grid, then the clip lines and what lies outside."""
    encoding, (low, high, step) = facts.get("encoding") or {}, clip(facts)
    if low is None or high is None:
        return f"Weights, {encoding.get('dtype') or 'in float'}", ""
    every = grid_every(low, high, step) if step else 1
    levels = f", every {every}th level" if every > 1 else ""
    share = numbers.share(outside(facts["histogram"], low, high))
    return (f"Weights, {encoding.get('dtype')} {encoding.get('granularity')}{levels}",
            f"clip {numbers.short(low)} to {numbers.short(high)}, {share} outside")


def explained(tensor: Facts) -> str:
    """Why a tensor has or lacks a quantizer, without its name before it."""
    said, name = str(tensor.get("explain") or tensor.get("reason") or ""), f"{tensor.get('name')}: "
    said = said[len(name):] if said.startswith(name) else said
    return said[:1].upper() + said[1:]


def range_text(tensor: Facts) -> str:
    """The range of a tensor's encoding."""
    low, high = tensor.get("low"), tensor.get("high")
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


def data_row(role: str, purpose: str, have: Facts | None, path: Any) -> tuple[str, str, str, str]:
    """A set of data: its name, samples, file and labels; or what it would be for."""
    if have:
        return role, f"{have['samples']:,}", str(have.get("name", "")), "labelled" if have.get("labels") else "no labels"
    return (role, "\u2013", path.name, "not read yet") if path is not None else (role, "none", purpose, "")


def coverage(tensors: Sequence[Facts], text: str) -> list[tuple[Any, ...]]:
    """Tensors whose name, kind or reason holds the text: what gets a quantizer, and why or why not."""
    wanted = text.strip().lower()
    rows = []
    for t in tensors:
        reason = explained(t)
        if wanted and wanted not in f"{t['name']} {t.get('kind', '')} {reason}".lower():
            continue
        gets = (str(t.get("dtype") or "quantized"), "ok") if t.get("quantized") else ("float", "d")
        rows.append((t["name"], t.get("kind", ""), gets, reason))
    return rows
