"""Checks of an export's files that need no data: each reads the bundle and says what it saw.

A check is a function from a `Bundle` to a `Check`, in the list `CHECKS`; a new one is one function more.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import numpy as np
import torch

from engine.errors import BadInput
from engine.export.bundle import ENCODINGS
from engine.export.certificate import Check
from engine.export.derived import with_derived
from engine.export.qdq import dialect_of
from engine.export.qdq_reader import difference
from engine.export.reread import Bundle
from engine.quant.encoding import Encoding
from engine.quant.precision import FP16, FP32, DataType
from engine.sim.bias import BiasEncoding, bias_encodings
from engine.sim.quantization import Quantization


def _check(name: str, problems: Iterable[str], seen: str) -> Check:
    """Passed when there are no problems; else the first three of them."""
    found = list(problems)
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return Check(name, not found, "; ".join(found[:3]) + more if found else seen)


def _all(quantization: Quantization) -> dict[str, Encoding]:
    return {**quantization.activations, **quantization.constants, **quantization.biases}


def _planned(bundle: Bundle) -> dict[str, DataType]:
    """Tensor → the type that the recipe, resolved on `model.onnx`, gives it."""
    types: dict[str, DataType] = {name: plan.dtype for name, plan in {**bundle.plan.activations, **bundle.plan.weights}.items()}
    return types | dict.fromkeys(bundle.halved, FP16)


def _derived(bundle: Bundle) -> dict[str, Encoding]:
    """Tensors that restate the encoding of another, and which one they should have."""
    return {n: e for n, e in with_derived(bundle.placement, bundle.own).activations.items() if n not in bundle.own.activations}


def missing_encodings(bundle: Bundle) -> tuple[str, ...]:
    """Tensors that the recipe quantizes, and tensors that restate them, without an encoding in some file."""
    missing = dict.fromkeys(n for q in bundle.quantizations.values() for n in _planned(bundle) if n not in _all(q))
    derived = _derived(bundle)
    missing.update(dict.fromkeys(n for q in bundle.quantizations.values() for n in derived if n not in q.activations))
    if bundle.recipe.bias == "int32":
        biases = bias_encodings(bundle.model, Quantization(bundle.own.activations, bundle.own.constants)).biases
        missing.update(dict.fromkeys(n for q in bundle.quantizations.values() for n in biases if n not in q.biases))
    return tuple(missing)


def unchanged(bundle: Bundle) -> Check:
    """The models and encodings are byte for byte those that the report lists."""
    export = bundle.report.get("export")
    listed = export.get("files") if isinstance(export, dict) else None
    if not isinstance(listed, dict) or not listed:
        return Check("unchanged since the export", True, "the report lists no hashes")
    problems = []
    for name, expected in listed.items():
        path = bundle.folder / str(name)
        if "/" in str(name) or not path.is_file():
            problems.append(f"{str(name)[:80]} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            problems.append(f"{name} was changed after the export")
    return _check("unchanged since the export", problems, f"{len(listed)} files have the hashes of the report")


def complete(bundle: Bundle) -> Check:
    """Every quantizer that the recipe means has an encoding, and no other tensor has."""
    planned = set(_planned(bundle)) | set(_derived(bundle))
    problems = [f"{name!r} has no encoding" for name in missing_encodings(bundle)]
    for version, quantization in bundle.quantizations.items():
        extra = set(quantization.activations) | set(quantization.constants)
        problems += [f"{name!r} has an encoding in {ENCODINGS[version]} that the recipe does not ask for"
                     for name in sorted(extra - planned) if _all(quantization)[name].dtype != FP32]
    return _check("every quantizer once", problems, f"{len(_planned(bundle))} quantizers and {len(planned) - len(_planned(bundle))} "
                  "tensors that carry the encoding of another, each once in every file")


def widths(bundle: Bundle) -> Check:
    """Types are those that the recipe resolves to, and those that the report states for each layer."""
    found = _all(bundle.own)
    problems = [f"{name!r} is {found[name].dtype}, the recipe resolves to {wanted}" for name, wanted in _planned(bundle).items()
                if name in found and found[name].dtype != wanted]
    layers = {layer.name: layer for layer in bundle.model.layers}
    rows = bundle.report.get("layers")
    for row in rows if isinstance(rows, list) else []:
        layer = layers.get(str(row.get("name"))) if isinstance(row, dict) else None
        if layer is None or layer.weight not in found:
            continue
        stated = str(bundle.plan.layer(layer.name).precision)
        if row.get("precision") != stated:
            problems.append(f"layer {layer.name!r} is {row.get('precision')} in the report, the recipe resolves to {stated}")
    counts: dict[str, int] = {}
    for encoding in found.values():
        kind = "int32 bias" if isinstance(encoding, BiasEncoding) else str(encoding.dtype)
        counts[kind] = counts.get(kind, 0) + 1
    return _check("bit widths as asked", problems, ", ".join(f"{n} tensors {kind}" for kind, n in sorted(counts.items())))


def dialects_agree(bundle: Bundle) -> Check:
    """The encodings files say the same, tensor by tensor."""
    versions = list(bundle.quantizations)
    problems = []
    for other in versions[1:]:
        a, b = _all(bundle.quantizations[versions[0]]), _all(bundle.quantizations[other])
        problems += [f"{name!r} is in one of {ENCODINGS[versions[0]]} and {ENCODINGS[other]} only" for name in sorted(set(a) ^ set(b))]
        problems += [f"{name!r}: {unlike} ({ENCODINGS[versions[0]]} against {ENCODINGS[other]})" for name in a if name in b
                     and (unlike := _unlike(a[name], b[name])) and not _same_values(bundle, name, a[name], b[name])]
    seen = f"{' and '.join(versions)} say the same of every tensor" if len(versions) > 1 else f"only {versions[0]} was exported"
    return _check("encodings files agree", problems, seen)


def _same_values(bundle: Bundle, name: str, a: Encoding, b: Encoding) -> bool:
    """Whether two granularities give every value of a constant the same grid: 0.6.1 reads a single block as a channel."""
    if a.grid != b.grid or a.grid is None or name not in bundle.model.graph.initializers:
        return False
    shape = bundle.model.constant(name).shape
    return all(torch.equal(x.expand(shape), y.expand(shape)) for x, y in zip(a.expand(shape), b.expand(shape), strict=True))


def _unlike(a: Encoding, b: Encoding) -> str:
    """What differs between two encodings of one tensor."""
    for what in ("dtype", "grid", "granularity"):
        if getattr(a, what) != getattr(b, what):
            return f"{what} {getattr(a, what)} and {getattr(b, what)}"
    for what in ("scale", "zero_point"):
        x, y = getattr(a, what), getattr(b, what)
        if x is not None and not np.array_equal(x.numpy(), y.numpy()):
            at = np.argwhere(x.numpy().reshape(-1) != y.numpy().reshape(-1))[0][0]
            return f"{what} {x.reshape(-1)[at].item():.9g} and {y.reshape(-1)[at].item():.9g}"
    return ""


def qdq_agrees(bundle: Bundle) -> Check:
    """Each quantizer stands once in the QDQ graph, with the file's numbers; each constant has the codes of its encoding."""
    expected = {n: e for n, e in _all(bundle.own).items() if e.dtype != FP32}
    dialect = dialect_of(bundle.qdq)
    problems = [f"{name!r} has no quantizer in the QDQ model" for name in expected if name not in bundle.quantizers]
    for name, found in bundle.quantizers.items():
        if name not in expected:
            problems.append(f"{name!r} has a quantizer in the QDQ model and no encoding of its own")
        elif len(found) > 1:
            problems.append(f"{name!r} has {len(found)} quantizers in the QDQ model")
        else:
            data = bundle.model.constant(name) if name in bundle.model.graph.initializers else None
            try:
                unlike = difference(found[0], expected[name], data, dialect)
            except BadInput as error:
                unlike = str(error)
            problems += [f"{name!r} in the QDQ model {unlike}"] if unlike else []
    return _check("QDQ model agrees", problems, f"{len(expected)} quantizers, each once and with the numbers of the encodings file")


def derived_agree(bundle: Bundle) -> Check:
    """Tensors that carry another's encoding have exactly that one."""
    derived = _derived(bundle)
    first = next(iter(bundle.quantizations.values()))
    problems = [f"{name!r}: {_unlike(first.activations[name], e)}, it carries the encoding of {bundle.placement.root(name)!r}"
                for name, e in derived.items() if name in first.activations and _unlike(first.activations[name], e)]
    return _check("carried encodings agree", problems, f"{len(derived)} tensors carry another's encoding")


CHECKS: tuple[Callable[[Bundle], Check], ...] = (unchanged, complete, widths, dialects_agree, qdq_agrees, derived_agree)
