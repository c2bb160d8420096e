"""SQNR at each layer's output with the whole recipe on, segment by segment beside the float model.

A segment's noise depends on the encodings up to its end alone, so it is remembered by the key of the cut behind it: after an edit
only the segments from there on are run. Only the tensors of one segment are held, twice.
"""
from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial

import numpy as np

from engine.data import Dataset
from engine.data.builtin_metrics import decibels
from engine.progress import Progress, silent
from engine.sim.chain import batches
from engine.sim.kept_run import KeptRun
from engine.sim.segment_session import SegmentSession

SAMPLES = 128
REMEMBERED = 4096  # segments
Powers = dict[str, tuple[float, float]]  # layer → (signal, noise), sums of squares


class LayerNoise:
    """The noise of segments that were met before, on the first `SAMPLES` samples of one data set."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Powers] = OrderedDict()

    def sqnr(self, run: KeptRun, floats: KeptRun, data: Dataset, batch: int, outputs: Mapping[str, str],
             progress: Progress = silent) -> dict[str, float]:
        """SQNR in dB at each layer's output, pooled over the samples; higher is better.

        Args:
            run: the quantized graph.
            floats: the float model; on the same chain, or on that of the graph before a step rounded its weights.
            outputs: layer name → output tensor.
        """
        places: dict[int, dict[str, str]] = {}
        made = {name: segment.index for segment in run.chain.segments for name in segment.produces}
        for layer, tensor in outputs.items():
            places.setdefault(made[tensor], {})[layer] = tensor
        todo = {index: tensors for index, tensors in places.items() if run.keys[index] not in self._known}
        if todo:
            alike = [s.nodes for s in run.chain.segments] == [s.nodes for s in floats.chain.segments]
            found = (_powers if alike else _powers_apart)(run, floats, data, batch, todo, progress)
            self._known.update((run.keys[index], powers) for index, powers in found.items())
        for index in places:
            self._known.move_to_end(run.keys[index])
        powers = {layer: both for index in places for layer, both in self._known[run.keys[index]].items()}
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return {layer: decibels(*powers[layer]) for layer in outputs}


def _powers(run: KeptRun, floats: KeptRun, data: Dataset, batch: int, todo: Mapping[int, Mapping[str, str]],
            progress: Progress) -> dict[int, Powers]:
    """Sums of squares of the float outputs and of the differences from them."""
    rows: dict[int, dict[str, tuple[list[float], list[float]]]] = {i: {name: ([], []) for name in tensors} for i, tensors in todo.items()}
    sessions = {index: (_watching(floats, index, tensors), _watching(run, index, tensors)) for index, tensors in todo.items()}
    count = min(SAMPLES, len(data))
    for start, stop in batches(count, batch):
        progress(start / count, "Noise at every layer")
        walks = (side.walk(min(todo), (start, stop), partial(data.batch, start, stop)) for side in (floats, run))
        for (segment, before), (_, now) in zip(*walks, strict=True):
            for index in todo.keys() & {segment.index}:
                float_session, session = sessions[index]
                a, b = float_session.run(before), session.run(now)
                for layer, tensor in todo[index].items():
                    true, seen = a[tensor].numpy(), b[tensor].numpy()
                    signal, noise = rows[index][layer]
                    signal += _squares(true, stop - start)
                    noise += _squares(true - seen, stop - start)
    return {i: {layer: (math.fsum(a), math.fsum(b)) for layer, (a, b) in own.items()} for i, own in rows.items()}


def _powers_apart(run: KeptRun, floats: KeptRun, data: Dataset, batch: int, todo: Mapping[int, Mapping[str, str]],
                  progress: Progress) -> dict[int, Powers]:
    """The same for two graphs that are cut in different places (a step has put in a node): both run from the start."""
    tensors = {layer: tensor for own in todo.values() for layer, tensor in own.items()}
    rows: dict[str, tuple[list[float], list[float]]] = {layer: ([], []) for layer in tensors}
    count = min(SAMPLES, len(data))
    for start, stop in batches(count, batch):
        progress(start / count, "Noise at every layer")
        feeds = data.batch(start, stop)
        a, b = (side.chain.run(side.quantization, feeds, tensors.values()) for side in (floats, run))
        for layer, tensor in tensors.items():
            signal, noise = rows[layer]
            signal += _squares(a[tensor], stop - start)
            noise += _squares(a[tensor] - b[tensor], stop - start)
    return {index: {layer: (math.fsum(rows[layer][0]), math.fsum(rows[layer][1])) for layer in own} for index, own in todo.items()}


def _squares(array: np.ndarray, samples: int) -> list[float]:
    """The sum of squares of each sample, so that the batch changes no bit."""
    rows = array.reshape(samples, -1) if array.ndim and len(array) == samples else array.reshape(1, -1)
    return list(np.square(rows, dtype=np.float64).sum(1).tolist())


def _watching(run: KeptRun, index: int, tensors: Mapping[str, str]) -> SegmentSession:
    """A session of the segment that gives the layers' outputs too. It begins where the plain ones end, so it changes nothing."""
    return run.chain.session(run.chain.segments[index], run.quantization, frozenset(tensors.values()))
