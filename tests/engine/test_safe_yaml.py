"""YAML and JSON from strangers: what is read, what is refused, and that neither takes long."""
from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.errors import BadInput
from engine.safe_yaml import MAX_BYTES, dump_yaml, load_yaml, parse_json, parse_yaml

LAUGHS = "a: &a [x,x]\n" + "".join(f"{c}: &{c} [*{p},*{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True))
BOMBS = {
    "billion laughs": (LAUGHS, "anchor"),
    "merge keys": ("a: {<<: *b}", "alias"),
    "lists in lists": ("[" * 999_000, "deeper than"),
    "mappings in mappings": ("{a: " * 240_000, "deeper than"),
    "indented": ("".join(" " * i + "a:\n" for i in range(1300)), "deeper than"),
    "many items": ("- a\n" * 240_000, "values"),
    "many flow items": ("[" + "a," * 490_000 + "]", "values"),
    "open quote": ('"' + "a" * 999_000, "not valid YAML"),
    "keys of keys": ("? " * 490_000, "key"),
    "python object": ("!!python/object/apply:os.system [ls]", "tag"),
    "any tag": ("a: !x 1", "tag"),
    "duplicate key": ("a: 1\nb: 2\na: 3\n", "twice"),
    "two documents": ("a: 1\n---\nb: 2\n", "document"),
    "list as key": ("{[a]: 1}", "key"),
    "control character": ("a: \x00", "control character"),
    "broken": ("a: [1, 2\nb: 3", "not valid YAML"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_hostile_text_is_refused_in_one_line_within_a_second(name: str) -> None:
    text, word = BOMBS[name]
    start = time.process_time()
    with pytest.raises(BadInput, match=word) as caught:
        parse_yaml(text, "evil.yaml")
    assert time.process_time() - start < 1.0
    message = str(caught.value)
    assert message.startswith("evil.yaml, line ")
    assert "\n" not in message
    assert len(message) < 300


def test_the_line_number_is_that_of_the_problem() -> None:
    with pytest.raises(BadInput, match="line 3: the key 'a' occurs twice"):
        parse_yaml("a: 1\nb: 2\na: 3\n", "r.yaml")


def test_one_value_as_large_as_the_limit_is_read_within_a_second() -> None:
    start = time.process_time()
    assert len(parse_yaml("a: " + "x" * (MAX_BYTES - 10))["a"]) == MAX_BYTES - 10
    assert parse_yaml("1" * MAX_BYTES) == "1" * MAX_BYTES, "a number of a million digits stays text"
    assert time.process_time() - start < 1.0


def test_files_that_are_too_large_missing_or_not_text(tmp_path: Path) -> None:
    big = tmp_path / "big.yaml"
    big.write_bytes(b"a" * (MAX_BYTES + 1))
    with pytest.raises(BadInput, match="larger than 1,000,000 bytes"):
        load_yaml(big)
    with pytest.raises(BadInput, match="No such file"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(BadInput, match="directory"):
        load_yaml(tmp_path)
    big.write_bytes("a: é\n".encode() + "b: é\n".encode("latin-1"))
    with pytest.raises(BadInput, match="line 2: byte 0xe9 is not UTF-8"):
        load_yaml(big)
    big.write_bytes("a: 1".encode("utf-16"))
    with pytest.raises(BadInput, match="UTF-8"):
        load_yaml(big)


def test_values_follow_the_core_schema() -> None:
    text = "{a: 1e-3, b: on, c: 0x10, d: .inf, e: '1', f: 012, g: null, 3: x, h: 1:30, i: 2020-01-01, j: -4, k: True, l: .5}"
    assert parse_yaml(text) == {
        "a": 0.001, "b": "on", "c": 16, "d": float("inf"), "e": "1", "f": 12, "g": None, "3": "x",
        "h": "1:30", "i": "2020-01-01", "j": -4, "k": True, "l": 0.5}
    assert parse_yaml("") is None


SCALARS = st.none() | st.booleans() | st.integers(-10**30, 10**30) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(), v, max_size=4), max_leaves=10)


@given(VALUES)
@example({"\x85'": ["\u2028\n x", "1e3", "on", "\ufeff", " a ", "\x7f", "~", "a: b", "- "]})
def test_what_is_dumped_reads_back_the_same(value: Any) -> None:
    again = parse_yaml(dump_yaml(value))
    assert again == value
    assert repr(again) == repr(value), "types are kept as well"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_random_bytes_give_a_value_or_one_clear_line(data: bytes) -> None:
    for parse in (parse_yaml, parse_json):
        message = ""
        try:
            parse(data, "f")
        except BadInput as error:
            message = str(error)
        assert "\n" not in message


def test_json_has_the_same_bounds() -> None:
    assert parse_json('{"a": [1, "\\ud83d\\ude00"]}') == {"a": [1, "😀"]}
    for text, word in [('{"a": 1, "a": 2}', "twice"), ("[" * 900_000, "deeper"), ("{", "line 1"), ("1" * 5000, "not valid")]:
        with pytest.raises(BadInput, match=word):
            parse_json(text, "f.json")
    assert parse_json('"' + "[" * 100 + '"') == "[" * 100
