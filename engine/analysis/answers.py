"""What a run answered sample by sample, small enough to keep: scores, and the classes with how close each decision was, or
where there are no classes how close the output is to the float model's.

Kept by content (model, data, metric, recipe), so that comparing what was measured once costs nothing.
"""
from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.analysis.decisions import Decisions
from engine.data.dataset import Array

VERSION = 1  # raised when the engine's numbers or this file's arrays change
IN_MEMORY = 8
_ARRAYS = ("scores", "predicted", "second", "margin", "cosine", "sqnr_db")


@dataclass(frozen=True, eq=False)
class Answers:
    """One run on N evaluation samples, in their order.

    Attributes:
        scores: the metric per sample, [N] float32; None where it is one number for all.
        value: that number, else the mean score. Higher is better.
        predicted: the class with the greatest output, [N] int32, or [N, P] where each position of a sample has one; None
            where the outputs are no class scores.
        second: the class that came second, as `predicted`.
        margin: greatest output minus the second, float32, in the output's own unit: small is a close decision.
        report: the measured report of the run, without per-sample values; None for the float model.
        positions: how a sample's positions lie, such as (T,) or (H, W), of which every `step`-th is kept.
        cosine, sqnr_db: of each sample's output against the float model's, [N] float32; None where there are classes.
    """

    scores: Array | None
    value: float
    predicted: Array | None = None
    second: Array | None = None
    margin: Array | None = None
    report: Mapping[str, Any] | None = None
    positions: tuple[int, ...] = ()
    step: int = 1
    cosine: Array | None = None
    sqnr_db: Array | None = None


def answers_of(scores: Array | float, decided: Decisions | None, report: Mapping[str, Any] | None = None,
               close: tuple[Array, Array] | None = None) -> Answers:
    """The answers in a run's scores, its decisions, or else `close`: cosine and SQNR of each sample."""
    each = None if np.ndim(scores) == 0 else np.asarray(scores, np.float32)
    value, (cosine, sqnr_db) = float(np.mean(scores)), close or (None, None)
    if decided is None:
        return Answers(each, value, report=report, cosine=cosine, sqnr_db=sqnr_db)
    return Answers(each, value, decided.predicted, decided.second, decided.margin, report, decided.positions, decided.step)


class AnswerStore:
    """Answers in memory and, where there is a folder, in small files; a disk that is full costs the file alone."""

    def __init__(self, folder: Path | None, context: object) -> None:
        """`context` is all that the answers of every run depend on: model, data, metric; plain values."""
        digest = hashlib.sha256(json.dumps([VERSION, context], sort_keys=True).encode()).hexdigest()[:24]
        self._folder = None if folder is None else folder / digest
        self._memory: OrderedDict[str, Answers] = OrderedDict()

    def load(self, key: str) -> Answers | None:
        """The answers of a run, or None; a damaged file is as good as none."""
        found = self._memory.get(key) or self._read(key)
        if found is not None:
            self._remember(key, found)
        return found

    def save(self, key: str, answers: Answers) -> None:
        """Keeps the answers of a run."""
        self._remember(key, answers)
        if self._folder is None:
            return
        path = self._path(key)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        arrays = {name: array for name in _ARRAYS if (array := getattr(answers, name)) is not None}
        told = {"value": answers.value, "report": answers.report, "positions": answers.positions, "step": answers.step}
        facts = json.dumps(told, default=_plain).encode()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                np.savez_compressed(file, facts=np.frombuffer(facts, np.uint8), **arrays)  # type: ignore[arg-type]
            os.replace(temporary, path)
        except OSError:
            return
        finally:
            temporary.unlink(missing_ok=True)

    def _remember(self, key: str, answers: Answers) -> None:
        self._memory[key] = answers
        self._memory.move_to_end(key)
        while len(self._memory) > IN_MEMORY:
            self._memory.popitem(last=False)

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"

    def _read(self, key: str) -> Answers | None:
        if self._folder is None:
            return None
        try:
            with np.load(self._path(key), allow_pickle=False) as file:
                facts = json.loads(file["facts"].tobytes())
                arrays = {name: file[name] for name in _ARRAYS if name in file.files}
            return Answers(arrays.get("scores"), float(facts["value"]), arrays.get("predicted"), arrays.get("second"),
                           arrays.get("margin"), facts["report"], tuple(int(p) for p in facts.get("positions") or ()),
                           int(facts.get("step") or 1), arrays.get("cosine"), arrays.get("sqnr_db"))
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError):
            return None


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
