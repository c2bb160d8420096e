"""Words and glyph kinds for layers and tensors, from what the engine reports."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_GEMM = ("Gemm", "MatMul")


def kind(layer: Mapping[str, Any]) -> str:
    """The glyph and colour of a layer: `conv`, `pw` (1x1), `dw` (depthwise), `gemm`, or `se` for all else."""
    said = str(layer.get("kind") or "").lower()
    op, shape = str(layer.get("op_type") or ""), list(layer.get("weight_shape") or [])
    if "depth" in said or (op == "Conv" and len(shape) == 4 and shape[1] == 1 and shape[0] > 1):
        return "dw"
    if "point" in said or (op == "Conv" and len(shape) >= 3 and all(k == 1 for k in shape[2:])):
        return "pw"
    if op in ("Conv", "ConvTranspose"):
        return "conv"
    return "gemm" if op in _GEMM else "se"


def op_name(layer: Mapping[str, Any]) -> str:
    """The op in the words of the table."""
    names = {"dw": "Depthwise", "pw": "Conv 1\u00d71"}
    return names.get(kind(layer), str(layer.get("op_type") or ""))


def shape_text(shape: Any) -> str:
    """A shape as 1 x 3 x 28 x 28, with names for what is free."""
    if not shape:
        return "scalar"
    return " \u00d7 ".join(str(d) if d is not None else "?" for d in shape)


def describe(layer: Mapping[str, Any]) -> str:
    """One line about a layer: op, channels, output size."""
    shape, out = list(layer.get("weight_shape") or []), list(layer.get("output_shape") or [])
    words = [op_name(layer)]
    if kind(layer) in ("conv", "dw") and len(shape) == 4:
        words[0] += f" {shape[2]}\u00d7{shape[3]}"
    if shape:
        words.append(f"weight {shape_text(shape)}")
    if out:
        words.append(f"output {shape_text(out)}")
    return ", ".join(words)
