"""Arrays from an `.npz` of unknown origin: everything is bounded and checked before it is allocated."""
from __future__ import annotations

import ast
import json
import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from engine.data.dataset import Array, Scaling
from engine.errors import BadInput, nearest

MAX_BYTES = 2 * 1024**3
MAX_ARRAYS = 256
_CHUNK = 1 << 22
_SCALING_BYTES = 1_000_000
_HEADER_BYTES = 10_000
_DIRECTORY_BYTES = 1_000_000
_TAIL = 22 + 65_535  # a zip's last record and the longest comment after it
SCALING, LABELS, CLASSES = "scaling", "labels", "classes"
MAX_CLASSES, MAX_CLASS_NAME = 100_000, 120


class Unusable(BadInput):
    """An array that is no array of numbers; another array of the file may still be what is needed."""


def read_npz(path: Path, wanted: Callable[[str], bool],
             limit: int = MAX_BYTES) -> tuple[dict[str, Array], list[str], dict[str, str]]:
    """The arrays whose names are `wanted`, the names of those left unread, and why others are unusable."""
    arrays: dict[str, Array] = {}
    unread: list[str] = []
    unusable: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            _bounded(path, file, limit)
            archive = zipfile.ZipFile(file)
            for name, info in _directory(path, archive, limit).items():
                if not wanted(name):
                    unread.append(name)
                    continue
                try:
                    arrays[name] = _read(path, archive, name, info)
                except Unusable as error:
                    unusable[name] = str(error)
        return arrays, unread, unusable
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BadInput(f"{path}: not a whole .npz file ({_line(error)}): save it again with numpy.savez") from None


def _bounded(path: Path, file: IO[bytes], limit: int) -> None:
    """Refuses a zip whose directory alone would be too much to read; a small one is left to `zipfile`."""
    size = file.seek(0, 2)
    if size > limit:
        raise BadInput(f"{path}: is {size:,} bytes: at most {limit:,} are read; store fewer samples, or bytes with a scaling")
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    listed = int.from_bytes(tail[end + 12: end + 16], "little") if end >= 0 else 0
    # The 64-bit directory, which would be believed over this one, is for archives above the size limit.
    if listed > _DIRECTORY_BYTES or tail[max(0, end - 20): end].startswith(b"PK\x06\x07"):
        raise BadInput(f"{path}: lists far more arrays than the {MAX_ARRAYS} that are read: expected one for each model input")
    file.seek(0)


def _directory(path: Path, archive: zipfile.ZipFile, limit: int) -> dict[str, zipfile.ZipInfo]:
    """The zip's entries by array name, after the checks that need no reading."""
    infos = archive.infolist()
    if len(infos) > MAX_ARRAYS:
        raise BadInput(f"{path}: {len(infos)} arrays: expected at most {MAX_ARRAYS}")
    total = sum(i.file_size for i in infos)
    if total > limit:
        raise BadInput(f"{path}: unpacks to {total:,} bytes: at most {limit:,} are read; store fewer samples, "
                       "or bytes with a scaling")
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if name == info.filename:
            raise BadInput(f"{path}: holds {info.filename[:80]!r}, which is no array: expected .npy entries only")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadInput(f"{path}: array {name!r} is packed by a method numpy does not use: save it with numpy.savez")
        if name in entries:
            raise BadInput(f"{path}: array {name!r} occurs twice")
        entries[name] = info
    if not entries:
        raise BadInput(f"{path}: holds no arrays: expected one for each model input")
    return entries


def _read(path: Path, archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> Array:
    with archive.open(info) as stream:
        shape, fortran, dtype = _header(path, name, stream)
        size = math.prod(shape) * dtype.itemsize
        # What the header claims is allocated only when the zip's directory, bounded above, agrees with it.
        left = info.file_size - stream.tell()
        if size != left:
            raise BadInput(f"{path}: array {name!r} claims {size:,} bytes ({dtype}, shape {_shape(shape)}) "
                           f"but {left:,} are there")
        flat = np.empty(size, np.uint8)
        view = flat.data
        at = 0
        while at < size:
            data = stream.read(min(_CHUNK, size - at))
            if not data:
                raise BadInput(f"{path}: array {name!r} ends after {at:,} of {size:,} bytes: the file is truncated")
            view[at: at + len(data)] = data
            at += len(data)
        stream.read(1)  # reaches the end, where the checksum is compared
    array = flat.view(dtype).reshape(shape[::-1]).T if fortran else flat.view(dtype).reshape(shape)
    return np.ascontiguousarray(array.astype(dtype.newbyteorder("="), copy=False)).reshape(shape)


def _header(path: Path, name: str, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type from an npy header. Read here, since numpy's reader falls back to a tokenizer
    for old files whose errors are of many kinds."""
    magic = stream.read(8)
    size = stream.read(2 if magic[6:7] == b"\x01" else 4)
    text = stream.read(min(int.from_bytes(size, "little"), _HEADER_BYTES + 1))
    if magic[:6] != b"\x93NUMPY" or magic[6:7] not in (b"\x01", b"\x02", b"\x03") or len(text) > _HEADER_BYTES:
        raise BadInput(f"{path}: array {name!r} does not start as a numpy array: save it again with numpy.savez")
    try:
        header = ast.literal_eval(text.decode("latin-1").strip())
        shape, fortran, descr = tuple(header["shape"]), header["fortran_order"] is True, header["descr"]
        dtype = np.dtype(descr)
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError) as error:
        raise BadInput(f"{path}: array {name!r} has a broken header ({_line(error)}): save it again with numpy.savez") from None
    if dtype.hasobject:
        raise Unusable(f"array {name!r} holds Python objects, which are never unpickled: "
                       "expected numbers; stack the samples into one array")
    if dtype.kind not in "biuf" or dtype.fields or dtype.shape or dtype.itemsize > 8:
        raise Unusable(f"array {name!r} has type {str(dtype)[:60]}: expected float, integer or bool numbers")
    if not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 32:
        raise BadInput(f"{path}: array {name!r} claims the shape {_shape(shape)[:80]}: expected sizes of 0 or more")
    return shape, fortran, dtype


def parse_scaling(path: Path, array: Array) -> dict[str, Scaling]:
    """The `scaling` array (JSON text as bytes) by input name."""
    data = _json(path, SCALING, array)
    if not isinstance(data, dict):
        raise BadInput(f"{path}: array 'scaling': expected a mapping from input name to scale and offset")
    return {str(name): _scaling(f"{path}: scaling of {str(name)[:80]!r}", value) for name, value in data.items()}


def parse_classes(path: Path, array: Array) -> tuple[str, ...]:
    """The `classes` array (a JSON list of names as bytes): what the label numbers 0, 1, … are called."""
    data = _json(path, CLASSES, array)
    if not isinstance(data, list) or len(data) > MAX_CLASSES or not all(isinstance(name, str) for name in data):
        raise BadInput(f"{path}: array 'classes': expected a list of at most {MAX_CLASSES:,} names, in the order of the label numbers")
    return tuple(" ".join(name.split())[:MAX_CLASS_NAME] for name in data)


def _json(path: Path, name: str, array: Array) -> Any:
    if array.dtype != np.uint8 or array.ndim != 1 or array.size > _SCALING_BYTES:
        raise BadInput(f"{path}: array {name!r} is {array.dtype} of shape {_shape(array.shape)}: "
                       "expected JSON text as a row of uint8")
    try:
        return json.loads(array.tobytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: array {name!r} is no JSON text: {_line(error)}") from None


def _scaling(where: str, value: Any) -> Scaling:
    known = ("scale", "offset", "dtype", "axis")
    if not isinstance(value, dict) or "scale" not in value:
        raise BadInput(f'{where}: expected {{"scale": 0.0039, "offset": 0.0, "dtype": "float32"}}')
    for key in value:
        if key not in known:
            raise BadInput(f"{where}: unknown key {key[:60]!r}. {nearest(key, known)}")
    dtype = value.get("dtype", "float32")
    if dtype not in ("float32", "float16", "float64"):
        raise BadInput(f"{where}: dtype is {repr(dtype)[:60]}: expected float32, float16 or float64")
    axis = value.get("axis", 1)
    if not isinstance(axis, int) or isinstance(axis, bool) or not 0 <= axis < 32:
        raise BadInput(f"{where}: axis is {repr(axis)[:60]}: expected the channel axis as a number")
    return Scaling(_numbers(where, "scale", value["scale"]), _numbers(where, "offset", value.get("offset", 0.0)),
                   dtype, axis)


def _numbers(where: str, key: str, value: Any) -> float | tuple[float, ...]:
    values = value if isinstance(value, list) else [value]
    good = all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    if not values or not good or (key == "scale" and 0 in values):
        raise BadInput(f"{where}: {key} is {repr(value)[:60]}: expected a finite number"
                       f"{' other than 0' if key == 'scale' else ''}, or a list of one per channel")
    return tuple(float(v) for v in values) if isinstance(value, list) else float(value)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape) or "()"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
