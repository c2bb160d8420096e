"""What an encodings file says, whatever its dialect: one entry per tensor, lists flattened."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.recipe.reader import At

Section = Literal["activation", "param"]
MAX_SCALES = 2_000_000  # of one tensor
PLAUSIBLE_BITS = (2, 32)


@dataclass(frozen=True)
class Entry:
    """One tensor's encoding in the terms that 0.6.1 and 1.0.0 share.

    Attributes:
        name: the ONNX tensor.
        section: which of the two lists it stands in.
        bits: 2..16; 32 for biases and for tensors that stay float32.
        floating: a float type (then nothing below applies).
        symmetric: zero is the middle of the grid, or its end for values that are never negative.
        scale, offset: flattened in (output channel, input block, rest) order; `min = scale * offset`.
        block: values along the input axis that share a scale; None without blocks, 0 when the dialect does not record it.
    """

    name: str
    section: Section
    bits: int
    floating: bool = False
    symmetric: bool = True
    scale: tuple[float, ...] = ()
    offset: tuple[int, ...] = ()
    block: int | None = None

    @property
    def strict(self) -> bool:
        """Symmetric without the most negative code."""
        return self.symmetric and bool(self.offset) and set(self.offset) == {1 - 2 ** (self.bits - 1)}

    @property
    def steps(self) -> int:
        """Steps from the lowest to the highest code."""
        return 2**self.bits - 1 - self.strict

    def ranges(self) -> list[tuple[float, float]]:
        """The lowest and the highest value of each scale."""
        return [(s * o, s * (o + self.steps)) for s, o in zip(self.scale, self.offset, strict=True)]


@dataclass(frozen=True)
class EncodingsFileContent:
    """An encodings file; `source` names it in errors."""

    version: str
    entries: tuple[Entry, ...]
    producer: Mapping[str, Any] = field(default_factory=dict)
    quantizer_args: Mapping[str, Any] = field(default_factory=dict)
    excluded_layers: tuple[str, ...] = ()
    source: str = "encodings"

    def by_name(self) -> dict[str, Entry]:
        """Entry by tensor name."""
        return {entry.name: entry for entry in self.entries}


def checked_entry(at: At, entry: Entry) -> Entry:
    """The entry, if its numbers can be an encoding; `BadInput` with the place otherwise."""
    if entry.floating:
        if entry.bits not in (16, 32):
            at.fail(entry.bits, "16 or 32 bits for a float type")
        return entry
    if not 2 <= entry.bits <= 16 and entry.bits != 32:
        at.fail(entry.bits, "2 to 16 bits, or 32 for a bias")
    if not entry.scale or len(entry.scale) > MAX_SCALES:
        at.fail(len(entry.scale), f"1 to {MAX_SCALES:,} scales")
    if len(entry.offset) != len(entry.scale):
        at.fail(len(entry.offset), f"as many offsets as scales ({len(entry.scale)})")
    for value in entry.scale:
        if not 0.0 < value < 3.4e38:
            at.fail(value, "a scale above zero that float32 holds")
    low = 1 - 2**entry.bits
    for offset in entry.offset:
        if not low <= offset <= 0:
            at.fail(offset, f"an offset from {low} to 0 (it is minus the zero point on the unsigned grid)")
    if entry.symmetric and len(set(entry.offset)) > 1:
        at.fail(sorted(set(entry.offset))[:4], "one offset for all scales of a symmetric tensor")
    return entry
