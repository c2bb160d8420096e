"""The parity certificate in words and rows."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app import numbers

Facts = Mapping[str, Any]
COLUMNS = [("ONNX Runtime optimizations", "m"), ("samples that agree", "n"), ("SQNR", "n"), ("mean error", "n"), ("max error", "n")]
KINDS = {"model.onnx": "the float model, steps applied", "model.encodings": "encodings, dialect 1.0.0",
         "model_0.6.1.encodings": "encodings, dialect 0.6.1, with min and max", "model_qdq.onnx": "the model with Q/DQ nodes",
         "recipe.yaml": "the recipe, replays anywhere", "report.json": "the measurements", "certificate.json": "this certificate"}


def sentence(certificate: Facts) -> str:
    """What was proven, in one sentence."""
    if certificate.get("sentence"):
        return str(certificate["sentence"])
    return "The exported files do what the desk shows." if certificate.get("passed") else "The exported files were not proven."


def rows(certificate: Facts) -> list[tuple[Any, ...]]:
    """The parity table."""
    return [(switch(p.get("optimizations")), f"{100 * float(p['agreement']):.2f} %" if p.get("agreement") is not None else "\u2013",
             f"{numbers.figure(p.get('sqnr_db'), 'dB')} dB", _lsb(p.get("mean_lsb")), _lsb(p.get("max_lsb")))
            for p in certificate.get("parity", [])]


def switch(value: Any) -> str:
    """`on` or `off`."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def commands(result: Facts) -> list[tuple[str, str]]:
    """What to paste for each device toolchain: title and text."""
    found = result.get("commands") or {}
    if isinstance(found, Mapping):
        return [(str(title), str(text)) for title, text in found.items()]
    return [(str(c["title"]), str(c["text"])) for c in found]


def _lsb(value: Any) -> str:
    return "\u2013" if value is None else f"{float(value):.3g} LSB"


def remarks(certificate: Facts) -> list[str]:
    """The certificate's other statements."""
    out = [str(s) for s in certificate.get("statements", [])]
    first, missing = certificate.get("first_divergence"), certificate.get("missing_encodings")
    if first:
        out.append(f"The first tensor that differs is {first.get('tensor')}, after {first.get('op_type')} {first.get('node')}: "
                   f"{_lsb(first.get('max_lsb'))} at most.")
    out += [f"{check['name']}: {check['detail']}" for check in certificate.get("checks", []) if not check.get("passed")]
    out.append(f"Encodings missing: {', '.join(map(str, missing))}." if missing else "Every quantizer is present once.")
    return out


def file_kind(name: str) -> str:
    """What a file of the bundle is."""
    return KINDS.get(name, "")
