"""Data from files: what fits a model is read and noted, what does not is refused before it is allocated."""
from __future__ import annotations

import io
import json
import resource
import struct
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.data import load_data
from engine.errors import BadInput


@dataclass(frozen=True)
class Input:
    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


IMAGE = Input("image", "float32", ("batch", 1, 4, 5))
RNG = np.random.default_rng(0)
PIXELS = RNG.random((10, 1, 4, 5), np.float32)
LABELS = np.arange(10) % 3


def scaling(**by_name: Any) -> np.ndarray:
    return np.frombuffer(json.dumps(by_name).encode(), np.uint8)


def save(folder: Path, **arrays: Any) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


def refused(path: Path | str, words: str, *inputs: Input, **options: Any) -> str:
    with pytest.raises(BadInput, match=words) as caught:
        load_data(path, inputs or (IMAGE,), **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def test_arrays_and_labels_are_read_and_the_rest_is_noted(tmp_path: Path) -> None:
    path = save(tmp_path, image=PIXELS, labels=LABELS, extra=np.zeros(3), words=np.array(["a"]), odd=np.array([{}], object))
    data = load_data(path, [IMAGE])
    assert len(data) == 10
    assert np.array_equal(data.batch(2, 4)["image"], PIXELS[2:4])
    assert data.labels is not None
    assert np.array_equal(data.labels, LABELS)
    assert [n for n in data.notes if "'extra'" in n] == ["ignored: 'extra' is no input of the model"]
    assert load_data(path).bind([IMAGE]).sha256 == data.sha256


def test_parts_can_be_taken_before_the_model_is_known(tmp_path: Path) -> None:
    data = load_data(save(tmp_path, image=PIXELS, labels=LABELS, extra=np.full(3, np.nan), number=np.array(1.5)))
    assert len(data.subset(4)) == 4
    first, second = data.split(0.5)
    assert first.bind([IMAGE]).overlap(second.bind([IMAGE])) == 0
    with pytest.raises(BadInput, match=r"array 'extra' has shape \[3\], not one row for each of 10 samples"):
        data.batch(0, 2)


def test_integers_become_floats_only_by_a_stated_scaling(tmp_path: Path) -> None:
    pixels = (PIXELS * 255).astype(np.uint8)
    refused(save(tmp_path, image=pixels), "uint8, the model expects float32: state the scaling")
    path = save(tmp_path, image=pixels, scaling=scaling(image={"scale": 1 / 255, "offset": -0.5, "dtype": "float32"}))
    data = load_data(path, [IMAGE])
    batch = data.batch(0, 10)["image"]
    assert batch.dtype == np.float32
    assert np.allclose(batch, pixels / 255 - 0.5, atol=1e-6)
    assert np.asarray(data.inputs["image"][:]).dtype == np.uint8, "bytes stay bytes until they are needed"
    per_channel = load_data(save(tmp_path, image=np.ones((2, 3, 4, 4), np.uint8), scaling=scaling(
        image={"scale": [1, 2, 3], "offset": [0, 0, 1]})), [Input("image", "float16", (None, 3, 4, 4))])
    assert per_channel.batch(0, 1)["image"].dtype == np.float16, "the model's type wins"
    assert per_channel.batch(0, 1)["image"][0, :, 0, 0].tolist() == [1, 2, 4]


@pytest.mark.parametrize(("entry", "words"), [
    ({"image": {"scal": 1}}, "scaling of 'image': expected"),
    ({"image": {"scale": 1, "ofset": 1}}, "unknown key 'ofset'. Did you mean 'offset'"),
    ({"image": {"scale": 0}}, "scale is 0: expected a finite number other than 0"),
    ({"image": {"scale": "x"}}, "scale is 'x': expected a finite number"),
    ({"image": {"scale": 1, "dtype": "object"}}, "dtype is 'object': expected float32"),
    ({"imag": {"scale": 1}}, "scaling is stated for 'imag', which is no input. Did you mean 'image'"),
])
def test_a_scaling_that_makes_no_sense_is_refused(tmp_path: Path, entry: Any, words: str) -> None:
    refused(save(tmp_path, image=PIXELS.astype(np.uint8), scaling=scaling(**entry)), words)


def test_a_scaling_that_is_no_json(tmp_path: Path) -> None:
    refused(save(tmp_path, image=PIXELS, scaling=np.frombuffer(b"[" * 100_000, np.uint8)), "'scaling'")
    refused(save(tmp_path, image=PIXELS, scaling=np.zeros(3)), "'scaling' is float64")


@pytest.mark.parametrize(("arrays", "words"), [
    ({"images": PIXELS}, "expected 'image'. Did you mean 'images'"),
    ({"image": PIXELS[:, 0]}, r"shape \[10, 4, 5\]: the model expects \[batch, 1, 4, 5\]: is the first axis the samples"),
    ({"image": PIXELS.transpose(0, 2, 3, 1)}, r"transpose the axes to \(0, 3, 1, 2\)"),
    ({"image": PIXELS[..., :2]}, r"shape \[10, 1, 4, 2\]: the model expects \[batch, 1, 4, 5\]"),
    ({"image": PIXELS[:0]}, "'image' is empty: expected at least one sample"),
    ({"image": PIXELS, "labels": LABELS[:5]}, "differ in their number of samples: 'image' 10, 'labels' 5"),
    ({"image": PIXELS, "labels": np.array(3)}, "'labels' is a single number"),
    ({"image": PIXELS, "labels": np.array(["a"] * 10)}, "'labels' has type"),
    ({"image": np.array([{"a": 1}] * 3, object)}, "'image' holds Python objects, which are never unpickled"),
    ({"image": np.array(["a"] * 3)}, "'image' has type <U1: expected float, integer or bool"),
    ({"image": PIXELS.astype(complex)}, "'image' has type complex128"),
    ({"image": np.zeros(3, [("a", "f4")])}, "'image' has type"),
])
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: Any, words: str) -> None:
    refused(save(tmp_path, **arrays), words)


def test_nan_and_infinity_are_counted_and_found(tmp_path: Path) -> None:
    bad = PIXELS.copy()
    bad[3, 0, 1, 2] = np.nan
    bad[7] = np.inf
    refused(save(tmp_path, image=bad), r"'image' holds 21 values that are NaN or infinite, the first nan at \[3, 0, 1, 2\]")
    with pytest.raises(BadInput, match="21 values"):
        load_data(save(tmp_path, image=bad)).bind([IMAGE])
    assert len(load_data(save(tmp_path, image=PIXELS, extra=bad), [IMAGE])) == 10, "what is ignored may hold anything"
    refused(save(tmp_path, image=PIXELS, labels=np.full(10, np.nan)), "'labels' holds 10 values")
    huge = PIXELS.astype(np.float64) * 1e300
    refused(save(tmp_path, image=huge), "'image' holds 200 values that are NaN or infinite", IMAGE)


def test_types_convert_where_nothing_is_lost(tmp_path: Path) -> None:
    ids = Input("ids", "int64", ("batch", "seq"))
    data = load_data(save(tmp_path, ids=np.array([[1, 2]], np.int32)), [ids])
    assert data.batch(0, 1)["ids"].dtype == np.int64
    assert data.notes == ("converted: 'ids' from int32 to int64",)
    double = load_data(save(tmp_path, image=PIXELS.astype(np.float64)), [IMAGE])
    assert double.batch(0, 1)["image"].dtype == np.float32
    refused(save(tmp_path, ids=np.array([[2**40]])), "holds 1099511627776 to 1099511627776, which int32 does not",
            Input("ids", "int32", (None, None)))
    refused(save(tmp_path, ids=np.array([[0.5]])), "'ids' is float64, the model expects int64", ids)
    refused(save(tmp_path, flag=np.array([[2]])), "only 0 and 1 convert", Input("flag", "bool", (None, 1)))
    refused(save(tmp_path, text=np.array([[2]])), "takes STRING: data of that type is not read", Input("text", "STRING", (None, 1)))


def test_named_dimensions_agree_between_inputs(tmp_path: Path) -> None:
    ids, mask = Input("ids", "int64", ("batch", "seq")), Input("mask", "int64", ("batch", "seq"))
    ok = save(tmp_path, ids=np.ones((3, 7), int), mask=np.ones((3, 7), int))
    assert len(load_data(ok, [ids, mask])) == 3
    refused(save(tmp_path, ids=np.ones((3, 7), int), mask=np.ones((3, 6), int)), "'seq' is 7 in 'ids' but 6 in 'mask'", ids, mask)


def test_state_inputs_are_shared_by_all_samples(tmp_path: Path) -> None:
    path = save(tmp_path, image=PIXELS, h=np.ones((1, 8), np.float32), c=np.ones((2, 1, 8), np.float32), s=np.ones((1, 3), np.float32))
    inputs = [IMAGE, Input("h", "float32", ("batch", 8)), Input("c", "float32", (2, 1, 8)), Input("s", "float32", (1, 3))]
    data = load_data(path, inputs)
    assert len(data) == 10
    assert {n: a.shape for n, a in data.batch(0, 4).items()} == {
        "image": (4, 1, 4, 5), "h": (4, 8), "c": (2, 1, 8), "s": (1, 3)}
    assert len(data.subset(3)) == 3
    assert data.subset(3).batch(0, 2)["c"].shape == (2, 1, 8)
    assert load_data(save(tmp_path, image=PIXELS), [Input("image", "float32", None)]).batch(0, 3)["image"].shape[0] == 3


# ---- hostile files

def npy(shape: str, data: bytes = b"", descr: str = "'<f4'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    header = header + " " * (63 - (10 + len(header)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def zipped(folder: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "evil.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(("content", "words"), [
    (npy("(1000000000000, 1, 4, 5)"), "claims 80,000,000,000,000 bytes .* but 0 are there"),
    (npy("(9223372036854775807, 9223372036854775807)"), "claims .* but 0 are there"),
    (npy("(-1, 4)"), "expected sizes of 0 or more|claims"),
    (npy("(2, 1, 4, 5)", bytes(100)), "claims 160 bytes .* but 100 are there"),
    (npy("(2, 1, 4, 5)", bytes(200)), "claims 160 bytes .* but 200 are there"),
    (npy("(1,)", b"x", "'|O'"), "Python objects"),
    (npy("(" * 3000), "broken header"),
    (npy("(1, 2)", bytes(8), "[('a', '<f4')]"), "has type"),
    (npy("(1, 2)", bytes(8), "1 + 1j"), "broken header"),
    (npy("('a', 2)", bytes(8)), "claims the shape"),
    (npy("5", bytes(8)), "broken header"),
    (b"\x93NUMPY\x01\x00\xff\xff", "broken header"),
    (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b"x" * 20_000, "does not start as"),
    (b"\x93NUMPY\x09\x00" + bytes(100), "does not start as"),
    (b"", "does not start as"),
    (b"cos\nsystem\n(S'true'\ntR.", "does not start as"),
])
def test_a_header_that_lies_is_refused_before_anything_is_allocated(tmp_path: Path, content: bytes, words: str) -> None:
    refused(zipped(tmp_path, {"image.npy": content}), words)


def test_a_zip_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    path = zipped(tmp_path, {"image.npy": npy("(60, 1000000)", bytes(240_000_000))})
    assert path.stat().st_size < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    refused(path, "unpacks to 240,000,128 bytes: at most 100,000,000 are read", limit=100_000_000)
    assert time.process_time() - start < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "kilobytes"


def test_a_directory_that_claims_less_than_is_there(tmp_path: Path) -> None:
    raw = bytearray(zipped(tmp_path, {"image.npy": npy("(500000,)", bytes(2_000_000))}).read_bytes())
    at = raw.rfind(b"PK\x01\x02") + 24
    raw[at: at + 4] = struct.pack("<I", 128 + 400)
    (tmp_path / "evil.npz").write_bytes(raw)
    refused(tmp_path / "evil.npz", "claims 2,000,000 bytes|not a whole .npz")


def test_entries_that_are_no_arrays_repeated_encrypted_or_too_many(tmp_path: Path) -> None:
    good = npy("(1, 1, 4, 5)", bytes(80))
    refused(zipped(tmp_path, {"image.npy": good, "evil.py": b"x"}), "'evil.py', which is no array")
    refused(zipped(tmp_path, {"image.npy": good}, zipfile.ZIP_LZMA), "packed by a method numpy does not use")
    refused(zipped(tmp_path, {f"{i}.npy": good for i in range(300)}), "300 arrays: expected at most 256")
    refused(zipped(tmp_path, {}), "holds no arrays")
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive:
        archive.writestr("image.npy", good)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("image.npy", good)
    refused(tmp_path / "twice.npz", "'image' occurs twice")
    raw = bytearray(zipped(tmp_path, {"image.npy": good}).read_bytes())
    raw[6] |= 1
    raw[raw.rfind(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.npz").write_bytes(raw)
    refused(tmp_path / "locked.npz", "not a whole .npz")


def test_a_directory_of_a_million_entries_is_not_read(tmp_path: Path) -> None:
    entry = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    directory = entry * 1_000_000
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 65535, 65535, len(directory), 0, 0)
    path = tmp_path / "many.npz"
    path.write_bytes(directory + end)
    start = time.process_time()
    refused(path, "lists far more arrays than the 256")
    locator = struct.pack("<IIQI", 0x07064B50, 0, 0, 1)
    path.write_bytes(directory + locator + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, 47, 0, 0))
    refused(path, "lists far more arrays than the 256")
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("keep", [0, 1, 30, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path: Path, keep: float) -> None:
    raw = save(tmp_path, image=PIXELS, labels=LABELS).read_bytes()
    short = tmp_path / "short.npz"
    short.write_bytes(raw[: int(keep if keep >= 1 else keep * len(raw))])
    refused(short, "not a whole .npz file")


def test_a_flipped_bit_is_found_by_the_checksum(tmp_path: Path) -> None:
    raw = bytearray(save(tmp_path, image=PIXELS).read_bytes())
    raw[raw.find(PIXELS.tobytes()) + 100] ^= 1
    (tmp_path / "flip.npz").write_bytes(raw)
    refused(tmp_path / "flip.npz", "not a whole .npz file .*CRC")


@given(st.binary(max_size=300), st.integers(0, 600), st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_never_end_in_a_traceback(tmp_path: Path, noise: bytes, at: int, inside: bool) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, image=PIXELS[:1])
    raw = buffer.getvalue()
    path = tmp_path / "noise.npz"
    path.write_bytes(raw[:at] + noise + raw[at + len(noise):] if inside else noise)
    message = ""
    try:
        load_data(path, [IMAGE])
    except BadInput as error:
        message = str(error)
    assert "\n" not in message


def test_what_is_no_data_at_all(tmp_path: Path) -> None:
    refused(tmp_path / "none.npz", "No such file")
    refused(tmp_path / "none.txt", r"is no data: expected an \.npz, a data\.yaml \(no such file\)")
    refused("os:getcwd", "names Python code, which runs only from the command line")
    (tmp_path / "dir.npz").mkdir()
    refused(tmp_path / "dir.npz", "cannot be read")


# ---- functions of the user's

def test_a_function_of_the_users_is_called_only_where_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_data_module.py").write_text(
        "import numpy as np\n"
        "def good(): return {'image': np.zeros((3, 1, 4, 5), 'f'), 'labels': [0, 1, 2]}\n"
        "def bad(): raise KeyError('x')\n"
        "def wrong(): return 3\n"
        "def words(): return {'image': ['a']}\n")
    monkeypatch.chdir(tmp_path)
    data = load_data("my_data_module:good", [IMAGE], allow_code=True)
    assert len(data) == 3
    assert data.labels is not None
    refused("my_data_module:bad", r"raised KeyError: 'x' at my_data_module\.py:3", allow_code=True)
    refused("my_data_module:wrong", "returned int: expected a mapping", allow_code=True)
    refused("my_data_module:words", "expected an array of numbers", allow_code=True)
    refused("my_data_module:none", "has no function 'none'", allow_code=True)
    refused("no_such_module_here:none", "cannot be imported: ModuleNotFoundError", allow_code=True)


def test_class_names_are_read_and_anything_else_called_classes_is_no_names(tmp_path: Path) -> None:
    image, names = PIXELS[:3], np.frombuffer(b'["cat", "a  dog\\n", "\xc3\xa9"]', np.uint8)
    np.savez(tmp_path / "a.npz", image=image, classes=names)
    assert load_data(tmp_path / "a.npz").classes == ("cat", "a dog", "é")
    assert load_data(tmp_path / "a.npz", [IMAGE]).classes == ("cat", "a dog", "é")
    np.savez(tmp_path / "b.npz", image=image, classes=np.array(["cat", "dog"]))
    bound = load_data(tmp_path / "b.npz", [IMAGE])
    assert bound.classes == () and any("classes" in note for note in bound.notes)
    np.savez(tmp_path / "c.npz", image=image, classes=np.frombuffer(b'{"a": 1}', np.uint8))
    with pytest.raises(BadInput, match="a list of at most"):
        load_data(tmp_path / "c.npz", [IMAGE])
    np.savez(tmp_path / "d.npz", image=image, classes=np.zeros((3, 7), np.float32))
    assert "classes" in load_data(tmp_path / "d.npz").inputs
