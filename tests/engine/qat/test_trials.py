"""The search over training settings: a study that prunes, resumes and takes several workers."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import BadInput, Cancelled
from engine.qat import Qat, train
from engine.qat.trials import Search, Space
from tests.engine.qat.test_trainer import make

BASE = Qat(epochs=2, batch=32)


def test_the_best_settings_are_those_of_the_lowest_loss(tmp_path: Path) -> None:
    search = Search(tmp_path / "study.db", "net", Space(trials=4, prune=False))
    _, data = make()
    best = search.run(lambda: make()[0], data, BASE)
    trials = search.trials()
    lowest = min(trials, key=lambda t: t.loss or 1e9)
    assert len(trials) == 4 and best.learning_rate == lowest.settings["learning_rate"] and best.range_rate == lowest.settings["range_rate"]
    sim, data = make()
    assert train(sim, data, best).best_loss == lowest.loss, "a trial is an ordinary run"


def test_a_stopped_search_goes_on_with_what_was_tried(tmp_path: Path) -> None:
    _, data = make()
    calls = 0

    def stop(fraction: float, message: str) -> None:
        nonlocal calls
        calls += 1
        if fraction > 0.6:
            raise Cancelled

    with pytest.raises(Cancelled):
        Search(tmp_path / "study.db", "net", Space(trials=4, prune=False)).run(lambda: make()[0], data, BASE, stop)
    before = [t for t in Search(tmp_path / "study.db", "net", Space(trials=4)).trials() if t.state == "complete"]
    assert 1 <= len(before) < 4 and calls
    search = Search(tmp_path / "study.db", "net", Space(trials=4, prune=False))
    search.run(lambda: make()[0], data, BASE)
    after = [t for t in search.trials() if t.state == "complete"]
    assert [t.number for t in after[:len(before)]] == [t.number for t in before] and len(after) == 4


def test_hopeless_trials_end_early(tmp_path: Path) -> None:
    space = Space(trials=10, over="learning_rate", lowest_rate=1e-7, highest_rate=3e-2)
    search = Search(tmp_path / "study.db", "net", space)
    _, data = make()
    search.run(lambda: make()[0], data, Qat(epochs=4, batch=32, ranges="fixed"))
    pruned = [t for t in search.trials() if t.state == "pruned"]
    assert pruned and all(len(t.curve) < 4 for t in pruned)


@pytest.mark.slow
def test_two_processes_share_a_study(tmp_path: Path) -> None:
    code = ("import sys\nfrom pathlib import Path\nfrom tests.engine.qat import test_trials as t\n"
            "t.Search(Path(sys.argv[1]), 'net', t.Space(trials=6, prune=False)).run(lambda: t.make()[0], t.make()[1], t.BASE)\n")
    path = tmp_path / "study.db"
    Search(path, "net", Space())  # makes the file once
    both = [subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[3]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    done = [t for t in Search(path, "net", Space()).trials() if t.state == "complete"]
    assert 6 <= len(done) <= 7, "each counts the other's trials; both may have begun the last one"


def test_what_cannot_be_searched_is_said() -> None:
    with pytest.raises(BadInput, match="'batch' cannot be searched"):
        Space(over="learning_rate batch")
    with pytest.raises(BadInput, match="expected lowest below highest"):
        Space(lowest_rate=0.5, highest_rate=0.1)
