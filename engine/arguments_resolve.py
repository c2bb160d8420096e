"""The command line's arguments of the verb `resolve`; nothing heavy is imported for `--help`."""
from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """The arguments that this verb alone has."""
    sub.add_argument("model", metavar="MODEL", type=Path)
    sub.add_argument("--ahead", metavar="LAYER=PRECISION", action="append", default=[],
                     help="what this move would bring with it (several at once: give it again); `base` and `float` are precisions too, "
                          "and base=PRECISION moves the base")
