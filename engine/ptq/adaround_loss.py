"""The two forms of AdaRound's reconstruction loss: the output error of a layer against the float model.

With x the layer's input in the already quantized prefix and y its output in the float model:
    OutputError   mean |f(W~ x + b) - f(y)|^2 over batches of samples, f the activation behind the layer (the paper's eq. 25);
    GramError     tr((W~ - T) H (W~ - T)'), H = E[x x'] collected once and T the weight that fits y best (`float_target`): a step
                  costs nothing in samples. It cannot look through an activation.
Both are summed over output channels and averaged over output positions.
"""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engine.ptq.moments import Problem

RELATIVE = 300.0  # the usual 0.01 is then 3 times nearest's loss per weight; 1 to 10 times found the same roundings
CHUNK = 1 << 14  # rows that are run at once where all of them are
Activation = Callable[[Tensor], Tensor]


class GramError:
    """The loss of a weight from second moments alone.

    The paper's weight of the rounding term, 0.01, means something only beside losses of a certain size. Here it counts
    multiples of the loss that nearest rounding has per weight: then the same number decides all roundings of any layer.
    """

    def __init__(self, problem: Problem, weight: Tensor, target: Tensor, nearest: Tensor) -> None:
        """All [groups, outputs, inputs], as `problem` has them: `weight` the float one, `nearest` the same rounded to nearest."""
        self.problem, self.weight, self.target = problem, weight, target
        self.unit = RELATIVE * float(self._quadratic(nearest).sum()) / nearest.numel()

    def value_and_gradient(self, weight: Tensor, iteration: int) -> tuple[float, Tensor]:
        """The loss and its gradient; the same in every iteration."""
        error = weight - self.target
        half = torch.bmm(error, self.problem.h)
        return float(torch.linalg.vecdot(error, half).sum()), half.mul_(2)

    def by_channel(self, weight: Tensor) -> Tensor:
        """The error of each output channel [groups, outputs] against the float output; against the target where inputs are sliced."""
        whole = len(self.problem.h) == len(self.problem.rr)
        return self.problem.error(weight - self.weight) if whole else self._quadratic(weight)

    def _quadratic(self, weight: Tensor) -> Tensor:
        error = weight - self.target
        return torch.linalg.vecdot(torch.bmm(error, self.problem.h), error).double()


class OutputError:
    """The loss of a weight from samples: their rows are held, and each iteration sees those of a random batch.

    The rounding term counts as in the paper.
    """

    unit = 1.0

    def __init__(self, inputs: Tensor, outputs: Tensor, bias: Tensor, activation: Activation, samples: int, batch: int, seed: int) -> None:
        """`inputs` [groups, rows, inputs] of `samples` samples in their order, `outputs` [groups, rows, outputs] of the float layer
        before the activation, `bias` [groups, outputs] as it is now; `batch` counts samples."""
        self.inputs, self.targets, self.bias = inputs, activation(outputs), bias[:, None]
        self.activation = activation
        self._each = max(inputs.shape[1] // samples, 1)  # rows that go together: a sample's, where all have as many
        self._blocks = inputs.shape[1] // self._each
        self._batch = min(batch, self._blocks)
        self._random = torch.Generator().manual_seed(seed)

    def value_and_gradient(self, weight: Tensor, iteration: int) -> tuple[float, Tensor]:
        """The loss on a batch and its gradient by the weight."""
        chosen = torch.randperm(self._blocks, generator=self._random)[: self._batch]
        inputs, targets = self._rows(self.inputs, chosen), self._rows(self.targets, chosen)
        leaf = weight.detach().requires_grad_()
        with torch.enable_grad():
            loss = (self._run(inputs, leaf) - targets).square().sum() / inputs.shape[1]
        (gradient,) = torch.autograd.grad(loss, leaf)
        return float(loss.detach()), gradient

    @torch.no_grad()
    def by_channel(self, weight: Tensor) -> Tensor:
        """The loss of each output channel [groups, outputs] on all rows."""
        total = torch.zeros(weight.shape[:2], dtype=torch.float64)
        for rows, targets in zip(self.inputs.split(CHUNK, 1), self.targets.split(CHUNK, 1), strict=True):
            total += (self._run(rows, weight) - targets).square().sum(1, dtype=torch.float64)
        return total / self.inputs.shape[1]

    def _run(self, rows: Tensor, weight: Tensor) -> Tensor:
        return self.activation(torch.baddbmm(self.bias, rows, weight.transpose(1, 2)))

    def _rows(self, values: Tensor, blocks: Tensor) -> Tensor:
        groups, _, width = values.shape
        whole = values[:, : self._blocks * self._each].view(groups, self._blocks, self._each, width)
        return whole[:, blocks].view(groups, -1, width)
