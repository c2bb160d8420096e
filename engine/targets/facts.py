"""What a runtime states about quantization, as frozen types; where quantizers go and which types they take is decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.quant.grid import Symmetry
from engine.quant.precision import MIN_BITS, DataType, Float, Precision


@dataclass(frozen=True)
class PrecisionException:
    """Other legal precisions for some op types or kinds of layer, and why."""

    op_types: frozenset[str]
    kinds: frozenset[str]
    precisions: frozenset[Precision]
    reason: str

    def covers(self, op_type: str, kind: str) -> bool:
        """Whether the exception is about such a layer."""
        return op_type in self.op_types or kind in self.kinds


@dataclass(frozen=True)
class NormRule:
    """How the scale of a normalization is quantized.

    Attributes:
        min_bits: its bits are never fewer.
        symmetric_from_bits: symmetric from this width on, whatever the op's default; None: never forced.
        follows_output: it has the bits and the symmetry of the op's output.
    """

    min_bits: int = MIN_BITS
    symmetric_from_bits: int | None = None
    follows_output: bool = False


@dataclass(frozen=True)
class DynamicWeights:
    """The rule for an activation where the op takes a weight (the second input of a MatMul).

    Attributes:
        ops: op types that it is about.
        symmetry: whether that input has the symmetry of weights or of activations.
        wide_bits: from this width on the input must be symmetric (None: no such rule).
        wide_first_input_follows: and the first input then takes the same width.
    """

    ops: frozenset[str] = frozenset()
    symmetry: Literal["weights", "activations"] = "activations"
    wide_bits: int | None = None
    wide_first_input_follows: bool = False


@dataclass(frozen=True)
class Target:
    """Everything a runtime states about quantization; the fields are those of `data/schema.json`."""

    name: str
    title: str
    precisions: frozenset[Precision]
    exceptions: tuple[PrecisionException, ...]
    activation_symmetry: Symmetry
    weight_symmetry: Symmetry
    weight_symmetry_by_op: Mapping[str, Symmetry]
    per_channel_ops: frozenset[str]
    supergroups: tuple[tuple[frozenset[str], ...], ...]
    supergroup_exclusions: frozenset[str]
    one_op_patterns: frozenset[str]
    grid_preserving: frozenset[str]
    no_output_quantizer: frozenset[str]
    derived_scaling: bool
    tied_inputs: frozenset[str]
    tied_forward: frozenset[str]
    fixed_ranges: Mapping[str, tuple[float, float]]
    norms: Mapping[str, NormRule]
    dynamic_weights: DynamicWeights
    constant_operands: frozenset[str]
    model_inputs_quantized: bool = True
    model_outputs_quantized: bool = True
    parameters_quantized: bool = True
    exportable_bits: frozenset[int] = field(default=frozenset({4, 8, 16}))

    def legal(self, op_type: str, kind: str = "") -> frozenset[Precision]:
        """The precisions that the target runs for such a layer."""
        for exception in self.exceptions:
            if exception.covers(op_type, kind):
                return exception.precisions
        return self.precisions

    def why_illegal(self, precision: Precision, op_type: str, kind: str = "") -> str:
        """Words for a precision that the target does not have; empty when it has it."""
        legal = self.legal(op_type, kind)
        if precision in legal:
            return ""
        names = ", ".join(str(p) for p in sorted(legal, key=_order)[:8]) + (", …" if len(legal) > 8 else "")
        because = [e.reason for e in self.exceptions if e.covers(op_type, kind)][:1]
        return f"{self.name} does not run {op_type} in {precision}; it runs {names}" + (
            f" ({because[0]})" if because else ""
        )

    def raised_weights(self, precision: Precision, op_type: str, kind: str = "") -> DataType | None:
        """The nearest weight type with at least as many bits that is legal beside these activations (DESIGN, rule 4).

        Of equal bits a float counts as more than an integer, so that two layers with one weight cannot raise it in turns for ever.
        """
        least = _type_order(precision.weights)
        fitting = [
            p.weights
            for p in self.legal(op_type, kind)
            if p.activations == precision.activations and _type_order(p.weights) >= least
        ]
        return min(fitting, key=_type_order, default=None)

    def symmetry_of_weights(self, op_type: str) -> Symmetry:
        """The target's symmetry for the weights of an op type."""
        return self.weight_symmetry_by_op.get(op_type, self.weight_symmetry)


def _type_order(kind: DataType) -> tuple[int, bool, str]:
    return kind.bits, isinstance(kind, Float), str(kind)


def _order(precision: Precision) -> tuple[Any, ...]:
    return (*(-x for x in (precision.activations.bits, precision.weights.bits)), str(precision))
