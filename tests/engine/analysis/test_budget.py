"""What a sweep may hold: the plan, and that a sweep keeps to it."""
from __future__ import annotations

import weakref
from collections.abc import Iterable

import numpy as np
import pytest

from engine.analysis.sensitivity.budget import Budget, Kept, groups, plan, samples_a_run, staying
from engine.analysis.sensitivity.items import items_of
from engine.analysis.sensitivity.kinds import SCORES, Question
from engine.analysis.sensitivity.sweep import Sweep
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset
from engine.graph import from_proto
from engine.graph.cuts import Segment
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.chain import Chain
from engine.sim.quantization import Quantization
from engine.sim.quantsim import QuantSim
from engine.sim.segment_session import SegmentSession
from tests.graphs import conv_net

MB = 1 << 20
KEPT = Kept(whole=30 * MB, segment=12 * MB, cuts=2 * MB)


def test_what_fits_stays_and_each_run_is_a_pass() -> None:
    found = plan(Budget(values=100 * MB), KEPT, resident=True, batch=8)
    assert (found.size, found.whole, found.longest) == (3, True, 3)
    assert list(found.passes(4, 11)) == [(4, 7), (7, 10), (10, 11)]


def test_large_tensors_are_run_again_from_the_cuts() -> None:
    found = plan(Budget(values=25 * MB), KEPT, resident=True, batch=8)
    assert (found.size, found.whole) == (1, False)


def test_sessions_that_do_not_stay_make_passes_long_and_the_first_short() -> None:
    found = plan(Budget(values=100 * MB), KEPT, resident=False, batch=8)
    assert (found.size, found.whole, found.longest) == (5, False, 20), "5 x 12 MB of a segment and 20 x 2 MB of cuts"
    assert list(found.passes(0, 64)) == [(0, 16), (16, 36), (36, 56), (56, 64)]


@pytest.mark.parametrize("samples", [16, 64, 4096])
@pytest.mark.parametrize("resident", [True, False])
def test_kept_tensors_stay_within_the_budget_for_any_number_of_samples(samples: int, resident: bool) -> None:
    found = plan(Budget(values=100 * MB), KEPT, resident, batch=16)
    longest = max(stop - start for start, stop in found.passes(0, samples))
    kept = longest * KEPT.whole if found.whole else found.size * KEPT.segment + longest * KEPT.cuts
    assert kept <= 100 * MB


def test_small_nets_take_many_samples_a_run_and_no_net_fewer_than_two() -> None:
    asked = ((1, 30 * MB), (4, 30 * MB), (4, 2 * MB), (4, 1000), (32, 1000))
    assert [samples_a_run(tried, whole) for tried, whole in asked] == [2, 4, 8, 16, 32]


def test_one_sample_a_run_is_the_least() -> None:
    assert plan(Budget(values=MB), KEPT, resident=False, batch=8).passes(0, 2).__next__() == (0, 1)


def test_the_smallest_stay_and_the_others_go_in_groups() -> None:
    assert staying([5, 1, 9, 2], 8) == {0, 1, 3}
    assert staying([5, 1], 0) == frozenset()
    assert list(groups([3, 3, 3, 9, 1], 6)) == [range(2), range(2, 3), range(3, 4), range(4, 5)]
    assert list(groups([], 6)) == []


class Watched(Chain):
    """A chain that knows how many bytes of weights the sessions hold that it made for others and that still live."""

    held = most = 0

    def make(self, segment: Segment, quantization: Quantization, outputs: Iterable[str], entering: tuple[str, ...]) -> SegmentSession:
        session = super().make(segment, quantization, outputs, entering)
        self.held += session.bytes
        self.most = max(self.most, self.held)
        weakref.finalize(session, self._gone, session.bytes)
        return session

    def _gone(self, size: int) -> None:
        self.held -= size


def swept(budget: Budget, channels: int = 32) -> tuple[Watched, Sweep, Table]:
    """A sweep over a net whose weights count."""
    data = Dataset("toy", {"x": np.random.default_rng(0).normal(size=(8, 3, 12, 12)).astype(np.float32)})
    sim = QuantSim(from_proto(conv_net(6, channels), "net"), Recipe(target="generic"))
    sim.calibrate(data)
    items, question = items_of(sim, "ops", "both"), Question((Precision.parse("w8a8"),), "one-on", "both", "ops", 8)
    table, chain = Table(question, items), Watched(sim.model, 2)
    sweep = Sweep(chain, question, items, [sim.quantization], lambda a, b, n: {"kl": SCORES["kl"].parts(a, b)}, 2, budget)
    sweep.run(data, table, 0, 8)
    return chain, sweep, table


def test_a_sweep_holds_the_weights_that_its_budget_allows() -> None:
    plenty, sweep, whole = swept(Budget())
    assert sweep.plan.resident
    total = sum(s.bytes for branch in sweep.branches for s in branch.sessions())
    one = max(s.bytes for branch in sweep.branches for s in branch.sessions())
    base = plenty.most - total  # the sessions of the walk itself
    tight = Budget(stay=total // 8, group=total // 8)
    chain, sweep, table = swept(tight)
    assert not sweep.plan.resident
    assert chain.most - base <= tight.stay + tight.group + 2 * one < total * 0.75
    assert np.array_equal(table.parts["kl"], whole.parts["kl"])


@pytest.mark.slow
def test_memory_over_the_float_model_is_bounded_and_flat() -> None:
    """MobileNetV2 at 224x224: less than 400 MB over plain ONNX Runtime, calibration included, whatever the number of images."""
    from benchmarks.memory import peak

    few, many = (peak("mobilenet_v2_224", "one-on", images) - peak("mobilenet_v2_224", "plain", images) for images in (4, 16))
    assert few < 400 and many < 400
    assert many - few < 60
