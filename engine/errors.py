"""The errors a person can meet. Each message says what came, what was expected, where, and what to do next.

The command line turns every `MixdownError` into exit code 2 and at most ten lines on stderr; the
workbench shows the same words in a red box. Anything else that escapes is a bug and shows as one.
"""
from __future__ import annotations

import difflib
from collections.abc import Iterable


class MixdownError(Exception):
    """Base of all errors that are the input's or the user's, never the program's."""


class BadInput(MixdownError):
    """A file, a recipe or an argument that cannot be used as it is."""


class UnsupportedOp(MixdownError):
    """A node that the executor asked for cannot run or differentiate; the message names it."""


class IllegalPrecision(MixdownError):
    """A layer's effective precision is illegal on the target where only legal ones are taken."""


class Cancelled(MixdownError):
    """Raised by a progress callback when the user has asked to stop; the state is as it was before."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """A closing sentence that names the known names nearest to `name`, or lists a few of them."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(repr(c) for c in close)}?"
    shown = ", ".join(repr(n) for n in names[:8])
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"Known: {shown}{more}." if names else "None are known here."
