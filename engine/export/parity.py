"""The QDQ file in ONNX Runtime against the simulation, batch by batch, and where they first part.

Counted in steps (LSB) of each output's encoding. Top-1 agreement is a share of samples; for sequences of the
positions that are no padding.
"""
from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import onnxruntime as ort

from engine.data import METRICS, Dataset
from engine.errors import BadInput
from engine.export.bundle import QDQ
from engine.export.certificate import Divergence, OutputParity, Parity
from engine.export.qdq import SEEN
from engine.export.qdq_reader import lsb
from engine.export.reference import with_outputs
from engine.export.reread import Bundle
from engine.export.runtime import OFF, ON, run_on, session_on
from engine.progress import Progress
from engine.quant.encoding import Encoding
from engine.quant.precision import Int
from engine.sim.chain import batches
from engine.sim.padding import Padding
from engine.sim.quantization import Quantization

BATCH = 4
WALKED = 16  # samples for the walk along the tensors
SHARE_BEYOND, SHARE_HALF = 0.05, 0.2  # of a tensor's values that may lie beyond the tolerance, and beyond half of it
MAX_DB = 350.0
ROOM = 1e-3  # of a step: differences of whole steps are found in float32


class Simulation(Protocol):
    """What runs a quantization: the desk's chain, or the same node by node."""

    def run(self, quantization: Quantization, feeds: Mapping[str, np.ndarray], watch: Iterable[str] = ()) -> dict[str, np.ndarray]: ...


@dataclass
class _Sums:
    """Running sums of one output."""

    name: str
    encoding: Encoding | None
    signal: float = 0.0
    noise: float = 0.0
    count: int = 0
    within: int = 0
    total: float = 0.0
    greatest: float = 0.0
    broken: bool = field(default=False)

    def add(self, simulated: np.ndarray, found: np.ndarray) -> None:
        a, b = simulated.astype(np.float64), found.astype(np.float64)
        if a.shape != b.shape:
            raise BadInput(f"{QDQ}: output {self.name!r} is {list(b.shape)}, the simulation gives {list(a.shape)}")
        error = np.abs(a - b)
        error[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0  # equal infinities are no difference
        self.broken |= not bool(np.isfinite(error).all())
        error = np.nan_to_num(error, nan=0.0, posinf=0.0)
        self.signal += float(np.square(np.nan_to_num(a, posinf=0.0, neginf=0.0)).sum())
        self.noise += float((error**2).sum())
        steps = error / (lsb(self.encoding) or 1.0)
        self.count += steps.size
        self.within += int((steps <= 1 + ROOM).sum())
        self.total += float(steps.sum())
        self.greatest = max(self.greatest, float(steps.max(initial=0.0)))

    def parity(self) -> OutputParity:
        counted = lsb(self.encoding) is not None
        bits = self.encoding.dtype.bits if self.encoding is not None and isinstance(self.encoding.dtype, Int) else None
        db = -MAX_DB if self.broken else MAX_DB if not self.noise else 10 * float(np.log10(max(self.signal, 1e-300) / self.noise))
        n = max(self.count, 1)
        return OutputParity(self.name, bits, self.greatest if counted else None, self.total / n if counted else None,
                            self.within / n if counted else None, float(np.clip(db, -MAX_DB, MAX_DB)))


def parities(bundle: Bundle, chain: Simulation, data: Dataset, progress: Progress, with_optimizations: bool = True) -> tuple[Parity, ...]:
    """One `Parity` without optimizations, one with all of them; the simulation runs once."""
    raw = bundle.qdq.SerializeToString()
    runs = [Run(bundle, session_on(raw, level, QDQ), level == ON) for level in (OFF, ON) if level == OFF or with_optimizations]
    return compare(bundle, chain, data, runs, progress)


def parity_of(bundle: Bundle, chain: Simulation, data: Dataset, progress: Progress) -> Parity:
    """The file without optimizations against a simulation."""
    return compare(bundle, chain, data, [Run(bundle, session_on(bundle.qdq, OFF, QDQ), False)], progress)[0]


def compare(bundle: Bundle, chain: Simulation, data: Dataset, runs: list[Run], progress: Progress) -> tuple[Parity, ...]:
    """Each run's figures against the simulation on all of `data`."""
    padding = Padding.of(bundle.model)
    for start, stop in batches(len(data), _batch(bundle)):
        progress(start / len(data), f"Verifying: sample {start} of {len(data)}")
        feeds = data.batch(start, stop)
        simulated = chain.run(bundle.own, feeds)
        mask = feeds.get(padding.mask) if padding.mask else None
        for run in runs:
            run.add(feeds, simulated, mask)
    return tuple(run.parity(len(data)) for run in runs)


class Run:
    """One session of the file."""

    def __init__(self, bundle: Bundle, session: ort.InferenceSession, optimized: bool) -> None:
        self.session, self.optimized = session, optimized
        self.sums = [_Sums(o.name, output_encoding(bundle, o.name)) for o in bundle.model.outputs if o.is_float]
        self.hits: list[float] = []
        self.seconds = 0.0

    def add(self, feeds: Mapping[str, np.ndarray], simulated: Mapping[str, np.ndarray], mask: np.ndarray | None) -> None:
        begin = time.perf_counter()
        found = run_on(self.session, dict(feeds), QDQ)
        self.seconds += time.perf_counter() - begin
        for sums in self.sums:
            if sums.name not in found:
                raise BadInput(f"{QDQ}: no output {sums.name!r}, which model.onnx has")
            sums.add(simulated[sums.name], found[sums.name])
        if self.sums:
            name = self.sums[0].name
            with suppress(BadInput):  # no class scores
                self.hits += np.asarray(METRICS["agreement"].function(found[name], simulated[name], mask)).tolist()

    def parity(self, samples: int) -> Parity:
        outputs = tuple(s.parity() for s in self.sums)
        counted = [o for o in outputs if o.max_lsb is not None]
        return Parity(
            self.optimized, samples, max((o.max_lsb or 0.0 for o in counted), default=None),
            max((o.mean_lsb or 0.0 for o in counted), default=None), min((o.within_1_lsb or 0.0 for o in counted), default=None),
            min((o.sqnr_db for o in outputs), default=MAX_DB), float(np.mean(self.hits)) if self.hits else None, self.seconds, outputs)


def output_encoding(bundle: Bundle, name: str) -> Encoding | None:
    """The encoding that an output's values lie on, its own or the one it carries."""
    return next(iter(bundle.quantizations.values())).activations.get(name)


def _batch(bundle: Bundle) -> int:
    """Samples per run; one where the model's first dimension is fixed."""
    fixed = [i.shape[0] for i in bundle.model.inputs if i.shape and isinstance(i.shape[0], int)]
    return 1 if 1 in fixed or len(fixed) == len(bundle.model.inputs) else BATCH


@dataclass
class _Walked:
    """One tensor on the way: how many of its values differ by more steps than `allowed`, and than half of that."""

    name: str
    encoding: Encoding
    allowed: float
    greatest: float = 0.0
    beyond: int = 0
    half: int = 0
    count: int = 0

    def add(self, simulated: np.ndarray, found: np.ndarray) -> None:
        step = lsb(self.encoding) or float(np.abs(simulated).max(initial=0.0)) * 2.0**-9 or 1.0  # fp16: two of its last places
        same = (simulated == found) | (np.isnan(simulated) & np.isnan(found))
        steps = np.where(same, 0.0, np.nan_to_num(np.abs(simulated - found) / step, nan=np.inf))
        self.greatest = max(self.greatest, float(steps.max(initial=0.0)))
        self.beyond += int((steps > self.allowed + ROOM).sum())
        self.half += int((steps > self.allowed / 2 + ROOM).sum())
        self.count += steps.size

    def diverged(self, bundle: Bundle) -> Divergence | None:
        """A wrong scale may move many values by no more than is allowed; float rounding moves few, so half of it counts too."""
        n = max(self.count, 1)
        for share, limit, steps in ((self.beyond / n, SHARE_BEYOND, self.allowed), (self.half / n, SHARE_HALF, self.allowed / 2)):
            if share > limit:
                node = next((node for node in bundle.model.graph for v in node.outputs if v.name == self.name), None)
                where = (str(node.name), node.op_type) if node is not None else ("", "input")
                return Divergence(self.name, *where, self.greatest, share, steps)
        return None


def first_divergence(bundle: Bundle, chain: Simulation, data: Dataset, progress: Progress) -> Divergence | None:
    """Walks the quantized tensors in order of execution, on a few samples and without optimizations."""
    walk = _walk(bundle)
    session = session_on(with_outputs(bundle.qdq, [w.name for w in walk]), OFF, QDQ)
    samples = min(WALKED, len(data))
    for start, stop in batches(samples, _batch(bundle)):
        progress(start / samples, "Comparing tensor by tensor")
        feeds = data.batch(start, stop)
        simulated = chain.run(bundle.own, feeds, [w.name for w in walk])
        found = run_on(session, dict(feeds), QDQ)
        for walked in walk:
            walked.add(simulated[walked.name], found[walked.name + SEEN if walked.name + SEEN in found else walked.name])
    return next((seen for walked in walk if (seen := walked.diverged(bundle)) is not None), None)


def _walk(bundle: Bundle) -> list[_Walked]:
    """The tensors in order of execution. Steps are as fine as the tensor, differences as coarse as the coarsest before it."""
    order = {name: i for i, name in enumerate(bundle.model.values)}
    names = sorted((n for n, found in bundle.quantizers.items() if n in bundle.own.activations and found), key=lambda n: order[n])
    walk, coarsest = [], 16
    for name in names:
        encoding = bundle.own.activations[name]
        bits = encoding.dtype.bits if isinstance(encoding.dtype, Int) else 16
        coarsest = min(coarsest, bits)
        walk.append(_Walked(name, encoding, tolerance(bits, coarsest) if lsb(encoding) else 1.0))
    return walk


def tolerance(bits: int, coarsest: int) -> float:
    """Steps by which a value may differ: one of the coarsest grid so far, or of 12 bits where all are finer."""
    return float(2 ** max(0, bits - min(coarsest, 12)))
