"""Fields of a config that a form on the screen, `--help` and a check are made from."""
from __future__ import annotations

import math
from dataclasses import field, fields
from typing import Any

from engine.errors import BadInput


def setting(default: Any, doc: str, minimum: float | None = None, maximum: float | None = None,
            choices: tuple[Any, ...] | None = None) -> Any:
    """A field of a technique's config: `doc` is one sentence with unit and direction; forms and help are made from it."""
    return field(default=default, metadata={"doc": doc, "min": minimum, "max": maximum, "choices": choices})


def check_settings(config: Any) -> None:
    """For a config's `__post_init__`: types, bounds and choices as its fields declare them; raises `BadInput`."""
    for one in fields(config):
        value, meta = getattr(config, one.name), one.metadata
        where = f"{type(config).__name__}.{one.name}"
        if meta.get("choices") is not None and value not in meta["choices"]:
            raise BadInput(f"{where} is {value!r}: expected one of {', '.join(str(c) for c in meta['choices'])}")
        if isinstance(one.default, bool) != isinstance(value, bool) or isinstance(one.default, str) != isinstance(value, str):
            raise BadInput(f"{where} is {value!r}: expected a value like {one.default!r}")
        if isinstance(one.default, (int, float)) and not isinstance(one.default, bool):
            _check_number(where, one.default, value, meta.get("min"), meta.get("max"))


def _check_number(where: str, default: float, value: Any, low: float | None, high: float | None) -> None:
    whole = isinstance(default, int)
    if not isinstance(value, (int, float)) or not math.isfinite(value) or (whole and value != int(value)):
        raise BadInput(f"{where} is {value!r}: expected a {'whole ' if whole else ''}number like {default}")
    if (low is not None and value < low) or (high is not None and value > high):
        ends = f"{'' if low is None else f'at least {low:g}'}{' and ' if None not in (low, high) else ''}" \
               f"{'' if high is None else f'at most {high:g}'}"
        raise BadInput(f"{where} is {value}: expected {ends}")
