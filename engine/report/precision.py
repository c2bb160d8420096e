"""Precisions on paper: a colour and a word for each; fewer bits, other hue, and the bits stand in the cell too."""
from __future__ import annotations

import re

FLOATS = {"fp32": 32, "fp16": 16, "bf16": 16}
COLORS = ((32, "#A6B0BC"), (16, "#4A50C8"), (9, "#6C7BE0"), (8, "#3A7FD9"), (5, "#2E9BC6"), (4, "#12937F"), (3, "#8C46C6"), (0, "#BD3D7C"))


def bits(precision: str) -> int:
    """Weight bits of a precision's name; 32 for what is none."""
    match = re.fullmatch(r"w(\d{1,2})a\d{1,2}", precision)
    return int(match[1]) if match else FLOATS.get(precision, 32)


def color(precision: str) -> str:
    """The colour of a precision; wider activations than weights are a shade of their own."""
    width = bits(precision)
    if re.fullmatch(r"w8a(9|1\d)", precision):
        return "#6C7BE0"
    if re.fullmatch(r"w4a(9|1\d)", precision):
        return "#4FB8A5"
    return next(hue for least, hue in COLORS if width >= least)


def words(precision: str) -> str:
    """`4-bit weights, 8-bit activations`; floats by their name."""
    match = re.fullmatch(r"w(\d{1,2})a(\d{1,2})", precision)
    if match is None:
        return {"fp32": "32-bit float", "fp16": "16-bit float", "bf16": "bfloat16"}.get(precision, precision)
    weight, activation = match.groups()
    return f"{weight}-bit weights and activations" if weight == activation else f"{weight}-bit weights, {activation}-bit activations"
