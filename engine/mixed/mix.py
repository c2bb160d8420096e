"""The precisions of many recipes in little room: one letter a layer, with runs counted (`aab12c`).

A search answers with every recipe that it measured. The layers' names and the precisions that letters stand for are said once
(the legend), so that each recipe costs a byte or two a layer and can still be loaded whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from string import ascii_lowercase
from typing import Any

from engine.errors import BadInput
from engine.mixed.space import Choice, Space
from engine.quant.precision import Precision

MOST = 1_000_000  # layers: a text that claims more is refused before room is made for them


def legend(spaces: Sequence[Space]) -> dict[str, Any]:
    """The names of the layers in order of execution, and the precisions in the order of their letters."""
    precisions = dict.fromkeys(str(o.precision) for space in spaces for place in space.places for o in place.options)
    return {"layers": [place.name for place in spaces[0].places], "precisions": list(precisions)}


def packed(space: Space, choice: Choice, told: Mapping[str, Any]) -> str | None:
    """A choice by its legend; None where there are more precisions than letters."""
    if len(told["precisions"]) > len(ascii_lowercase):
        return None
    letters = dict(zip(told["precisions"], ascii_lowercase, strict=False))
    found = ""
    for letter, run in groupby(letters[str(p)] for p in space.named(choice).values()):
        count = len(list(run))
        found += letter + (str(count) if count > 1 else "")
    return found


def unpacked(text: str, told: Mapping[str, Any]) -> dict[str, Precision]:
    """Layer → precision.

    Raises:
        BadInput: the text is not one of this legend.
    """
    names, precisions, held = told["layers"], told["precisions"], list[str]()
    if not re.fullmatch(r"([a-z]\d{0,6})*", text):
        raise BadInput(f"a mix came as {text[:40]!r}: expected letters with counts, such as aab12c")
    for letter, digits in re.findall(r"([a-z])(\d*)", text):
        number, count = ascii_lowercase.index(letter), int(digits or 1)
        if number >= len(precisions) or len(held) + count > min(len(names), MOST):
            raise BadInput(f"a mix came as {text[:40]!r}: it is not of these {len(names)} layers and {len(precisions)} precisions")
        held += [precisions[number]] * count
    if len(held) != len(names):
        raise BadInput(f"a mix of {len(held)} layers came: expected {len(names)}")
    return {name: Precision.parse(p) for name, p in zip(names, held, strict=True)}
