"""What `verify` found, as plain data."""
from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One thing that was checked; `detail` says what was seen, or what is wrong and where."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class OutputParity:
    """One output of the QDQ file against the simulation.

    Attributes:
        bits: of the output's encoding; None where it is float, and then nothing is counted in LSB.
        max_lsb: greatest difference in steps of the output's encoding.
        mean_lsb: mean difference in such steps.
        within_1_lsb: share of values that differ by at most one step.
        sqnr_db: simulation against its difference to the file, at most 350.
    """

    name: str
    bits: int | None
    max_lsb: float | None
    mean_lsb: float | None
    within_1_lsb: float | None
    sqnr_db: float


@dataclass(frozen=True)
class Parity:
    """The QDQ file in ONNX Runtime against the simulation: the worst output, and each of them.

    `agreement` is the share of samples with the same arg-max (None where no output is class scores).
    """

    optimizations: bool
    samples: int
    max_lsb: float | None
    mean_lsb: float | None
    within_1_lsb: float | None
    sqnr_db: float
    agreement: float | None
    seconds: float
    outputs: tuple[OutputParity, ...]


@dataclass(frozen=True)
class Divergence:
    """The first tensor, in the order of execution, whose values in the file are not those of the simulation."""

    tensor: str
    node: str
    op_type: str
    max_lsb: float
    share_beyond: float
    tolerance_lsb: float


@dataclass(frozen=True)
class Certificate:
    """Whether an export does what the desk showed. `sentence` says what was proven, or what was not.

    `parity` is against the simulation as the desk runs it. `node_by_node` is there where that missed the criteria: the same
    simulation without fused kernels, which tells a network that amplifies float rounding from a file that is wrong.
    """

    parity: tuple[Parity, ...]
    node_by_node: Parity | None
    first_divergence: Divergence | None
    missing_encodings: tuple[str, ...]
    statements: tuple[str, ...]
    checks: tuple[Check, ...]
    passed: bool
    sentence: str
    seconds: float = 0.0
    versions: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, tuples as lists."""
        data = asdict(self)
        data["versions"] = dict(self.versions)
        for p in (*data["parity"], *([data["node_by_node"]] if data["node_by_node"] else [])):
            p["outputs"] = list(p["outputs"])
        return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}
