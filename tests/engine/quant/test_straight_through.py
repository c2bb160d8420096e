"""The trained quantizer: its forward is the encoding's, its gradients are those that the papers give."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.quant.encoding import encode_range
from engine.quant.granularity import PerChannel
from engine.quant.grid import Grid, Symmetry
from engine.quant.straight_through import FakeQuantize, PassThrough


def apply(x: Tensor, scale: Tensor, zero: Tensor, qmin: int, qmax: int, inner: bool = True) -> Tensor:
    found: Tensor = FakeQuantize.apply(x, scale, zero, qmin, qmax, inner)
    return found


@pytest.mark.parametrize("symmetry", ["asymmetric", "symmetric", "strict", "unsigned"])
@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_forward_is_the_encodings_bit_by_bit(symmetry: Symmetry, bits: int) -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(0, 3, 4096).astype(np.float32))
    if symmetry == "unsigned":
        x = x.abs()
    encoding = encode_range(float(x.min()) * 0.7, float(x.max()) * 0.7, Grid(bits, symmetry))
    assert encoding.grid is not None and encoding.scale is not None and encoding.zero_point is not None
    got = apply(x, encoding.scale, encoding.zero_point.float(), encoding.grid.qmin, encoding.grid.qmax)
    assert torch.equal(got, encoding.fake_quantize(x))


def test_gradients_by_hand() -> None:
    # s = 0.5, codes -2..1: v = x / s is -6, -1.4, 0.6, 5; round and clamp: -2, -1, 1, 1
    x = torch.tensor([-3.0, -0.7, 0.3, 2.5], requires_grad=True)
    scale, zero = torch.tensor(0.5, requires_grad=True), torch.tensor(0.0, requires_grad=True)
    y = apply(x, scale, zero, -2, 1)
    assert y.tolist() == [-1.0, -0.5, 0.5, 0.5]
    torch.autograd.backward(y, torch.tensor([1.0, 10.0, 100.0, 1000.0]))
    assert x.grad is not None and x.grad.tolist() == [0.0, 10.0, 100.0, 0.0]
    # rule 2: -2, round(-1.4) + 1.4 = 0.4, 1 - 0.6 = 0.4, 1
    assert scale.grad is not None and float(scale.grad) == pytest.approx(-2 + 4 + 40 + 1000, rel=1e-5)
    assert zero.grad is not None and float(zero.grad) == pytest.approx(-0.5 * (1 + 1000), rel=1e-6)  # rule 3


def test_a_learned_clip_hears_only_of_what_it_cuts_off() -> None:
    x, scale = torch.tensor([-3.0, -0.7, 0.3, 2.5]), torch.tensor(0.5, requires_grad=True)
    torch.autograd.backward(apply(x, scale, torch.tensor(0.0), -2, 1, inner=False), torch.ones(4))
    assert scale.grad is not None and float(scale.grad) == pytest.approx(-2 + 1)


def test_a_scale_for_each_channel_gets_the_gradient_of_its_own() -> None:
    generator = np.random.default_rng(1)
    x = torch.from_numpy(generator.normal(0, 1, (3, 5, 2)).astype(np.float32))
    grad = torch.from_numpy(generator.normal(0, 1, (3, 5, 2)).astype(np.float32))
    scales = torch.tensor([0.1, 0.3, 0.2, 0.5, 0.05])
    whole = scales.clone().requires_grad_()
    torch.autograd.backward(apply(x, whole.reshape(1, 5, 1), torch.zeros(1, 5, 1), -3, 3), grad)
    assert whole.grad is not None
    for channel in range(5):
        one = scales[channel].clone().requires_grad_()
        torch.autograd.backward(apply(x[:, channel], one, torch.tensor(0.0), -3, 3), grad[:, channel])
        assert one.grad is not None and float(one.grad) == pytest.approx(float(whole.grad[channel]), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("shape", [(), (2, 1)])
def test_a_weight_on_the_last_code_still_learns(shape: tuple[int, ...]) -> None:
    x = torch.tensor([[-1.0, 0.25], [0.5, 0.75]], requires_grad=True)  # codes -2, 0.5, 1 and beyond at a scale of 0.5
    torch.autograd.backward(apply(x, torch.full(shape, 0.5), torch.tensor(0.0), -2, 1), torch.ones(2, 2))
    assert x.grad is not None and x.grad.tolist() == [[1.0, 1.0], [1.0, 0.0]]


def test_per_channel_forward_is_the_encodings() -> None:
    x = torch.from_numpy(np.random.default_rng(2).normal(0, 1, (6, 7)).astype(np.float32))
    encoding = encode_range(x.amin(1), x.amax(1), Grid(4, "symmetric"), PerChannel(0))
    assert encoding.grid is not None
    scale, zero = encoding.expand(x.shape)
    assert torch.equal(apply(x, scale, zero.float(), encoding.grid.qmin, encoding.grid.qmax), encoding.fake_quantize(x))


def test_pass_through_gives_the_value_and_a_share_of_the_gradient() -> None:
    x = torch.tensor([0.1, 0.7], requires_grad=True)
    y = PassThrough.apply(x, torch.tensor([3.0, 4.0]), 0.25)
    torch.autograd.backward(y, torch.tensor([1.0, 2.0]))
    assert y.tolist() == [3.0, 4.0] and x.grad is not None and x.grad.tolist() == [0.25, 0.5]
