"""Searching the settings of training with Optuna: trials in a study on disk, bad ones ended early, resumable, several at once.

A trial is a whole training run judged by its best validation loss (lower is better). The study is an SQLite file, so that a stopped
search goes on, and several processes may add trials to one study (`engine.qat.trials` in each).
"""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage

from engine.data import Dataset
from engine.errors import BadInput, nearest
from engine.progress import Progress, part, silent, tell
from engine.qat.config import Qat
from engine.qat.figures import Training
from engine.qat.trainer import train
from engine.setting import check_settings, setting
from engine.sim.quantsim import QuantSim

SEARCHABLE = ("learning_rate", "range_rate", "distillation", "epochs", "ranges", "ema", "augment")


@dataclass(frozen=True)
class Space:
    """What is searched: each field of `Qat` named in `over`, between bounds that fit it."""

    trials: int = setting(12, "Training runs in all, those of earlier searches on the same study included.", 1, 1000)
    over: str = setting("learning_rate range_rate distillation", "Settings that are searched, separated by spaces.")
    lowest_rate: float = setting(1e-4, "Lower end of both step sizes.", 1e-9, 1.0)
    highest_rate: float = setting(3e-2, "Upper end of both step sizes.", 1e-9, 10.0)
    most_epochs: int = setting(8, "Upper end of epochs, where they are searched.", 1, 1000)
    prune: bool = setting(True, "End a trial whose validation loss is worse than the median of the others at the same epoch.")
    seed: int = setting(0, "Decides which settings are tried.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        check_settings(self)
        for name in self.over.split():
            if name not in SEARCHABLE:
                raise BadInput(f"over: {name!r} cannot be searched. {nearest(name, SEARCHABLE)}")
        if self.lowest_rate >= self.highest_rate:
            raise BadInput(f"lowest_rate is {self.lowest_rate} and highest_rate {self.highest_rate}: expected lowest below highest")


@dataclass(frozen=True)
class Trial:
    """One training run of a search. `state`: running, complete, pruned (ended early) or failed; `loss` is its best so far."""

    number: int
    state: str
    settings: Mapping[str, Any]
    loss: float | None
    curve: tuple[float, ...]
    seconds: float


Pick = Callable[[optuna.Trial, Space, bool], Any]
_PICKS: dict[str, Pick] = {
    "learning_rate": lambda t, s, _: t.suggest_float("learning_rate", s.lowest_rate, s.highest_rate, log=True),
    "range_rate": lambda t, s, _: t.suggest_float("range_rate", s.lowest_rate, s.highest_rate, log=True),
    "distillation": lambda t, s, labels: t.suggest_float("distillation", 0.0, 1.0, step=0.25) if labels else 1.0,
    "epochs": lambda t, s, _: t.suggest_int("epochs", 1, s.most_epochs),
    "ranges": lambda t, s, _: t.suggest_categorical("ranges", ["lsq", "pact", "fixed"]),
    "ema": lambda t, s, _: t.suggest_categorical("ema", [0.0, 0.9, 0.99]),
    "augment": lambda t, s, _: t.suggest_categorical("augment", ["none", "shift", "flip_shift"]),
}


class Search:
    """A study: settings of training by the validation loss they reach."""

    def __init__(self, path: Path | None, name: str, space: Space) -> None:
        """`path`: the study's SQLite file, made where it is not there; None keeps it in memory. `name`: what is trained, by content."""
        self.space = space
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        storage = None if path is None else RDBStorage(f"sqlite:///{path}")
        pruner = optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=1) if space.prune else optuna.pruners.NopPruner()
        self.study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True, direction="minimize", pruner=pruner,
                                         sampler=optuna.samplers.TPESampler(seed=space.seed, constant_liar=True))

    def run(self, make: Callable[[], QuantSim], data: Dataset, config: Qat, progress: Progress = silent,
            listen: Callable[[Sequence[Trial]], None] | None = None) -> Qat:
        """Trials until there are `trials` of them; the best settings. `make` gives a fresh simulation for each.

        Raises `Cancelled` when the user stops; what was tried stays in the study.
        """
        while (done := self._finished()) < self.space.trials:
            trial = self.study.ask()
            share = part(progress, done / self.space.trials, (done + 1) / self.space.trials)
            try:
                self._one(trial, make(), data, config, share)
            except BaseException:
                with contextlib.suppress(Exception):
                    self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
                raise
            if listen is not None:
                listen(self.trials())
        return self.best(config)

    def _one(self, trial: optuna.Trial, sim: QuantSim, data: Dataset, config: Qat, progress: Progress) -> None:
        chosen = self.settings(trial, config, data.labels is not None)

        def watch(training: Training) -> None:
            epoch = training.epochs[-1]
            trial.report(epoch.validation, epoch.number)
            tell(progress, {"kind": "trial", "trial": trial.number, "epoch": epoch.number, "loss": epoch.validation})
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            found = train(sim, data, chosen, progress, watch=watch)
        except optuna.TrialPruned:
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self.study.tell(trial, found.best_loss)

    def settings(self, trial: optuna.Trial, config: Qat, labels: bool) -> Qat:
        """The settings of a trial: what the space searches, over those given."""
        return replace(config, **{name: _PICKS[name](trial, self.space, labels) for name in self.space.over.split()})

    def best(self, config: Qat) -> Qat:
        """The given settings with the best trial's; themselves where no trial was finished."""
        done = [t for t in self.study.trials if t.state == optuna.trial.TrialState.COMPLETE]
        if not done:
            return config
        names = {f.name for f in fields(config)}
        return replace(config, **{name: value for name, value in self.study.best_params.items() if name in names})

    def trials(self) -> list[Trial]:
        """All trials of the study, the first first."""
        return [_told(t) for t in self.study.trials]

    def to_json(self, config: Qat) -> dict[str, Any]:
        """Plain values: the trials and the best settings."""
        return {"trials": [asdict(t) for t in self.trials()], "best": asdict(self.best(config)), "space": asdict(self.space)}

    def _finished(self) -> int:
        counted = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        return sum(t.state in counted for t in self.study.trials)


def _told(trial: optuna.trial.FrozenTrial) -> Trial:
    curve = tuple(trial.intermediate_values[step] for step in sorted(trial.intermediate_values))
    seconds = trial.duration.total_seconds() if trial.duration is not None else 0.0
    loss = trial.value if trial.value is not None else min(curve, default=None)
    state = {"FAIL": "failed"}.get(trial.state.name, trial.state.name.lower())
    return Trial(trial.number, state, dict(trial.params), loss, curve, seconds)
