"""Datasets: parts of them, batches, hashes and overlap."""
from __future__ import annotations

import pickle

import numpy as np
import pytest

from engine.data import Dataset, Scaling
from engine.errors import BadInput


def make(n: int = 20) -> Dataset:
    x = np.arange(n * 6, dtype=np.float32).reshape(n, 2, 3)
    return Dataset("made", {"x": x}, np.arange(n))


def rows(data: Dataset) -> list[int]:
    assert data.labels is not None
    return [int(v) for v in data.labels]


def test_a_split_is_disjoint_whole_and_seeded() -> None:
    data = make()
    a, b = data.split(0.25, seed=3)
    assert (len(a), len(b)) == (5, 15)
    assert sorted(rows(a) + rows(b)) == list(range(20))
    assert rows(a) == rows(data.split(0.25, seed=3)[0]) != rows(data.split(0.25, seed=4)[0])
    assert np.array_equal(a.batch(0, 5)["x"], data.batch(0, 20)["x"][rows(a)]), "rows and labels stay together"
    assert a.overlap(b) == 0
    assert [len(part) for part in make(2).split(0.01)] == [1, 1]
    with pytest.raises(BadInput, match="1 samples cannot be split"):
        make(1).split(0.5)


def test_a_subset_is_drawn_without_replacement_and_seeded() -> None:
    data = make()
    part = data.subset(8, seed=1)
    assert len(set(rows(part))) == 8
    assert rows(part) == sorted(rows(part)) == rows(data.subset(8, seed=1))
    assert data.subset(100) is data
    with pytest.raises(BadInput, match="0 samples were asked for"):
        data.subset(0)


def test_batches_cover_all_samples_and_the_last_may_be_smaller() -> None:
    assert [len(b["x"]) for b in make().batches(8)] == [8, 8, 4]
    assert len(make().batch(18, 30)["x"]) == 2
    assert rows(make().take([3, 1])) == [3, 1]


def test_the_hash_follows_the_content() -> None:
    data = make()
    assert data.sha256 == make().sha256
    assert data.sha256 != data.subset(8).sha256
    assert data.sha256 != Dataset("made", data.inputs).sha256, "labels count"
    assert data.sha256 != Dataset("made", data.inputs, data.labels, {"x": Scaling(2.0)}).sha256
    assert pickle.loads(pickle.dumps(data)).sha256 == data.sha256


def test_overlap_compares_what_the_model_sees() -> None:
    stored = Dataset("bytes", {"x": np.arange(12, dtype=np.uint8).reshape(4, 3)}, None, {"x": Scaling(0.5, 1.0)})
    floats = Dataset("floats", {"x": (np.arange(12, dtype=np.float32).reshape(4, 3) * np.float32(0.5) + np.float32(1))[1:]})
    assert stored.overlap(floats) == 3
    assert floats.overlap(stored) == 3
    assert make().overlap(make().subset(5)) == 5
    zero = Dataset("zero", {"x": np.array([[0.0]], np.float32)})
    assert zero.overlap(Dataset("minus zero", {"x": np.array([[-0.0]], np.float32)})) == 1


def test_data_without_inputs_is_refused() -> None:
    with pytest.raises(BadInput, match="no input arrays"):
        Dataset("empty", {})
