"""The training loop: it learns, it resumes to the same curve, it comes back from a loss that is no number."""
from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine.data import Dataset, load_data
from engine.errors import BadInput
from engine.graph import from_proto
from engine.ptq import apply_steps
from engine.qat import Qat, Training, train
from engine.qat.batches import Batches, augment
from engine.recipe import Recipe
from engine.sim.quantization import FLOAT
from engine.sim.quantsim import QuantSim
from tests.graphs import conv_net

QUICK = Qat(epochs=3, batch=16, learning_rate=3e-3, range_rate=3e-3)


def make(precision: str = "w3a4", labels: bool = False) -> tuple[QuantSim, Dataset]:
    generator = np.random.default_rng(0)
    data = Dataset("tiny", {"x": generator.normal(size=(96, 3, 12, 12)).astype(np.float32)},
                   labels=generator.integers(0, 10, 96) if labels else None)
    sim = QuantSim(from_proto(conv_net(3), "net"), Recipe(precision=precision, target="generic"))  # type: ignore[arg-type]
    apply_steps(sim, data)
    sim.calibrate(data)
    return sim, data


def keys(sim: QuantSim) -> dict[str, str]:
    """Everything that training decides: encodings and weights."""
    found = {name: e.key() for name, e in {**sim.quantization.activations, **sim.quantization.constants}.items()}
    return found | {f"value:{layer.weight}": sim.model.constant(layer.weight).tobytes().hex()[:4000] for layer in sim.model.layers}


def curve(training: Training) -> list[tuple[int, float, float]]:
    return [(e.number, e.loss, e.validation) for e in training.epochs]


def test_training_lowers_the_loss_and_keeps_the_best_epoch() -> None:
    sim, data = make()
    found = train(sim, data, QUICK)
    assert found.best_loss < found.start * 0.8 and found.best_loss == min(e.validation for e in found.epochs)


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    results = []
    for seed in (0, 0, 1):
        sim, data = make()
        train(sim, data, replace(QUICK, seed=seed, epochs=1))
        results.append(keys(sim))
    assert results[0] == results[1] != results[2]


class Stop(Exception):
    pass


@pytest.mark.parametrize("config", [QUICK, replace(QUICK, ema=0.9, optimizer="sgd", learning_rate=0.05, augment="flip_shift")])
def test_a_run_that_was_stopped_goes_on_to_the_same_curve(tmp_path: Path, config: Qat) -> None:
    whole, data = make()
    wanted = train(whole, data, config)
    sim, data = make()
    before = keys(sim)

    def stop(training: Training) -> None:
        if len(training.epochs) == 1:
            raise Stop

    with pytest.raises(Stop):
        train(sim, data, config, folder=tmp_path, key="a", watch=stop)
    assert keys(sim) == before, "a stopped run leaves the simulation as it was"
    seen: list[int] = []
    got = train(sim, data, config, folder=tmp_path, key="a", watch=lambda t: seen.append(len(t.epochs)))
    assert seen == [2, 3] and curve(got) == curve(wanted) and keys(sim) == keys(whole)


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_curve(tmp_path: Path) -> None:
    """SIGKILL in the middle of an epoch."""
    config = replace(QUICK, epochs=30)
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from tests.engine.qat import test_trainer as t
        sim, data = t.make()
        t.train(sim, data, t.replace(t.QUICK, epochs=30), folder=Path(sys.argv[1]), key="k")
    """)
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[3])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    sim, data = make()
    got = train(sim, data, config, folder=tmp_path, key="k")
    whole, data = make()
    wanted = train(whole, data, config)
    assert curve(got) == curve(wanted) and keys(sim) == keys(whole)


def test_a_damaged_checkpoint_is_as_good_as_none(tmp_path: Path) -> None:
    sim, data = make()
    (tmp_path / "training_x.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0nonsense")
    assert len(train(sim, data, replace(QUICK, epochs=1), folder=tmp_path, key="x").epochs) == 1


def test_a_run_may_end_early_and_go_on_later_to_the_same_curve(tmp_path: Path) -> None:
    whole, data = make()
    wanted = train(whole, data, QUICK)
    sim, data = make()
    first = train(sim, data, replace(QUICK, stop_after=2), folder=tmp_path, key="s")
    assert curve(first) == curve(wanted)[:2]
    sim, data = make()
    assert curve(train(sim, data, QUICK, folder=tmp_path, key="s")) == curve(wanted) and keys(sim) == keys(whole)
    sim, data = make()
    assert curve(train(sim, data, replace(QUICK, stop_after=1), folder=tmp_path, key="s")) == curve(wanted)[:1], "the past is trained anew"


def test_scores_on_the_held_out_samples() -> None:
    sim, data = make()
    found = train(sim, data, QUICK)
    assert found.metric == "agreement" and found.float_score == 1.0
    assert found.start_score is not None and all(e.score is not None for e in found.epochs)
    sim, data = make(labels=True)
    found = train(sim, data, replace(QUICK, epochs=1))
    held = data.take(Batches(data, QUICK).held_out)
    logits = make()[0].chain.run(FLOAT, held.batch(0, len(held)))["logits"]
    assert found.metric == "top1" and found.float_score == pytest.approx(float((logits.argmax(1) == held.labels).mean()))


class Flaky:
    """Rows of which one read in training gives a value that no network survives: a broken file, say."""

    def __init__(self, rows: np.ndarray, broken: set[int]) -> None:
        self.rows, self.broken, self.reads = rows, broken, 0
        self.shape, self.dtype = rows.shape, rows.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        found = self.rows[index]
        if isinstance(index, np.ndarray):
            self.reads += 1
            if self.reads in self.broken:
                found = found * np.float32(np.nan)
        return found


@pytest.mark.parametrize("broken", [{3}, {3, 13}])
def test_a_loss_that_is_no_number_goes_back_to_the_last_good_state_and_says_so(broken: set[int]) -> None:
    sim, data = make()
    flaky = replace(data, inputs={"x": Flaky(np.asarray(data.inputs["x"]), broken)})
    found = train(sim, flaky, QUICK)
    assert sum("went back to the state after epoch" in note and "half the step size" in note for note in found.notes) == len(broken)
    assert len(found.epochs) == 3 and all(np.isfinite(e.loss) for e in found.epochs) and found.best_loss < found.start


def test_data_that_never_give_a_number_are_an_error_and_leave_the_simulation_as_it_was() -> None:
    sim, data = make()
    before = keys(sim)
    broken = replace(data, inputs={"x": Flaky(np.asarray(data.inputs["x"]), set(range(3, 1000)))})
    with pytest.raises(BadInput, match=r"no finite value in epoch 1.*lower learning_rate"):
        train(sim, broken, QUICK)
    assert keys(sim) == before


def test_workers_change_nothing() -> None:
    results = []
    for workers in (0, 2):
        sim, data = make()
        results.append(curve(train(sim, data, replace(QUICK, epochs=1, workers=workers))))
    assert results[0] == results[1]


def test_accumulated_batches_are_one_large_batch() -> None:
    results = []
    for batch, accumulate in ((32, 1), (8, 4)):
        sim, data = make()
        results.append(train(sim, data, replace(QUICK, epochs=1, batch=batch, accumulate=accumulate, validation=1 / 3)).epochs[0])
    assert results[0].loss == pytest.approx(results[1].loss, rel=1e-3)
    assert results[0].validation == pytest.approx(results[1].validation, rel=0.05)  # another order of sums, then a rounding flips


def test_labels_count_only_where_they_are() -> None:
    sim, data = make()
    with pytest.raises(BadInput, match="tiny has none: set distillation to 1"):
        train(sim, data, replace(QUICK, distillation=0.5))
    sim, data = make(labels=True)
    assert train(sim, data, replace(QUICK, distillation=0.0, epochs=1)).epochs


def test_layers_are_pulled_to_their_float_outputs() -> None:
    sim, data = make()
    found = train(sim, data, replace(QUICK, match="conv*", epochs=2))
    assert found.best_loss < found.start
    with pytest.raises(BadInput, match="no layer is called 'nothing'"):
        train(sim, data, replace(QUICK, match="nothing"))


def test_patience_ends_a_run_that_no_longer_gets_better() -> None:
    sim, data = make("w8a8")
    found = train(sim, data, replace(QUICK, epochs=40, patience=2, learning_rate=0.05, schedule="constant"))
    assert len(found.epochs) < 40 and any("no better validation loss for 2 epochs" in note for note in found.notes)


def test_the_held_out_part_is_never_trained_on() -> None:
    _, data = make()
    batches = Batches(data, QUICK)
    assert not set(batches.held_out) & set(batches.trained) and len(batches.held_out) + len(batches.trained) == len(data)
    seen = {int(i) for epoch in (1, 2, 3) for batch in batches.epoch(epoch) for i in batch.index}
    assert not seen & set(batches.held_out)


def test_pictures_are_moved_and_mirrored_by_the_seed() -> None:
    x = torch.arange(2 * 1 * 5 * 5, dtype=torch.float32).reshape(2, 1, 5, 5)
    config = replace(QUICK, augment="shift", shift=1)
    moved = augment(x, config, torch.Generator().manual_seed(3))
    assert torch.equal(moved, augment(x, config, torch.Generator().manual_seed(3)))
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
    for picture, source in zip(moved, padded, strict=True):
        assert any(torch.equal(picture, source[:, i:i + 5, j:j + 5]) for i in range(3) for j in range(3))
    flipped = augment(x.repeat(50, 1, 1, 1), replace(config, augment="flip"), torch.Generator().manual_seed(0))
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(flipped, x.repeat(50, 1, 1, 1), strict=True)]
    assert 20 < sum(mirrored) < 80


def test_a_folder_of_pictures_is_streamed_by_workers(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for i in range(20):
            Image.fromarray(generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(tmp_path / "pictures" / label / f"{i}.png")
    text = "images: pictures\nsize: [12, 12]\nlabels: folder\nmean: [0.5, 0.5, 0.5]\nstd: [0.25, 0.25, 0.25]\n"
    (tmp_path / "data.yaml").write_text(text)
    results = []
    for workers in (0, 2):
        sim, _ = make()
        data = load_data(tmp_path / "data.yaml", sim.model.inputs).bind(sim.model.inputs)
        results.append(curve(train(sim, data, replace(QUICK, epochs=1, batch=8, workers=workers, augment="flip"))))
    assert results[0] == results[1] and len(results[0]) == 1
