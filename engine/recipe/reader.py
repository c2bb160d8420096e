"""Reading plain values with errors that say: which file, which key, what came, what was expected."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from engine.errors import BadInput, nearest

MAX_TEXT = 1000


@dataclass(frozen=True)
class At:
    """A place in a recipe: its file (or whatever it came from) and the dotted path of keys."""

    source: str
    path: str = ""

    def key(self, name: str) -> At:
        """The place one key further in."""
        # Line breaks and terminal codes in a name from a file are shown, not obeyed.
        text = name[:80] if name.isprintable() else repr(name[:80])[1:-1]
        shown = f'"{text}"' if "." in text else text
        return At(self.source, f"{self.path}.{shown}" if self.path else shown)

    def item(self, index: int) -> At:
        """The place of a list's item."""
        return At(self.source, f"{self.path}[{index}]")

    def fail(self, value: object, expected: str, hint: str = "") -> NoReturn:
        """Raises the `BadInput` for a value that is not what was expected here."""
        where = f"{self.source}: {self.path}" if self.path else self.source
        raise BadInput(f"{where}: {show(value)}: expected {expected}{'. ' + hint if hint else ''}")

    def problem(self, error: BadInput) -> NoReturn:
        """Raises `error` again with this place in front."""
        where = f"{self.source}: {self.path}" if self.path else self.source
        raise BadInput(f"{where}: {error}") from None

    def mapping(self, value: object, known: Iterable[str] | None = None) -> dict[str, Any]:
        """A mapping, with no keys but the `known` ones where these are given."""
        if not isinstance(value, Mapping):
            self.fail(value, f"a mapping{' with ' + ', '.join(known) if known else ''}")
        for key in value:
            if not isinstance(key, str) or not key:
                self.fail(key, "a name as key")
            if known is not None and key not in known:
                self.key(key).unknown("key", key, known)
        return dict(value)

    def unknown(self, what: str, name: str, known: Iterable[str]) -> NoReturn:
        """Raises the `BadInput` for a name that is not among the known ones."""
        raise BadInput(f"{self.source}: {self.path}: unknown {what} {show(name)}. {nearest(name, known)}")

    def items(self, value: object) -> list[Any]:
        """A list."""
        if not isinstance(value, (list, tuple)):
            self.fail(value, "a list")
        return list(value)

    def text(self, value: object, expected: str = "a name") -> str:
        """A text that is not empty."""
        if not isinstance(value, str) or not value or len(value) > MAX_TEXT:
            self.fail(value, expected)
        return value

    def boolean(self, value: object) -> bool:
        """`true` or `false`."""
        if not isinstance(value, bool):
            self.fail(value, "true or false")
        return value

    def choice(self, value: object, known: Iterable[str]) -> str:
        """One of the known words."""
        words = list(known)
        if not isinstance(value, str) or value not in words:
            hint = nearest(value, words) if isinstance(value, str) else ""
            self.fail(value, " or ".join(words), hint if "Did" in hint else "")
        return value

    def whole(self, value: object, low: int, high: int) -> int:
        """A whole number in `low`..`high`."""
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.fail(value, f"a whole number from {low} to {high}")
        return value

    def number(self, value: object) -> float:
        """A finite number."""
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            self.fail(value, "a number")
        try:
            result = float(value)
        except OverflowError:
            result = math.inf
        if not math.isfinite(result):
            self.fail(value, "a finite number")
        return result


def show(value: object) -> str:
    """A value as an error message quotes it: short."""
    text = repr(value)
    return text if len(text) <= 80 else text[:76] + " …'"
