"""Dialect 0.6.1: a tensor's name maps to a list of objects, one for the tensor, for each channel or each block.

Rules:
1. each object has min, max, scale, offset, bitwidth, dtype and is_symmetric (the *words* "True" and "False");
2. `offset = -zero_point` on the unsigned grid; min and max follow from scale and offset, and are checked against them;
3. blocks are flattened and their size is not recorded: the reader finds it from the tensor's shape.
"""
from __future__ import annotations

from typing import Any

from engine.export.dialects.content import EncodingsFileContent, Entry, Section, checked_entry
from engine.export.dialects.fields import header, unique
from engine.export.dialects.registry import register
from engine.recipe.reader import At

VERSION = "0.6.1"
_KEYS = ("min", "max", "scale", "offset", "bitwidth", "dtype", "is_symmetric")
_SECTIONS: tuple[tuple[str, Section], ...] = (("activation_encodings", "activation"), ("param_encodings", "param"))
_WORDS = {"True": True, "False": False, "true": True, "false": False, True: True, False: False}


def read(data: dict[str, Any], at: At) -> EncodingsFileContent:
    """The content of a parsed file."""
    entries: list[Entry] = []
    for key, section in _SECTIONS:
        named = at.key(key).mapping(data.get(key, {}))
        entries += [_entry(at.key(key).key(name), name, value, section) for name, value in named.items()]
    return EncodingsFileContent(VERSION, unique(at, entries), **header(data, at), source=at.source)


def _entry(at: At, name: str, value: object, section: Section) -> Entry:
    items = at.items(value)
    if not items:
        at.fail(items, "at least one object")
    objects = [at.item(i).mapping(item, _KEYS) for i, item in enumerate(items)]
    first = at.item(0)
    bits = first.key("bitwidth").whole(objects[0].get("bitwidth"), 2, 32)
    if first.key("dtype").choice(objects[0].get("dtype", "int"), ("int", "float")) == "float":
        return checked_entry(first, Entry(name, section, bits, floating=True))
    symmetric = _flag(first.key("is_symmetric"), objects[0].get("is_symmetric"))
    for i, one in enumerate(objects):
        if one.get("bitwidth") != bits or _flag(at.item(i).key("is_symmetric"), one.get("is_symmetric")) != symmetric:
            at.item(i).fail(one.get("bitwidth"), f"bit width {bits} and symmetry as in the first object")
    scale = tuple(at.item(i).key("scale").number(one.get("scale")) for i, one in enumerate(objects))
    offset = tuple(at.item(i).key("offset").whole(_integral(one.get("offset")), -(2**32), 0) for i, one in enumerate(objects))
    entry = checked_entry(at, Entry(name, section, bits, False, symmetric, scale, offset, 0 if len(scale) > 1 else None))
    _check_ranges(at, entry, objects)
    return entry


def _flag(at: At, value: object) -> bool:
    """`is_symmetric` is a word in files of AIMET and a boolean in some of its converters."""
    if not isinstance(value, (str, bool)) or value not in _WORDS:
        at.fail(value, '"True" or "False"')
    return _WORDS[value]


def _integral(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_ranges(at: At, entry: Entry, objects: list[dict[str, Any]]) -> None:
    """Rule 2: min and max within a hundredth of a step of what scale and offset say."""
    for i, (one, (low, high)) in enumerate(zip(objects, entry.ranges(), strict=True)):
        for key, expected in (("min", low), ("max", high)):
            if key in one and abs(at.item(i).key(key).number(one[key]) - expected) > 0.01 * entry.scale[i] + 1e-5 * abs(expected):
                at.item(i).key(key).fail(one[key], f"{expected:.9g}, which scale and offset say")


def write(content: EncodingsFileContent) -> dict[str, Any]:
    """The file as plain values."""
    named = {key: {e.name: _objects(e) for e in content.entries if e.section == section} for key, section in _SECTIONS}
    return {"producer": dict(content.producer), "version": VERSION, **named,
            "excluded_layers": list(content.excluded_layers), "quantizer_args": dict(content.quantizer_args)}


def _objects(entry: Entry) -> list[dict[str, Any]]:
    if entry.floating:
        return [{"bitwidth": entry.bits, "dtype": "float"}]
    return [{"min": low, "max": high, "scale": scale, "offset": offset, "bitwidth": entry.bits, "dtype": "int",
             "is_symmetric": str(entry.symmetric)}
            for scale, offset, (low, high) in zip(entry.scale, entry.offset, entry.ranges(), strict=True)]


register(VERSION, read, write)
