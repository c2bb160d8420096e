"""The QDQ graph: what lies in the file, and that ONNX Runtime makes of it what the simulation showed."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from engine.data import Dataset
from engine.errors import BadInput
from engine.export.derived import with_derived
from engine.export.qdq import qdq_model
from engine.export.reference import NodeByNode
from engine.export.runtime import OFF, ON, run_on, session_on
from engine.graph.model import Model, from_proto
from engine.quant.precision import FP16, Int
from engine.recipe import BlockSize, WeightOptions
from engine.sim.quantsim import QuantSim
from tests.engine.export.conftest import network

Small = Callable[[int], Model]
Calibrated = Callable[..., QuantSim]
RECIPES: dict[str, tuple[dict[str, Any], int]] = {  # recipe, opset of the QDQ graph made from opset 13
    "w8a8": ({"precision": "w8a8"}, 13), "w4a8": ({"precision": "w4a8"}, 21), "w8a16": ({"precision": "w8a16"}, 21),
    "per tensor": ({"precision": "w8a8", "weights": WeightOptions(granularity="per_tensor")}, 13),
    "fp16": ({"precision": "fp16"}, 13), "bf16": ({"precision": "bf16"}, 13),
    "int32 bias": ({"precision": "w8a8", "bias": "int32"}, 13),
    "mixed": ({"precision": "w8a8", "layers": {"stem": "w8a16", "fc1": "w4a8", "fc2": "fp16"}}, 21),
    "blocks": ({"precision": "w4a8", "weights": WeightOptions(granularity=BlockSize(8))}, 21),
    "odd widths": ({"precision": "w3a5"}, 21), "seven": ({"precision": "w7a6"}, 13), "two": ({"precision": "w2a8"}, 21),
    "strict": ({"precision": "w8a8", "weights": WeightOptions(symmetric="strict")}, 13),
    "asymmetric weights": ({"precision": "w8a8", "weights": WeightOptions(symmetric=False)}, 13),
    "htp": ({"precision": "w8a8", "target": "htp_v73"}, 13),
}


@pytest.mark.parametrize("case", RECIPES)
@pytest.mark.parametrize("opset", [13, 21])
def test_file_does_what_the_simulation_shows(small: Small, calibrated: Calibrated, data: Dataset, case: str, opset: int) -> None:
    recipe, raised = RECIPES[case]
    sim = calibrated(small(opset), **recipe)
    proto = qdq_model(sim.model, sim.quantization)
    assert next(o.version for o in proto.opset_import if o.domain == "") == max(opset, raised)
    onnx.checker.check_model(proto, full_check=True)
    feeds = data.batch(0, 64)
    simulated = sim.run(feeds)["logits"]
    found = run_on(session_on(proto, OFF, "file"), feeds, "file")["logits"]
    encoding = sim.quantization.activations["logits"]
    step = 1e-5 if encoding.scale is None else float(encoding.scale)
    bits = encoding.dtype.bits if isinstance(encoding.dtype, Int) else 8
    assert np.abs(found - simulated).max() <= step * (1.001 if bits <= 8 else 8)
    assert (np.abs(found - simulated) > 1e-3 * step).mean() < (0.01 if bits <= 8 else 0.1)  # 16 bits: float rounding is seen
    session_on(proto, ON, "file with optimizations")


def test_weights_are_stored_as_integers(small: Small, calibrated: Calibrated) -> None:
    sim = calibrated(small(21), precision="w4a8", layers={"stem": "w8a16", "fc2": "fp16"}, bias="int32")
    proto = qdq_model(sim.model, sim.quantization)
    kinds = {t.name: t.data_type for t in proto.graph.initializer}
    assert kinds["stem.weight__q"] == TensorProto.INT8 and kinds["dw.weight__q"] == TensorProto.INT4
    assert kinds["fc2.weight__q"] == TensorProto.FLOAT16 and kinds["dw.bias__q"] == TensorProto.INT32
    assert "stem.weight" not in kinds and proto.ByteSize() < sim.model.proto.ByteSize()
    codes = numpy_helper.to_array(next(t for t in proto.graph.initializer if t.name == "stem.weight__q"))
    assert codes.min() >= -128 and np.abs(codes.astype(int)).max() >= 127  # the range is used whole


def test_names_of_inputs_outputs_and_tensors_stay(small: Small, calibrated: Calibrated) -> None:
    sim = calibrated(small(21), precision="w8a8")
    proto = qdq_model(sim.model, sim.quantization)
    assert [i.name for i in proto.graph.input] == ["image"] and [o.name for o in proto.graph.output] == ["logits"]
    last = next(n for n in proto.graph.node if "logits" in n.output)
    assert last.op_type == "DequantizeLinear"
    made = {o for n in proto.graph.node for o in n.output}
    assert set(sim.quantization.activations) - {"image"} <= made and set(sim.quantization.constants) <= made
    assert [n.name for n in proto.graph.node if n.op_type in ("Conv", "MatMul", "Gemm")] == ["stem", "dw", "fc1", "fc2"]
    assert {p.key: p.value for p in proto.metadata_props} == {"licence": "none"}


def test_every_quantizer_stands_once(small: Small, calibrated: Calibrated) -> None:
    sim = calibrated(small(21), precision="w8a8")
    proto = qdq_model(sim.model, sim.quantization)
    counts = Counter(n.op_type for n in proto.graph.node)
    assert counts["QuantizeLinear"] == len(sim.quantization.activations)
    assert counts["DequantizeLinear"] == len(sim.quantization.activations) + len(sim.quantization.constants)


def test_symmetric_activations_have_unsigned_types(small: Small, calibrated: Calibrated) -> None:
    sim = calibrated(small(21), precision="w8a8", tensors={"gained": {"symmetric": True}})
    proto = qdq_model(sim.model, sim.quantization)
    zeros = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer if t.name.endswith("zero_point")}
    assert zeros["gained__zero_point"] == 128 and zeros["gained__zero_point"].dtype == np.uint8


def test_carried_encodings_are_restated_for_devices(small: Small, calibrated: Calibrated) -> None:
    sim = calibrated(small(21), precision="w8a8", target="htp_v73")
    found = with_derived(sim.placement, sim.quantization).activations
    assert "flat.out" not in sim.quantization.activations
    assert found["flat.out"].key() == found["pool.out"].key()


def test_nodes_of_other_domains_survive_raising(calibrated: Calibrated) -> None:
    proto = network(13)
    proto.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    node = next(n for n in proto.graph.node if n.name == "relu1")
    node.op_type, node.domain = "Gelu", "com.microsoft"
    sim = calibrated(from_proto(proto, "contrib"), precision="w8a16")
    found = qdq_model(sim.model, sim.quantization)
    assert [(n.op_type, n.domain) for n in found.graph.node if n.name == "relu1"] == [("Gelu", "com.microsoft")]


def test_a_model_that_cannot_be_raised_is_an_error(small: Small, calibrated: Calibrated, monkeypatch: pytest.MonkeyPatch) -> None:
    sim = calibrated(small(13), precision="w8a16")

    def fails(proto: onnx.ModelProto, version: int) -> onnx.ModelProto:
        raise RuntimeError("No Adapter\nfor Upsample")

    monkeypatch.setattr(onnx.version_converter, "convert_version", fails)
    with pytest.raises(BadInput, match=r"opset 13 cannot be raised to 21.*No Adapter for Upsample.*Use 8 bits"):
        qdq_model(sim.model, sim.quantization)


def test_a_changed_function_is_refused(small: Small, calibrated: Calibrated, monkeypatch: pytest.MonkeyPatch) -> None:
    sim = calibrated(small(13), precision="w8a16")
    real = onnx.version_converter.convert_version

    def wrong(proto: onnx.ModelProto, version: int) -> onnx.ModelProto:
        found = real(proto, version)
        next(n for n in found.graph.node if n.op_type == "Relu").op_type = "Tanh"
        return found

    monkeypatch.setattr(onnx.version_converter, "convert_version", wrong)
    with pytest.raises(BadInput, match="another function"):
        qdq_model(sim.model, sim.quantization)


def test_fp16_overflow_names_the_tensor(model: Model, calibrated: Calibrated) -> None:
    model.set_constant("fc1.weight", model.constant("fc1.weight") * 1e6)
    sim = calibrated(model, precision="w8a8", layers={"fc1": "fp16"})
    with pytest.raises(BadInput, match="overflow"):
        qdq_model(sim.model, sim.quantization)


def test_taken_names_are_an_error(calibrated: Calibrated) -> None:
    proto = network()
    for node in proto.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = "stem.out__q" if name == "dw.out" else "relu.out__q" if name == "gained" else name
    sim = calibrated(from_proto(proto, "odd"), precision="w8a8")
    with pytest.raises(BadInput, match=r"taken|rename"):
        qdq_model(sim.model, sim.quantization)


def test_bypass_becomes_fp16_where_the_target_has_no_fp32(model: Model, calibrated: Calibrated) -> None:
    from engine.export.exported import exported

    sim = calibrated(model, precision="w8a8", target="htp_v73", bypass=("fc2",))
    found = exported(sim.model, sim.target, sim.placement, sim.plan, sim.quantization)
    assert "fc2.weight" not in sim.quantization.constants and found.simulated.constants["fc2.weight"].dtype == FP16
    assert "fc2.weight" in found.halved


@pytest.mark.parametrize("case", ["w8a8", "w8a16", "mixed", "blocks", "odd widths"])
def test_node_by_node_file_and_simulation_are_bit_equal(small: Small, calibrated: Calibrated, data: Dataset, case: str) -> None:
    sim = calibrated(small(21), **RECIPES[case][0])
    feeds = data.batch(0, 8)
    simulated = NodeByNode(sim.model, sim.quantization).run(sim.quantization, feeds, ["relu.out"])
    found = run_on(session_on(qdq_model(sim.model, sim.quantization), OFF, "file"), feeds, "file")
    assert np.array_equal(simulated["logits"], found["logits"]) and "relu.out" in simulated
