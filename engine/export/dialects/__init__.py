"""Encodings files in the dialects of AIMET and the Qualcomm tools: read from strangers, written for devices."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine.export.dialects.v0_6_1
import engine.export.dialects.v1_0_0  # noqa: F401  # registers itself, as the module above
from engine.export.dialects.content import EncodingsFileContent, Entry
from engine.export.dialects.registry import dialect, register, versions
from engine.recipe.reader import At
from engine.safe_yaml import parse_json, read_text

MAX_BYTES = 32 * 1024**2  # a million scales in 0.6.1 are larger than any network that fits beside it

__all__ = ["EncodingsFileContent", "Entry", "dialect", "parse_encodings", "read_encodings", "register", "text_of", "versions"]


def read_encodings(path: Path | str) -> EncodingsFileContent:
    """The content of an encodings file of any known dialect; raises `BadInput` with file and place."""
    return parse_encodings(read_text(path, MAX_BYTES), str(path))


def parse_encodings(text: str, source: str) -> EncodingsFileContent:
    """The content of an encodings file's text; the version is the one that the file states."""
    at = At(source)
    data = at.mapping(parse_json(text, source, MAX_BYTES))
    version = at.key("version").text(data.get("version"), f"the format's version, one of {', '.join(versions())}")
    return dialect(at.key("version").choice(version, versions())).read(data, at)


def text_of(data: dict[str, Any]) -> str:
    """JSON with one tensor a line, so that two files can be compared by eye and by diff."""
    return "{\n" + ",\n".join(f" {json.dumps(key)}: {_value(value)}" for key, value in data.items()) + "\n}\n"


def _value(value: Any) -> str:
    lines = list(_lines(value))
    opening, closing = ("[", "]") if isinstance(value, list) else ("{", "}")
    if not isinstance(value, (list, dict)) or not lines or not any(isinstance(v, (list, dict)) for v in _members(value)):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    return f"{opening}\n" + ",\n".join(f"  {line}" for line in lines) + f"\n {closing}"


def _members(value: list[Any] | dict[str, Any]) -> list[Any]:
    return value if isinstance(value, list) else list(value.values())


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        yield from (json.dumps(v, ensure_ascii=False, allow_nan=False) for v in value)
    elif isinstance(value, dict):
        yield from (f"{json.dumps(k, ensure_ascii=False)}: {json.dumps(v, ensure_ascii=False, allow_nan=False)}" for k, v in value.items())
