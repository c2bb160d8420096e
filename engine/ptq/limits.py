"""Upper limits on a tensor, which have to be scaled along with its channels: Clip(0, 6), and a Min with one limit per channel.

One number cannot follow a factor per channel. Where a Clip cuts nothing on the data it can become a Relu; else its exact
substitute is a Clip at the highest limit (which devices fuse with the layer before it, and which keeps the tensor's range
small) and a Min with each channel's own limit.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from engine.graph.model import Model
from engine.ptq.weights import alone, array, give_constant, register
from engine.sim.clips import clip_bounds as bounds_of


@dataclass(frozen=True, eq=False)
class Limit:
    """An upper limit on the way of some channels.

    Attributes:
        clip: a Clip with one limit for all channels, or None.
        minimum: a Min with a limit per channel, or None. With both, the Clip only bounds the tensor for the Min behind it.
        labels: the start's channel of each element, compact, as `follow` has them.
    """

    clip: ir.Node | None
    minimum: ir.Node | None
    labels: np.ndarray

    @property
    def single(self) -> bool:
        """Whether one number limits all channels: it cannot be scaled as it is."""
        return self.minimum is None

    @property
    def name(self) -> str:
        node = self.minimum or self.clip
        assert node is not None
        return str(node.name)

    def divide(self, model: Model, factors: np.ndarray) -> None:
        """Divides each channel's limit by its factor; labels of -1 keep theirs."""
        self._change(model, lambda limit: limit / _by_label(factors, self.labels, 1.0))

    def lower(self, model: Model, amounts: np.ndarray) -> None:
        """Takes an amount from each channel's limit."""
        self._change(model, lambda limit: limit - _by_label(amounts, self.labels, 0.0))

    def _change(self, model: Model, change) -> None:  # type: ignore[no-untyped-def]
        assert self.minimum is not None
        place = _constant_place(self.minimum)
        new = change(array(self.minimum.inputs[place]))
        give_constant(model, self.minimum, place, new)
        if self.clip is not None:
            _set_upper(model, self.clip, float(np.float32(new.max())))

    def split(self, model: Model) -> Limit:
        """Puts a Min with a limit per channel behind a single limit: the same function, and it can be scaled."""
        assert self.clip is not None and self.minimum is None
        source, upper = self.clip.outputs[0], _bounds(self.clip)[1]
        shape = [self.labels.shape[a] for a in range(self.labels.ndim)]
        limits = register(model, f"{self.clip.name}_limits", np.full(shape, upper))
        made = ir.node("Min", [source, limits], name=f"{self.clip.name}_limit",
                       outputs=[ir.Value(name=None, shape=source.shape, type=source.type)])
        made.metadata_props.update(self.clip.metadata_props)
        model.graph.insert_after(self.clip, made)
        name = str(source.name)
        ir.convenience.replace_all_uses_with(source, made.outputs[0], replace_graph_outputs=True)
        made.replace_input_with(0, source)
        source.name, made.outputs[0].name = f"{name}__bounded", name
        return Limit(self.clip, made, self.labels)

    def remove(self) -> None:
        """Makes a Clip(0, upper) a Relu: the same function where nothing reaches the limit."""
        assert self.clip is not None and _bounds(self.clip)[0] == 0.0
        self.clip.op_type = "Relu"
        self.clip.resize_inputs(1)
        for key in ("min", "max"):
            self.clip.attributes.pop(key, None)


def clip_bounds(node: ir.Node) -> tuple[float, float] | None:
    """The bounds of a Clip; None for other nodes and where one is computed."""
    return bounds_of(node) if node.op_type == "Clip" else None


def is_limit_min(node: ir.Node) -> bool:
    """Whether a Min holds a tensor below positive constants."""
    if node.op_type != "Min" or node.domain not in ("", "ai.onnx") or len(node.inputs) != 2:
        return False
    constants = [v for v in node.inputs if v is not None and v.const_value is not None]
    return len(constants) == 1 and bool((array(constants[0]) > 0).all())


def limit_behind(clip: ir.Node) -> ir.Node | None:
    """The Min that alone reads a Clip and makes its upper bound superfluous, all its limits being at most as high."""
    upper = _bounds(clip)[1]
    if not math.isfinite(upper) or not alone(clip.outputs[0]):
        return None
    (use,) = clip.outputs[0].uses()
    if not is_limit_min(use.node):
        return None
    return use.node if array(use.node.inputs[_constant_place(use.node)]).max() <= upper else None


def _bounds(clip: ir.Node) -> tuple[float, float]:
    found = clip_bounds(clip)
    return (math.nan, math.inf) if found is None else found


def _constant_place(node: ir.Node) -> int:
    return next(i for i, value in enumerate(node.inputs) if value is not None and value.const_value is not None)


def _set_upper(model: Model, clip: ir.Node, upper: float) -> None:
    if len(clip.inputs) > 2 and clip.inputs[2] is not None:
        give_constant(model, clip, 2, np.asarray(upper))
    else:
        clip.attributes["max"] = ir.AttrFloat32("max", upper)


def _by_label(values: np.ndarray, labels: np.ndarray, other: float) -> np.ndarray:
    return np.append(values, other)[labels]  # -1 is the appended one
