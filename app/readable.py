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


def brief(layer: Mapping[str, Any]) -> str:
    """A layer in a few words: op and kernel, channels, size of its output."""
    shape, out = list(layer.get("weight_shape") or []), list(layer.get("output_shape") or [])
    name = op_name(layer)
    if len(shape) < 4:
        return f"{name} {shape_text(shape)}" if shape else name
    kernel = "" if kind(layer) == "pw" else " " + "\u00d7".join(str(k) for k in shape[2:])
    inputs = shape[0] if kind(layer) == "dw" else shape[1]
    where = f" at {chr(215).join(str(d) if d is not None else '?' for d in out[2:])}" if len(out) > 2 else ""
    return f"{name}{kernel}, {inputs} to {shape[0]} channels{where}"
