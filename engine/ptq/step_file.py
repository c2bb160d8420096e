"""A step's result on disk: the graph it left, the encodings it pinned and its report, written whole or not at all.

A cache: a file that cannot be read is as good as none, and the step runs again.
"""
from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import torch

from engine.errors import BadInput
from engine.graph.model import Model
from engine.ptq.technique import StepReport
from engine.quant.encoding import Encoding
from engine.quant.granularity import PER_TENSOR, Granularity, PerBlock, PerChannel
from engine.quant.grid import Grid
from engine.quant.precision import Int
from engine.sim.quantsim import QuantSim

BUDGET = 2 << 30  # bytes of kept steps in one folder; the ones unused for longest go first
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile, EOFError, BadInput)


@dataclass(frozen=True)
class Kept:
    """What a step left: `model` is None where it did not touch the graph."""

    model: Model | None
    pins: Mapping[str, Encoding]
    report: StepReport


def save_step(path: Path, sim: QuantSim, report: StepReport, changed: bool) -> None:
    """Keeps a step's result; a full disk, or a graph beyond what one ONNX file holds, costs the file and nothing else."""
    pins = {name: e for name, e in sim.pinned.items() if isinstance(e.dtype, Int)}
    facts = {"report": report.to_json(), "pins": [[name, _facts(e)] for name, e in pins.items()], "changed": changed}
    arrays = {"facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)}
    for i, encoding in enumerate(pins.values()):
        assert encoding.scale is not None and encoding.zero_point is not None
        arrays |= {f"scale{i}": encoding.scale.numpy(), f"zero{i}": encoding.zero_point.numpy()}
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        if changed:
            arrays["model"] = np.frombuffer(sim.model.proto.SerializeToString(), np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        prune(path.parent, BUDGET)
    except (OSError, ValueError):  # ValueError: a message of more than 2 GB
        return
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def load_step(path: Path, before: Model) -> Kept | None:
    """What `save_step` kept of a step on the graph `before`, or None."""
    try:
        with np.load(path, allow_pickle=False) as file:
            facts = json.loads(file["facts"].tobytes())
            pins = {name: _encoding(of, file[f"scale{i}"], file[f"zero{i}"]) for i, (name, of) in enumerate(facts["pins"])}
            model = _model(file["model"].tobytes(), before) if facts["changed"] else None
            report = StepReport.from_json(facts["report"])
        os.utime(path)
    except _UNREADABLE:
        return None
    return Kept(model, pins, report)


def prune(folder: Path, budget: int) -> None:
    """Drops the files that were not used for longest until the rest fits the budget (bytes)."""
    files = sorted(((f.stat().st_mtime, f.stat().st_size, f) for f in folder.glob("*.npz")), reverse=True)
    total = 0
    for _, size, file in files:
        total += size
        if total > budget:
            file.unlink(missing_ok=True)


def _model(data: bytes, before: Model) -> Model:
    try:
        proto = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own errors share no type
        raise BadInput(f"a kept step is damaged: {error}") from None
    return Model(onnx_ir.from_proto(proto), before.name, before.sha256, before.path, dict(before.feeds))


def _facts(encoding: Encoding) -> dict[str, Any]:
    assert encoding.grid is not None
    kind = encoding.granularity
    axis = kind.axis if isinstance(kind, PerChannel | PerBlock) else None
    return {"bits": encoding.grid.bits, "symmetry": encoding.grid.symmetry, "axis": axis,
            "block": kind.size if isinstance(kind, PerBlock) else None}


def _encoding(facts: Mapping[str, Any], scale: np.ndarray, zero: np.ndarray) -> Encoding:
    axis, block = facts["axis"], facts["block"]
    kind: Granularity = PER_TENSOR if axis is None else PerChannel(axis) if block is None else PerBlock(axis, block)
    grid = Grid(facts["bits"], facts["symmetry"])
    return Encoding(Int(grid.bits), kind, grid, torch.from_numpy(scale.copy()), torch.from_numpy(zero.copy()))
