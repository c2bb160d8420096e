"""PyTorch's optimizers and schedules, by the names of the config."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from engine.qat.config import Qat
from engine.sim.trainable import QuantModule

_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": lambda groups: torch.optim.SGD(groups, momentum=0.9, nesterov=True)}
_FALLING: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)), "linear": lambda done: 1 - done, "constant": lambda done: 1.0}


def make_optimizer(module: QuantModule, config: Qat) -> torch.optim.Optimizer:
    """Over the module's groups: decay on weight matrices alone, a step size of its own for ranges."""
    groups: list[dict[str, Any]] = module.groups(config.learning_rate, config.range_rate, config.weight_decay)
    return _OPTIMIZERS[config.optimizer](groups)


def make_schedule(optimizer: torch.optim.Optimizer, config: Qat, steps: int) -> LambdaLR:
    """Rises linearly over the first `warmup` of the steps, then falls as `schedule` says."""
    rising = round(steps * config.warmup)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        return _FALLING[config.schedule]((step - rising) / max(1, steps - rising))

    return LambdaLR(optimizer, factor)
