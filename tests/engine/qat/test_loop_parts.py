"""Parts of the training loop, each by what it does to the numbers: schedule, clipping, average, the best epoch, reading, bits."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from engine.data import Dataset
from engine.errors import Cancelled
from engine.graph import from_proto
from engine.ptq import apply_steps
from engine.qat import Qat, train
from engine.qat.average import Average
from engine.qat.checkpoints import Checkpoints
from engine.qat.optimizers import make_schedule
from engine.qat.run import Run
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim
from tests.engine.qat.test_trainer import QUICK, keys, make
from tests.graphs import conv_net


def rates(config: Qat, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    schedule, found = make_schedule(optimizer, config, steps), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_step_size_rises_and_then_falls_by_a_cosine_to_nearly_nothing() -> None:
    found = rates(Qat(learning_rate=1.0, warmup=0.2), 100)
    assert found[:20] == pytest.approx([(i + 1) / 21 for i in range(20)]) and max(found) == found[20] == 1.0
    assert found[60] == pytest.approx(0.5) and found[-1] < 1e-3 and all(a > b for a, b in pairwise(found[20:]))
    straight = rates(Qat(learning_rate=1.0, warmup=0.0, schedule="linear"), 10)
    assert straight == pytest.approx([1 - i / 10 for i in range(10)])
    assert rates(Qat(learning_rate=1.0, warmup=0.0, schedule="constant"), 5) == [1.0] * 5


def a_run(config: Qat) -> Run:
    sim, data = make()
    return Run(sim, data, config, torch.device("cpu"), Checkpoints(None, ""))


def moved(config: Qat) -> float:
    """How far one step of plain gradients goes."""
    run = a_run(config)
    before = torch.cat([p.detach().reshape(-1).clone() for p in run.module.parameters()])
    run._backward(next(iter(run.batches.epoch(1))))
    run._update()
    return float((torch.cat([p.detach().reshape(-1) for p in run.module.parameters()]) - before).norm())


def test_a_gradient_is_clipped_to_its_norm() -> None:
    plain = replace(QUICK, optimizer="sgd", learning_rate=1.0, range_rate=1.0, warmup=0.0, schedule="constant", clip_norm=0.0)
    free = moved(plain)
    clipped = moved(replace(plain, clip_norm=1e-3))
    assert free > 0.01 and clipped == pytest.approx(1.9e-3, rel=0.01), "1 + momentum 0.9 (Nesterov) times the norm"


def test_what_is_judged_and_kept_is_the_running_average() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    average = Average(layer, 0.5)
    values, wanted = [4.0, 2.0, 8.0], float(layer.weight.detach())
    for count, value in enumerate(values, 1):
        with torch.no_grad():
            layer.weight.fill_(value)
        average.update()
        decay = min(0.5, (1 + count) / (10 + count))
        wanted = decay * wanted + (1 - decay) * value
    with average.applied():
        assert layer.weight.item() == pytest.approx(wanted)
    assert layer.weight.item() == 8.0, "training goes on from the weights themselves"
    results = []
    for ema in (0.0, 0.9):
        sim, data = make()
        results.append((train(sim, data, replace(QUICK, epochs=1, ema=ema)).epochs[0], keys(sim)))
    assert results[0][0].loss == results[1][0].loss and results[0][0].validation != results[1][0].validation
    assert results[0][1] != results[1][1]


def judged_again(sim: QuantSim, data: Dataset, config: Qat) -> float:
    """The validation loss of a trained simulation, against the float model that it was trained after."""
    sim.reference = make()[0].model
    sim.adopt(make()[0].statistics)
    return train(sim, data, replace(config, epochs=1, learning_rate=0.0, range_rate=0.0, ema=0.0)).start


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_best_epoch_is_what_is_committed_even_where_it_is_not_the_last(ema: float) -> None:
    config = replace(QUICK, epochs=12, learning_rate=0.03, range_rate=0.03, schedule="constant", ema=ema)
    sim, data = make()
    whole = train(sim, data, config)
    curve = [e.validation for e in whole.epochs]
    end = next(n for n in range(2, 13) if curve[n - 1] > min(curve[:n - 1]) < whole.start)  # ended here, its last epoch is not its best
    sim, data = make()
    found = train(sim, data, replace(config, stop_after=end))
    assert 0 < found.best < len(found.epochs) == end
    assert judged_again(sim, data, config) == pytest.approx(found.best_loss, rel=1e-4)


def test_a_cancelled_run_keeps_its_best_epoch(tmp_path: Any) -> None:
    """What `Keep best` does: the same training, ended after the epochs that are done, takes the best of them from disk."""
    config = replace(QUICK, epochs=8, learning_rate=0.03, range_rate=0.03, schedule="constant")
    sim, data = make()
    with pytest.raises(Cancelled):
        train(sim, data, config, at(6), tmp_path, "c")
    found = train(sim, data, replace(config, stop_after=5), folder=tmp_path, key="c")
    assert len(found.epochs) == 5 and found.best_loss == min(e.validation for e in found.epochs)
    assert judged_again(sim, data, config) == pytest.approx(found.best_loss, rel=1e-4)


def at(epoch: int) -> Callable[[float, str], None]:
    """Cancels within an epoch."""
    def progress(fraction: float, message: str) -> None:
        if f"epoch {epoch} of" in message:
            raise Cancelled
    return progress


class Endless:
    """More rows than a memory holds, made as they are read: 60 GB. It knows the most that was read at once."""

    def __init__(self) -> None:
        self.shape, self.dtype, self.most, self.read = (10_000_000, 3, 12, 12), np.dtype(np.float32), 0, 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = np.arange(len(self))[index] if isinstance(index, slice) else np.atleast_1d(index)
        self.most, self.read = max(self.most, len(rows)), self.read + len(rows)
        return np.stack([np.random.default_rng(int(i)).normal(size=self.shape[1:]).astype(np.float32) for i in rows])


def test_rows_are_read_a_batch_at_a_time_however_many_there_are() -> None:
    rows = Endless()
    sim, _ = make()
    run = Run(sim, Dataset("endless", {"x": rows}), replace(QUICK, batch=8), torch.device("cpu"), Checkpoints(None, ""))
    assert rows.read == 0, "nothing is read ahead, nor kept of the float model for all rows"
    for _, batch in zip(range(3), run.batches.epoch(1), strict=False):
        assert math.isfinite(run._backward(batch))
        run._update()
    assert rows.most == 8 and rows.read <= 32


def test_layers_train_at_the_bits_that_the_recipe_gives_each() -> None:
    data = make()[1]
    recipe = Recipe.parse({"mixdown": 1, "target": "generic", "precision": "w8a8", "layers": {"conv1": "w3a4", "conv2": "fp16"}})
    sim = QuantSim(from_proto(conv_net(3), "net"), recipe)
    apply_steps(sim, data)
    sim.calibrate(data)
    assert train(sim, data, QUICK).best
    codes = {la.name: sim.quantization.constants[la.weight].dtype for la in sim.model.layers if la.weight in sim.quantization.constants}
    assert (str(codes["conv0"]), str(codes["conv1"])) == ("int8", "int3") and "16" in str(codes.get("conv2", "fp16"))
    weight = sim.model.layer("conv1").weight
    values = sim.quantization.constants[weight].quantize(torch.from_numpy(np.array(sim.model.constant(weight))))
    assert int(values.max()) - int(values.min()) <= 7
