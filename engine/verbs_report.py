"""The verb `report`: an export's folder as one page for those who decide."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.errors import BadInput
from engine.report import from_folder, render
from engine.report.headline import verdict
from engine.store.files import atomic_file
from engine.terminal import write_json

NAME = "report.html"


def report(arguments: argparse.Namespace) -> int:
    """Writes the page; prints its sentence and where it is."""
    folder = Path(arguments.folder)
    if not folder.is_dir():
        raise BadInput(f"{folder}: is no folder: expected one that `export` or `quantize` wrote")
    facts = from_folder(folder)
    data = render(facts).encode()
    out = folder / NAME if arguments.out is None else Path(arguments.out)
    if out.is_dir():
        raise BadInput(f"{out}: is a folder: expected a file to write, such as {out / NAME}")
    if not out.absolute().parent.is_dir():
        raise BadInput(f"{out}: cannot be written: there is no folder {out.parent}")
    with atomic_file(out) as file:
        file.write(data)
    if arguments.json:
        write_json(arguments.json, {"out": str(out), "bytes": len(data), "sentence": verdict(facts)})
    print(verdict(facts))
    print(f"{out}  {len(data) / 1e3:.0f} kB, opens without a network")
    return 0
