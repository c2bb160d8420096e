"""RNN, GRU and LSTM.

The usual form runs in torch's own kernels. What those lack (lengths per sample, other activations,
peepholes, clipping, the GRU that applies its reset gate first) runs step by step.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from engine.ops.registry import Kernel, NodeSpec, Tensor, op

Activation = Callable[[Tensor], Tensor]
Step = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]

_DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
_PARAMETRIC: dict[str, Callable[[float, float], Activation]] = {
    "LeakyRelu": lambda a, b: lambda x: functional.leaky_relu(x, a),
    "ThresholdedRelu": lambda a, b: lambda x: functional.threshold(x, a, 0.0),
    "Affine": lambda a, b: lambda x: a * x + b,
    "ScaledTanh": lambda a, b: lambda x: a * torch.tanh(b * x),
    "HardSigmoid": lambda a, b: lambda x: torch.clamp(a * x + b, 0.0, 1.0),
    "Elu": lambda a, b: lambda x: functional.elu(x, a),
}
_PARAMETER_DEFAULTS = {
    "LeakyRelu": (0.01, 0.0), "ThresholdedRelu": (1.0, 0.0), "HardSigmoid": (0.2, 0.5), "Elu": (1.0, 0.0),
}
_SIMPLE: dict[str, Activation] = {
    "Relu": torch.relu, "Tanh": torch.tanh, "Sigmoid": torch.sigmoid, "Softsign": functional.softsign,
    "Softplus": functional.softplus,
}


@dataclass(frozen=True, slots=True)
class _Config:
    """What the attributes say, once for all three operators."""

    op_type: str
    hidden: int
    directions: tuple[bool, ...]  # per direction, whether time runs backwards
    activations: tuple[tuple[Activation, ...], ...]
    plain_activations: bool
    clip: float
    batch_first: bool
    reset_first: bool
    input_forget: bool


def _activations(spec: NodeSpec, count: int) -> tuple[tuple[Activation, ...], ...]:
    defaults = _DEFAULTS[spec.op_type]
    raw = spec.attributes.get("activations") or list(defaults) * count
    names = [n.decode() if isinstance(n, bytes) else str(n) for n in raw]
    alphas, betas = (iter(spec.attributes.get(key) or ()) for key in ("activation_alpha", "activation_beta"))
    made: list[Activation] = []
    for name in names:
        known = {n.lower(): n for n in (*_SIMPLE, *_PARAMETRIC)}.get(name.lower())
        if known is None:
            raise spec.refusal(f"activation {name!r} is not supported.")
        if known in _SIMPLE:
            made.append(_SIMPLE[known])
        else:
            a, b = _PARAMETER_DEFAULTS.get(known, (1.0, 1.0))
            made.append(_PARAMETRIC[known](next(alphas, a), next(betas, b)))
    width = len(defaults)
    return tuple(tuple(made[i * width : (i + 1) * width]) for i in range(count))


def _config(spec: NodeSpec) -> _Config:
    direction = spec.text("direction", "forward")
    directions = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[direction]
    activations = _activations(spec, len(directions))
    usual = tuple(_SIMPLE[name] for name in _DEFAULTS[spec.op_type])
    return _Config(
        op_type=spec.op_type,
        hidden=spec.integer("hidden_size"),
        directions=directions,
        activations=activations,
        plain_activations=all(a == usual for a in activations),
        clip=spec.number("clip", 0.0),
        batch_first=spec.flag("layout"),
        reset_first=spec.op_type == "GRU" and not spec.flag("linear_before_reset"),
        input_forget=spec.flag("input_forget"),
    )


def _reorder(matrix: Tensor, op_type: str) -> Tensor:
    """ONNX orders gates i o f c and z r h, torch i f c o and r z n."""
    if op_type == "LSTM":
        i, o, f, c = matrix.chunk(4)
        return torch.cat([i, f, c, o])
    if op_type == "GRU":
        z, r, h = matrix.chunk(3)
        return torch.cat([r, z, h])
    return matrix


def _native(
    config: _Config, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None, states: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Torch's kernels: sequence [time, batch, directions * hidden] and last states."""
    backwards = config.directions == (True,)
    parameters: list[Tensor] = []
    for d in range(len(config.directions)):
        parameters += [_reorder(w[d], config.op_type), _reorder(r[d], config.op_type)]
        if b is not None:
            parameters += [_reorder(half, config.op_type) for half in b[d].chunk(2)]
    x = x.flip(0) if backwards else x
    natives: dict[str, Callable[..., tuple[Tensor, ...]]] = {
        "LSTM": torch.lstm, "GRU": torch.gru, "RNN": torch.rnn_tanh,
    }
    run = natives[config.op_type]
    initial = states if config.op_type == "LSTM" else states[0]
    both = len(config.directions) == 2
    y, *last = run(x, initial, parameters, b is not None, 1, 0.0, False, both, False)
    y = y.flip(0) if backwards else y
    y = y.reshape(*y.shape[:2], len(config.directions), config.hidden)
    return y.transpose(1, 2), tuple(last)


def _clip(value: Tensor, config: _Config) -> Tensor:
    return value.clamp(-config.clip, config.clip) if config.clip else value


def _lstm_step(config: _Config, r: Tensor, acts: tuple[Activation, ...], peepholes: Tensor | None) -> Step:
    f_act, g_act, h_act = acts
    p_i, p_o, p_f = peepholes.chunk(3) if peepholes is not None else (0.0, 0.0, 0.0)

    def step(gates: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        h, c = state
        i, o, f, g = (gates + h @ r.t()).chunk(4, -1)
        i = f_act(_clip(i + p_i * c, config))
        f = 1 - i if config.input_forget else f_act(_clip(f + p_f * c, config))
        c = f * c + i * g_act(_clip(g, config))
        o = f_act(_clip(o + p_o * c, config))
        return o * h_act(c), c

    return step


def _gru_step(config: _Config, r: Tensor, acts: tuple[Activation, ...], bias: Tensor | None) -> Step:
    f_act, g_act = acts
    r_z, r_r, r_h = r.chunk(3)
    b_h = bias.chunk(3)[2] if bias is not None else 0.0

    def step(gates: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        h = state[0]
        z, reset, new = gates.chunk(3, -1)
        z = f_act(_clip(z + h @ r_z.t(), config))
        reset = f_act(_clip(reset + h @ r_r.t(), config))
        recurrent = (reset * h) @ r_h.t() + b_h if config.reset_first else reset * (h @ r_h.t() + b_h)
        new = g_act(_clip(new + recurrent, config))
        return ((1 - z) * new + z * h,)

    return step


def _step(
    config: _Config, d: int, r: Tensor, bias: Tensor | None, peepholes: Tensor | None
) -> tuple[Step, Tensor | None]:
    """One step in time, and the recurrent bias that can be added beforehand."""
    acts = config.activations[d]
    if config.op_type == "LSTM":
        return _lstm_step(config, r, acts, peepholes), bias
    if config.op_type == "GRU":
        n = config.hidden
        early = None if bias is None else torch.cat([bias[: 2 * n], bias.new_zeros(n)])
        return _gru_step(config, r, acts, bias), early
    return (lambda gates, state: (acts[0](_clip(gates + state[0] @ r.t(), config)),)), bias


def _looped(
    config: _Config, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None, states: tuple[Tensor, ...],
    lengths: Tensor | None, peepholes: Tensor | None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Step by step; beyond a sample's length the output is zero and the state stays."""
    sequences: list[Tensor] = []
    finals: list[tuple[Tensor, ...]] = []
    for d, backwards in enumerate(config.directions):
        b_w, b_r = b[d].chunk(2) if b is not None else (None, None)
        step, early = _step(config, d, r[d], b_r, None if peepholes is None else peepholes[d])
        gates = functional.linear(x, w[d], b_w)
        gates = gates if early is None else gates + early
        state = tuple(s[d] for s in states)
        outputs: list[Tensor] = [gates.new_empty(0)] * len(x)
        for t in reversed(range(len(x))) if backwards else range(len(x)):
            new = step(gates[t], state)
            if lengths is None:
                outputs[t], state = new[0], new
                continue
            alive = (t < lengths)[:, None]
            state = tuple(torch.where(alive, n, s) for n, s in zip(new, state, strict=True))
            outputs[t] = torch.where(alive, new[0], torch.zeros_like(new[0]))
        sequences.append(torch.stack(outputs))
        finals.append(state)
    last = tuple(torch.stack(parts) for parts in zip(*finals, strict=True))
    return torch.stack(sequences, 1), last


@op("RNN", "GRU", "LSTM", since=7)
def recurrent(spec: NodeSpec) -> Kernel:
    """Forward, reverse and bidirectional; outputs are the sequence and the last states."""
    config = _config(spec)
    native = config.plain_activations and not (config.clip or config.reset_first or config.input_forget)

    def kernel(
        x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, lengths: Tensor | None = None,
        h: Tensor | None = None, c: Tensor | None = None, peepholes: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        x = x.transpose(0, 1) if config.batch_first else x
        given = (h, c) if config.op_type == "LSTM" else (h,)
        zeros = x.new_zeros(len(config.directions), x.shape[1], config.hidden)
        placed = [s.transpose(0, 1) if s is not None and config.batch_first else s for s in given]
        states = tuple(zeros if s is None else s.contiguous() for s in placed)
        if lengths is not None and bool((lengths == len(x)).all()):
            lengths = None
        if native and lengths is None and peepholes is None:
            y, last = _native(config, x, w, r, b, states)
        else:
            y, last = _looped(config, x, w, r, b, states, lengths, peepholes)
        if config.batch_first:
            return (y.permute(2, 0, 1, 3), *(s.transpose(0, 1) for s in last))
        return (y, *last)

    return kernel
