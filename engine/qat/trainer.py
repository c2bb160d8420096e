"""Training as one call: a simulation in, the same simulation with the best epoch's weights and ranges out."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from engine.data import Dataset
from engine.progress import Progress, silent
from engine.qat.checkpoints import Checkpoints
from engine.qat.config import Qat
from engine.qat.figures import Training
from engine.qat.run import Run, Watch
from engine.sim.quantsim import QuantSim


def train(sim: QuantSim, data: Dataset, config: Qat | None = None, progress: Progress = silent, folder: Path | None = None,
          key: str = "", watch: Watch | None = None, device: str | None = None) -> Training:
    """Trains `sim`, which must be calibrated, on `data`; it then has the weights and ranges of the best epoch.

    Args:
        data: bound to the model's inputs; a part is held out to choose the best epoch. Labels are needed only where they count.
        folder: where the state after each epoch is kept; a run with the same `key` goes on from it, to the same result.
        watch: called after each epoch; it may raise `Cancelled` or another exception to stop.

    Raises:
        Cancelled: with the simulation as it was; a later run with the same key goes on.
        BadInput: data that do not fit, or a loss that stays without a finite value.
    """
    config = config or Qat()
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    run = Run(sim, data, config, torch.device(chosen), Checkpoints(folder, key))
    with _seeded(config.seed):
        run.resume()
        run.epochs(progress, watch)
    run.finish(sim)
    return run.training


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Dropout and the like follow the seed; the caller's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
