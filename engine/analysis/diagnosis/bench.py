"""One layer alone on the bench: its node as a small session, fed with its float inputs or with changed ones."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from engine.analysis.diagnosis.kinds import Array, Variant
from engine.analysis.diagnosis.operands import CHANNELS_FIRST
from engine.graph.layers import Layer
from engine.graph.model import Model
from engine.progress import Progress, silent
from engine.sim.calibration import Samples, fixed_batch
from engine.sim.chain import Chain, batches
from engine.sim.padding import Padding
from engine.sim.quantization import FLOAT
from engine.sim.segment_session import session_options

BATCH = 4
SIGNAL = "signal"  # the name under which the power of the float output is kept
Valid = Callable[[Array], Array]
Noise = dict[str, dict[str, Array]]


class Bench:
    """The node of a layer with its weights as inputs, so that one session serves every experiment."""

    def __init__(self, model: Model, chain: Chain, layer: Layer) -> None:
        node = chain.nodes[layer.name]
        self.layer = layer
        self.output = next(n for n in node.output if n)  # a recurrent layer may have its last state alone
        self.weights = {name: np.array(model.constant(name), dtype=np.float32) for name in layer.weights}
        constants = [n for n in node.input if n and n in model.graph.initializers and n not in self.weights]
        self.reads = tuple(dict.fromkeys(n for n in node.input if n and n not in constants and n not in self.weights))
        graph = onnx.GraphProto(name=layer.name)
        graph.node.add().CopyFrom(node)
        graph.initializer.extend(numpy_helper.from_array(model.constant(n), n) for n in constants)
        graph.input.extend(_value(model, n) for n in (*self.reads, *self.weights))
        graph.output.append(_value(model, self.output))
        proto = helper.make_model(graph, ir_version=chain.model.proto.ir_version, opset_imports=chain.model.proto.opset_import)
        self._session = ort.InferenceSession(proto.SerializeToString(), session_options(chain.level), providers=["CPUExecutionProvider"])
        self._changed: dict[tuple[str, str], Array] = {}

    def run(self, values: Mapping[str, Array], changed: Mapping[str, Array]) -> Array:
        """The layer's output from its float inputs, some of them replaced."""
        found: Array = self._session.run([self.output], {**values, **self.weights, **changed})[0]
        return found

    def change(self, key: str, variant: Variant, values: Mapping[str, Array]) -> dict[str, Array]:
        """The operands of a variant as the layer sees them, without those that stay as they are. Weights are made once."""
        found = {}
        for name, transform in variant.items():
            if name in self.weights:
                if (key, name) not in self._changed:
                    self._changed[key, name] = transform(self.weights[name])
                made, before = self._changed[key, name], self.weights[name]
            else:
                made, before = transform(values[name]), values[name]
            if not np.array_equal(made, before):
                found[name] = made
        return found

    def power(self, output: Array) -> Array:
        """The sum of squares in each channel of the layer's output (or of its difference to another)."""
        if self.layer.op_type in CHANNELS_FIRST:
            maps = output.reshape(*output.shape[:2], -1)  # summed one map at a time: float32 is exact enough for that
            powers = np.einsum("bcp,bcp->bc", maps, maps).astype(np.float64)
        else:
            powers = np.square(output, dtype=np.float64).reshape(-1, output.shape[-1])
        found: Array = powers.sum(0)
        return found

    def forget(self) -> None:
        """Frees the changed weights."""
        self._changed.clear()


def measure(chain: Chain, data: Samples, benches: Sequence[Bench], variants: Mapping[str, Mapping[str, Variant]],
            progress: Progress = silent) -> Noise:
    """The noise power in each channel of each layer's output under each of its variants, and the power of the float output.

    The float model is walked once per batch, and each layer is run beside it from its float inputs.
    """
    wanted = [b for b in benches if variants.get(b.layer.name)]
    found: Noise = {b.layer.name: {key: np.zeros(1) for key in (SIGNAL, *variants[b.layer.name])} for b in wanted}

    def visit(values: Mapping[str, Array], valid: Valid) -> None:
        for bench in wanted:
            _experiments(bench, variants[bench.layer.name], {n: values[n] for n in bench.reads}, valid, found[bench.layer.name])

    walk(chain, data, {name for b in wanted for name in b.reads}, visit, progress)
    for bench in wanted:
        bench.forget()
    return found


def walk(chain: Chain, data: Samples, tensors: set[str], visit: Callable[[Mapping[str, Array], Valid], None],
         progress: Progress = silent) -> None:
    """Runs the float model batch by batch; `visit` gets the tensors and a function that drops padding positions."""
    inputs = {i.name for i in chain.model.inputs}
    padding = Padding.of(chain.model)
    for start, stop in batches(len(data), 1 if fixed_batch(chain) else BATCH):
        progress(start / len(data), f"Diagnosing: sample {start} of {len(data)}")
        feeds = data.batch(start, stop)
        values = {**feeds, **chain.run(FLOAT, feeds, tensors - inputs)}

        def valid(array: Array, feeds: Mapping[str, Array] = feeds) -> Array:
            return padding.valid(array, feeds)

        visit(values, valid)


def _experiments(bench: Bench, variants: Mapping[str, Variant], values: Mapping[str, Array], valid: Valid,
                 into: dict[str, Array]) -> None:
    """Adds one batch. Variants that come to the same inputs (nothing was clipped, say) run once."""
    reference = bench.run(values, {})
    into[SIGNAL] = into[SIGNAL] + bench.power(valid(reference))
    seen: list[tuple[dict[str, Array], Array]] = []
    for key, variant in variants.items():
        changed = bench.change(key, variant, values)
        if not changed:
            continue
        noise = next((n for other, n in seen if _same(other, changed)), None)
        if noise is None:
            noise = bench.power(valid(bench.run(values, changed) - reference))
            seen.append((changed, noise))
        into[key] = into[key] + noise


def _same(first: Mapping[str, Array], second: Mapping[str, Array]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[n], second[n]) for n in first)


def _value(model: Model, name: str) -> onnx.ValueInfoProto:
    value = model.values[name]
    kind = int(value.dtype) if value.dtype is not None else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, kind, None)
