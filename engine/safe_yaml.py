"""YAML and JSON from strangers: bounded in size, depth and number of values, without tags, anchors or aliases.

Values follow YAML 1.2's core schema, so `on` and `no` are words and `1e-3` is a number. Every failure is
one `BadInput` line with the line number. The bounds are on what is read, so time is bounded too: a file
at the size limit is refused, or read, well within a second.
"""
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml

from engine.errors import BadInput

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_VALUES = 50_000
_CORE_TAGS = {None, "!"}
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None,
          "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,40}\Z|0x[0-9a-fA-F]{1,32}\Z|0o[0-7]{1,40}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,5})?\Z")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF|nan|NaN|NAN)\Z")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_text(path: Path | str, limit: int = MAX_BYTES) -> str:
    """The text of a small UTF-8 file; raises `BadInput` when it is missing, too large or not text."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(data) > limit:
        raise BadInput(f"{path}: larger than {limit:,} bytes: a text file of that size is not read")
    return decode(data, str(path))


def decode(data: bytes, source: str) -> str:
    """UTF-8 bytes as text, or a `BadInput` that says where the first bad byte is."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadInput(
            f"{source}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8 text: save the file as UTF-8"
        ) from None


def load_yaml(path: Path | str) -> Any:
    """The value of a YAML file (or of a JSON file, by its suffix), read with the bounds of this module."""
    text = read_text(path)
    return (parse_json if str(path).lower().endswith(".json") else parse_yaml)(text, str(path))


def parse_yaml(text: str | bytes, source: str = "YAML text") -> Any:
    """One YAML document as dicts with string keys, lists and plain scalars; anything else is `BadInput`."""
    text = _checked(text, source)
    try:
        return _Builder(source).build(yaml.parse(text, Loader=_PARSER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise BadInput(f"{source}{where}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise BadInput(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None


def parse_json(text: str | bytes, source: str = "JSON text", limit: int = MAX_BYTES) -> Any:
    """One JSON document with the same bounds as `parse_yaml`; files of numbers may state another `limit` in bytes."""
    text = _checked(text, source, control=False, limit=limit)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in items:
            if key in seen:
                raise BadInput(f"{source}: the key {key[:60]!r} occurs twice in one mapping: keep one of them")
            seen[key] = value
        return seen

    # The bound is on the text, before the recursive parser sees it; brackets inside strings do not count.
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", outside):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise BadInput(f"{source}: nested deeper than {MAX_DEPTH} levels")
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise BadInput(f"{source}, line {error.lineno}: not valid JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{source}: not valid JSON: {error}") from None


def _checked(text: str | bytes, source: str, control: bool = True, limit: int = MAX_BYTES) -> str:
    """The text as `str` within the size limit and without characters that YAML forbids."""
    if len(text) > limit:
        raise BadInput(f"{source}: larger than {limit:,} bytes: a text file of that size is not read")
    if isinstance(text, bytes):
        text = decode(text, source)
    bad = _CONTROL.search(text) if control else None
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        raise BadInput(f"{source}, line {line}: the control character {bad[0]!r} does not belong in a text file")
    return text


def scalar(text: str) -> Any:
    """A plain (unquoted) scalar by YAML 1.2's core schema: null, true, false, a number, else the text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text, 0 if text[:2] in ("0x", "0o") else 10)
    if _FLOAT.match(text):
        return float(text)
    special = _SPECIAL.match(text)
    if special:
        return float(special[1] + special[2].lower())
    return text


class _Builder:
    """Values from a stream of YAML events, without recursion and without ever holding a graph."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.values = 0

    def fail(self, event: Any, problem: str) -> NoReturn:
        raise BadInput(f"{self.source}, line {event.start_mark.line + 1}: {problem}")

    def build(self, events: Iterator[Any]) -> Any:
        """The document's value; `None` for an empty text."""
        root: list[Any] = []
        stack: list[_Open] = [_Open(root)]
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and (root or len(stack) > 1):
                self.fail(event, "a second document starts: expected one document")
            if isinstance(event, yaml.AliasEvent):
                self.fail(event, f"the alias *{str(event.anchor)[:40]} is not allowed here: write the value out")
            if isinstance(event, yaml.NodeEvent):
                self.check(event, len(stack))
            if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
                value: Any = [] if isinstance(event, yaml.SequenceStartEvent) else {}
                self.add(stack[-1], value, event)
                stack.append(_Open(value))
            elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                stack.pop()
            elif isinstance(event, yaml.ScalarEvent):
                self.add(stack[-1], scalar(event.value) if event.implicit[0] else event.value, event)
        return root[0] if root else None

    def check(self, event: Any, depth: int) -> None:
        """The bounds, and what the safe subset leaves out."""
        self.values += 1
        if self.values > MAX_VALUES:
            self.fail(event, f"more than {MAX_VALUES:,} values: a file of that size is not read")
        if depth > MAX_DEPTH:
            self.fail(event, f"nested deeper than {MAX_DEPTH} levels")
        if event.anchor is not None:
            self.fail(event, f"the anchor &{str(event.anchor)[:40]} is not allowed here: write the value out where it is used")
        if event.tag not in _CORE_TAGS:
            self.fail(event, f"the tag {str(event.tag)[:60]!r} is not allowed here: write a plain value")

    def add(self, into: _Open, value: Any, event: Any) -> None:
        """Puts a value into the open list, or as key or value into the open mapping."""
        if isinstance(into.value, list):
            into.value.append(value)
        elif into.key is None:
            if not isinstance(event, yaml.ScalarEvent):
                self.fail(event, "a list or mapping is used as a key: expected a name")
            key = event.value
            if key in into.value:
                self.fail(event, f"the key {key[:60]!r} occurs twice in one mapping: keep one of them")
            into.key = key
        else:
            into.value[into.key] = value
            into.key = None


class _Open:
    """A list or mapping that is being filled; `key` waits for its value."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.key: str | None = None


class _Dumper(yaml.SafeDumper):
    """Writes what `parse_yaml` reads back as the same value."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # PyYAML quotes what YAML 1.1 would misread; 1.2's core schema (`1e3`) has to be quoted as well, and
    # unusual line breaks, which its single quotes do not keep, have to be escaped.
    style = None if isinstance(scalar(value), str) and value.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump_yaml(value: Any) -> str:
    """YAML text, keys in their order, that `parse_yaml` reads back exactly."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100_000)
    return text
