"""The state of one training run, and its loop."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from engine.data import Dataset
from engine.errors import BadInput
from engine.progress import Progress, tell
from engine.qat.average import Average
from engine.qat.batches import Batch, Batches
from engine.qat.checkpoints import Checkpoints, flat_optimizer, restore_optimizer
from engine.qat.config import Qat
from engine.qat.figures import Epoch, Training
from engine.qat.held_out import Held, Judge, score_name
from engine.qat.losses import Loss, Teacher
from engine.qat.optimizers import make_optimizer, make_schedule
from engine.sim.quantsim import QuantSim
from engine.sim.trainable import QuantModule

Watch = Callable[[Training], None]
MAX_RETREATS = 3
SCHEDULE = ("last_epoch", "_step_count", "base_lrs", "_last_lr")  # the rest of its state is code


class Run:
    """The state of one training run."""

    def __init__(self, sim: QuantSim, data: Dataset, config: Qat, device: torch.device, kept: Checkpoints) -> None:
        self.config, self.device, self.kept = config, device, kept
        self.batches = Batches(data, config)
        self.loss = Loss.of(sim.model, data, config)
        self.teacher = Teacher(sim.reference or sim.model, data, config, self.loss.matched, device)
        self.module = QuantModule(sim, ranges=config.ranges, device=device)  # type: ignore[arg-type]
        self.optimizer = make_optimizer(self.module, config)
        self.updates = max(1, -(-self.batches.steps // config.accumulate))
        self.schedule = make_schedule(self.optimizer, config, self.updates * config.epochs)
        self.average = Average(self.module, config.ema)
        self.training = Training(metric=score_name(sim.model, data))
        self.judge = lambda: Judge(sim.model, data, self.loss)
        self.limit = min(config.stop_after or config.epochs, config.epochs)
        self.best = self._weights()
        self.last_good = self._state()
        self.retreats = 0

    def epochs(self, progress: Progress, watch: Watch | None) -> None:
        """All epochs that are still to run."""
        if math.isnan(self.training.start):
            progress(0.0, "Training: the loss before the first step")
            held = self._validation(progress, 0.0)
            self.training.start, self.training.start_score, self.training.float_score = held.loss, held.score, held.float_score
            self._finished()
        while len(self.training.epochs) < self.limit and not self._patience_is_over():
            self._epoch(len(self.training.epochs) + 1, progress)
            if watch is not None:
                watch(self.training)

    def _epoch(self, number: int, progress: Progress) -> None:
        begin = time.perf_counter()
        mean = self._steps(number, progress, begin)
        held = None if mean is None else self._validation(progress, number / self.limit)
        if mean is None or held is None or not math.isfinite(held.loss):
            self._retreat(number)
            return
        seconds = time.perf_counter() - begin
        trained = self.batches.steps * min(self.config.batch, len(self.batches.trained))
        rate = self.optimizer.param_groups[0]["lr"]
        self.training.epochs.append(Epoch(number, mean, held.loss, held.score, seconds, trained / max(seconds, 1e-9), rate))
        if held.loss < self.training.best_loss:
            self.training.best, self.best = number, self._weights()
        self._finished()

    def _steps(self, number: int, progress: Progress, begin: float) -> float | None:
        """One pass over the training part: the mean loss, or None as soon as it is not finite."""
        total, count = 0.0, 0
        for step, batch in enumerate(self.batches.epoch(number)):
            value = self._backward(batch)
            if not math.isfinite(value):
                return None
            last = step + 1 == self.batches.steps
            if (step + 1) % self.config.accumulate == 0 or last:
                self._update()
            total, count = total + value, count + 1
            self._tell(progress, number, step, total / count, begin)
        return total / max(count, 1)

    def _backward(self, batch: Batch) -> float:
        with self._autocast():
            outputs = self.module.run(batch.inputs, self.loss.matched)
        loss = self.loss({n: x.float() for n, x in outputs.items()}, self.teacher.outputs(batch), _on(batch, self.device))
        torch.autograd.backward(loss / self.config.accumulate)
        return float(loss.detach())

    def _update(self) -> None:
        if self.config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.average.update()

    def _validation(self, progress: Progress, done: float) -> Held:
        """On the held-out samples, with the averaged weights where there are any."""
        judge = self.judge()
        with self.average.applied(), torch.no_grad():
            for batch in self.batches.validation():
                progress(min(done, 1.0), "Training: the held-out samples")
                judge.add(self.module.run(batch.inputs, self.loss.matched), self.teacher.outputs(batch), _on(batch, self.device))
        return judge.found()

    def _tell(self, progress: Progress, number: int, step: int, mean: float, begin: float) -> None:
        steps, config = self.batches.steps, self.config
        done = ((number - 1) * steps + step + 1) / (steps * self.limit)
        rate = (step + 1) * config.batch / max(time.perf_counter() - begin, 1e-9)
        tell(progress, {"kind": "training", "epoch": number, "epochs": self.limit, "step": (number - 1) * steps + step + 1,
                        "steps": steps * self.limit, "loss": mean, "samples_per_second": rate,
                        "learning_rate": self.optimizer.param_groups[0]["lr"], "training": self.training.to_json()})
        progress(done, f"Training: epoch {number} of {self.limit}, loss {mean:.4g}, {rate:,.0f} samples a second")

    def _patience_is_over(self) -> bool:
        waited = len(self.training.epochs) - self.training.best
        if not self.config.patience or waited < self.config.patience:
            return False
        note = f"stopped after epoch {len(self.training.epochs)}: no better validation loss for {waited} epochs"
        if note not in self.training.notes:
            self.training.notes.append(note)
        return True

    def _autocast(self) -> torch.autocast:
        supported = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        wanted = self.config.autocast == "bf16" or (self.config.autocast == "auto" and supported)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=wanted)

    def _retreat(self, number: int) -> None:
        """After a loss that is no number: the last good state, with half the step size."""
        self.retreats += 1
        if self.retreats > MAX_RETREATS:
            raise BadInput(f"training: the loss has no finite value in epoch {number}, after {MAX_RETREATS} returns to the last "
                           "good state with half the step size each; lower learning_rate and range_rate, or set clip_norm")
        notes = [*self.training.notes, f"epoch {number}: the loss was no finite number; went back to the state after epoch {number - 1} "
                                       "with half the step size"]
        self._restore(*self.last_good)
        self.optimizer.zero_grad()
        self.training.notes = notes
        for group in self.optimizer.param_groups:
            group["initial_lr"] *= 0.5**self.retreats
        self.schedule.base_lrs = [group["initial_lr"] for group in self.optimizer.param_groups]

    def _finished(self) -> None:
        """The state after an epoch becomes the one to return to, here and on disk."""
        self.last_good = self._state()
        self.kept.save(*self.last_good)

    def resume(self) -> None:
        """Goes on from the state on disk, if there is one of the same shape."""
        found = self.kept.load()
        if found is None or len(found[1]["training"]["epochs"]) > self.limit:
            return
        self._restore(*found)
        self.last_good = self._state()

    def finish(self, sim: QuantSim) -> None:
        """The best epoch's numbers into the simulation; nothing where no epoch was better than the start."""
        if not self.training.best:
            self.training.notes.append("no epoch had a lower validation loss than the start: nothing was changed")
            return
        self.module.load_state_dict(self.best)
        self.module.commit(sim)

    def _weights(self) -> dict[str, Tensor]:
        with self.average.applied():
            return {name: tensor.detach().clone() for name, tensor in self.module.state_dict().items()}

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        flat, plain = flat_optimizer(self.optimizer)
        tensors = {f"module.{n}": t.detach().clone() for n, t in self.module.state_dict().items()}
        tensors |= {f"best.{n}": t for n, t in self.best.items()} | {n: t.detach().clone() for n, t in flat.items()}
        tensors |= {f"average.{n}": t.clone() for n, t in self.average.state().items()}
        schedule = {k: v for k, v in self.schedule.state_dict().items() if k in SCHEDULE}
        return tensors, {"optimizer": plain, "schedule": schedule, "training": self.training.to_json(), "average": self.average.count}

    def _restore(self, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        def named(prefix: str) -> dict[str, Tensor]:
            return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}

        self.module.load_state_dict(named("module."))
        self.best = {n: t.to(self.device) for n, t in named("best.").items()}
        self.average.restore(named("average."), plain["average"])
        restore_optimizer(self.optimizer, tensors, plain["optimizer"])
        self.schedule.load_state_dict({**plain["schedule"], "lr_lambdas": [None] * len(self.schedule.base_lrs)})
        self.training = Training.from_json(plain["training"])


def _on(batch: Batch, device: torch.device) -> Batch:
    if batch.labels is not None:
        batch.labels = batch.labels.to(device)
    return batch
