"""What the store holds, as frozen records; times are seconds since 1970, paths absolute."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ACTIVE = ("queued", "running")


INTERRUPTED = "Interrupted"  # the kind of a job whose owner, the workbench's process, died


@dataclass(frozen=True)
class Project:
    """One project: its model, data and choices; `sample` names the bundled sample it was made from, or is empty."""

    id: str
    name: str
    created: float
    updated: float
    model: Path
    evaluation: Path | None = None
    calibration: Path | None = None
    training: Path | None = None
    metric: str = ""
    target: str = ""
    sample: str = ""
    thumbnail: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class HistoryLine:
    """One edit. `on_branch`: undo and redo reach it; `current`: the project stands on it."""

    seq: int
    recipe: str
    label: str
    created: float
    parent: int | None = None
    on_branch: bool = True
    current: bool = False


@dataclass(frozen=True)
class Run:
    """The result of one finished job; the report itself is read by `store.runs.report`."""

    id: int
    project: str
    fingerprint: str
    kind: str
    created: float


@dataclass(frozen=True)
class Job:
    """One piece of work for a worker. `run` is the id of its result, `kind` the kind of its error."""

    id: int
    project: str
    verb: str
    args: Mapping[str, Any]
    fingerprint: str
    state: str
    fraction: float
    message: str
    eta: float | None
    error: str
    kind: str
    run: int | None
    owner: str
    created: float
    updated: float
    partial: Mapping[str, Any] | None = field(default=None, compare=False)

    @property
    def interrupted(self) -> bool:
        """Whether it ended with the workbench itself, for no fault of its own."""
        return self.kind == INTERRUPTED

    @property
    def active(self) -> bool:
        """True while the job waits or runs."""
        return self.state in ACTIVE
