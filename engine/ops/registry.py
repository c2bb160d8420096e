"""The registry of torch kernels, keyed by (domain, operator, since-version).

A *factory* parses a node's attributes once and returns its *kernel*, the function that runs for every
batch. `lookup` picks the newest version that is not newer than the model's opset.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from engine.errors import UnsupportedOp

Tensor = torch.Tensor
Kernel = Callable[..., "Tensor | tuple[Tensor, ...]"]


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """What a factory may know of a node. Attributes are python values, tensors are torch tensors.

    `input_types` holds the ONNX type numbers of the inputs where the graph states them (0 elsewhere):
    torch has no 4-bit integers, so a kernel that depends on such a type cannot read it off the tensor.
    """

    name: str
    op_type: str
    domain: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    n_inputs: int = 1
    n_outputs: int = 1
    opset: int = 1
    input_types: tuple[int, ...] = ()

    def integer(self, name: str, default: int = 0) -> int:
        """An integer attribute."""
        return int(self.attributes.get(name, default))

    def flag(self, name: str, default: bool = False) -> bool:
        """An integer attribute that is used as a boolean."""
        return bool(self.attributes.get(name, default))

    def number(self, name: str, default: float = 0.0) -> float:
        """A float attribute."""
        return float(self.attributes.get(name, default))

    def text(self, name: str, default: str = "") -> str:
        """A string attribute."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def ints(self, name: str) -> tuple[int, ...] | None:
        """A list of integers, or None where the attribute is absent."""
        value = self.attributes.get(name)
        return None if value is None else tuple(int(v) for v in value)

    def input_type(self, index: int) -> int:
        """The ONNX type number of an input, 0 where the graph does not state it."""
        return self.input_types[index] if index < len(self.input_types) else 0

    def refusal(self, reason: str) -> UnsupportedOp:
        """The error to raise when this node's attributes or inputs are beyond the kernel."""
        return UnsupportedOp(f"Node {self.name!r} ({self.op_type}): {reason}")


Factory = Callable[[NodeSpec], Kernel]


@dataclass(frozen=True, slots=True)
class OpEntry:
    """One version of one operator.

    `host` lists the inputs that the kernel reads as python numbers (shapes, axes, pads): they are left
    on the CPU when everything else runs on another device.
    """

    domain: str
    op_type: str
    since: int
    factory: Factory
    differentiable: bool | Callable[[NodeSpec], bool]
    host: tuple[int, ...]

    def carries_gradient(self, spec: NodeSpec) -> bool:
        """Whether a gradient can flow from this node's output to its float inputs."""
        return self.differentiable if isinstance(self.differentiable, bool) else self.differentiable(spec)


_REGISTRY: dict[tuple[str, str], list[OpEntry]] = {}


def _canonical(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def op(
    *op_types: str,
    since: int = 1,
    domain: str = "",
    differentiable: bool | Callable[[NodeSpec], bool] = True,
    host: tuple[int, ...] = (),
) -> Callable[[Factory], Factory]:
    """Register the decorated factory for one or several operators from opset `since` on."""

    def register(factory: Factory) -> Factory:
        for op_type in op_types:
            versions = _REGISTRY.setdefault((_canonical(domain), op_type), [])
            if any(v.since == since for v in versions):
                raise ValueError(f"{op_type} since {since} is registered twice")
            versions.append(OpEntry(_canonical(domain), op_type, since, factory, differentiable, host))
            versions.sort(key=lambda v: v.since)
        return factory

    return register


def plain(
    op_type: str, kernel: Kernel, *, since: int = 1, domain: str = "", differentiable: bool = True
) -> None:
    """Register a kernel that needs no attributes."""
    op(op_type, since=since, domain=domain, differentiable=differentiable)(lambda spec: kernel)


def find(domain: str, op_type: str, opset: int) -> OpEntry | None:
    """The entry that serves this operator at this opset, or None."""
    versions = _REGISTRY.get((_canonical(domain), op_type), [])
    usable = [v for v in versions if v.since <= opset]
    return usable[-1] if usable else None


def entry(domain: str, op_type: str, opset: int, node: str = "") -> OpEntry:
    """Like `find`, but an operator without a kernel is an error that names it and the node."""
    found = find(domain, op_type, opset)
    if found is not None:
        return found
    where = f"Node {node!r}: " if node else ""
    name = f"{domain}.{op_type}" if _canonical(domain) else op_type
    versions = _REGISTRY.get((_canonical(domain), op_type))
    if versions:
        raise UnsupportedOp(
            f"{where}operator {name} at opset {opset} is older than what torch runs here "
            f"(opset {versions[0].since} and later). Raise the model's opset with the ONNX version converter."
        )
    raise UnsupportedOp(
        f"{where}operator {name} (opset {opset}) has no torch implementation, so nothing that needs "
        f"gradients through it can run. Simulation and export work without it."
    )


def lookup(domain: str, op_type: str, opset: int, node: str = "") -> Factory:
    """The factory that serves this operator at this opset."""
    return entry(domain, op_type, opset, node).factory


def registered() -> list[OpEntry]:
    """All entries, sorted by domain, operator and version."""
    return [v for key in sorted(_REGISTRY) for v in _REGISTRY[key]]


def int_list(tensor: Tensor) -> list[int]:
    """The numbers of a small integer tensor: a shape, axes, pads."""
    values = tensor.tolist()
    return values if isinstance(values, list) else [values]
