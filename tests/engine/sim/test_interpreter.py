"""The torch interpreter against ONNX Runtime, and what it promises: hooks, freeing, gradients, parts."""
from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from engine.errors import BadInput, UnsupportedOp
from engine.sim.allocator import keep_freed_memory
from engine.sim.interpreter import Interpreter
from engine.sim.kernels import unsupported

Array = np.ndarray
SAMPLES = sorted((Path(__file__).parents[3] / "sample_models").glob("*/model.onnx"))


class GraphMaker:
    """Adds nodes and random weights one after the other."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Array] = {}

    def weight(self, name: str, *shape: int, scale: float = 1.0) -> str:
        """A float initializer, about as large as trained ones."""
        fan = max(int(np.prod(shape[1:])), 1)
        self.weights[name] = (self.random.standard_normal(shape) * scale / np.sqrt(fan)).astype(np.float32)
        return name

    def numbers(self, name: str, values: object, dtype: type = np.int64) -> str:
        """An initializer with given values."""
        self.weights[name] = np.array(values, dtype)
        return name

    def add(self, op_type: str, *inputs: str, **attributes: object) -> str:
        """A node with one output, which it returns."""
        output = f"{op_type.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=f"n_{output}", **attributes))
        return output

    def model(self, inputs: dict[str, tuple[int, list[int | str]]], outputs: list[str]) -> onnx.ModelProto:
        """The finished model at opset 20."""
        infos = [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()]
        results = [onnx.ValueInfoProto(name=n) for n in outputs]
        initializers = [numpy_helper.from_array(a, n) for n, a in self.weights.items()]
        graph = helper.make_graph(self.nodes, "g", infos, results, initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def cnn() -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Conv, BatchNormalization, ReLU6, depthwise, residual, pooling, Gemm."""
    g = GraphMaker()
    low, high = g.numbers("low", 0.0, np.float32), g.numbers("high", 6.0, np.float32)
    x = g.add("Conv", "x", g.weight("w0", 8, 3, 3, 3), g.weight("b0", 8), strides=[2, 2], pads=[1, 1, 1, 1])
    statistics = [g.weight(n, 8) for n in ("gamma", "beta", "mean")]
    g.weights["var"] = np.abs(g.random.standard_normal(8)).astype(np.float32) + 0.5
    y = g.add("Clip", g.add("BatchNormalization", x, *statistics, "var"), low, high)
    depthwise = g.add("Conv", y, g.weight("w1", 8, 1, 3, 3), auto_pad="SAME_UPPER", group=8)
    y = g.add("Add", g.add("HardSwish", depthwise), y)
    y = g.add("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    up = g.add("ConvTranspose", y, g.weight("w2", 8, 6, 2, 2), strides=[2, 2])
    y = g.add("Concat", up, g.add("Resize", y, "", g.numbers("s", [1, 1, 2, 2], np.float32), mode="linear"), axis=1)
    y = g.add("Flatten", g.add("GlobalAveragePool", g.add("Relu", y)))
    g.add("Gemm", y, g.weight("w3", 5, 14), g.weight("b3", 5), transB=1)
    model = g.model({"x": (TensorProto.FLOAT, ["n", 3, 16, 16])}, [g.nodes[-1].output[0]])
    return model, {"x": g.random.standard_normal((3, 3, 16, 16)).astype(np.float32)}


def transformer() -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Embedding, attention with shapes computed in the graph, LayerNormalization, GELU."""
    g = GraphMaker(1)
    x = g.add("Gather", g.weight("table", 11, 8, scale=3.0), "ids")
    n = g.add("LayerNormalization", x, g.numbers("g", [1.0] * 8, np.float32), g.weight("b", 8), axis=-1)
    size = g.add("Shape", n)
    batch = g.add("Slice", size, g.numbers("zero", [0]), g.numbers("two", [2]))
    shape = g.add("Concat", batch, g.numbers("heads", [2, 4]), axis=0)

    def heads(name: str, perm: list[int]) -> str:
        projected = g.add("MatMul", n, g.weight(name, 8, 8))
        return g.add("Transpose", g.add("Reshape", projected, shape), perm=perm)

    q, k, v = heads("q", [0, 2, 1, 3]), heads("k", [0, 2, 3, 1]), heads("v", [0, 2, 1, 3])
    scores = g.add("Div", g.add("MatMul", q, k), g.numbers("root", 2.0, np.float32))
    context = g.add("Transpose", g.add("MatMul", g.add("Softmax", scores), v), perm=[0, 2, 1, 3])
    merged = g.add("Reshape", context, g.numbers("flat", [0, 0, -1]))
    y = g.add("Add", x, g.add("MatMul", merged, g.weight("o", 8, 8)))
    hidden = g.add("Gelu", g.add("Add", g.add("MatMul", y, g.weight("up", 8, 16)), g.weight("ub", 16)))
    y = g.add("Add", y, g.add("MatMul", hidden, g.weight("down", 16, 8)))
    g.add("ReduceMean", y, g.numbers("time", [1]), keepdims=0)
    model = g.model({"ids": (TensorProto.INT64, ["n", "t"])}, [g.nodes[-1].output[0]])
    return model, {"ids": g.random.integers(0, 11, (3, 6))}


def lstm() -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A bidirectional LSTM between a Transpose and a Gemm."""
    g = GraphMaker(2)
    x = g.add("Transpose", "x", perm=[1, 0, 2])
    weights = [g.weight("W", 2, 24, 5), g.weight("R", 2, 24, 6), g.weight("B", 2, 48)]
    y = g.add("LSTM", x, *weights, hidden_size=6, direction="bidirectional")
    y = g.add("Reshape", g.add("Transpose", y, perm=[2, 0, 1, 3]), g.numbers("flat", [0, -1]))
    g.add("Gemm", y, g.weight("w", 84, 4), g.weight("b", 4))
    model = g.model({"x": (TensorProto.FLOAT, ["n", 7, 5])}, [g.nodes[-1].output[0]])
    return model, {"x": g.random.standard_normal((3, 7, 5)).astype(np.float32)}


Made = Callable[[], tuple[onnx.ModelProto, dict[str, Array]]]
GRAPHS: list[Made] = [cnn, transformer, lstm]


def _torch(feeds: dict[str, Array]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in feeds.items()}


def _distance(interpreter: Interpreter, model: bytes, feeds: dict[str, Array]) -> float:
    """The largest error of any output, as a share of that output's range."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    wanted = session.run(None, feeds)
    with torch.inference_mode():
        got = interpreter.run(_torch(feeds))
    assert list(got) == [o.name for o in session.get_outputs()]
    return max(
        float(np.abs(g.numpy() - w).max() / max(np.ptp(w), 1e-12)) for g, w in zip(got.values(), wanted, strict=True)
    )


@pytest.mark.parametrize("make", GRAPHS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_small_graphs_equal_onnx_runtime(make: Made, channels_last: bool) -> None:
    model, feeds = make()
    interpreter = Interpreter(ir.from_proto(model), channels_last=channels_last)
    assert _distance(interpreter, model.SerializeToString(), feeds) < 1e-5


@pytest.mark.skipif(not SAMPLES, reason="no trained sample model yet")
@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.parent.name)
def test_sample_models_equal_onnx_runtime(path: Path) -> None:
    interpreter = Interpreter(ir.load(path))
    with np.load(path.parent / "evaluation.npz", allow_pickle=False) as data:
        feeds = {name: data[name][:64].astype(np.float32) for name in interpreter.input_names}
    assert _distance(interpreter, path.read_bytes(), feeds) < 1e-4


@pytest.mark.parametrize("make", GRAPHS)
def test_every_weight_gets_a_gradient(make: Made) -> None:
    model, feeds = make()
    interpreter = Interpreter(ir.from_proto(model))
    floats = {n: t.requires_grad_() for n, t in interpreter.parameters.items() if t.is_floating_point()}
    constants = {"low", "high", "s"}  # read as numbers
    sum(t.square().sum() for t in interpreter.run(_torch(feeds)).values()).backward()  # type: ignore[union-attr]
    for name in floats.keys() - constants:
        gradient = floats[name].grad
        assert gradient is not None and bool(gradient.isfinite().all()) and bool(gradient.any()), name
    assert unsupported(ir.from_proto(model)) == []


def test_training_follows_inference() -> None:
    model, feeds = cnn()
    with torch.inference_mode():
        interpreter = Interpreter(ir.from_proto(model))
        interpreter.run(_torch(feeds))
    weight = interpreter.parameters["w0"].requires_grad_()
    (output,) = interpreter.run(_torch(feeds)).values()
    output.sum().backward()
    assert weight.grad is not None


def test_a_gradient_is_the_slope() -> None:
    model, feeds = cnn()
    interpreter = Interpreter(ir.from_proto(model))
    double = {n: t.double() if t.is_floating_point() else t for n, t in interpreter.parameters.items()}
    interpreter.parameters.update(double)
    x, weight = torch.from_numpy(feeds["x"]).double(), double["w1"].clone().requires_grad_()

    def loss(w: torch.Tensor) -> torch.Tensor:
        interpreter.parameters["w1"] = w
        return interpreter.run({"x": x})[interpreter.output_names[0]].square().sum()

    (gradient,) = torch.autograd.grad(loss(weight), weight)
    direction = torch.randn_like(weight)
    step = 1e-6 * direction
    with torch.no_grad():
        slope = (loss(weight + step) - loss(weight - step)) / 2e-6
    assert torch.allclose((gradient * direction).sum(), slope, rtol=1e-5)


def _chain(length: int) -> Interpreter:
    g = GraphMaker()
    name = "x"
    for _ in range(length):
        name = g.add("Sigmoid", name)
    return Interpreter(ir.from_proto(g.model({"x": (TensorProto.FLOAT, [4])}, [name])))


def test_relu6_trains_as_clamp_does() -> None:
    g = GraphMaker()
    y = g.add("Clip", "x", g.numbers("low", 0.0, np.float32), g.numbers("high", 6.0, np.float32))
    interpreter = Interpreter(ir.from_proto(g.model({"x": (TensorProto.FLOAT, [4])}, [y])))
    x = torch.tensor([-1.0, 2.0, 5.0, 7.0], requires_grad=True)
    interpreter.run({"x": x})[y].sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a matter of glibc")
def test_freed_memory_is_kept() -> None:
    assert keep_freed_memory()


def test_tensors_are_freed_at_their_last_use() -> None:
    interpreter = _chain(6)
    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0

    def watch(t: torch.Tensor) -> torch.Tensor:
        nonlocal most
        alive.append(weakref.ref(t))
        most = max(most, sum(r() is not None for r in alive))
        return t

    with torch.inference_mode():
        interpreter.run({"x": torch.zeros(4)}, hooks={f"sigmoid_{i}": watch for i in range(6)})
    assert len(alive) == 6
    assert most == 2  # a node's input and its output


def test_hooks_change_what_all_readers_see() -> None:
    model, feeds = transformer()
    interpreter = Interpreter(ir.from_proto(model))
    seen: list[str] = []

    def zero(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
        def hook(t: torch.Tensor) -> torch.Tensor:
            seen.append(name)
            return torch.zeros_like(t)

        return hook

    softmax = next(n for n in interpreter.tensor_names if n.startswith("softmax"))
    result = interpreter.run(_torch(feeds), [softmax, "down"], {softmax: zero(softmax), "down": zero("down")})
    assert seen == [softmax, "down"]
    assert not result[softmax].any() and not result["down"].any()
    # The same values as a graph in which the zeros are real.
    hooked = interpreter.run(_torch(feeds), hooks={"o": zero("o"), "down": zero("down")})
    for name in ("o", "down"):
        interpreter.parameters[name] = torch.zeros_like(interpreter.parameters[name])
    plain = interpreter.run(_torch(feeds))
    assert all(torch.equal(hooked[n], plain[n]) for n in plain)


def test_a_hook_on_an_input_is_seen() -> None:
    interpreter = _chain(1)
    result = interpreter.run({"x": torch.zeros(4)}, hooks={"x": lambda t: t + 100})
    assert result["sigmoid_0"].tolist() == [1.0] * 4


def test_a_part_of_the_graph_runs_alone() -> None:
    model, feeds = cnn()
    interpreter = Interpreter(ir.from_proto(model))
    (output,) = interpreter.output_names
    middle = next(n for n in interpreter.tensor_names if n.startswith("maxpool"))
    both = interpreter.run(_torch(feeds), [middle, output])
    rest = interpreter.run({middle: both[middle]}, [output])
    assert torch.equal(rest[output], both[output])


def test_mistakes_are_explained() -> None:
    interpreter = _chain(2)
    with pytest.raises(BadInput, match="Inputs are missing: x"):
        interpreter.run({})
    with pytest.raises(BadInput, match=r"sigmoid_9.*Did you mean"):
        interpreter.run({"x": torch.zeros(4)}, ["sigmoid_9"])
    with pytest.raises(BadInput, match="'y' to hook"):
        interpreter.run({"x": torch.zeros(4)}, hooks={"y": torch.relu})
    model, _ = cnn()
    with pytest.raises(BadInput, match=r"n_conv_0.*\(1, 4, 16, 16\)"):
        Interpreter(ir.from_proto(model)).run({"x": torch.zeros(1, 4, 16, 16)})


def test_what_stands_in_the_way_of_gradients_is_named() -> None:
    g = GraphMaker()
    y = g.add("MatMul", "x", g.weight("lost", 4, 4))
    y = g.add("Round", y)
    y = g.add("MatMul", y, g.weight("kept", 4, 4))
    y = g.add("Frobnicate", y)
    source = ir.from_proto(g.model({"x": (TensorProto.FLOAT, [2, 4])}, [y]))
    with pytest.raises(UnsupportedOp, match=r"n_frobnicate_3.*Frobnicate"):
        Interpreter(source)
    unknown, barrier = unsupported(source)
    assert "n_frobnicate_3" in unknown
    assert "n_round_1" in barrier and "'lost'" in barrier


def test_a_second_output_that_is_an_index_bars_nothing() -> None:
    g = GraphMaker()
    y = g.add("MatMul", "x", g.weight("w", 4, 4))
    label = g.add("ArgMax", y, axis=1)
    source = ir.from_proto(g.model({"x": (TensorProto.FLOAT, [2, 4])}, [y, label]))
    assert unsupported(source) == []


@pytest.mark.parametrize("make", GRAPHS)
def test_tensors_of_two_devices_meet(make: Made) -> None:
    """The meta device stands in for a GPU: it refuses CPU data, and tensors read as numbers, just as strictly."""
    model, feeds = make()
    on_cpu = Interpreter(ir.from_proto(model)).run(_torch(feeds))
    on_meta = Interpreter(ir.from_proto(model), device="meta").run(_torch(feeds))
    for name, wanted in on_cpu.items():
        assert on_meta[name].device.type == "meta"
        assert on_meta[name].shape == wanted.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("make", GRAPHS)
def test_cuda_equals_the_cpu(make: Made) -> None:
    model, feeds = make()
    on_cpu = Interpreter(ir.from_proto(model)).run(_torch(feeds))
    on_gpu = Interpreter(ir.from_proto(model), device="cuda").run(_torch(feeds))
    for name, wanted in on_cpu.items():
        assert on_gpu[name].device.type == "cuda"
        assert torch.allclose(on_gpu[name].cpu(), wanted, rtol=1e-3, atol=1e-3)
