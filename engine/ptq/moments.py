"""Second moments of what a layer reads: all that rounding its weight has to know of the data.

With x a row of the layer's input in the quantized prefix, W its float weight, y its float output without bias and r = y - W x what
the prefix has spoilt already, the error of any weight Q = W + D is, per output, in expectation

    E (y - Q x)²  =  E r² - 2 D E[r x'] + D E[x x'] D'

so H = E[x x'], G = E[r x'] and E r² stand for the data. They are gathered in two folds (halves of the samples), so that what is
fitted to one can be judged on the other. Means are kept apart: `Problem`s are centred, and a mean error is left to the bias.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.ptq.walk import Batch, LayerStep

FLUSH_ROWS = 4096  # rows that wait for a product: one large product is many times faster than several small ones
MATRICES = 6  # of inputs x inputs that one layer's moments and their solution hold at a time


@dataclass(frozen=True)
class Problem:
    """Moments of one layer, in the axes of its matrix form (float32 but for `rr`, `power`: float64).

    Attributes:
        rows: how many.
        h: covariance of the inputs [groups, inputs, inputs]; second moment where it is not `centred`.
        g: covariance of residual and inputs [groups, outputs, inputs].
        rr: variance of the residual [groups, outputs].
        mean_x: [groups, inputs].
        mean_r: [groups, outputs].
        power: mean square of the layer's float output [groups, outputs].
        centred: whether means are taken out of h, g and rr.
    """

    rows: int
    h: Tensor
    g: Tensor
    rr: Tensor
    mean_x: Tensor
    mean_r: Tensor
    power: Tensor
    centred: bool

    def error(self, change: Tensor) -> Tensor:
        """Mean squared output error [groups, outputs], float64, of W + `change` [groups, outputs, inputs]."""
        quadratic = torch.linalg.vecdot(torch.bmm(change, self.h), change)
        return (self.rr - 2 * torch.linalg.vecdot(change, self.g).double() + quadratic.double()).clamp_(min=0.0)

    def shift(self, change: Tensor) -> Tensor:
        """What has to be added to the bias so that the mean error of W + `change` is zero [groups, outputs]."""
        return self.mean_r - torch.linalg.vecdot(change, self.mean_x[:, None])

    def sqnr_db(self, change: Tensor, shift: Tensor | None = None) -> float:
        """SQNR of the layer's output under W + `change` and a bias moved by `shift` [groups, outputs]; not centred. At most 100 dB."""
        error = self.error(change)
        if shift is not None:
            error = (error - (2 * shift * self.shift(change) - shift**2).double()).clamp(min=0.0)
        signal = float(self.power.sum())
        return 10 * math.log10(max(signal, 1e-30) / max(float(error.sum()), signal * 1e-10, 1e-30))


@dataclass
class _Sums:
    """Of one fold."""

    xx: Tensor
    rx: Tensor
    x: Tensor
    r: Tensor
    rr: Tensor
    yy: Tensor
    rows: int = 0


class Moments:
    """Gathers one layer's moments.

    Inputs beyond `limit` are taken in slices of equal size, as groups of their own whose correlations with one another are left
    out; there is no float target then (G = 0). `split` and `join` go between the layer's matrix and these groups.
    """

    def __init__(self, step: LayerStep, budget_bytes: int) -> None:
        form, self._step = step.form, step
        limit = max(int(math.sqrt(budget_bytes / (4 * MATRICES * form.groups))), 16)
        self.slices = -(-form.inputs // limit)
        self.width = -(-form.inputs // self.slices)
        self.weight = form.matrix(step.weight).contiguous()
        self._inside = form.bias(torch.from_numpy(step.bias).float()) if step.inside else torch.zeros(1, 1)
        groups = form.groups * self.slices
        self._folds = [_Sums(torch.zeros(groups, self.width, self.width), torch.zeros(groups, form.outputs, self.width),
                             torch.zeros(groups, self.width), torch.zeros(form.groups, form.outputs),
                             torch.zeros(form.groups, form.outputs, dtype=torch.float64),
                             torch.zeros(form.groups, form.outputs, dtype=torch.float64)) for _ in range(2)]
        self._waiting: list[list[tuple[Tensor, Tensor]]] = [[], []]

    def split(self, matrix: Tensor) -> Tensor:
        """[groups, outputs, inputs] as [groups x slices, outputs, width]; a last slice that is shorter is filled with zeros."""
        if self.slices == 1:
            return matrix
        groups, outputs, inputs = matrix.shape
        padded = torch.nn.functional.pad(matrix, (0, self.slices * self.width - inputs))
        return padded.reshape(groups, outputs, self.slices, self.width).transpose(1, 2).reshape(-1, outputs, self.width)

    def join(self, matrix: Tensor) -> Tensor:
        """The way back from `split`."""
        if self.slices == 1:
            return matrix
        groups, outputs = self._step.form.groups, matrix.shape[1]
        whole = matrix.reshape(groups, self.slices, outputs, self.width).transpose(1, 2).reshape(groups, outputs, -1)
        return whole[:, :, :self._step.form.inputs]

    def times_mean(self, change: Tensor) -> Tensor:
        """What a change [groups x slices, outputs, width] adds to the mean output [groups, outputs]."""
        parts = torch.linalg.vecdot(change, self.problem(centred=False).mean_x[:, None])
        return parts.reshape(self._step.form.groups, self.slices, -1).sum(1)

    def add(self, batch: Batch, chosen: Tensor | None = None) -> None:
        """One batch, at the `chosen` positions of each sample."""
        x, y = self._step.form.rows(batch.x, batch.y_float, chosen, batch.real)
        half = x.shape[1] // 2 if batch.stop - batch.start > 1 else x.shape[1] * (1 - batch.index % 2)
        for fold, (start, stop) in enumerate(((0, half), (half, x.shape[1]))):
            if stop > start:
                self._waiting[fold].append((x[:, start:stop], y[:, start:stop]))
                if sum(part.shape[1] for part, _ in self._waiting[fold]) >= FLUSH_ROWS:
                    self._flush(fold)

    def _flush(self, fold: int) -> None:
        if not self._waiting[fold]:
            return
        x, y = (torch.cat(parts, 1) for parts in zip(*self._waiting[fold], strict=True))
        self._waiting[fold] = []
        sums = self._folds[fold]
        r = y - self._inside[:, None] - torch.bmm(x, self.weight.transpose(1, 2))
        sums.rows += x.shape[1]
        sums.yy += torch.linalg.vecdot(y, y, dim=1).double()
        sums.rr += torch.linalg.vecdot(r, r, dim=1).double()
        sums.r += r.sum(1)
        if self.slices > 1:
            x = self.split(x)
        else:
            sums.rx.baddbmm_(r.transpose(1, 2), x)
        sums.x += x.sum(1)
        sums.xx.baddbmm_(x.transpose(1, 2), x)

    def problem(self, folds: tuple[int, ...] = (0, 1), centred: bool = True) -> Problem:
        """The moments of these folds together."""
        for fold in folds:
            self._flush(fold)
        parts = [self._folds[fold] for fold in folds]
        rows = max(sum(part.rows for part in parts), 1)
        h, g, x, r, rr, yy = (sum(getattr(part, name) for part in parts) / rows for name in ("xx", "rx", "x", "r", "rr", "yy"))
        if centred:
            h -= x[:, :, None] * x[:, None]
            if self.slices == 1:
                g -= r[:, :, None] * x[:, None]
            rr = (rr - r.double() ** 2).clamp(min=0.0)
        return Problem(rows, h, g, rr, x, r, yy, centred)


def gather(step: LayerStep, samples: int, rows: int, seed: int, budget_bytes: int) -> Moments:
    """The moments of a layer over its batches; arguments as for `positions_of`."""
    moments = Moments(step, budget_bytes)
    for batch in step.batches():
        moments.add(batch, positions_of(step, batch, samples, rows, seed))
    return moments


def positions_of(step: LayerStep, batch: Batch, samples: int, rows: int, seed: int) -> Tensor | None:
    """The positions of each sample that are used; None uses all.

    Where a layer has more than `rows` in all `samples`, they are drawn anew for every batch, one in each of as many equal stretches:
    drawn freely they cover the output unevenly, which cost 3 dB.
    """
    positions = step.form.positions(batch.x.shape, batch.y_float.shape)
    each = max(rows // max(samples, 1), 1)
    if each >= positions:
        return None
    generator = torch.Generator().manual_seed(seed * 1_000_003 + batch.index)
    spread = (torch.arange(each) + torch.rand(each, generator=generator)) * (positions / each)
    return spread.long().clamp(max=positions - 1)
