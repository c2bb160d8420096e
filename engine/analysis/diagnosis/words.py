"""Small pieces of the sentences."""
from __future__ import annotations

from engine.analysis.diagnosis.operands import Operand


def percent(share: float) -> str:
    """A share as whole percents, with one digit more where it is small."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %" if value >= 0.1 else f"{value:.2g} %"


def the(operand: Operand) -> str:
    """The operand by its role and name."""
    return f"the weight {operand.name}" if operand.kind == "weight" else f"the activation {operand.name}"


def way_out(operand: Operand, weight: str, activation: str) -> str:
    """What helps: weights can have finer scales, activations cannot."""
    return weight if operand.kind == "weight" else activation


def some(indices: list[int], most: int = 5) -> str:
    """A few numbers of channels."""
    return ", ".join(str(i) for i in indices[:most]) + (", …" if len(indices) > most else "")


def plural(count: int, noun: str) -> str:
    """`1 channel`, `3 channels`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
