"""The node tests of the ONNX standard, run through the interpreter."""
from __future__ import annotations

import logging
import re
import warnings
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import numpy_helper

from engine.errors import UnsupportedOp
from engine.ops import find
from engine.ops.dtypes import from_numpy, torch_dtype
from engine.sim.interpreter import Interpreter
from engine.sim.kernels import node_entry, node_spec

AT_LEAST = 1000

# Operators of the suite that have no torch kernel here, and why. One that is missing from both this
# list and the registry is a failure.
WITHOUT_KERNEL = {
    "training": "Adagrad Adam Momentum NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss",
    "random": "Bernoulli",
    "control flow and sequences": "If Loop Scan SequenceInsert SequenceMap SplitToSequence "
    "OptionalGetElement OptionalHasElement",
    "strings and pictures": "RegexFullMatch StringConcat StringNormalizer StringSplit ImageDecoder "
    "TfIdfVectorizer",
    "already quantized": "ConvInteger MatMulInteger QLinearConv QLinearMatMul DynamicQuantizeLinear",
    "classical learning": "ArrayFeatureExtractor Binarizer LabelEncoder TreeEnsemble",
    "signal processing": "DFT STFT MelWeightMatrix BlackmanWindow HammingWindow HannWindow",
    "detection heads": "NonMaxSuppression RoiAlign DeformConv MaxUnpool Unique Col2Im",
    "newer than the exporters": "CausalConvWithState FlexAttention LinearAttention BitCast SwiGLU "
    "TensorScatter",
}
NO_KERNEL = {op: reason for reason, ops in WITHOUT_KERNEL.items() for op in ops.split()}

BY_NAME = {
    r"_training_mode$|^test_training_dropout": "training mode is refused",
    r"^test_bitwise_not_3d$": "torch has no arithmetic on unsigned 16 bits",
    r"^test_(add|sub|mul|div|mod|min|max|bitshift_left|bitshift_right|less|less_equal|greater|greater_equal)"
    r"_uint(16|32|64)$": "torch has no arithmetic on unsigned 16, 32 and 64 bits",
    r"^test_resize_downsample_scales_(linear|cubic)_align_corners$": "ONNX Runtime and torch place corners otherwise",
}
NO_COMPUTE_TYPES = {17, 18, 19, 20, 23, 24}  # 8-bit and 4-bit floats: no target here uses them


@dataclass
class Outcome:
    """What became of the suite."""

    passed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    without_gradient: dict[str, str] = field(default_factory=dict)
    gradients: int = 0


def _types(model: onnx.ModelProto) -> set[int]:
    infos = [*model.graph.input, *model.graph.output]
    return {i.type.tensor_type.elem_type if i.type.HasField("tensor_type") else 0 for i in infos}


def _reason_to_skip(case: Any) -> str | None:
    types = _types(case.model)
    if 0 in types:
        return "sequences and optionals"
    if any(torch_dtype(t) is None for t in types) or types & NO_COMPUTE_TYPES:
        return "strings and 8-bit or 4-bit floats"
    opsets = {o.domain: o.version for o in case.model.opset_import}
    for node in case.model.graph.node:
        if find(node.domain, node.op_type, opsets.get(node.domain, 1)) is None and node.op_type in NO_KERNEL:
            return NO_KERNEL[node.op_type]
        if any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute):
            return "control flow and sequences"
    return next((reason for pattern, reason in BY_NAME.items() if re.search(pattern, case.name)), None)


def _array(value: Any) -> np.ndarray:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


# The results of half types differ by a unit in the last place with the order of operations.
TOLERANCE = {torch.float16: (2e-3, 1e-3), torch.bfloat16: (1e-2, 1e-2)}


def _compare(name: str, got: torch.Tensor, wanted: np.ndarray) -> None:
    expected = from_numpy(wanted)
    assert got.dtype == expected.dtype, f"{name}: type {got.dtype}, expected {expected.dtype}"
    assert got.shape == expected.shape, f"{name}: shape {tuple(got.shape)}, expected {tuple(expected.shape)}"
    if got.dtype == torch.bfloat16:
        got_array, wanted_array = got.float().numpy(), expected.float().numpy()
    else:
        got_array, wanted_array = got.numpy(), expected.numpy()
    rtol, atol = TOLERANCE.get(got.dtype, (1e-3, 1e-5))
    np.testing.assert_allclose(got_array, wanted_array, rtol=rtol, atol=atol, err_msg=name)


def _run(case: Any) -> None:
    interpreter = Interpreter(ir.from_proto(case.model))
    for inputs, outputs in case.data_sets:
        names = [v.name for v in case.model.graph.input]
        feeds = {n: from_numpy(_array(a)) for n, a in zip(names, inputs, strict=True)}
        with torch.inference_mode():
            results = interpreter.run(feeds)
        for value, wanted in zip(case.model.graph.output, outputs, strict=True):
            _compare(value.name, results[value.name], _array(wanted))


def _gradient_problem(case: Any) -> str | None:
    """What is wrong with the gradient of a case with float inputs and outputs; "" where there is none to have."""
    model = ir.from_proto(case.model)
    interpreter = Interpreter(model)
    names, arrays = [v.name for v in case.model.graph.input], case.data_sets[0][0]
    feeds = {n: from_numpy(_array(a)) for n, a in zip(names, arrays, strict=True)}
    floats = [t.requires_grad_() for t in feeds.values() if t.dtype.is_floating_point and t.numel()]
    results = [t for t in interpreter.run(feeds).values() if t.dtype.is_floating_point and t.numel()]
    carries = all(
        node_entry(n, 0, model.opset_imports).carries_gradient(node_spec(n, 0, model.opset_imports))
        for n in model.graph
    )
    if not (floats and results and carries):
        return ""
    if not any(t.requires_grad for t in results):
        return "no output depends on an input"
    sum(t.float().sum() for t in results if t.requires_grad).backward()  # type: ignore[union-attr]
    return None if any(t.grad is not None for t in floats) else "no input has a gradient"


@cache
def _suite() -> Outcome:
    from onnx.backend.test.case.node import collect_testcases

    outcome = Outcome()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in collect_testcases(None):
            if "_expanded" in case.name:
                continue
            reason = _reason_to_skip(case)
            if reason is not None:
                outcome.skipped[case.name] = reason
                continue
            try:
                _run(case)
                outcome.passed.append(case.name)
                problem = _gradient_problem(case)
                outcome.gradients += problem is None
                if problem:
                    outcome.without_gradient[case.name] = problem
            except Exception as error:  # every failure is wanted in the list, whatever it is
                text = " ".join(str(error).split())
                outcome.failed[case.name] = f"{type(error).__name__}: {text[:300]}"
    torch.set_num_threads(threads)
    return outcome


def test_every_case_within_reach_passes() -> None:
    failed = _suite().failed
    assert not failed, "\n" + "\n".join(f"{name}: {what}" for name, what in failed.items())


def test_enough_cases_are_within_reach() -> None:
    outcome = _suite()
    reasons = sorted(set(outcome.skipped.values()))
    counts = {r: sum(v == r for v in outcome.skipped.values()) for r in reasons}
    assert len(outcome.passed) >= AT_LEAST, f"{len(outcome.passed)} passed, skipped: {counts}"


def test_gradients_flow_through_every_operator_that_promises_them() -> None:
    outcome = _suite()
    assert not outcome.without_gradient, outcome.without_gradient
    assert outcome.gradients >= 600


def test_the_list_of_missing_kernels_is_true() -> None:
    present = [op for op in NO_KERNEL if find("", op, 99) or find("com.microsoft", op, 99)]
    assert not present, f"registered, yet listed as missing: {present}"


def test_an_unknown_operator_is_named_with_its_node() -> None:
    node = onnx.helper.make_node("Frobnicate", ["x"], ["y"], name="layer.7", domain="my.domain")
    info = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy"]
    graph = onnx.helper.make_graph([node], "g", info[:1], info[1:])
    with pytest.raises(UnsupportedOp, match=r"layer.7.*my.domain.Frobnicate"):
        Interpreter(ir.from_proto(onnx.helper.make_model(graph)))
