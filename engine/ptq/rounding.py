"""Rounding that can be learned: each weight goes to the grid point below or above it (Nagel et al., AdaRound, arXiv 2004.10568).

Eq. 22-24, with s the scale and every tensor of the weight's shape:
    W~ = s clip(floor(W / s) + h(a), low, high),   h(a) = clip(1.2 sigmoid(a) - 0.1, 0, 1).
`low` and `high` are the outermost codes less the zero point. h is stretched beyond 0..1 so that it gets to both ends
at a finite `a`, where its gradient vanishes and the choice is made.
"""
from __future__ import annotations

import torch
from torch import Tensor

GAMMA, ZETA = -0.1, 1.1  # the ends that the sigmoid is stretched to


def rise(a: Tensor) -> Tensor:
    """h(a), the share of a step that a weight rises above its floor: 0..1."""
    return torch.sigmoid(a).mul_(ZETA - GAMMA).add_(GAMMA).clamp_(0.0, 1.0)


def rise_slope(a: Tensor) -> Tensor:
    """dh/da: zero where h has come to 0 or 1."""
    sigmoid = torch.sigmoid(a)
    stretched = sigmoid * (ZETA - GAMMA) + GAMMA
    return (sigmoid * (1 - sigmoid)).mul_(ZETA - GAMMA).mul_((stretched > 0) & (stretched < 1))


def undecided(h: Tensor, beta: float) -> tuple[float, Tensor]:
    """Eq. 24: (sum of 1 - |2h - 1|^beta, its gradient by h). Least, 0, where every h is 0 or 1.

    A high beta is flat in the middle and lets the reconstruction choose; a low one pushes everything to its nearer end.
    """
    away = 2 * h - 1
    power = away.abs().pow_(beta - 1)
    value = h.numel() - float((power * away.abs()).sum(dtype=torch.float64))
    return value, power.mul_(away.sign()).mul_(-2 * beta)


class SoftRounding:
    """The roundings of one weight, all of one shape; `a` is what is learned.

    It begins where W~ equals W, so that the first loss is that of the float weight (clipped to the grid).
    """

    def __init__(self, weight: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> None:
        """`weight` and `scale` in the weight's units; `low` and `high` are codes less the zero point; all broadcast to the weight."""
        steps = weight / scale
        self.scale, self.low, self.high = scale, low, high
        self.floor = steps.floor()
        self.nearest = steps.round()
        share = (steps - self.floor - GAMMA) / (ZETA - GAMMA)
        self.a = torch.log(share / (1 - share))

    def soft(self) -> Tensor:
        """W~, in the weight's units."""
        return torch.clamp(self.floor + rise(self.a), self.low, self.high).mul_(self.scale)

    def through(self, gradient: Tensor) -> Tensor:
        """A loss's gradient by W~ carried to `h`: where the grid ends, rising changes nothing."""
        position = self.floor + rise(self.a)
        return (gradient * self.scale).mul_((position >= self.low) & (position <= self.high))

    def hard(self) -> Tensor:
        """The learned codes less the zero point: up where h(a) is at least one half."""
        return torch.clamp(self.floor + (self.a >= 0), self.low, self.high)

    def to_nearest(self) -> Tensor:
        """The codes less the zero point of plain rounding."""
        return torch.clamp(self.nearest, self.low, self.high)
