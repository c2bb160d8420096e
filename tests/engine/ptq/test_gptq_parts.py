"""The parts of GPTQ on numbers small enough to check by hand or by trying every rounding."""
from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.data import Dataset
from engine.errors import BadInput
from engine.graph import Model
from engine.ptq.clip_search import owners, search_clip, widened
from engine.ptq.float_target import best_target, cholesky, float_target, without_dead
from engine.ptq.gptq import drawn
from engine.ptq.gptq_solver import solve
from engine.ptq.matrix import MatrixForm
from engine.ptq.moments import Moments, positions_of
from engine.ptq.walk import Batch
from engine.quant.granularity import Granularity, PerBlock, PerChannel, PerTensor
from engine.quant.precision import Int
from engine.quant.ranges import MinMax
from engine.quant.weights import weight_encoding
from engine.targets import WeightPlan
from tests.engine.ptq.test_matrix import layer_of, values

LOW, HIGH = -2.0, 1.0  # two bits, symmetric


def error(codes: Tensor, target: Tensor, h: Tensor) -> Tensor:
    change = codes - target
    return torch.einsum("...i,ij,...j->...", change, h, change)


def brute_force(target: Tensor, h: Tensor) -> Tensor:
    """The least error of each row over all codes."""
    every = torch.tensor(list(itertools.product(range(int(LOW), int(HIGH) + 1), repeat=target.shape[1])), dtype=torch.float32)
    return torch.stack([error(every, row, h).min() for row in target])


def rounded(target: Tensor, h: Tensor, damping: float = 1e-9) -> Tensor:
    ones = torch.ones_like(target)[None]
    return solve(target[None], h[None], ones, LOW * ones, HIGH * ones, damping)[0]


def test_two_weights_by_hand() -> None:
    """H = [[2, 1], [1, 2]], w = (0.6, 0.6): nearest, (1, 1), costs .96. GPTQ: q0 = 1, error -.4, w1 = .6 - .4 / 2 = .4, q1 = 0:
    .56, the least of all."""
    h, target = torch.tensor([[2.0, 1.0], [1.0, 2.0]]), torch.tensor([[0.6, 0.6]])
    found = rounded(target, h)
    assert found.tolist() == [[1.0, 0.0]]
    assert float(error(found, target, h)) == pytest.approx(0.56) and float(error(torch.ones(1, 2), target, h)) == pytest.approx(0.96)
    assert float(brute_force(target, h)) == pytest.approx(0.56)


def test_the_column_that_matters_most_goes_first() -> None:
    """H = [[1, 1], [1, 4]]: column 1 first: q1 = round(.4) = 0, error .4, w0 = .4 + .4 * 1 / 1 = .8, q0 = 1.
    (1, 0) costs .36 + .64 - .48 = .52."""
    h, target = torch.tensor([[1.0, 1.0], [1.0, 4.0]]), torch.tensor([[0.4, 0.4]])
    found = rounded(target, h)
    assert found.tolist() == [[1.0, 0.0]] and float(error(found, target, h)) == pytest.approx(0.52)
    assert float(error(torch.zeros(1, 2), target, h)) == pytest.approx(1.12)


def correlated(size: int, seed: int) -> Tensor:
    x = np.random.default_rng(seed).normal(size=(50, size)) @ np.random.default_rng(seed + 1).normal(size=(size, size))
    return torch.from_numpy((x.T @ x / 50).astype(np.float32))


def test_close_to_the_best_of_all_roundings() -> None:
    """Over 40 layers of 5 x 4 weights: never better than brute force (a bound), and most of what lies between it and nearest is won."""
    best, found, nearest = 0.0, 0.0, 0.0
    for seed in range(40):
        h = correlated(4, seed)
        target = torch.from_numpy(np.random.default_rng(seed + 100).uniform(-1.9, 0.9, (5, 4)).astype(np.float32))
        codes = rounded(target, h)
        assert bool(((codes == codes.round()) & (codes >= LOW) & (codes <= HIGH)).all())
        least, mine = brute_force(target, h), error(codes, target, h)
        assert bool((mine >= least - 1e-4).all())
        best, found, nearest = best + float(least.sum()), found + float(mine.sum()), nearest + float(error(target.round(), target, h).sum())
    assert best < found < best + 0.3 * (nearest - best)


def test_groups_and_blocks_of_columns_change_nothing() -> None:
    """Groups are solved apart; a layer of more columns than a block gives what one long column loop would give."""
    h = torch.stack([correlated(150, seed) for seed in (0, 7)])
    target = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 3, 150)).astype(np.float32))
    scale = torch.full_like(target, 0.25)
    found = solve(target, h, scale, -8 * torch.ones(1), 7 * torch.ones(1), 0.01)
    for g in range(2):
        alone = solve(target[g:g + 1], h[g:g + 1], scale[:1], torch.tensor([-8.0]), torch.tensor([7.0]), 0.01)
        assert torch.allclose(alone[0], found[g], atol=1e-5)
        assert torch.allclose(one_column_at_a_time(target[g].double(), h[g].double(), 0.25, 0.01).float(), found[g], atol=1e-3, rtol=0) or (
            float((one_column_at_a_time(target[g].double(), h[g].double(), 0.25, 0.01).float() != found[g]).float().mean()) < 0.05)


def one_column_at_a_time(target: Tensor, h: Tensor, scale: float, damping: float) -> Tensor:
    """Algorithm 1 of the paper without blocks, in float64."""
    order = h.diagonal().argsort(descending=True, stable=True)
    h, left = h[order][:, order], target[:, order].clone()
    inverse = torch.linalg.inv(h + damping * h.diagonal().mean() * torch.eye(len(h), dtype=h.dtype))
    upper = torch.linalg.cholesky(inverse, upper=True)
    for i in range(len(h)):
        q = (left[:, i] / scale).round().clamp(-8, 7) * scale
        left[:, i + 1:] -= ((left[:, i] - q) / upper[i, i])[:, None] * upper[i, i + 1:]
        left[:, i] = q
    found = torch.empty_like(left)
    found[:, order] = left
    return found


def test_a_singular_matrix_gets_more_damping() -> None:
    h = torch.ones(1, 3, 3) - 1e-3 * torch.eye(3)  # indefinite
    assert bool(torch.isfinite(cholesky(h, 0.0)).all())
    assert bool(torch.isfinite(cholesky(torch.zeros(1, 3, 3), 0.01)).all())


# ---- moments and the float target
def step_of(model: Model, bias: np.ndarray | None = None, op_has_bias: bool = True) -> Any:
    """What moments need of a walk's step."""
    layer = model.layers[0]
    form = MatrixForm.of(model, layer)
    weight = torch.from_numpy(np.array(model.constant(layer.weight)))
    channels = form.outputs * form.groups
    bias = np.zeros(channels) if bias is None else bias.astype(np.float64)
    return SimpleNamespace(form=form, weight=weight, inside=op_has_bias, bias=bias)


def gathered(step: Any, x: Tensor, y: Tensor, size: int, budget: int = 1 << 30) -> Moments:
    moments = Moments(step, budget)
    for i in range(0, len(x), size):
        moments.add(Batch(i // size, i, min(i + size, len(x)), x[i:i + size], x[i:i + size], y[i:i + size], None))
    return moments


def linear(rows: int = 64, inputs: int = 5, outputs: int = 3) -> tuple[Any, Tensor, Tensor]:
    bias = values(outputs)
    step = step_of(layer_of("Gemm", values(outputs, inputs), (rows, inputs), bias=bias, transB=1), bias)
    x = torch.from_numpy(values(rows, inputs)) + 1.0
    return step, x, x @ step.weight.t() + torch.from_numpy(bias)


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("centred", [False, True])
def test_moments_are_numpys(size: int, centred: bool) -> None:
    step, x, y = linear()
    spoilt = x + torch.from_numpy(values(64, 5)) * 0.3
    problem = gathered(step, spoilt, y, size).problem(centred=centred)
    w, b = step.weight.numpy().astype(np.float64), step.bias
    r, xs = y.numpy().astype(np.float64) - b - spoilt.numpy() @ w.T, spoilt.numpy().astype(np.float64)
    if centred:
        assert np.allclose(problem.mean_r[0], r.mean(0), atol=1e-5) and np.allclose(problem.mean_x[0], xs.mean(0), atol=1e-5)
        r, xs = r - r.mean(0), xs - xs.mean(0)
    assert problem.rows == 64 and np.allclose(problem.h[0], xs.T @ xs / 64, atol=1e-4)
    assert np.allclose(problem.g[0], r.T @ xs / 64, atol=1e-4) and np.allclose(problem.rr[0], (r**2).mean(0), atol=1e-4)
    change = torch.from_numpy(values(1, 3, 5)) * 0.1
    wanted = ((r - xs @ change[0].numpy().T.astype(np.float64)) ** 2).mean(0)
    assert np.allclose(problem.error(change)[0], wanted, atol=1e-4)


def test_sqnr_is_that_of_the_outputs() -> None:
    step, x, y = linear()
    spoilt = x + torch.from_numpy(values(64, 5)) * 0.3
    problem = gathered(step, spoilt, y, 8).problem(centred=False)
    change, shift = torch.from_numpy(values(1, 3, 5)) * 0.1, torch.tensor([[0.1, -0.2, 0.3]])
    for moved in (None, shift):
        got = spoilt @ (step.weight + change[0]).t() + torch.from_numpy(step.bias).float() + (0 if moved is None else moved[0])
        wanted = 10 * np.log10(float((y**2).sum() / ((y - got) ** 2).sum()))
        assert problem.sqnr_db(change, moved) == pytest.approx(wanted, abs=0.01)


def test_folds_are_halves_of_the_samples() -> None:
    step, x, y = linear(64)
    for size in (64, 4, 1):
        halves = [gathered(step, x, y, size).problem((fold,)) for fold in (0, 1)]
        assert [half.rows for half in halves] == [32, 32]


def test_target_undoes_a_prefix_that_shrinks() -> None:
    """Inputs at 0.8 of their size: the weight that gives the float output is W / 0.8; cross-validation takes little damping."""
    step, x, y = linear(400)
    moments = gathered(step, 0.8 * x, y, 50)
    change, damping = float_target(moments, moments.problem(centred=False))
    assert damping == 0.01 and torch.allclose(change[0] + step.weight, step.weight / 0.8, atol=0.03)


def test_target_stays_where_the_residual_is_noise() -> None:
    step, x, y = linear(400)
    noisy = y + torch.from_numpy(values(400, 3))
    moments = gathered(step, x, noisy, 50)
    change, damping = float_target(moments, moments.problem(centred=True))
    assert damping is None or float(change.abs().max()) < 0.01
    assert float_target(gathered(step, x, y, 50), moments.problem())[1] is None  # nothing is spoilt at all


def test_a_mean_that_generalizes_goes_to_the_bias() -> None:
    step, x, y = linear(400)
    aim = best_target(gathered(step, x, y + 0.5, 50), may_shift=True)
    assert aim.shifted and torch.allclose(aim.shift, torch.full((1, 3), 0.5), atol=0.05)
    assert not best_target(gathered(step, x, y + 0.5, 50), may_shift=False).shifted
    few = best_target(gathered(step, x[:6], y[:6] + torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), 1), may_shift=True)
    assert not few.shifted  # six samples do not confirm it


def test_inputs_that_never_move_do_not_widen_the_range() -> None:
    step, x, y = linear(64)
    x[:, 2] = 3.0
    problem = gathered(step, x, y, 8).problem(centred=True)
    weight = step.weight[None].clone()
    weight[:, :, 2] = 100.0
    found = without_dead(weight, problem)
    assert bool((found[:, :, 2] == 0).all()) and torch.equal(found[:, :, :2], weight[:, :, :2])
    still = gathered(step, torch.full_like(x, 2.0), y, 8).problem(centred=True)
    assert torch.equal(without_dead(weight, still), weight)


def test_slices_go_there_and_back() -> None:
    step, x, y = linear(32, inputs=100)
    moments = gathered(step, x, y, 8, budget=4 * 6 * 40**2)
    assert moments.slices == 3 and moments.width == 34
    weight = step.weight[None]
    assert torch.equal(moments.join(moments.split(weight)), weight)
    problem = moments.problem(centred=False)
    whole = gathered(step, x, y, 8).problem(centred=False)
    assert torch.allclose(problem.h[1], whole.h[0, 34:68, 34:68], atol=1e-4) and not bool(problem.g.any())
    assert torch.allclose(moments.times_mean(moments.split(weight)), (x @ weight[0].t()).mean(0)[None], atol=1e-4)


def test_positions_are_drawn_evenly_and_by_seed() -> None:
    step, x, _ = linear(4)
    step.form = SimpleNamespace(positions=lambda a, b: 100)
    batch = Batch(3, 0, 4, x, x, x, None)
    chosen = positions_of(step, batch, 4, 80, 0)
    assert chosen is not None and len(chosen) == 20 and torch.equal(chosen // 5, torch.arange(20))  # one in each stretch of five
    assert torch.equal(chosen, positions_of(step, batch, 4, 80, 0)) and not torch.equal(chosen, positions_of(step, batch, 4, 80, 1))  # type: ignore[arg-type]
    assert positions_of(step, batch, 4, 400, 0) is None


# ---- clip search
def plan_of(bits: int, granularity: Granularity, symmetry: str = "symmetric") -> WeightPlan:
    return WeightPlan("w", Int(bits), symmetry, granularity, MinMax(), "")  # type: ignore[arg-type]


@pytest.mark.parametrize("symmetry", ["symmetric", "strict", "asymmetric"])
@pytest.mark.parametrize("granularity", [PerTensor(), PerChannel(0), PerBlock(1, 2)])
@pytest.mark.parametrize("bits", [2, 4, 8, 13])
def test_clip_search_takes_the_best_share(bits: int, granularity: Granularity, symmetry: str) -> None:
    """Against trying every share for every scale with the error written out."""
    model = layer_of("Conv", values(6, 4, 3, 3), (1, 8, 7, 7), group=2)
    form = MatrixForm.of(model, model.layers[0])
    weight = torch.from_numpy(np.array(model.constant("w")))
    weight[0, 0, 0, 0] = 6.0
    h = torch.stack([correlated(36, 1), correlated(36, 2)])
    found = search_clip(form, weight, plan_of(bits, granularity, symmetry), h, 20)
    full = weight_encoding(weight, Int(bits), symmetry, granularity)  # type: ignore[arg-type]
    assert found.grid == full.grid and found.granularity == granularity and found.scale is not None and full.scale is not None
    shares = (found.scale / full.scale).flatten()
    assert bool((shares <= 1.0 + 1e-5).all())
    owner = owners(form, full, weight.shape)

    def errors(encoding: Any) -> Tensor:
        change = form.matrix(encoding.fake_quantize(weight) - weight).double()
        if isinstance(granularity, PerBlock):
            each = change**2 * h.diagonal(dim1=1, dim2=2)[:, None].double()
            return torch.zeros(shares.numel(), dtype=torch.float64).index_add_(0, owner.flatten(), each.flatten())
        rows = torch.einsum("goi,gij,goj->go", change, h.double(), change)
        return torch.zeros(shares.numel(), dtype=torch.float64).index_add_(0, owner[:, :, 0].flatten(), rows.flatten())
    tried = torch.stack([errors(widened(full, i / 20)) for i in range(5, 21)])
    assert bool((errors(found) <= tried.min(0).values * (1 + 1e-4) + 1e-9).all())


def test_one_large_weight_on_a_quiet_input_is_clipped() -> None:
    """Per tensor, a weight of 50 beside ones of size 1 on an input that hardly moves: the others keep their levels."""
    model = layer_of("Gemm", values(8, 6), (4, 6), transB=1)
    form = MatrixForm.of(model, model.layers[0])
    weight = torch.from_numpy(np.array(model.constant("w")))
    weight[3, 2] = 50.0
    h = torch.eye(6)
    h[2, 2] = 1e-6
    found = search_clip(form, weight, plan_of(4, PerTensor()), h[None], 20)
    assert float(found.high) < 5.0


def test_dataset_without_samples_is_refused() -> None:
    with pytest.raises(BadInput, match="gptq needs calibration data"):
        drawn("gptq", None, 8, 0)
    data = Dataset("d", {"x": values(20, 3)})
    assert len(drawn("gptq", data, 8, 0)) == 8 and len(drawn("gptq", data, 80, 0)) == 20
