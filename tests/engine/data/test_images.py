"""Folders of pictures: layouts, colours, labels, laziness, and pictures that mean harm."""
from __future__ import annotations

import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import load_data
from engine.data.images import ImageRows
from engine.errors import BadInput


@dataclass(frozen=True)
class Input:
    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


PICTURE = np.zeros((6, 8, 3), np.uint8)
PICTURE[..., 0], PICTURE[..., 1], PICTURE[:3, :, 2] = 200, 100, 50
SETTINGS = "images: pictures\nsize: [6, 8]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(PICTURE + i).save(tmp_path / "pictures" / label / f"{i}.png")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "data.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_mean_and_std_layout_and_colour(folder: Path) -> None:
    text = SETTINGS + "mean: [0.5, 0.25, 0]\nstd: [0.5, 1, 2]\n"
    data = load_data(write(folder, text), [Input("x", "float32", ("batch", 3, 6, 8))])
    batch = data.batch(0, 1)["x"]
    assert (batch.shape, batch.dtype, len(data)) == ((1, 3, 6, 8), np.float32, 6)
    wanted = [(200 / 255 - 0.5) / 0.5, 100 / 255 - 0.25, 50 / 255 / 2]
    assert np.allclose(batch[0, :, 0, 0], wanted, atol=1e-6)
    bgr = load_data(write(folder, SETTINGS + "layout: nhwc\ncolour: bgr\n")).batch(0, 1)["image"]
    assert np.allclose(bgr[0, 0, 0] * 255, [50, 100, 200], atol=1e-4)
    gray = load_data(write(folder, SETTINGS + "colour: gray\ninput: g\n")).batch(0, 2)["g"]
    assert gray.shape == (2, 1, 6, 8)


@pytest.mark.parametrize(("resize", "corner", "middle"), [("stretch", 255, 255), ("crop", 255, 255), ("pad", 0, 255)])
def test_resizing_stretches_crops_or_pads(tmp_path: Path, resize: str, corner: int, middle: int) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (20, 10), "white").save(tmp_path / "pictures" / "wide.png")
    data = load_data(write(tmp_path, f"images: pictures\nsize: 10\nresize: {resize}\n"))
    pixels = data.inputs["image"][:][0]
    assert pixels.shape == (3, 10, 10)
    assert (pixels[0, 0, 0], pixels[0, 5, 5]) == (corner, middle)


def test_labels_come_from_folders_or_a_csv(folder: Path) -> None:
    data = load_data(write(folder, SETTINGS + "labels: folder\n"))
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.notes == ("labels: cat=0, dog=1",)
    (folder / "l.csv").write_text("file,label\ncat/0.png,7\ndog/2.png,11\n")
    named = load_data(write(folder, SETTINGS + "labels: l.csv\n"))
    assert named.labels is not None
    assert named.labels.tolist() == [7, 11]
    (folder / "l.csv").write_text("cat/0.png,dog\n")
    ordered = load_data(write(folder, SETTINGS + "labels: l.csv\nclasses: [dog, cat]\n"))
    assert ordered.labels is not None
    assert ordered.labels.tolist() == [0]


def test_pictures_are_decoded_when_read_and_then_kept(folder: Path) -> None:
    data = load_data(write(folder, SETTINGS + "labels: folder\n"))
    rows = data.inputs["image"]
    assert isinstance(rows, ImageRows)
    assert not rows.cache
    part = data.subset(2, seed=1)
    assert not rows.cache, "choosing samples decodes nothing"
    part.batch(0, 2)
    assert len(rows.cache) == 2, "parts share what was decoded"
    assert part.overlap(data) == 2
    before = data.sha256
    assert load_data(folder / "data.yaml").sha256 == before
    Image.fromarray(PICTURE + 9).save(folder / "pictures" / "cat" / "0.png")
    assert load_data(folder / "data.yaml").sha256 != before


@pytest.mark.parametrize(("text", "words"), [
    ("size: 4", "no pictures in"),
    ("images: nowhere\nsize: 4", "is no folder"),
    ("images: pictures", "size is None: expected"),
    ("images: pictures\nsize: [0, 4]", r"size is \[0, 4\]: expected"),
    ("images: pictures\nsize: 100000", "size is 100000: expected"),
    (SETTINGS + "colur: rgb", "unknown key 'colur'. Did you mean 'colour'"),
    (SETTINGS + "colour: cmyk", "colour is 'cmyk': expected rgb, bgr, gray"),
    (SETTINGS + "mean: [1, 2]", "mean is .*expected 3 numbers"),
    (SETTINGS + "std: 0", "std is .*above 0"),
    (SETTINGS + "labels: 3", "labels is 3: expected"),
    (SETTINGS + "labels: none.csv", "cannot be read"),
    (SETTINGS + "labels: folder\nclasses: [cat]", "has the label 'dog'"),
    ("- a", "expected a mapping"),
    ("a: &x 1", "anchor"),
])
def test_settings_that_make_no_sense(folder: Path, text: str, words: str) -> None:
    if "no pictures" in words:
        folder = folder / "pictures" / "cat"
        for file in folder.iterdir():
            file.unlink()
    with pytest.raises(BadInput, match=words) as caught:
        load_data(write(folder, text))
    assert "\n" not in str(caught.value)


def test_a_csv_cannot_reach_outside_its_folder(folder: Path) -> None:
    Image.fromarray(PICTURE).save(folder / "outside.png")
    for row in ("../outside.png,1", f"{folder / 'outside.png'},1", "cat/none.png,1", "cat/0.png"):
        (folder / "l.csv").write_text(row + "\n")
        with pytest.raises(BadInput, match=r"l\.csv, line 1: .*expected a picture inside"):
            load_data(write(folder, SETTINGS + "labels: l.csv\n"))


def test_a_csv_that_is_none(folder: Path) -> None:
    for content in (b"a\0.png,1\n", b"a.png," + b"x" * 200_000 + b"\n", b"x" * 5000 + b".png,1\n", b"\xff\xfe"):
        (folder / "l.csv").write_bytes(content)
        with pytest.raises(BadInput, match=r"l\.csv, line [12]: ") as caught:
            load_data(write(folder, SETTINGS + "labels: l.csv\n"))
        assert "\n" not in str(caught.value)


def huge_png(side: int) -> bytes:
    """A small file whose header claims a picture of `side` x `side`."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_pictures_that_mean_harm(folder: Path) -> None:
    path = write(folder, SETTINGS)
    target = folder / "pictures" / "cat" / "0.png"
    whole = target.read_bytes()
    for content, words in [(huge_png(30_000), "pixels|bomb"), (huge_png(8_000), "claims 8000x8000 pixels"),
                           (b"no picture", "is no picture"), (b"", "is no picture"), (b"%!PS-Adobe", "is no picture")]:
        target.write_bytes(content)
        start = time.process_time()
        with pytest.raises(BadInput, match=words) as caught:
            load_data(path)
        assert "0.png" in str(caught.value)
        assert time.process_time() - start < 1.0
    target.write_bytes(whole[:-40])
    data = load_data(path)
    with pytest.raises(BadInput, match=r"0\.png: cannot be decoded"):
        data.batch(0, 1)
