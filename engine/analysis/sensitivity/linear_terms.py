"""First-order effects of single quantizers on the output along a probe, per sample.

A probe v sent backwards gives `g = J'v` at every tensor of the float graph, J the output's derivative in that
tensor. With d the actual quantization error, `<g, d> = <v, J d>`: the change of the output along v.

* an activation tensor a: `d = q(a) - a`;
* a constant c: d is taken at the output of each node that reads it, `node(q(c)) - node(c)`, which for a layer
  is `layer(x, q(W) - W)` without bias: one extra forward of that layer for each encoding (or one product for all
  of them, see `readers.py`); for a coarse weight, behind the activation that follows: `act(y + dy) - act(y)`.

The terms are made inside the backward pass, when a tensor's gradient is complete, and no gradient is kept.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from engine.analysis.sensitivity.readers import COARSE, Reader, readers
from engine.errors import BadInput
from engine.graph import Model
from engine.quant.encoding import Encoding
from engine.quant.granularity import PerTensor
from engine.quant.precision import Int
from engine.sim.interpreter import Interpreter

Tensor = torch.Tensor
Hook = Callable[[Tensor], Tensor]
Encodings = Mapping[str, Mapping[str, Encoding]]  # tensor → key of the encoding → encoding
KEPT = 64_000_000  # numbers of rounding errors of constants that are kept; beyond, they are made again for each batch


class LinearTerms:
    """Watches forward passes of a float graph and gathers `<g, d>` of every encoding in the backward passes.

    Attributes:
        found: (tensor, key of its encoding) → [n], the terms of the last backward pass.
    """

    def __init__(self, model: Model, interpreter: Interpreter, activations: Encodings, constants: Encodings) -> None:
        self.interpreter = interpreter
        self.activations, self.constants = activations, constants
        self.found: dict[tuple[str, str], Tensor] = {}
        self.readers = readers(model, constants, interpreter.parameters)
        self.bent = _bent(self.readers, constants)
        self.inputs = frozenset(n for found in self.readers.values() for r in found for n in r.inputs)
        self.keep = sum(interpreter.parameters[n].numel() * len(e) for n, e in constants.items()) <= KEPT
        self._count = 1
        self._values: dict[str, Tensor] = {}
        self._errors: dict[tuple[str, str], Tensor] = {}

    @property
    def tensors(self) -> frozenset[str]:
        """Every tensor that is held until the backward pass."""
        return frozenset((*self.activations, *self.readers, *self.bent, *self.inputs))

    def hooks(self, count: int) -> dict[str, Hook]:
        """The interpreter's hooks for one forward pass of `count` samples, which lie along the first axis if there are several."""
        self._values.clear()
        self._count = count
        return {name: self._hook(name) for name in self.tensors}

    def backward(self, output: Tensor, probe: Tensor, again: bool) -> None:
        """One backward pass from the output; `again` keeps the graph for another."""
        self.found.clear()
        output.backward(probe, retain_graph=again)

    def _hook(self, name: str) -> Hook:
        def watch(tensor: Tensor) -> Tensor:
            if tensor.is_floating_point() and (name in self.activations or name in self.readers or name in self.bent):
                # A view of its own: its gradient is that of the readers of this name, also where an op hands its input through.
                tensor = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
                tensor.register_hook(lambda gradient: self._arrived(name, gradient))
            self._values[name] = tensor.detach()
            return tensor
        return watch

    @torch.no_grad()
    def _arrived(self, name: str, gradient: Tensor) -> None:
        value = self._values[name]
        for key, encoding in self.activations.get(name, {}).items():
            self._add(name, key, self._dot(gradient, encoding.fake_quantize(value).sub_(value)))
        for reader in self.readers.get(name, ()):
            for constant in reader.constants:
                self._constant(reader, constant, gradient)
        for reader in self.bent.get(name, ()):
            for constant in reader.constants:
                for key, encoding in self.constants[constant].items():
                    if coarse(encoding):
                        self._add(constant, key, self._dot(gradient, self._bent_change(reader, constant, key, encoding)))

    def _constant(self, reader: Reader, constant: str, gradient: Tensor) -> None:
        """The terms of all encodings of one constant at one node that reads it."""
        encodings = {k: e for k, e in self.constants[constant].items() if not (reader.after in self.bent and coarse(e))}
        weight = self.interpreter.parameters[constant]
        whole = reader.weight_gradient(constant, weight, self._values, gradient, self._count) if len(encodings) > 1 else None
        for key, encoding in encodings.items():
            if whole is not None:
                self._add(constant, key, whole @ self._error(constant, key, encoding).flatten())
            else:
                self._add(constant, key, self._dot(gradient, self._change(reader, constant, key, encoding)))

    def _dot(self, gradient: Tensor, error: Tensor) -> Tensor:
        n = self._count
        return torch.bmm(gradient.reshape(n, 1, -1), error.reshape(n, -1, 1)).reshape(n)

    def _add(self, name: str, key: str, term: Tensor) -> None:
        self.found[name, key] = self.found[name, key] + term if (name, key) in self.found else term

    def _change(self, reader: Reader, constant: str, key: str, encoding: Encoding) -> Tensor:
        """What rounding a constant changes at the output of a node that reads it."""
        value = self._values[reader.output]
        if reader.op_type == "Gather" and isinstance(encoding.granularity, PerTensor):
            return encoding.fake_quantize(value).sub_(value)  # picking rows and rounding them commute
        error = self._error(constant, key, encoding)
        feeds = {n: self._values[n] for n in reader.inputs}
        if constant in reader.linear:
            return self.interpreter.run({**feeds, **reader.zeros, constant: error}, (reader.output,))[reader.output]
        feeds[constant] = self.interpreter.parameters[constant] + error
        return self.interpreter.run(feeds, (reader.output,))[reader.output] - value

    def _bent_change(self, reader: Reader, constant: str, key: str, encoding: Encoding) -> Tensor:
        """What rounding a constant changes behind the activation."""
        moved = self._change(reader, constant, key, encoding).add_(self._values[reader.output])
        return self.interpreter.run({reader.output: moved}, (reader.after,))[reader.after] - self._values[reader.after]

    def _error(self, name: str, key: str, encoding: Encoding) -> Tensor:
        if (name, key) in self._errors:
            return self._errors[name, key]
        value = self.interpreter.parameters[name]
        try:
            error = encoding.fake_quantize(value, check=True).sub_(value)
        except BadInput as reason:
            raise BadInput(f"initializer {name!r}: {reason}; give its layer another precision") from None
        if self.keep:
            self._errors[name, key] = error
        return error


def coarse(encoding: Encoding) -> bool:
    """Whether a weight's rounding is too far to be taken as linear up to the next activation."""
    return isinstance(encoding.dtype, Int) and encoding.dtype.bits <= COARSE


def _bent(found: Mapping[str, list[Reader]], constants: Encodings) -> dict[str, list[Reader]]:
    """Tensor behind an activation → the readers of coarse constants before it."""
    bent: dict[str, list[Reader]] = {}
    for group in found.values():
        for reader in group:
            if reader.after and any(coarse(e) for c in reader.constants for e in constants[c].values()):
                bent.setdefault(reader.after, []).append(reader)
    return bent
