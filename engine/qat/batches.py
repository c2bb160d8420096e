"""Training data in batches: held-out split, seeded order, streaming with workers, augmentation of pictures."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from engine.data import Dataset
from engine.errors import BadInput
from engine.qat.config import Qat

Indices = np.ndarray[Any, np.dtype[np.int64]]


class Batch:
    """One batch: `inputs` by name, `labels` or None, `index` of each sample in the training data."""

    def __init__(self, inputs: dict[str, Tensor], labels: Tensor | None, index: Tensor) -> None:
        self.inputs, self.labels, self.index = inputs, labels, index


class _Reader(torch.utils.data.Dataset[Batch]):
    """Reads the samples of one list of indices; picklable, so that workers can have a copy."""

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __getitem__(self, index: Indices) -> Batch:
        some = self.data.take(index)
        inputs = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in some.batch(0, len(index)).items()}
        labels = None if some.labels is None else torch.from_numpy(np.ascontiguousarray(some.labels))
        return Batch(inputs, labels, torch.from_numpy(np.asarray(index)))


class Batches:
    """The two parts of the training data. Same seed, same batches, whatever the number of workers."""

    def __init__(self, data: Dataset, config: Qat) -> None:
        """Raises `BadInput` for data of fewer than two samples."""
        if len(data) < 2:
            raise BadInput(f"training data of {len(data)} samples: expected at least 2, one to train on and one to hold out")
        self._data, self._config = data, config
        order = np.random.default_rng(config.seed).permutation(len(data))
        held = min(max(round(len(data) * config.validation), 1), len(data) - 1)
        self.held_out: Indices = np.sort(order[:held])
        self.trained: Indices = np.sort(order[held:])

    @property
    def steps(self) -> int:
        """Batches of an epoch; a last incomplete one counts where it is the only one."""
        return max(1, len(self.trained) // self._config.batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch in its own order, augmented."""
        order = np.random.default_rng((self._config.seed, 1 + epoch)).permutation(self.trained)
        size = min(self._config.batch, len(order))
        lists = [np.asarray(order[i * size:(i + 1) * size]) for i in range(start, self.steps)]
        for step, batch in enumerate(self._read(lists), start):
            generator = torch.Generator().manual_seed((self._config.seed * 1_000_003 + epoch) * 1_000_003 + step)
            batch.inputs = {name: augment(x, self._config, generator) for name, x in batch.inputs.items()}
            yield batch

    def validation(self) -> Iterator[Batch]:
        """The held-out samples, as they are."""
        size = self._config.batch
        return self._read([self.held_out[i:i + size] for i in range(0, len(self.held_out), size)])

    def _read(self, lists: Sequence[Indices]) -> Iterator[Batch]:
        loader = DataLoader(_Reader(self._data), batch_size=None, sampler=lists, num_workers=self._config.workers)  # type: ignore[arg-type]
        yield from loader


def augment(x: Tensor, config: Qat, generator: torch.Generator) -> Tensor:
    """Pictures [N, C, H, W] mirrored with probability one half and moved by up to `shift` pixels; anything else stays as it is."""
    if config.augment == "none" or x.dim() != 4 or not x.is_floating_point():
        return x
    if "flip" in config.augment:
        mirrored = torch.rand(len(x), generator=generator) < 0.5
        x = torch.where(mirrored[:, None, None, None], x.flip(-1), x)
    return _moved(x, config.shift, generator) if "shift" in config.augment and config.shift else x


def _moved(x: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    n, _, height, width = x.shape
    padded = functional.pad(x, (shift,) * 4, mode="replicate")
    top, left = torch.randint(0, 2 * shift + 1, (2, n), generator=generator)
    rows = torch.arange(height)[None] + top[:, None]
    columns = torch.arange(width)[None] + left[:, None]
    return padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1).contiguous()
