"""Words and glyph kinds for layers and tensors, from what the engine reports."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The engine's kind of a layer → glyph and colour.
GLYPHS = {"depthwise": "dw", "pointwise": "pw", "conv": "conv", "conv_transpose": "conv", "gemm": "gemm", "matmul": "gemm"}
NAMES = {"depthwise": "Depthwise", "pointwise": "Conv 1\u00d71", "conv_transpose": "ConvTranspose", "embedding": "Embedding"}


def kind(layer: Mapping[str, Any]) -> str:
    """The glyph and colour of a layer: `conv`, `pw` (1x1), `dw` (depthwise), `gemm`, or `se` for all else."""
    return GLYPHS.get(str(layer.get("kind") or ""), "se")


def op_name(layer: Mapping[str, Any]) -> str:
    """The op in the words of the table."""
    return NAMES.get(str(layer.get("kind") or ""), str(layer.get("op_type") or ""))


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
