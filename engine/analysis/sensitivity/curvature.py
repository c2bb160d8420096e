"""The curvature of the output's score, and random vectors that have it as their covariance.

Near the float output z the additive score is `1/2 dz' F dz`, with F the second derivative of the score in the
quantized output (Martens, "New insights and perspectives on the natural gradient method", 2020, section 5):

* class scores (logits): KL of their softmax, `F = diag(p) - p p'`;
* probabilities (a graph that ends in Softmax): `F = diag(1 / p)`, for changes that sum to zero;
* anything else: half the squared error, `F = I`.

A *probe* is `v = F^(1/2) xi` with independent signs xi, so `E[v v'] = F`; then `E[<v, dz>²] = dz' F dz`.
"""
from __future__ import annotations

import numpy as np
import torch

Tensor = torch.Tensor
LEAST = 1e-12  # probabilities below this count as this, as in the exact score
SLACK = 1e-3  # how far sums may lie from 1 for outputs to be probabilities, as in the exact score


def class_axis(shape: tuple[int, ...]) -> int | None:
    """The axis of the class scores in an output of this shape (with the batch axis); None where F = I.

    The rule of the exact score: the second of four axes (maps of scores), the last of two or three.
    """
    if len(shape) not in (2, 3, 4):
        return None
    axis = 1 if len(shape) == 4 else len(shape) - 1
    return axis if shape[axis] > 1 else None


def probe(output: Tensor, xi: Tensor) -> Tensor:
    """`F^(1/2) xi` for an output [n, …], per sample; the score is a mean over positions, so F has their number as divisor."""
    axis = class_axis(tuple(output.shape))
    if axis is None:
        return xi
    positions = output[0].numel() // output.shape[axis]
    z = output.detach()
    if bool((z >= 0).all()) and bool(((z.sum(axis) - 1).abs() < SLACK).all()):
        return xi / z.clamp(min=LEAST).sqrt() / positions**0.5
    p = z.softmax(axis)
    root = p.sqrt()
    # With B = diag(√p) - p √p': B B' = diag(p) - 2 p p' + p (√p'√p) p' = diag(p) - p p', for √p'√p = 1.
    return (root * xi - p * (root * xi).sum(axis, keepdim=True)) / positions**0.5


class Signs:
    """Random signs for the samples of a set, one batch after the other, whatever the size of the batches."""

    def __init__(self, seed: int, probes: int) -> None:
        self._random, self._probes = np.random.default_rng(seed), probes

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        """Signs [probes, n, …] for an output of shape [n, …]."""
        # Sample by sample: so the numbers that a sample gets do not depend on its batch.
        drawn = self._random.standard_normal((shape[0], self._probes, *shape[1:]))
        return torch.from_numpy(np.where(drawn < 0, np.float32(-1), np.float32(1))).transpose(0, 1)
