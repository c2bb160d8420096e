"""Which Clips could be Relus: those whose limit changes the model's outputs by no more than rounding, measured on data."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from engine.errors import BadInput
from engine.graph.model import Model
from engine.graph.shapes import first_line
from engine.progress import Progress, part
from engine.ptq.equivalence import BATCH, feeds_of
from engine.ptq.limits import clip_bounds
from engine.sim.calibration import Samples, fixed_batch
from engine.sim.chain import Chain, batches
from engine.sim.quantization import FLOAT
from engine.sim.segment_session import session_options

SCANNED, CHECKED = 256, 64  # samples on which limits are compared with values; of these, on which a Clip that cuts is lifted
LIFTED = 2  # samples of one run: nearly every Clip that cuts at all shows at once


def lifted_differences(model: Model, clips: Sequence[str], data: Samples, tolerance: float, progress: Progress,
                       measure: bool = True) -> dict[str, float]:
    """Clip → the largest difference of an output, as a share of its range, when that one Clip has no upper limit.

    0 where nothing reaches the limit on the first 256 samples; measured only until it exceeds `tolerance`, so more than that is "too much"
    and no exact figure. Clips with bounds in attributes (before opset 11) that cut are not tried: inf; without `measure` none is.
    """
    highest = _highest(model, clips, data, part(progress, 0.0, 0.5))
    upper = {name: _upper(model, name) for name in clips}
    found = {name: 0.0 for name in clips if highest[name] <= upper[name]}
    cutting = [name for name in clips if name not in found]
    inputs = {name: _limit_input(model, name) if measure else None for name in cutting}
    found.update((name, np.inf) for name in cutting if inputs[name] is None)
    return found | _lifted(model, {n: i for n, i in inputs.items() if i is not None}, data, tolerance, part(progress, 0.5, 1.0))


def _highest(model: Model, clips: Sequence[str], data: Samples, progress: Progress) -> dict[str, float]:
    """The highest value that reaches each Clip."""
    reads = {name: str(model.nodes[name].inputs[0].name) for name in clips}  # type: ignore[union-attr]
    chain, found = Chain(model), dict.fromkeys(clips, -np.inf)
    count = min(len(data), SCANNED)
    for start, stop in batches(count, 1 if fixed_batch(chain) else BATCH):
        progress(start / count, f"Looking for values that are clipped: sample {start} of {count}")
        feeds = data.batch(start, stop)
        values = chain.run(FLOAT, feeds, set(reads.values()) - set(feeds))
        for name, source in reads.items():
            found[name] = max(found[name], float(np.max(values[source] if source in values else feeds[source])))
    return found


def _lifted(model: Model, inputs: dict[str, str], data: Samples, tolerance: float, progress: Progress) -> dict[str, float]:
    """One session in which every limit can be fed: lifting one costs one run and no new session."""
    worst = dict.fromkeys(inputs, 0.0)
    if not inputs:
        return worst
    chain, session = Chain(model), _session(model, inputs)
    names = [o.name for o in model.outputs if o.is_float]
    free = {f"{name}__limit": np.asarray(_upper(model, name), np.float32) for name in inputs}
    for i, feeds in enumerate(feeds_of(chain, data, CHECKED, LIFTED)):
        base = session.run(names, {**feeds, **free})
        left = [name for name, gap in worst.items() if gap <= tolerance]
        for k, name in enumerate(left):
            progress(min((i + k / len(left)) * LIFTED / CHECKED, 1.0), f"Trying the model without the limit of {name}")
            lifted = session.run(names, {**feeds, **free, f"{name}__limit": np.asarray(np.inf, np.float32)})
            gap = max(float(np.abs(a - b).max()) / max(float(np.ptp(a)), 1e-30) for a, b in zip(base, lifted, strict=True))
            worst[name] = max(worst[name], gap)
    return worst


def _session(model: Model, inputs: dict[str, str]) -> ort.InferenceSession:
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    for node in proto.graph.node:
        if node.name in inputs:
            node.input[2] = f"{node.name}__limit"
            proto.graph.input.append(helper.make_tensor_value_info(f"{node.name}__limit", TensorProto.FLOAT, []))
    options = session_options(ort.GraphOptimizationLevel.ORT_ENABLE_BASIC)
    try:
        return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises bare pybind exceptions of many types
        raise BadInput(f"{model.name}: ONNX Runtime cannot make the graph with free clips: {first_line(error)}") from None


def _upper(model: Model, name: str) -> float:
    bounds = clip_bounds(model.nodes[name])
    return np.inf if bounds is None else bounds[1]


def _limit_input(model: Model, name: str) -> str | None:
    node = model.nodes[name]
    value = node.inputs[2] if len(node.inputs) > 2 else None
    return None if value is None else str(value.name)
