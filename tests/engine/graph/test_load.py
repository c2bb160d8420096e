"""Files that nobody vouches for: each is refused in one clear line, without a traceback and without allocating."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.errors import BadInput
from engine.graph import load_model
from tests.graphs import conv_net, proto, weights


def written(tmp_path: Path, model: onnx.ModelProto | bytes) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def refused(path: Path, words: str) -> str:
    with pytest.raises(BadInput, match=words) as caught:
        load_model(path).shapes  # noqa: B018  (the property runs the graph)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 700
    return message


def test_missing_empty_and_random(tmp_path: Path) -> None:
    refused(tmp_path / "no.onnx", "no such model file")
    refused(written(tmp_path, b""), "not an ONNX model")
    refused(written(tmp_path, np.random.default_rng(0).bytes(4096)), "not an ONNX model|opset|not a valid")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated(tmp_path: Path, share: float) -> None:
    whole = conv_net().SerializeToString()
    refused(written(tmp_path, whole[: int(len(whole) * share)]), "m.onnx")


def test_an_initializer_that_claims_terabytes_allocates_nothing(tmp_path: Path) -> None:
    model = conv_net()
    model.graph.initializer[0].dims[:] = [2**20, 2**20, 3, 3]
    tracemalloc.start()
    begin = time.monotonic()
    refused(written(tmp_path, model), "claims 9,895,604,649,984 values")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    assert time.monotonic() - begin < 5


def test_a_negative_dimension(tmp_path: Path) -> None:
    model = conv_net()
    model.graph.initializer[0].dims[0] = -8
    refused(written(tmp_path, model), "negative dimension")


@pytest.mark.parametrize("where", ["../secret.bin", "/etc/hostname", ""])
def test_external_data_outside_the_folder(tmp_path: Path, where: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(4096))
    folder = tmp_path / "in"
    folder.mkdir()
    model = conv_net()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=where)
    refused(written(folder, model), "outside the model's folder")


def test_external_data_through_a_link_is_outside(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(4096))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "w.bin").symlink_to(tmp_path / "secret.bin")
    model = conv_net()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    refused(written(folder, model), "outside the model's folder")


def test_external_data_that_is_too_short(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(10))
    model = conv_net()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    refused(written(tmp_path, model), "needs 864 bytes at 0 of 'w.bin', which holds 10")


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    model = conv_net()
    tensor = model.graph.initializer[0]
    (tmp_path / "w.bin").write_bytes(tensor.raw_data)
    want = numpy_helper.to_array(tensor)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    assert np.array_equal(load_model(written(tmp_path, model)).constant("w0"), want)


def test_unknown_op(tmp_path: Path) -> None:
    model = proto([helper.make_node("Frobnicate", ["x"], ["y"])], {"x": [1, 3]}, {"y": [1, 3]}, {})
    refused(written(tmp_path, model), "Frobnicate")


def test_unknown_domain_names_the_op(tmp_path: Path) -> None:
    model = proto([helper.make_node("Frobnicate", ["x"], ["y"], domain="evil")], {"x": [1, 3]}, {"y": [1, 3]}, {})
    model.opset_import.add(domain="evil", version=1)
    refused(written(tmp_path, model), "Frobnicate")


def test_control_flow_and_quantized_graphs_are_refused_by_node(tmp_path: Path) -> None:
    scale, zero = np.float32(0.1), np.uint8(0)
    model = proto(
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="quant_7"),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        ],
        {"x": [1, 3]},
        {"y": [1, 3]},
        {"s": np.asarray(scale), "z": np.asarray(zero)},
    )
    refused(written(tmp_path, model), "'quant_7' is QuantizeLinear")


def test_half_precision_weights(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, [1, 4])],
        [numpy_helper.from_array(np.ones((4, 4), np.float16), "w")],
    )
    refused(
        written(tmp_path, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)),
        "export the model in float32",
    )


def test_a_graph_whose_tensors_need_terabytes(tmp_path: Path) -> None:
    shape = np.asarray([2**20, 2**20], dtype=np.int64)
    model = proto(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["big"]),
            helper.make_node("ReduceSum", ["big"], ["s"], keepdims=1),
            helper.make_node("MatMul", ["x", "w"], ["m"]),
            helper.make_node("Add", ["m", "s"], ["y"]),
        ],
        {"x": [1, 4]},
        {"y": [1, 4]},
        {"shape": shape, "w": weights(4, 4)},
    )
    begin = time.monotonic()
    refused(written(tmp_path, model), "m.onnx")
    assert time.monotonic() - begin < 20


def test_a_sample_loads_whole(sample: Path) -> None:
    model = load_model(sample / "model.onnx")
    assert model.name == sample.name
    assert len(model.layers) > 10
    assert all(layer.macs > 0 for layer in model.layers)
    assert len({layer.name for layer in model.layers}) == len(model.layers)
