"""The running average of the weights that is evaluated and kept (Polyak averaging)."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """`average = decay * average + (1 - decay) * weights` after each step, with the usual correction of the first steps.

    A decay of 0 means the weights themselves; then all of this costs nothing. PyTorch's `AveragedModel` deep-copies its module,
    which a compiled graph does not survive.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self._decay, self.count = decay, 0
        self._mean: dict[str, Tensor] = {n: p.detach().clone() for n, p in self._parameters.items()} if decay else {}

    @torch.no_grad()
    def update(self) -> None:
        """After a step of the optimizer."""
        if not self._decay:
            return
        self.count += 1
        decay = min(self._decay, (1 + self.count) / (10 + self.count))  # a young average follows quickly
        for name, mean in self._mean.items():
            mean.lerp_(self._parameters[name].detach(), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the module has the averaged weights."""
        held = {name: self._parameters[name].detach().clone() for name in self._mean}
        try:
            self._put(self._mean)
            yield
        finally:
            self._put(held)

    def state(self) -> Mapping[str, Tensor]:
        """The averages by parameter."""
        return self._mean

    def restore(self, mean: Mapping[str, Tensor], count: int) -> None:
        """The reverse of `state`."""
        for name in self._mean:
            self._mean[name].copy_(mean[name])
        self.count = count

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self._parameters[name].copy_(value)
