"""Data types of quantized tensors and the precision of a layer: `w4a8`, `w8a16`, `fp16`, …"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from engine.errors import BadInput

FloatName = Literal["fp16", "bf16", "fp32"]
MIN_BITS, MAX_BITS = 2, 16


@dataclass(frozen=True)
class Int:
    """An integer type of 2 to 16 bits; whether it is signed is the grid's affair."""

    bits: int

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise BadInput(f"an integer type of {self.bits} bits: {MIN_BITS} to {MAX_BITS} bits are possible")

    def __str__(self) -> str:
        return f"int{self.bits}"


@dataclass(frozen=True)
class Float:
    """A floating-point type: `fp16`, `bf16`, or `fp32` (which means: left as it is)."""

    name: FloatName

    @property
    def bits(self) -> int:
        return 32 if self.name == "fp32" else 16

    def __str__(self) -> str:
        return self.name


DataType = Int | Float
FP32, FP16, BF16 = Float("fp32"), Float("fp16"), Float("bf16")
_FLOATS = {"fp32": FP32, "fp16": FP16, "bf16": BF16}


def parse_type(text: str) -> DataType:
    """`int8`, `a8`, `w4`, `8` or a float name as a `DataType`; raises `BadInput` on anything else."""
    name = text.strip().lower()
    if name in _FLOATS:
        return _FLOATS[name]
    match = re.fullmatch(r"(?:int|a|w)?(\d{1,2})", name)
    if match and MIN_BITS <= int(match[1]) <= MAX_BITS:
        return Int(int(match[1]))
    raise BadInput(f"{text!r} is no data type: expected int2 to int16 (or a8, w4, …), fp16, bf16 or fp32")


@dataclass(frozen=True)
class Precision:
    """Bits of a layer's weight and of the activation tensors it reads."""

    weights: DataType
    activations: DataType

    def __str__(self) -> str:
        if isinstance(self.weights, Int) and isinstance(self.activations, Int):
            return f"w{self.weights.bits}a{self.activations.bits}"
        if self.weights == self.activations:
            return str(self.weights)
        return f"w{_side(self.weights)}a{_side(self.activations)}"

    @staticmethod
    def parse(text: str) -> Precision:
        """`w4a8`, `w16a16`, `fp16`, `bf16`, `fp32` as a `Precision`; mixed sides read as printed (`wfp16a8`)."""
        name = str(text).strip().lower()
        if name in _FLOATS:
            return Precision(_FLOATS[name], _FLOATS[name])
        match = re.fullmatch(r"w(\d{1,2}|fp16|bf16|fp32)a(\d{1,2}|fp16|bf16|fp32)", name)
        if not match:
            raise BadInput(f"{text!r} is no precision: expected wXaY with 2 to 16 bits, fp16, bf16 or fp32")
        return Precision(parse_type(match[1]), parse_type(match[2]))


def _side(kind: DataType) -> str:
    return str(kind.bits) if isinstance(kind, Int) else str(kind)
