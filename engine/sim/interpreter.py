"""Runs an ONNX graph in torch, with gradients.

Every node becomes a closure once. A run follows a *plan* (which nodes, in which order, what can be
freed after each), made once for each pair of fed and wanted tensors. Any tensor of the graph can be
fed or wanted, so a part of the graph runs as easily as the whole.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir
import torch

from engine.errors import BadInput, MixdownError, nearest
from engine.ops import Kernel
from engine.sim.allocator import keep_freed_memory
from engine.sim.kernels import (
    Graph,
    build_kernel,
    graph_and_opsets,
    node_label,
    read_on_host,
    torch_tensor,
    unsupported,
)

Tensor = torch.Tensor
Hook = Callable[[Tensor], Tensor]
_ABSENT = 0  # the slot of inputs that a node leaves out; it always holds None


@dataclass(frozen=True, slots=True)
class _Node:
    """A compiled node; names are empty where an input or output is left out."""

    label: str
    op_type: str
    kernel: Kernel
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Step:
    """One node within a plan, with slots in place of names."""

    node: _Node
    kernel: Kernel
    loads: tuple[tuple[int, str], ...]  # parameters that this node is the first to read
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    frees: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    steps: tuple[_Step, ...]
    slots: Mapping[str, int]
    names: tuple[str, ...]  # by slot
    feeds: tuple[tuple[int, str], ...]
    late: tuple[tuple[int, str], ...]  # wanted parameters that no node reads


class Interpreter:
    """A graph compiled to torch closures.

    `parameters` holds initializers and Constant nodes by name. Replace a value, or set
    `requires_grad` on it, and the next run uses that. With `channels_last`, pictures and the weights
    of convolutions are laid out so: on a CPU, a MobileNet at 224x224 runs forward a third faster in
    batches, while small pictures and training gain nothing.
    """

    def __init__(
        self,
        source: Graph,
        opset_imports: Mapping[str, int] | None = None,
        device: str | torch.device = "cpu",
        channels_last: bool = False,
    ) -> None:
        graph, opsets = graph_and_opsets(source, opset_imports)
        keep_freed_memory()
        self.device = torch.device(device)
        self.channels_last = channels_last
        self.parameters: dict[str, Tensor] = {}
        self._nodes: list[_Node] = []
        with torch.inference_mode(False):  # tensors made in inference mode could not be trained later
            self._read_initializers(graph, opsets)
            for index, node in enumerate(graph):
                self._compile(node, index, opsets)
        self.input_names = tuple(v.name or "" for v in graph.inputs if v.name not in self.parameters)
        self.output_names = tuple(v.name or "" for v in graph.outputs)
        self._producer = {name: i for i, node in enumerate(self._nodes) for name in node.outputs if name}
        self.tensor_names = (*self.input_names, *self.parameters, *self._producer)
        self._known = frozenset(self.tensor_names)
        self._plans: dict[tuple[frozenset[str], tuple[str, ...]], _Plan] = {}

    @staticmethod
    def unsupported(source: Graph, opset_imports: Mapping[str, int] | None = None) -> list[str]:
        """Why gradients cannot be had on a graph, a line per node; empty where they can."""
        return unsupported(source, opset_imports)

    def _read_initializers(self, graph: ir.Graph, opsets: Mapping[str, int]) -> None:
        for name, value in graph.initializers.items():
            if value.const_value is None:
                raise BadInput(f"Initializer {name!r} has no data.")
            if value.dtype != ir.DataType.STRING:
                self.parameters[name] = self._place(torch_tensor(value.const_value, name), value, opsets)

    def _place(self, tensor: Tensor, value: ir.Value, opsets: Mapping[str, int]) -> Tensor:
        """Data goes to the device; numbers (shapes, indices, the bounds of Clip) stay on the CPU."""
        if not tensor.dtype.is_floating_point:
            return tensor
        if self.device.type != "cpu" and read_on_host(value, opsets):
            return tensor
        return self._laid_out(tensor.to(self.device))

    def _laid_out(self, tensor: Tensor) -> Tensor:
        if self.channels_last and tensor.ndim == 4:
            return tensor.contiguous(memory_format=torch.channels_last)
        return tensor

    def _compile(self, node: ir.Node, index: int, opsets: Mapping[str, int]) -> None:
        kernel = build_kernel(node, index, opsets, self.device)
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            value = kernel()
            assert isinstance(value, Tensor)
            output = node.outputs[0]
            self.parameters[output.name or ""] = self._place(value, output, opsets)
            return
        self._nodes.append(
            _Node(
                label=node_label(node, index),
                op_type=node.op_type,
                kernel=kernel,
                inputs=tuple("" if v is None else v.name or "" for v in node.inputs),
                outputs=tuple(v.name or "" for v in node.outputs),
            )
        )

    def run(
        self,
        feeds: Mapping[str, Tensor],
        outputs: Sequence[str] | None = None,
        hooks: Mapping[str, Hook] | None = None,
    ) -> dict[str, Tensor]:
        """Compute `outputs` (all graph outputs by default) from `feeds`.

        A hook replaces a tensor (input, parameter or activation) right after it exists; all readers,
        and the result, see what it returned. Gradients are recorded unless the caller turns them off.
        """
        wanted = self.output_names if outputs is None else tuple(outputs)
        plan = self._plan(frozenset(feeds), wanted)
        active = self._slot_hooks(plan, hooks)
        values: list[Tensor | None] = [None] * len(plan.names)
        for slot, name in plan.feeds:
            self._store(values, slot, self._laid_out(feeds[name].to(self.device)), active)
        for step in plan.steps:
            for slot, name in step.loads:
                self._store(values, slot, self.parameters[name], active)
            result = self._call(step, [values[i] for i in step.inputs])
            for slot, value in zip(step.outputs, result, strict=False):
                if slot:
                    self._store(values, slot, value, active)
            for slot in step.frees:
                values[slot] = None
        for slot, name in plan.late:
            self._store(values, slot, self.parameters[name], active)
        return {name: values[plan.slots[name]] for name in wanted}  # type: ignore[misc]

    @staticmethod
    def _store(
        values: list[Tensor | None], slot: int, value: Tensor, hooks: Mapping[int, Hook] | None
    ) -> None:
        if hooks is not None and slot in hooks:
            value = hooks[slot](value)
        values[slot] = value

    @staticmethod
    def _call(step: _Step, inputs: list[Tensor | None]) -> tuple[Tensor, ...]:
        try:
            result = step.kernel(*inputs)
        except (MixdownError, torch.OutOfMemoryError):
            raise
        except (RuntimeError, ValueError, TypeError, IndexError, KeyError) as error:
            shapes = ", ".join("absent" if t is None else f"{tuple(t.shape)} {t.dtype}" for t in inputs)
            where = f"Node {step.node.label!r} ({step.node.op_type})"
            raise BadInput(f"{where} failed on inputs {shapes}: {error}") from error
        return result if isinstance(result, tuple) else (result,)

    def _slot_hooks(self, plan: _Plan, hooks: Mapping[str, Hook] | None) -> dict[int, Hook] | None:
        if not hooks:
            return None
        for name in hooks:
            if name not in self._known:
                raise BadInput(f"There is no tensor {name!r} to hook. {nearest(name, self._known)}")
        return {plan.slots[name]: hook for name, hook in hooks.items() if name in plan.slots}

    def _plan(self, fed: frozenset[str], wanted: tuple[str, ...]) -> _Plan:
        key = (fed, wanted)
        if key not in self._plans:
            for name in (*fed, *wanted):
                if name not in self._known:
                    raise BadInput(f"There is no tensor {name!r} in the graph. {nearest(name, self._known)}")
            self._plans[key] = self._make_plan(fed, wanted)
        return self._plans[key]

    def _needed(self, fed: frozenset[str], wanted: Sequence[str]) -> list[_Node]:
        """Nodes between the fed and the wanted tensors, in order."""
        chosen: set[int] = set()
        missing: set[str] = set()
        stack = list(wanted)
        while stack:
            name = stack.pop()
            if not name or name in fed or name in self.parameters:
                continue
            index = self._producer.get(name)
            if index is None:
                missing.add(name)
            elif index not in chosen:
                chosen.add(index)
                stack.extend(self._nodes[index].inputs)
        if missing:
            came = ", ".join(sorted(fed)) or "nothing"
            raise BadInput(f"Inputs are missing: {', '.join(sorted(missing))}. Given: {came}.")
        return [self._nodes[i] for i in sorted(chosen)]

    def _make_plan(self, fed: frozenset[str], wanted: tuple[str, ...]) -> _Plan:
        nodes = self._needed(fed, wanted)
        slots: dict[str, int] = {"": _ABSENT}
        last_use: dict[str, int] = {}
        for position, node in enumerate(nodes):
            for name in (*node.inputs, *node.outputs):
                last_use[name] = position
        steps: list[_Step] = []
        feeds = tuple((slots.setdefault(name, len(slots)), name) for name in sorted(fed))
        for position, node in enumerate(nodes):
            loads = {n: slots.setdefault(n, len(slots)) for n in node.inputs if n and n not in slots}
            # A tensor that is fed keeps the fed value even if its producer runs for another output.
            outputs = tuple(_ABSENT if n in fed else slots.setdefault(n, len(slots)) for n in node.outputs)
            done = {n for n in (*node.inputs, *node.outputs) if n and last_use[n] == position}
            frees = tuple(slots[n] for n in sorted(done - set(wanted)))
            inputs = tuple(slots[n] for n in node.inputs)
            pairs = tuple((slot, name) for name, slot in loads.items())
            steps.append(_Step(node, node.kernel, pairs, inputs, outputs, frees))
        late = tuple((slots.setdefault(n, len(slots)), n) for n in wanted if n not in slots)
        return _Plan(tuple(steps), slots, tuple(slots), feeds, late)
