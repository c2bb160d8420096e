"""Trains a classifier of Fashion-MNIST: AdamW, warmup and cosine, random flips and shifts."""
from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sample_models.common.idx import Split

SIZE = 28


@dataclass(frozen=True)
class Plan:
    """How a model is trained; the same plan and seed give the same weights on the same machine."""

    epochs: int
    learning_rate: float
    weight_decay: float
    batch: int = 128
    warmup: float = 0.1
    shift: int = 2
    seed: int = 0


def as_floats(images: Tensor) -> Tensor:
    """Bytes to the model's input, 0..1: the scaling that the data files state."""
    return images.float() / 255


def augment(images: Tensor, shift: int) -> Tensor:
    """Each image mirrored with probability one half and moved by up to `shift` pixels."""
    n = len(images)
    padded = functional.pad(images[:, 0], (shift,) * 4)
    pixels = torch.arange(SIZE)
    top, left = torch.randint(0, 2 * shift + 1, (2, n, 1))
    columns = torch.where(torch.rand(n, 1) < 0.5, pixels, SIZE - 1 - pixels) + left
    rows = pixels + top
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]][:, None]


def batches(split: Split, size: int, shift: int) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in random order, augmented; a last incomplete batch is left out."""
    images, labels = torch.tensor(split.images), torch.tensor(split.labels).long()
    for rows in torch.randperm(len(labels)).unfold(0, size, size):
        yield as_floats(augment(images[rows], shift)), labels[rows]


def schedule(optimizer: torch.optim.Optimizer, steps: int, warmup: float) -> torch.optim.lr_scheduler.LambdaLR:
    """A linear warmup over the first `warmup` of the steps, then half a cosine down to zero."""
    rising = max(1, round(steps * warmup))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def train(model: nn.Module, split: Split, plan: Plan) -> nn.Module:
    """Trains `model` in place as planned, prints a line per epoch, and leaves it in evaluation mode."""
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # halves a convolution net's epoch
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    scheduler = schedule(optimizer, plan.epochs * (len(split.labels) // plan.batch), plan.warmup)
    for epoch in range(plan.epochs):
        model.train()
        start, total, count = time.perf_counter(), 0.0, 0
        for images, labels in batches(split, plan.batch, plan.shift):
            loss = functional.cross_entropy(model(images.to(memory_format=torch.channels_last)), labels)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            scheduler.step()
            total, count = total + loss.item(), count + 1
        seconds = time.perf_counter() - start
        print(f"epoch {epoch + 1}/{plan.epochs}: loss {total / count:.4f}, {seconds:.0f} s", flush=True)
    return model.eval()
