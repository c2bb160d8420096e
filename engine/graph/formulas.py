"""The formulas of patterns, as terms of `matching.py`: normalizations and activations in the ways exporters write them."""

from __future__ import annotations

import math
from typing import Literal

from engine.graph.matching import Leaf, OneOf, Op, Scalar, Term

Kind = Literal[
    "LayerNorm",
    "RMSNorm",
    "Gelu",
    "L2Norm",
    "HardSwish",
    "SiLU",
    "MatMulAdd",
    "MaskedSoftmax",
    "ConvBnAct",
    "Residual",
]

X = Leaf("x", constant=False)
WEIGHT, BIAS = Leaf("weight", constant=True), Leaf("bias", constant=True)


def _with(core: Term) -> tuple[Term, ...]:
    """A normalization with scale and shift, with scale, and bare."""
    return Op("Add", Op("Mul", core, WEIGHT), BIAS), Op("Mul", core, WEIGHT), core


def _square(x: Term) -> Term:
    return OneOf(Op("Pow", x, Scalar(2)), Op("Mul", x, x))


_CENTRED = Op("Sub", X, Op("ReduceMean", X))
_DEVIATION = Op(
    "Sqrt",
    OneOf(Op("Add", Op("ReduceMean", _square(_CENTRED)), Scalar()), Op("ReduceMean", _square(_CENTRED))),
)
_LAYER_NORM = OneOf(Op("Div", _CENTRED, _DEVIATION), Op("Mul", _CENTRED, Op("Reciprocal", _DEVIATION)))
_MEAN_SQUARE = Op("Add", Op("ReduceMean", _square(X)), Scalar())
_RMS = Op("Sqrt", _MEAN_SQUARE)
_RMS_NORM = OneOf(
    Op("Div", X, _RMS),
    Op(
        "Mul",
        X,
        OneOf(Op("Reciprocal", _RMS), Op("Div", Scalar(1), _RMS), Op("Pow", _MEAN_SQUARE, Scalar(-0.5))),
    ),
)
_L2 = OneOf(Op("ReduceL2", X), Op("Sqrt", Op("ReduceSum", _square(X))), Op("Sqrt", Op("ReduceSumSquare", X)))
_L2_SAFE = OneOf(Op("Clip", _L2), Op("Max", _L2, Scalar()), Op("Add", _L2, Scalar()), _L2)
_L2_NORM = Op("Div", X, OneOf(Op("Expand", _L2_SAFE), _L2_SAFE))

_ERF = Op(
    "Add",
    Op("Erf", OneOf(Op("Div", X, Scalar(math.sqrt(2))), Op("Mul", X, Scalar(math.sqrt(0.5))))),
    Scalar(1),
)
_CUBE = OneOf(Op("Pow", X, Scalar(3)), Op("Mul", Op("Mul", X, X), X))
_INNER = Op("Mul", Op("Add", X, Op("Mul", _CUBE, Scalar(0.044715))), Scalar(math.sqrt(2 / math.pi)))
_TANH = Op("Add", Op("Tanh", _INNER), Scalar(1))
_GATE = OneOf(_ERF, _TANH)
_GELU = OneOf(
    Op("Mul", Op("Mul", X, _GATE), Scalar(0.5)),
    Op("Mul", Op("Mul", X, Scalar(0.5)), _GATE),
    Op("Mul", X, Op("Mul", _GATE, Scalar(0.5))),
)
_RELU6 = Op("Clip", Op("Add", X, Scalar(3)), Scalar(0), Scalar(6))
_SIXTH = OneOf(Op("Div", _RELU6, Scalar(6)), Op("Mul", _RELU6, Scalar(1 / 6)))
_HARD_SWISH = OneOf(
    Op("Mul", X, Op("HardSigmoid", X)),
    Op("Mul", X, _SIXTH),
    Op("Div", Op("Mul", X, _RELU6), Scalar(6)),
    Op("Mul", Op("Mul", X, _RELU6), Scalar(1 / 6)),
)
_SILU = Op("Mul", X, OneOf(Op("Sigmoid", X), Op("Sigmoid", Op("Mul", X, Scalar(1.702)))))

# Largest first: the walk goes from the last node to the first, so a scale or shift is met before its core.
FORMULAS: tuple[tuple[Kind, Term], ...] = (
    *(("LayerNorm", term) for term in _with(_LAYER_NORM)),
    *(("RMSNorm", term) for term in _with(_RMS_NORM)[1:]),
    ("L2Norm", _L2_NORM),
    ("Gelu", _GELU),
    ("HardSwish", _HARD_SWISH),
    ("SiLU", _SILU),
)
FUSED: dict[str, Kind] = {
    "LayerNormalization": "LayerNorm",
    "RMSNormalization": "RMSNorm",
    "SimplifiedLayerNormalization": "RMSNorm",
    "Gelu": "Gelu",
    "HardSwish": "HardSwish",
    "Swish": "SiLU",
    "LpNormalization": "L2Norm",
}
