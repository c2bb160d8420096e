"""Training state on disk after every epoch, so that a killed run goes on to the same curve."""
from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

State = dict[str, Any]


class Checkpoints:
    """The newest state of one training run. `key` names what the run depends on; None as folder keeps nothing."""

    def __init__(self, folder: Path | None, key: str) -> None:
        self._path = None if folder is None else folder / f"training_{key}.safetensors"

    def save(self, tensors: Mapping[str, Tensor], plain: State) -> None:
        """Replaces the state at once, or not at all."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, part, {"state": json.dumps(plain)})
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(self._path)

    def load(self) -> tuple[dict[str, Tensor], State] | None:
        """The tensors and plain values saved last; None where there are none or the file is damaged."""
        if self._path is None or not self._path.is_file():
            return None
        try:
            with safe_open(self._path, "pt") as file:  # type: ignore[no-untyped-call]
                return {name: file.get_tensor(name) for name in file.keys()}, json.loads((file.metadata() or {})["state"])  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, ValueError):
            return None


def kept_state(folder: Path, key: str) -> State | None:
    """The plain values saved last, without the tensors; None where there are none or the file is damaged."""
    try:
        with safe_open(folder / f"training_{key}.safetensors", "pt") as file:  # type: ignore[no-untyped-call]
            found: State = json.loads((file.metadata() or {})["state"])
            return found
    except (SafetensorError, OSError, KeyError, ValueError):
        return None


def flat_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], State]:
    """An optimizer's state as tensors by name, and its plain values."""
    state = optimizer.state_dict()
    tensors, plain = {}, dict[str, State]()
    for number, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{number}.{key}"] = value
            else:
                plain.setdefault(str(number), {})[key] = value
    return tensors, {"groups": state["param_groups"], "state": plain}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], plain: State) -> None:
    """The reverse of `flat_optimizer`."""
    state: dict[int, State] = {int(n): dict(values) for n, values in plain["state"].items()}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".", 2)
            state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": plain["groups"]})
