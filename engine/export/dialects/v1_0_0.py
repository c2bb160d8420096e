"""Dialect 1.0.0: two lists of objects; scale, offset, bit width and symmetry, no minimum and maximum.

Rules:
1. `enc_type` is PER_TENSOR, PER_CHANNEL, PER_BLOCK or LPBQ; lists are in (output channel, block) order.
2. `offset = -zero_point` on the unsigned grid: symmetric int8 has -128.
3. LPBQ is read as blocks of the compressed width, `scale = channel scale * integer`; it is not written.
"""
from __future__ import annotations

from typing import Any

from engine.export.dialects.content import EncodingsFileContent, Entry, Section, checked_entry
from engine.export.dialects.fields import header, numbers, offsets, unique
from engine.export.dialects.registry import register
from engine.recipe.reader import At

VERSION = "1.0.0"
_KEYS = ("name", "dtype", "enc_type", "bw", "is_sym", "scale", "offset", "block_size", "compressed_bw", "per_block_int_scale")
_SECTIONS: tuple[tuple[str, Section], ...] = (("activation_encodings", "activation"), ("param_encodings", "param"))


def read(data: dict[str, Any], at: At) -> EncodingsFileContent:
    """The content of a parsed file."""
    entries: list[Entry] = []
    for key, section in _SECTIONS:
        listed = at.key(key).items(data.get(key, []))
        entries += [_entry(at.key(key).item(i), item, section) for i, item in enumerate(listed)]
    return EncodingsFileContent(VERSION, unique(at, entries), **header(data, at), source=at.source)


def _entry(at: At, item: object, section: Section) -> Entry:
    fields = at.mapping(item, _KEYS)
    name = at.key("name").text(fields.get("name"))
    bits = at.key("bw").whole(fields.get("bw"), 2, 32)
    if at.key("dtype").choice(fields.get("dtype"), ("INT", "FLOAT")) == "FLOAT":
        return checked_entry(at, Entry(name, section, bits, floating=True))
    kind = at.key("enc_type").choice(fields.get("enc_type"), ("PER_TENSOR", "PER_CHANNEL", "PER_BLOCK", "LPBQ"))
    symmetric = at.key("is_sym").boolean(fields.get("is_sym"))
    scale = numbers(at.key("scale"), fields.get("scale"))
    block = at.key("block_size").whole(fields.get("block_size"), 1, 65536) if kind in ("PER_BLOCK", "LPBQ") else None
    if kind == "LPBQ":
        bits, scale = _lpbq(at, fields, bits, scale)
        symmetric = True
        offset: tuple[int, ...] = (-(2 ** (bits - 1)),) * len(scale)
    else:
        offset = offsets(at.key("offset"), fields.get("offset", []), len(scale), bits, symmetric)
    if kind == "PER_TENSOR" and len(scale) != 1:
        at.key("scale").fail(len(scale), "one scale for PER_TENSOR")
    return checked_entry(at, Entry(name, section, bits, False, symmetric, scale, offset, block))


def _lpbq(at: At, fields: dict[str, Any], bits: int, channels: tuple[float, ...]) -> tuple[int, tuple[float, ...]]:
    """The compressed width and the scale of every block."""
    compressed = at.key("compressed_bw").whole(fields.get("compressed_bw"), 2, bits)
    place = at.key("per_block_int_scale")
    factors = [place.item(i).whole(v, 1, 2 ** (bits - compressed)) for i, v in enumerate(place.items(fields.get("per_block_int_scale")))]
    if not channels or len(factors) % len(channels):
        place.fail(len(factors), f"the same number of blocks for each of {len(channels)} channels")
    blocks = len(factors) // len(channels)
    return compressed, tuple(channels[i // blocks] * factor for i, factor in enumerate(factors))


def write(content: EncodingsFileContent) -> dict[str, Any]:
    """The file as plain values."""
    lists = {key: [_object(e) for e in content.entries if e.section == section] for key, section in _SECTIONS}
    return {"producer": dict(content.producer), "version": VERSION, **lists,
            "excluded_layers": list(content.excluded_layers), "quantizer_args": dict(content.quantizer_args)}


def _object(entry: Entry) -> dict[str, Any]:
    if entry.floating:
        return {"name": entry.name, "dtype": "FLOAT", "enc_type": "PER_TENSOR", "bw": entry.bits}
    kind = "PER_BLOCK" if entry.block else "PER_CHANNEL" if len(entry.scale) > 1 else "PER_TENSOR"
    block = {"block_size": entry.block} if entry.block else {}
    return {"name": entry.name, "dtype": "INT", "enc_type": kind, "bw": entry.bits, "is_sym": entry.symmetric, **block,
            "scale": list(entry.scale), "offset": list(entry.offset)}


register(VERSION, read, write)
