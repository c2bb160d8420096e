"""The forward executor: the graph as a chain of ONNX Runtime sessions.

A change of an encoding touches one segment; only that segment's session is made again. A run may
start at any segment from kept tensors, and any tensor can be watched. Sessions are kept by the
contents of the encodings inside them, so going back to an earlier setting costs nothing.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property

import numpy as np
import onnx_ir
import onnxruntime as ort
import torch

from engine.errors import BadInput
from engine.graph.cuts import MAX_NODES, MIN_NODES, Segment, cut
from engine.graph.model import Model
from engine.sim.quantization import Quantization
from engine.sim.segment_session import RAW, SegmentSession, quantized_inputs, segment_piece

MAX_SESSIONS, MAX_BYTES = 256, 128 << 20  # kept sessions in all, and their weights; the oldest unused ones go first
MAX_LINES, MIN_LINES = 8, 2
Values = dict[str, ort.OrtValue]
Line = list[tuple[SegmentSession | None, tuple[str, ...]]]


class Chain:
    """Runs one graph under any quantization. Not thread-safe; one per process is enough."""

    def __init__(self, model: Model, min_nodes: int = MIN_NODES, max_nodes: int = MAX_NODES) -> None:
        self.model = model
        weights = frozenset(w for layer in model.layers for w in layer.weights)
        self.segments = cut(model.graph, weights, min_nodes, max_nodes)
        self.level = optimization_level(model)
        self.nodes = {str(node.name): onnx_ir.serde.serialize_node(node) for node in model.graph}  # the whole proto would copy all weights
        self._sessions: OrderedDict[tuple[object, ...], SegmentSession] = OrderedDict()
        self._lines: OrderedDict[tuple[int, frozenset[str]], tuple[Quantization, Line]] = OrderedDict()
        self._rounded: dict[str, tuple[str, np.ndarray]] = {}
        self._floats: dict[str, tuple[object, np.ndarray]] = {}

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        return tuple(o.name for o in self.model.outputs)

    def run(self, quantization: Quantization, feeds: Mapping[str, np.ndarray], watch: Iterable[str] = ()) -> dict[str, np.ndarray]:
        """The model's outputs and the watched tensors, as their readers see them."""
        wanted = frozenset((*self.output_names, *watch))
        found = self.run_from(0, quantization, {name: ort.OrtValue.ortvalue_from_numpy(a) for name, a in feeds.items()}, wanted)
        return {name: found[name].numpy() for name in wanted}

    def run_from(self, start: int, quantization: Quantization, values: Values, wanted: frozenset[str]) -> Values:
        """Runs segments `start`.. from the tensors in `values` (model inputs, side tensors, those live before the cut).

        What a start needs is said by `needs`. Returns all values that are still live or wanted at the end: inner
        tensors are freed as soon as no later segment reads them. `RAW + name` asks for a tensor before its quantizer.
        """
        values = dict(values)
        for session, dead in self.line(quantization, wanted)[start:]:
            if session is not None:
                values.update(session.run(values))
            for name in dead:
                values.pop(name, None)
        return values

    def line(self, quantization: Quantization, wanted: frozenset[str]) -> Line:
        """For each segment its session (None where there is nothing to run) and the tensors to free after it.

        Kept for the last few pairs of quantization and wanted tensors: a run of thousands of batches asks for the same.
        """
        key = (id(quantization), wanted)
        kept = self._lines.get(key)
        if kept is None or kept[0] is not quantization:
            line: Line = []
            for segment in self.segments:
                runs = segment.nodes or quantized_inputs(self.model, segment, quantization)
                session = self.session(segment, quantization, wanted) if runs else None
                line.append((session, tuple(name for name in self._dead_after[segment.index] if name not in wanted)))
            kept = self._lines[key] = (quantization, line)
            self._shrink()
        self._lines.move_to_end(key)
        return kept[1]

    def needs(self, start: int) -> frozenset[str]:
        """The tensors that segments `start`.. read and do not make: what must be kept to start there."""
        made: set[str] = set()
        reads: set[str] = set()
        for segment in self.segments[start:]:
            reads |= set(segment.reads) - made
            made |= set(segment.produces)
        return frozenset(reads)

    def session(self, segment: Segment, quantization: Quantization, wanted: frozenset[str] = frozenset()) -> SegmentSession:
        """The session of a segment under a quantization, made when its contents were not met before."""
        outputs = self._outputs(segment, quantization, wanted)
        key = (segment.index, outputs, self.contents(segment, quantization))
        if key in self._sessions:
            self._sessions.move_to_end(key)
            return self._sessions[key]
        session = self._sessions[key] = self.make(segment, quantization, outputs, quantized_inputs(self.model, segment, quantization))
        return session

    def make(self, segment: Segment, quantization: Quantization, outputs: Iterable[str], entering: tuple[str, ...]) -> SegmentSession:
        """A session that the chain does not keep; the arguments are those of `segment_piece`."""
        piece = segment_piece(self.model, segment, quantization, outputs, self.constant, self.nodes, entering)
        return SegmentSession(piece, self.level, str(self.model.path or self.model.name))

    def bytes(self, segment: Segment) -> int:
        """The bytes of the initializers that a session of the segment holds."""
        values = (self.model.graph.initializers[name].const_value for name in segment.initializers)
        return sum(value.nbytes for value in values if value is not None)

    def _shrink(self) -> None:
        """Drops the oldest lines, and sessions that are in none, until what is kept is within its limits."""
        while len(self._lines) > MIN_LINES and (len(self._lines) > MAX_LINES or self._kept_bytes() > MAX_BYTES):
            self._lines.popitem(last=False)
        used, held = {id(session) for _, line in self._lines.values() for session, _ in line}, self._kept_bytes()
        for key, session in list(self._sessions.items()):
            if len(self._sessions) <= MAX_SESSIONS and held <= MAX_BYTES:
                break
            if id(session) not in used:
                del self._sessions[key]
                held -= session.bytes

    def _kept_bytes(self) -> int:
        in_lines = (session for _, line in self._lines.values() for session, _ in line if session is not None)
        return sum({id(session): session.bytes for session in (*self._sessions.values(), *in_lines)}.values())

    def constant(self, name: str, quantization: Quantization) -> np.ndarray:
        """An initializer as the layer sees it: rounded by its encoding, once for each encoding."""
        encoding = quantization.constant(name)
        if encoding is None:
            return self._float(name)
        kept = self._rounded.get(name)
        if kept is None or kept[0] != encoding.key():
            try:
                rounded = encoding.fake_quantize(torch.from_numpy(np.array(self.model.constant(name))), check=True)
            except BadInput as error:
                raise BadInput(f"initializer {name!r}: {error}; give its layer another precision") from None
            kept = self._rounded[name] = (encoding.key(), rounded.numpy())
        return kept[1]

    def _float(self, name: str) -> np.ndarray:
        """The data of an initializer, one array for all sessions: the model copies them out of its file at each call."""
        source = self.model.graph.initializers[name].const_value
        kept = self._floats.get(name)
        if kept is None or kept[0] is not source:
            kept = self._floats[name] = (source, np.ascontiguousarray(self.model.constant(name)))
        return kept[1]

    def touched(self, before: Quantization, after: Quantization) -> int | None:
        """The first segment whose contents differ between two quantizations; None when none does."""
        for segment in self.segments:
            if self.contents(segment, before) != self.contents(segment, after):
                return segment.index
        return None

    def _outputs(self, segment: Segment, quantization: Quantization, wanted: frozenset[str]) -> tuple[str, ...]:
        made = (*segment.produces, *quantized_inputs(self.model, segment, quantization))
        keep = wanted | self._later[segment.index]
        raw = tuple(RAW + name for name in segment.produces if RAW + name in wanted)
        return (*(name for name in made if name in keep), *raw)

    def dead_after(self, index: int) -> tuple[str, ...]:
        """The tensors that nothing reads after segment `index`."""
        return self._dead_after[index]

    def contents(self, segment: Segment, quantization: Quantization) -> tuple[str, ...]:
        """The encodings that the segment's session depends on."""
        parts = []
        for name in (*segment.produces, *quantized_inputs(self.model, segment, quantization)):
            if name in quantization.activations:
                parts.append(f"{name}={quantization.activations[name].key()}")
        for name in segment.initializers:
            encoding = quantization.constant(name)
            if encoding is not None:
                parts.append(f"{name}={encoding.key()}")
        return tuple(parts)

    @cached_property
    def _later(self) -> list[frozenset[str]]:
        """For each segment, every tensor that a later one reads."""
        later: list[frozenset[str]] = []
        reads: frozenset[str] = frozenset()
        for segment in reversed(self.segments):
            later.append(reads)
            reads |= frozenset(segment.reads)
        return later[::-1]

    @cached_property
    def _dead_after(self) -> list[tuple[str, ...]]:
        """For each segment, the tensors that nothing reads after it."""
        last: dict[str, int] = {}
        for segment in self.segments:
            last.update(dict.fromkeys((*segment.produces, *segment.reads), segment.index))
        last.update((i.name, max(last.get(i.name, 0), 0)) for i in self.model.inputs)
        dead: list[list[str]] = [[] for _ in self.segments]
        for name, index in last.items():
            dead[index].append(name)
        return [tuple(names) for names in dead]


def optimization_level(model: Model) -> ort.GraphOptimizationLevel:
    """All optimizations where convolutions do most of the work; basic ones elsewhere.

    Transformers gain nothing from the others, and with basic ones a chain is bit-equal to the whole graph.
    """
    total = sum(layer.macs for layer in model.layers)
    conv = sum(layer.macs for layer in model.layers if layer.op_type in ("Conv", "ConvTranspose"))
    level = ort.GraphOptimizationLevel
    return level.ORT_ENABLE_ALL if conv * 2 >= total else level.ORT_ENABLE_BASIC


def batches(count: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of consecutive batches."""
    return ((start, min(start + size, count)) for start in range(0, count, size))


def best_batch(run: Callable[[int], object], candidates: Iterable[int], clock: Callable[[], float], repeats: int = 3) -> int:
    """The fewest samples per run that cost at most 5 % more time per sample than the best, from a short trial.

    `run(n)` runs n samples once. Fewer, because quantizers touch more memory than the float graph that is tried.
    """
    costs: dict[int, float] = {}
    for size in candidates:
        run(size)  # the first run allocates
        times = []
        for _ in range(repeats):
            begin = clock()
            run(size)
            times.append(clock() - begin)
        costs[size] = min(times) / size
    return min(size for size in costs if costs[size] <= 1.05 * min(costs.values()))
