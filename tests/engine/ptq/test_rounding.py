"""AdaRound's pieces on plain tensors: the stretched sigmoid, the rounding term, and the optimization against brute force."""
from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from engine.ptq.adaround_fit import Schedule, chosen, fit
from engine.ptq.adaround_loss import Activation, GramError, OutputError
from engine.ptq.moments import Problem
from engine.ptq.rounding import SoftRounding, rise, rise_slope, undecided

SCHEDULE = Schedule(iterations=800, learning_rate=0.01, warm_start=0.2, regularization=0.01, beta_start=20.0, beta_end=2.0)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def correlated(groups: int, inputs: int, seed: int = 1) -> Tensor:
    """Second moments [groups, inputs, inputs] of inputs that depend on each other: there plain rounding is far from the best."""
    x = drawn(groups, 400, inputs, seed=seed) @ (torch.ones(inputs, inputs) * 0.7 + torch.eye(inputs))
    return x.transpose(1, 2) @ x / 400


def on_grid(weight: Tensor, scale: Tensor) -> SoftRounding:
    """A weight on a symmetric 4-bit grid."""
    return SoftRounding(weight, scale, torch.tensor(-8.0), torch.tensor(7.0))


def gram(moments: Tensor, weight: Tensor, scale: Tensor) -> GramError:
    """The loss against the weight's own outputs."""
    groups, outputs, inputs = weight.shape
    nothing = torch.zeros(groups, outputs)
    problem = Problem(1, moments, torch.zeros_like(weight), nothing.double(), torch.zeros(groups, inputs), nothing, nothing.double(), False)
    return GramError(problem, weight, weight, on_grid(weight, scale).to_nearest() * scale)


def outputs(x: Tensor, weight: Tensor, activation: Activation, batch: int, seed: int = 0) -> OutputError:
    """The samples' loss of a layer without bias, against its own float output; every row is a sample."""
    return OutputError(x[None], (x @ weight[0].T)[None], torch.zeros(weight.shape[:2]), activation, len(x), batch, seed)


def learned(weight: Tensor, scale: Tensor, objective: GramError | OutputError) -> tuple[Tensor, float, float]:
    rounding = on_grid(weight, scale)
    fit(rounding, objective, SCHEDULE, lambda iteration, loss: None)
    return chosen(rounding, objective)


def test_slope_is_the_derivative_of_the_stretched_sigmoid() -> None:
    a = torch.linspace(-4, 4, 801, dtype=torch.float64)
    numeric = (rise(a + 1e-6) - rise(a - 1e-6)) / 2e-6
    kinks = ((a.abs() - 2.3979).abs() < 0.01)
    assert torch.allclose(rise_slope(a)[~kinks], numeric[~kinks], atol=1e-6)
    assert float(rise(torch.tensor(-5.0))) == 0 and float(rise(torch.tensor(5.0))) == 1


@pytest.mark.parametrize("beta", [20.0, 7.0, 2.0])
def test_rounding_term_and_its_gradient(beta: float) -> None:
    h = torch.rand(64, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    value, gradient = undecided(h, beta)
    assert value == pytest.approx(float((1 - (2 * h - 1).abs() ** beta).sum()))
    for i in (0, 17, 63):
        step = torch.zeros_like(h)
        step[i] = 1e-6
        numeric = (undecided(h + step, beta)[0] - undecided(h - step, beta)[0]) / 2e-6
        assert float(gradient[i]) == pytest.approx(numeric, rel=1e-4, abs=1e-6)
    assert undecided(torch.tensor([0.0, 1.0]), beta)[0] == pytest.approx(0)


def test_it_begins_at_the_float_weight_and_clips_to_the_grid() -> None:
    weight = torch.tensor([[[0.26, -0.31, 5.0, -5.0]]])
    rounding = on_grid(weight, torch.tensor(0.1))
    assert torch.allclose(rounding.soft(), torch.tensor([[[0.26, -0.31, 0.7, -0.8]]]), atol=1e-6)
    assert rounding.to_nearest().tolist() == [[[3.0, -3.0, 7.0, -8.0]]]
    assert rounding.through(torch.ones_like(weight))[0, 0].tolist() == pytest.approx([0.1, 0.1, 0.0, 0.0])


def test_weights_on_the_grid_stay() -> None:
    codes = torch.randint(-8, 8, (1, 6, 9), generator=torch.Generator().manual_seed(3)).float()
    scale = torch.full((1, 6, 1), 0.37)
    found, before, after = learned(codes * scale, scale, gram(correlated(1, 9), codes * scale, scale))
    assert torch.equal(found, codes) and before == after == 0


@pytest.mark.parametrize("seed", range(4))
def test_near_the_best_of_all_roundings(seed: int) -> None:
    """Nine weights have 512 roundings: the found one costs at most a tenth more than the best, where nearest costs far more."""
    weight, scale, moments = drawn(1, 12, 9, seed=seed), torch.full((1, 12, 1), 0.4), correlated(1, 9, seed + 10)
    objective = gram(moments, weight, scale)
    found, before, after = learned(weight, scale, objective)
    ups = torch.tensor(list(itertools.product((0.0, 1.0), repeat=9)))
    floor = (weight / scale).floor()
    errors = (floor[0, :, None] + ups[None]).clamp(-8, 7) * scale[0, :, None] - weight[0, :, None]
    best = float(((errors @ moments[0]) * errors).sum(2).amin(1).sum())
    assert after == pytest.approx(float(objective.by_channel(found * scale).sum()))
    assert best * 0.999 <= after <= best * 1.1
    assert before > 1.5 * best


def test_gram_and_samples_have_one_loss() -> None:
    """Without an activation both forms are the same number, and so are their gradients."""
    x, weight, other = drawn(40, 9, seed=5), drawn(1, 4, 9, seed=6), drawn(1, 4, 9, seed=7)
    moments = gram((x.T @ x / 40)[None], weight, torch.tensor(0.1))
    direct = outputs(x, weight, lambda y: y, 40)
    a, b = moments.value_and_gradient(other, 0), direct.value_and_gradient(other, 0)
    assert a[0] == pytest.approx(b[0], rel=1e-5)
    assert torch.allclose(a[1], b[1], rtol=1e-4, atol=1e-5)
    assert torch.allclose(moments.by_channel(other), direct.by_channel(other), rtol=1e-5)


def test_through_an_activation_what_it_hides_costs_nothing() -> None:
    """A channel that a Relu holds at zero has no loss, whatever its rounding; the others are learned."""
    x = drawn(200, 9, seed=8).abs()
    weight = torch.cat([-drawn(1, 2, 9, seed=9).abs() - 1, drawn(1, 2, 9, seed=10)], 1)
    objective = outputs(x, weight, torch.relu, 32)
    found, before, after = learned(weight, torch.full((1, 4, 1), 0.4), objective)
    by_channel = objective.by_channel(found * 0.4)[0]
    assert by_channel[:2].tolist() == [0, 0] and 0 < after < before


@pytest.mark.parametrize("seed", range(3))
def test_no_channel_is_worse_than_nearest(seed: int) -> None:
    """Even where the optimization has no time to come anywhere."""
    weight, moments = drawn(2, 5, 6, seed=seed), correlated(2, 6, seed)
    scale = torch.tensor(0.5)
    rounding, objective = on_grid(weight, scale), gram(moments, weight, scale)
    fit(rounding, objective, Schedule(3, 1.0, 0.0, 1.0, 20.0, 2.0), lambda iteration, loss: None)
    codes, before, after = chosen(rounding, objective)
    nearest = objective.by_channel(rounding.to_nearest() * 0.5)
    assert bool((objective.by_channel(codes * 0.5) <= nearest).all()) and after <= before


def test_same_seed_same_rounding_other_seed_other_batches() -> None:
    x, weight = drawn(100, 9, seed=11), drawn(1, 4, 9, seed=12)

    def path(seed: int) -> tuple[list[float], Tensor]:
        objective = outputs(x, weight, lambda y: y, 8, seed)
        rounding, losses = on_grid(weight, torch.tensor(0.4)), []
        fit(rounding, objective, Schedule(50, 0.01, 0.2, 0.01, 20.0, 2.0), lambda iteration, loss: losses.append(loss))
        return losses, rounding.a

    first, again, other = path(0), path(0), path(1)
    assert first[0] == again[0] and torch.equal(first[1], again[1]) and first[0] != other[0]


def test_rows_of_a_sample_stay_together_and_groups_apart() -> None:
    """Two groups, three rows a sample, one row too many: batches are whole samples, and the full loss counts every row."""
    x, weight = drawn(2, 13, 4, seed=13), drawn(2, 3, 4, seed=14)
    objective = OutputError(x, x @ weight.transpose(1, 2) + 1, torch.zeros(2, 3), lambda y: y, 4, 2, 0)
    assert objective.by_channel(weight).flatten().tolist() == pytest.approx([1.0] * 6)
    assert objective.value_and_gradient(weight, 0)[0] == pytest.approx(6.0, rel=1e-4)
    marked = torch.arange(13.0).reshape(1, 13, 1).expand(2, 13, 4)
    rows = OutputError(marked, marked, torch.zeros(2, 4), lambda y: y, 4, 2, 0)._rows(marked, torch.tensor([2, 0]))
    assert rows[0, :, 0].tolist() == [6, 7, 8, 0, 1, 2]
