"""Encodings files: numbers worked out by hand, both ways, and files that nobody should trust."""
from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from engine.errors import BadInput
from engine.export.dialects import parse_encodings, read_encodings, text_of
from engine.export.entries import to_quantization, write_encodings
from engine.graph.model import Model, from_proto
from engine.quant.encoding import Encoding
from engine.quant.granularity import PerBlock, PerChannel, PerTensor
from engine.quant.grid import Grid, Symmetry
from engine.quant.precision import Float, Int
from engine.sim.bias import BiasEncoding
from engine.sim.quantization import Quantization


def _tensor(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape), name)


@pytest.fixture(scope="module")
def tiny() -> Model:
    """x [1,2,4,4] → Conv w (2,2,1,1) + b → y → Flatten → MatMul m (32,3) → z."""
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"], "conv"), helper.make_node("Flatten", ["y"], ["f"], "flatten"),
             helper.make_node("MatMul", ["f", "m"], ["z"], "matmul")]
    graph = helper.make_graph(nodes, "tiny", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])],
                              [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3])],
                              [_tensor("w", 2, 2, 1, 1), _tensor("b", 2), _tensor("m", 32, 3)])
    return from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), "tiny")


def _encoding(bits: int, symmetry: Symmetry, scale: Any, zero: Any, granularity: Any = PerTensor()) -> Encoding:  # noqa: B008
    parts = torch.tensor(scale, dtype=torch.float32), torch.tensor(zero, dtype=torch.int32)
    return Encoding(Int(bits), granularity, Grid(bits, symmetry), *parts)


@pytest.fixture(scope="module")
def quantization() -> Quantization:
    """Scales are powers of two, so that every decimal below is exact."""
    return Quantization(
        {"x": _encoding(8, "asymmetric", 0.25, 114), "y": _encoding(16, "symmetric", 0.5, 0), "z": Encoding(Float("fp16"))},
        {"w": _encoding(8, "symmetric", [0.125, 0.0625], [0, 0], PerChannel(0))},
        {"b": BiasEncoding(Int(16), PerChannel(0), None, torch.tensor([0.03125, 0.015625]), torch.zeros(2, dtype=torch.int32))})


V1 = {
    "producer": {"package": "mixdown", "version": "0.1.0"}, "version": "1.0.0",
    "activation_encodings": [
        {"name": "x", "dtype": "INT", "enc_type": "PER_TENSOR", "bw": 8, "is_sym": False, "scale": [0.25], "offset": [-114]},
        {"name": "y", "dtype": "INT", "enc_type": "PER_TENSOR", "bw": 16, "is_sym": True, "scale": [0.5], "offset": [-32768]},
        {"name": "z", "dtype": "FLOAT", "enc_type": "PER_TENSOR", "bw": 16}],
    "param_encodings": [
        {"name": "w", "dtype": "INT", "enc_type": "PER_CHANNEL", "bw": 8, "is_sym": True, "scale": [0.125, 0.0625], "offset": [-128, -128]},
        {"name": "b", "dtype": "INT", "enc_type": "PER_CHANNEL", "bw": 32, "is_sym": True, "scale": [0.03125, 0.015625],
         "offset": [-2147483648, -2147483648]}],
    "excluded_layers": ["conv"], "quantizer_args": {"quant_scheme": "min_max"}}
V061 = {
    "producer": {"package": "mixdown", "version": "0.1.0"}, "version": "0.6.1",
    "activation_encodings": {
        "x": [{"min": -28.5, "max": 35.25, "scale": 0.25, "offset": -114, "bitwidth": 8, "dtype": "int", "is_symmetric": "False"}],
        "y": [{"min": -16384.0, "max": 16383.5, "scale": 0.5, "offset": -32768, "bitwidth": 16, "dtype": "int", "is_symmetric": "True"}],
        "z": [{"bitwidth": 16, "dtype": "float"}]},
    "param_encodings": {
        "w": [{"min": -16.0, "max": 15.875, "scale": 0.125, "offset": -128, "bitwidth": 8, "dtype": "int", "is_symmetric": "True"},
              {"min": -8.0, "max": 7.9375, "scale": 0.0625, "offset": -128, "bitwidth": 8, "dtype": "int", "is_symmetric": "True"}],
        "b": [{"min": -67108864.0, "max": 67108863.96875, "scale": 0.03125, "offset": -2147483648, "bitwidth": 32, "dtype": "int",
               "is_symmetric": "True"},
              {"min": -33554432.0, "max": 33554431.984375, "scale": 0.015625, "offset": -2147483648, "bitwidth": 32, "dtype": "int",
               "is_symmetric": "True"}]},
    "excluded_layers": ["conv"], "quantizer_args": {"quant_scheme": "min_max"}}


def _same(a: Quantization, b: Quantization) -> bool:
    return all({n: e.key() for n, e in getattr(a, part).items()} == {n: e.key() for n, e in getattr(b, part).items()}
               for part in ("activations", "constants", "biases"))


@pytest.mark.parametrize("expected", [V1, V061], ids=["1.0.0", "0.6.1"])
def test_written_as_by_hand_and_read_back(tiny: Model, quantization: Quantization, expected: dict[str, Any], tmp_path: Any) -> None:
    written = write_encodings(expected["version"], tiny, quantization, {"quant_scheme": "min_max"}, ("conv",))
    assert json.loads(json.dumps(written)) == expected
    path = tmp_path / "model.encodings"
    path.write_text(text_of(written))
    content = read_encodings(path)
    assert content.version == expected["version"] and content.excluded_layers == ("conv",)
    assert _same(to_quantization(content, tiny), quantization)


@pytest.mark.parametrize("version", ["1.0.0", "0.6.1"])
def test_blocks_are_written_output_channel_first(tiny: Model, version: str) -> None:
    # m is stored (in 32, out 3); blocks of 16 give a scale of shape (2, 3), whose file order is out-major.
    scale = [[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]
    blocked = Quantization({}, {"m": _encoding(4, "symmetric", scale, np.zeros((2, 3), int).tolist(), PerBlock(0, 16))})
    written = write_encodings(version, tiny, blocked)
    flat = [1.0, 8.0, 2.0, 16.0, 4.0, 32.0]
    if version == "1.0.0":
        (entry,) = written["param_encodings"]
        assert entry == {"name": "m", "dtype": "INT", "enc_type": "PER_BLOCK", "bw": 4, "is_sym": True, "block_size": 16, "scale": flat,
                         "offset": [-8] * 6}
    else:
        assert [o["scale"] for o in written["param_encodings"]["m"]] == flat
    assert _same(to_quantization(parse_encodings(text_of(written), "f"), tiny), blocked)


def test_strict_unsigned_and_bf16_survive(tiny: Model) -> None:
    odd = Quantization({"x": _encoding(8, "unsigned", 0.5, 0), "y": Encoding(Float("bf16")), "z": Encoding(Float("fp32"))},
                       {"w": _encoding(4, "strict", 0.5, 0)})
    for version, expected in (("1.0.0", -7), ("0.6.1", -7)):
        written = write_encodings(version, tiny, odd)
        weight = written["param_encodings"]["w"][0] if version == "0.6.1" else written["param_encodings"][0]
        assert np.ravel(weight["offset"]).tolist() == [expected]
        assert version == "1.0.0" or (weight["min"], weight["max"]) == (-3.5, 3.5)
        assert _same(to_quantization(parse_encodings(text_of(written), "f"), tiny), odd)


def test_lpbq_is_read_as_blocks(tiny: Model) -> None:
    entry = {"name": "m", "dtype": "INT", "enc_type": "LPBQ", "bw": 8, "compressed_bw": 4, "is_sym": True, "block_size": 16,
             "scale": [0.5, 1.0, 2.0], "offset": [-128, -128, -128], "per_block_int_scale": [1, 16, 2, 3, 4, 5]}
    found = to_quantization(parse_encodings(json.dumps({"version": "1.0.0", "param_encodings": [entry]}), "f"), tiny).constants["m"]
    assert found.dtype == Int(4) and found.granularity == PerBlock(0, 16)
    assert found.scale is not None and found.scale.tolist() == [[0.5, 2.0, 8.0], [8.0, 3.0, 10.0]]


def _entry(**changes: Any) -> str:
    entry = {"name": "x", "dtype": "INT", "enc_type": "PER_TENSOR", "bw": 8, "is_sym": False, "scale": [0.25], "offset": [-114]} | changes
    return json.dumps({"version": "1.0.0", "activation_encodings": [{k: v for k, v in entry.items() if v != "gone"}]})


HOSTILE = {
    "not json": ("{", "not valid JSON"),
    "a list": ("[]", "a mapping"),
    "no version": ("{}", "version"),
    "unknown version": ('{"version": "9.9"}', "1.0.0"),
    "number as version": ('{"version": 1}', "version"),
    "deep": ("[" * 5000, "nested deeper"),
    "wrong list": ('{"version": "1.0.0", "activation_encodings": {"a": 1}}', "a list"),
    "wrong map": ('{"version": "0.6.1", "activation_encodings": [1]}', "a mapping"),
    "twice": (json.dumps({"version": "1.0.0", "activation_encodings": [json.loads(_entry())["activation_encodings"][0]] * 2}), "two"),
    "double key": ('{"version": "0.6.1", "activation_encodings": {"x": [{"bitwidth": 16, "dtype": "float"}], "x": []}}', "twice"),
    "infinite scale": (_entry().replace("0.25", "1e999"), "finite"),
    "nan scale": (_entry().replace("0.25", "NaN"), "finite"),
    "zero scale": (_entry(scale=[0.0]), "above zero"),
    "scale below float32": (_entry(scale=[1e-60]), "positive"),
    "negative scale": (_entry(scale=[-1.0]), "above zero"),
    "text scale": (_entry(scale=["1"]), "a number"),
    "scale no list": (_entry(scale=0.25), "a list"),
    "no scale": (_entry(scale="gone"), "a list"),
    "huge width": (_entry(bw=4096), "2 to 32"),
    "odd width": (_entry(bw=24), "2 to 16"),
    "boolean width": (_entry(bw=True), "whole number"),
    "bias width on activation": (_entry(bw=32, is_sym=True, offset=[-(2**31)]), "32 bits"),
    "offset too low": (_entry(offset=[-300]), "offset"),
    "offset positive": (_entry(offset=[114]), "whole number"),
    "offsets missing": (_entry(offset=[]), "as many offsets"),
    "symmetric with a strange offset": (_entry(is_sym=True, offset=[-100]), "offset -100"),
    "symmetry as a word": (_entry(is_sym="False"), "true or false"),
    "unknown type": (_entry(dtype="int8"), "INT or FLOAT"),
    "unknown key": (_entry(scales=[1]), "unknown key"),
    "unknown name": (_entry(name="xx"), "no such tensor"),
    "name no text": (_entry(name=["x"]), "a name"),
    "channels on an activation": (_entry(enc_type="PER_CHANNEL", scale=[0.25] * 2, offset=[0, 0]), "an activation has one"),
    "two scales per tensor": (_entry(scale=[0.25] * 2, offset=[0, 0]), "one scale"),
    "channels that do not fit": (_entry(name="w", enc_type="PER_CHANNEL", scale=[1.0] * 3, offset=[0] * 3), "3 scales"),
    "blocks that do not fit": (_entry(name="m", enc_type="PER_BLOCK", block_size=5, scale=[1.0] * 6, offset=[0] * 6), "blocks of 5"),
    "blocks of a bias": (_entry(name="b", enc_type="PER_BLOCK", block_size=1, scale=[1.0] * 2, offset=[0] * 2), "no weight"),
    "a zero block": (_entry(name="m", enc_type="PER_BLOCK", block_size=0), "block_size"),
    "min that lies": ('{"version": "0.6.1", "activation_encodings": {"x": [{"min": -1.0, "max": 35.25, "scale": 0.25, "offset": -114, '
                      '"bitwidth": 8, "dtype": "int", "is_symmetric": "False"}]}}', "scale and offset say"),
    "mixed widths": ('{"version": "0.6.1", "param_encodings": {"w": [{"scale": 1, "offset": -8, "bitwidth": 4, "is_symmetric": "True"}, '
                     '{"scale": 1, "offset": -128, "bitwidth": 8, "is_symmetric": "True"}]}}', "as in the first"),
    "an empty list": ('{"version": "0.6.1", "param_encodings": {"w": []}}', "at least one"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_with_the_place(tiny: Model, case: str) -> None:
    text, words = HOSTILE[case]
    with pytest.raises(BadInput) as caught:
        to_quantization(parse_encodings(text, "strange.encodings"), tiny)
    assert words in str(caught.value) and "strange.encodings" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_large_files_and_random_bytes(tmp_path: Any) -> None:
    path = tmp_path / "large.encodings"
    path.write_bytes(b" " * (33 * 1024**2))
    with pytest.raises(BadInput, match="larger than"):
        read_encodings(path)
    path.write_bytes(np.random.default_rng(0).bytes(1000))
    with pytest.raises(BadInput, match=r"large\.encodings"):
        read_encodings(path)
    with pytest.raises(BadInput, match="cannot be read"):
        read_encodings(tmp_path / "none")
