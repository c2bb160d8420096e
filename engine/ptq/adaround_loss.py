"""The two forms of AdaRound's reconstruction loss: the output error of a layer against the float model.

With x the layer's input in the already quantized prefix and y its output in the float model:
    OutputError   mean |f(W~ x + b) - f(y)|^2 over batches of samples, f the activation behind the layer (the paper's eq. 25);
    GramError     tr((W~ - T) H (W~ - T)'), H = E[x x'] collected once and T the weight that fits y best: a step costs nothing
                  in samples. It cannot look through an activation.
Both are summed over output channels and averaged over output positions.
"""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

RELATIVE = 300.0  # the usual 0.01 is then 3 times nearest's loss per weight; 1 to 10 times found the same roundings
Apply = Callable[[Tensor, Tensor], Tensor]  # (inputs, weight matrix) -> outputs behind the activation


class GramError:
    """The loss of a weight from second moments alone; `moments` [groups, inputs, inputs], `target` [groups, outputs, inputs].

    The paper's weight of the rounding term, 0.01, means something only beside losses of a certain size. Here it counts
    multiples of the loss that nearest rounding has per weight: then the same number decides all roundings of any layer.
    """

    def __init__(self, moments: Tensor, target: Tensor, nearest: Tensor) -> None:
        """`nearest` is the weight rounded to nearest, of the target's shape."""
        self.moments, self.target = moments, target
        self.unit = RELATIVE * float(self.by_channel(nearest).sum()) / nearest.numel()

    def value_and_gradient(self, weight: Tensor, iteration: int) -> tuple[float, Tensor]:
        """The loss and its gradient; the same in every iteration."""
        error = weight - self.target
        half = error @ self.moments
        return float((error * half).sum()), half.mul_(2)

    def by_channel(self, weight: Tensor) -> Tensor:
        """The loss of each output channel [groups, outputs]."""
        error = (weight - self.target).double()
        return ((error @ self.moments.double()) * error).sum(2)


class OutputError:
    """The loss of a weight from samples: inputs and targets are held, each iteration sees a random batch of them.

    The rounding term counts as in the paper. `targets` lie behind the activation; `axis` is that of their output channels,
    which go group by group.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, apply: Apply, groups: int, axis: int, batch: int, seed: int) -> None:
        self.inputs, self.targets, self.apply = inputs, targets, apply
        self.unit = 1.0
        self.groups, self.axis, self.batch = groups, axis % targets.ndim, batch
        self.positions = targets.numel() // targets.shape[self.axis]
        self._random = torch.Generator().manual_seed(seed)

    def value_and_gradient(self, weight: Tensor, iteration: int) -> tuple[float, Tensor]:
        """The loss on a batch and its gradient by the weight."""
        rows = torch.randperm(len(self.inputs), generator=self._random)[: self.batch]
        leaf = weight.detach().requires_grad_()
        targets = self.targets[rows]
        with torch.enable_grad():
            error = self.apply(self.inputs[rows], leaf) - targets
            loss = error.square().sum() * (targets.shape[self.axis] / targets.numel())
        (gradient,) = torch.autograd.grad(loss, leaf)
        return float(loss.detach()), gradient

    @torch.no_grad()
    def by_channel(self, weight: Tensor) -> Tensor:
        """The loss of each output channel [groups, outputs] on all samples."""
        total = torch.zeros(self.targets.shape[self.axis], dtype=torch.float64)
        others = [a for a in range(self.targets.ndim) if a != self.axis]
        for start in range(0, len(self.inputs), self.batch):
            rows = slice(start, start + self.batch)
            error = self.apply(self.inputs[rows], weight) - self.targets[rows]
            total += error.square().sum(others, dtype=torch.float64)
        return (total / self.positions).reshape(self.groups, -1)
