"""Racing: the top of all samples for a part of them, ties at the border, and what an answer says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.analysis.sensitivity.confidence import ranking
from engine.analysis.sensitivity.curvature import Signs, probe
from engine.analysis.sensitivity.kinds import Array, Item, Question
from engine.analysis.sensitivity.racing import ERROR, Race, looks, race
from engine.analysis.sensitivity.sizes import sizes_of
from engine.analysis.sensitivity.table import Table
from engine.data import Dataset, load_data
from engine.errors import Cancelled
from engine.graph import load_model
from engine.progress import Progress
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.session import Session

W4A8 = Precision.parse("w4a8")


class Known:
    """A sweep over scores that are known: what racing would have seen."""

    def __init__(self, scores: Array) -> None:
        self.scores, self.asked = scores, 0

    def run(
        self, data: object, found: Table, start: int, stop: int, progress: Progress, wants: Callable[[int, int], bool], after: object
    ) -> None:
        progress(0.5, "half way")
        for i in range(len(self.scores)):
            if wants(i, 0):
                self.asked += stop - start
                found.put(i, 0, start, {"kl": self.scores[i, start:stop]})


def empty(scores: Array, sizes: Array | None, mode: str = "one-on") -> Table:
    items = tuple(Item(f"l{i}", (), (f"w{i}",), ()) for i in range(len(scores)))
    return Table(Question((W4A8,), mode, samples=scores.shape[1]), items, sizes=sizes)  # type: ignore[arg-type]


def raced(scores: Array, sizes: Array | None = None, top: int = 3, mode: str = "one-on") -> tuple[Race, Table, Known]:
    sweep, found = Known(scores), empty(scores, sizes, mode)
    data = Dataset("d", {"x": np.zeros((scores.shape[1], 1), np.float32)})
    return race(sweep, data, found, top=top), found, sweep  # type: ignore[arg-type]


def best(scores: Array, top: int) -> set[str]:
    return {f"l{i}" for i in np.argsort(-scores.mean(1))[:top]}


def heavy(seed: int, items: int = 20, samples: int = 512) -> tuple[Array, Array]:
    """Scores like a classifier's: most samples say nothing, and all items find the same ones hard. In the order of their sizes."""
    rng = np.random.default_rng(seed)
    sizes = np.sort(rng.pareto(1.5, samples))[::-1] + 1e-6
    levels = np.geomspace(1.0, 0.02, items)
    scores = levels[:, None] * sizes * rng.chisquare(3, (items, samples)) / 3
    return scores, sizes / sizes.mean()


def test_racing_saves_and_keeps_the_top() -> None:
    """Fresh noise each time: the top is that of all samples in nearly all races, for less than 45 % of the evaluations."""
    right, spent = 0, []
    for seed in range(100):
        scores, sizes = heavy(seed)
        found, _, sweep = raced(scores, sizes)
        right += set(found.best[0]) == best(scores, 3)
        spent.append(found.spent / found.full)
        assert sweep.asked == found.spent <= found.full == scores.size
    assert right >= 100 * (1 - ERROR)
    assert np.median(spent) < 0.45


def test_the_hardest_first_cost_less_than_equal_sizes() -> None:
    """The same scores in random order, without their sizes: the same top, for more."""
    scores, sizes = heavy(0)
    shuffled = scores[:, np.random.default_rng(0).permutation(scores.shape[1])]
    first, plain = raced(scores, sizes)[0], raced(shuffled)[0]
    assert first.best == plain.best
    assert first.spent < 0.7 * plain.spent


def test_items_that_are_one_change_are_tied_and_stop() -> None:
    """The third and the fourth are the same to the last bit: no number of samples tells them apart."""
    scores, sizes = heavy(1)
    scores[3] = scores[2]
    found, _, _ = raced(scores, sizes)
    assert found.decided and found.saved > 0.5
    assert found.tied == (("l2", "l3"),)
    assert found.to_json([W4A8])["tied"] == {"w4a8": ["l2", "l3"]}
    assert "At w4a8 l2, l3 are tied at its border: their difference is below resolution." in found.to_json([W4A8])["words"]


def test_differences_below_resolution_are_ties_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    levels = np.array([9.0, 8.0, 5.0, 5.0, 1.0, 0.5])
    shared = rng.normal(1, 0.3, 512)
    scores = levels[:, None] * shared * (1 + 0.02 * rng.normal(size=(6, 512)))
    assert set(raced(scores)[0].tied[0]) == {"l2", "l3"}
    apart = scores * np.array([1, 1, 1.2, 1, 1, 1])[:, None]
    assert raced(apart)[0].tied == ((),)


def test_what_the_samples_do_not_settle_takes_them_all() -> None:
    rng = np.random.default_rng(2)
    scores = np.array([9.0, 4.0, 3.9, 1.0])[:, None] + 8 * rng.normal(size=(4, 64))
    found, table, _ = raced(scores, top=2)
    assert not found.decided and set(found.best[0]) == best(scores, 2)
    assert "it needed them" in found.to_json([W4A8])["words"]
    assert (table.count() == 64).any()


def test_one_off_races_for_the_items_whose_absence_helps_most() -> None:
    """All scores lie near the base's; what counts as no difference is measured by their spread, not by their height."""
    rng = np.random.default_rng(0)
    gains = np.array([0.5, 0.45, 0.4, 0.2, 0.1, 0.0])
    scores = 10 - gains[:, None] + 0.02 * rng.normal(size=(6, 256))
    found, _, _ = raced(scores, top=3, mode="one-off")
    assert found.best == (frozenset({"l0", "l1", "l2"}),)
    assert found.tied == ((),)


def test_fewer_items_than_places_and_few_samples() -> None:
    scores = np.ones((2, 5)) + np.arange(5)
    found, table, _ = raced(scores, top=10)
    assert set(found.best[0]) == {"l0", "l1"} and (table.count() == 5).all()
    assert looks(5) == [5]
    assert looks(100) == [16, 24, 40, 64, 96, 100]


def test_the_few_samples_that_all_cells_share_are_not_called_noise() -> None:
    """Eleven close levels and one far below, which leaves at once: a few samples do not rank the eleven, and need not."""
    rng = np.random.default_rng(0)
    levels = np.array([*np.linspace(1.0, 0.85, 11), 0.01])
    sizes = np.linspace(1.5, 0.5, 512)
    scores = levels[:, None] * sizes * rng.chisquare(2, (12, 512)) / 2
    _, table, _ = raced(scores, sizes)
    assert table.count().min() < 32 < table.count().max()
    assert not ranking(table, 0).noise
    table.sizes = None  # as if all cells had been meant to have these samples alone
    assert ranking(table, 0).noise


def test_cells_that_left_early_say_what_they_promise_of_all_samples() -> None:
    """Scores follow the sizes here: a cell with the hardest samples alone must not look worse than it is."""
    scores, sizes = heavy(3)
    _, table, _ = raced(scores, sizes)
    count, value, truth = table.count()[:, 0], table.value("kl")[:, 0], scores.mean(1)
    assert count.min() < 0.5 * scores.shape[1]
    assert np.allclose(value, truth, rtol=0.35)
    assert (scores[:, :16].mean(1) > 1.5 * truth).all(), "the plain mean of the hardest would be far off"
    whole = Table(table.question, table.items, sizes=sizes)
    for i, row in enumerate(scores):
        whole.put(i, 0, 0, {"kl": row})
    assert np.allclose(whole.value("kl")[:, 0], truth)


@pytest.mark.parametrize("shape", [(40, 10), (12, 4, 6), (12, 5, 2, 2)])
@pytest.mark.parametrize("probabilities", [False, True])
def test_sizes_are_the_curvature_of_the_score(shape: tuple[int, ...], probabilities: bool) -> None:
    """The mean of a probe's square is F's trace, which is the expected KL of a change that looks alike everywhere."""
    logits = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    axis = 1 if len(shape) == 4 else -1
    found = sizes_of((logits.softmax(axis) if probabilities else logits).numpy())
    assert found is not None and found.mean() == pytest.approx(1.0)
    traces = torch.stack([probe(logits, xi) for xi in Signs(0, 2000).draw(shape)]).flatten(2).square().sum(2).mean(0)
    assert np.allclose(found, (traces / traces.mean()).numpy(), rtol=0.1, atol=0.02)


def test_outputs_that_are_no_class_scores_have_equal_sizes() -> None:
    assert sizes_of(np.ones((4, 1), np.float32)) is None
    assert sizes_of(np.ones((4, 3, 2, 2, 2), np.float32)) is None
    assert sizes_of(np.full((4, 3), np.nan, np.float32)) is None


def test_an_answer_races_says_so_and_is_kept(mobilenet: Path, tmp_path: Path) -> None:
    """On the bundled sample: the top of all samples, other scores only where whole, and nothing runs again the second time."""
    session = Session(load_model(mobilenet / "model.onnx"), None, load_data(mobilenet / "calibration.npz"), cache=tmp_path)
    question, recipe = Question((W4A8,), items="ops", samples=256), Recipe(target="generic")
    whole = session.sensitivity(question, recipe)
    found = session.sensitivity(question, recipe, racing=True, top=5)
    assert found["racing"]["decided"] and found["racing"]["saved"] > 0.55
    assert "sample evaluations" in found["racing"]["words"]
    assert top(found) == top(whole)
    assert found["cached_cells"] == 0, "another order of the samples is another entry"
    values = {r["layer"]: r["value"] for r in whole["scores"] if r["metric"] == "kl"}
    partial = [r for r in found["scores"] if r["metric"] == "kl" and r["samples"] < 256]
    assert partial and all(r["value"] == pytest.approx(values[r["layer"]], rel=0.7) for r in partial)
    assert {r["samples"] for r in found["scores"] if r["metric"] != "kl"} <= {256}
    again = session.sensitivity(question, recipe, racing=True, top=5)
    assert again["cached_cells"] > 0 and again["scores"] == found["scores"]


def top(found: dict[str, object]) -> set[str]:
    return {r["layer"] for r in found["rankings"][0]["ranks"][:5]}  # type: ignore[index]


def test_a_race_can_be_stopped_and_keeps_what_it_has() -> None:
    scores, sizes = heavy(0)
    table = empty(scores, sizes)

    def stop(fraction: float, message: str) -> None:
        if fraction > 0.1:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        race(Known(scores), Dataset("d", {"x": np.zeros((512, 1), np.float32)}), table, stop)  # type: ignore[arg-type]
    assert 0 < table.count().max() < 512
