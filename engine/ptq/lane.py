"""One graph carried forward: the values of all batches at a place between two nodes, moved on piece by piece.

Two lanes make a walk: the float graph, and the graph whose layers are being rounded. Only tensors that a later piece reads are
held, so memory does not grow with depth, and no node runs twice.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import onnx_ir
import onnxruntime as ort
import torch

from engine.graph.cuts import segment_of
from engine.graph.model import Model
from engine.ptq.carried import Shelf, Values, owned
from engine.sim.calibration import Samples
from engine.sim.quantization import Quantization
from engine.sim.segment_session import SegmentSession, segment_piece

Tell = Callable[[float], None]
Span = tuple[int, int]


class Lane:
    """The values before node `at` of `order`, for every batch. `quantization` may change for what lies behind `at`."""

    def __init__(self, name: str, model: Model, quantization: Quantization, level: ort.GraphOptimizationLevel, shelf: Shelf,
                 data: Samples, spans: Sequence[Span], stops: Mapping[str, str]) -> None:
        """`stops`: the nodes that a walk stops before, in order, each with a tensor of the piece behind it that is watched, or "".
        What only nodes behind the last of them read is not carried."""
        self.name, self.model, self.quantization, self.level, self.shelf = name, model, quantization, level, shelf
        self._data, self._spans = data, spans
        self.order = [str(node.name) for node in model.graph]
        self.place = {node: i for i, node in enumerate(self.order)}
        self._stops = {self.place[node]: watched for node, watched in stops.items()}
        self._maker: dict[str, int] = {info.name: -1 for info in model.inputs}
        self._reader: dict[str, int] = {}
        for i, node in enumerate(model.graph):
            self._maker.update((str(value.name), i) for value in node.outputs if value.name)
            if i <= max(self._stops):
                self._reader.update((str(v.name), i) for v in node.inputs if v is not None and v.const_value is None)
        self.at = 0
        self._begun = False
        self._nodes = lru_cache(maxsize=None)(lambda name: onnx_ir.serde.serialize_node(model.nodes[name]))

    def live(self, place: int) -> frozenset[str]:
        """The tensors that exist before the node at `place` and are read there or later."""
        return frozenset(name for name, reader in self._reader.items() if self._maker[name] < place <= reader)

    def values(self, batch: int) -> Values:
        """A batch's live values before node `at`."""
        if not self._begun:
            self._pass(0)
        return self.shelf.get((self.name, batch))

    def look(self, stop: int) -> Iterator[tuple[int, Values]]:
        """Runs the piece from `at` to `stop` without moving; gives (batch, values with what is watched). `move` need not run it again."""
        if not self._begun:
            self._pass(0)
        session, live = self._session(self.at, stop), self.live(stop)
        for batch in range(len(self._spans)):
            values = self.values(batch)
            made = session.run(values) if session is not None else {}
            self.shelf.put((f"{self.name} ahead", batch), {name: value for name, value in made.items() if name in live})
            yield batch, values | made

    def move(self, stop: int, tell: Tell = lambda share: None) -> None:
        """Carries all batches to before the node at `stop`, piece by piece as a walk does that looks at every layer.

        Optimizers fuse nodes within a piece, so only the same pieces give the same bits. A raise half way leaves each batch at
        either place; the walk ends then.
        """
        for place in sorted({*(place for place in self._stops if self.at < place < stop), stop}):
            if not self._begun or place > self.at:
                self._pass(place, tell)

    def _pass(self, stop: int, tell: Tell = lambda share: None) -> None:
        session, live = None, self.live(stop)
        for batch, span in enumerate(self._spans):
            tell(batch / len(self._spans))
            here, ahead = (self.name, batch), (f"{self.name} ahead", batch)
            values = self.shelf.get(here) if self._begun else self._feed(span)
            if ahead in self.shelf:
                values |= self.shelf.get(ahead)
                self.shelf.drop(ahead)
            elif not live <= set(values) or not self._begun:
                session = session or self._session(self.at, stop, first=not self._begun)
                values |= session.run(values) if session is not None else {}
            self.shelf.put(here, {name: value for name, value in values.items() if name in live})
        self.at, self._begun = stop, True

    def _feed(self, span: Span) -> Values:
        return {name: owned(array) for name, array in self._data.batch(*span).items()}

    def _session(self, start: int, stop: int, first: bool = False) -> SegmentSession | None:
        """The nodes `start`..`stop` (exclusive), giving what is live behind them and what is watched; the first piece quantizes the
        model's inputs."""
        names = self.order[start:stop]
        segment = segment_of(start, [self.model.nodes[name] for name in names], set())
        entering = tuple(i.name for i in self.model.inputs if i.name in self.quantization.activations) if first else ()
        made = (*segment.produces, *entering)
        outputs = tuple(name for name in made if name in self.live(stop) or name == self._stops.get(start))
        if not outputs:
            return None
        nodes = {name: self._nodes(name) for name in names}
        piece = segment_piece(self.model, segment, self.quantization, outputs, self._constant, nodes, entering)
        return SegmentSession(piece, self.level, str(self.model.path or self.model.name))

    def _constant(self, name: str, quantization: Quantization) -> np.ndarray:
        data: np.ndarray = np.array(self.model.constant(name))
        encoding = quantization.constant(name)
        return data if encoding is None else encoding.fake_quantize(torch.from_numpy(data), check=True).numpy()


def replaced(quantization: Quantization, constants: Mapping[str, object]) -> Quantization:
    """The quantization with other encodings of constants."""
    return Quantization(quantization.activations, {**quantization.constants, **constants}, quantization.biases)  # type: ignore[dict-item]
