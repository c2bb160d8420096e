"""The verb `search`: the search itself, and what it shows; its arguments are in `arguments_search.py`."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.data import Dataset
from engine.errors import BadInput, Cancelled
from engine.mixed.latency import load_latency
from engine.progress import Progress
from engine.quant.precision import Precision
from engine.recipe import ModelRef, Recipe
from engine.session import Session
from engine.store import default_home
from engine.terminal import share, table

Arguments = argparse.Namespace
PASSED = ("max_drop", "judge", "max_size", "max_bops", "average_bits", "max_latency_us", "aim", "kind", "score_samples", "keep",
          "with_steps", "samples", "points", "rounds", "method", "percent", "allow_illegal")


def search_cache(arguments: Arguments) -> Path | None:
    """Where `--resume` keeps measurements; without it nothing is written."""
    return default_home() / "cache" if arguments.resume else None


def find(session: Session, recipe: Recipe, arguments: Arguments, holdout: Dataset | None, progress: Progress) -> dict[str, Any]:
    """The result, or what there is of it when the time budget ends."""
    given = {name: getattr(arguments, name) for name in PASSED}
    given["latency"] = None if arguments.latency is None else load_latency(arguments.latency)
    names = [p for p in arguments.precisions.split(",") if p.strip()]
    seen: dict[str, Any] = {}
    end = None if arguments.time_budget is None else time.monotonic() + arguments.time_budget

    def limited(fraction: float, message: str) -> None:
        progress(fraction, message)
        if end is not None and time.monotonic() > end and seen.get("chosen"):
            raise Cancelled("the time budget is spent")

    try:
        return session.search_report([str(Precision.parse(n)) for n in names], recipe, holdout, limited, seen.update, **given)
    except Cancelled:
        if end is None or not seen.get("chosen"):
            raise
        return stopped(seen, arguments)


def stopped(seen: dict[str, Any], arguments: Arguments) -> dict[str, Any]:
    """The best so far: validated, not promised."""
    words = (f"Stopped after {arguments.time_budget:g} s with the best so far. It is measured on the validation half alone: nothing is "
             "promised.")
    return seen | {"kept": False, "promise": None, "certifies": None, "words": words, "stopped": True}


def save_recipe(found: dict[str, Any], arguments: Arguments, sha256: str | None) -> None:
    """Writes the chosen recipe, with the model's place beside it."""
    if arguments.out is None or found["chosen"] is None:
        return
    recipe = Recipe.parse(found["chosen"]["recipe"])
    try:
        path = os.path.relpath(arguments.model.resolve(), arguments.out.resolve().parent)
        text = replace(recipe, model=ModelRef(Path(path).as_posix(), sha256)).to_yaml()
        arguments.out.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BadInput(f"{arguments.out}: cannot be written ({error}); name a file in a folder that exists") from None


def show(found: dict[str, Any]) -> None:
    """The measured front, the choice, what it promises, and what the samples can say."""
    scale = 1.0 if found.get("metric") == "sqnr" else 100.0
    rows = [("", "size MB", "GBOPs", "KL", "drop (95 %)", "tried as")]
    chosen = found["chosen"]
    for point in found["pareto"]:
        mark = "->" if chosen is not None and point["recipe"] == chosen["recipe"] else ""
        drop = share(point["drop"]["value"], point["drop"]["ci95"], scale)
        rows.append((mark, f"{point['size_bytes'] / 1e6:.3f}", f"{point['bops'] / 1e9:.4g}", f"{point['kl']:.3g}", drop, point["why"]))
    print("Measured recipes that no other beats, on the validation half:")
    print(table(rows, right=(1, 2, 3, 4)))
    if chosen is not None:
        print(f"chosen: {chosen['size_bytes'] / 1e6:.3f} MB, {chosen['bops'] / 1e9:.4g} GBOPs, {chosen['average_bits']:.2f} bits a weight, "
              f"{chosen['boundaries']} conversions of type")
    print(found["words"])
    if certain := found.get("certifies"):
        print(f"{certain['samples']} samples certify a drop of {share(certain['smallest'], None, scale)} or more by the upper end "
              "(none observed, flips as they are).")
    spent = found["spent"]
    print(f"{spent['measurements']} recipes run ({spent['network_runs']:.1f} whole runs of the validation half), {spent['known']} known, "
          f"{spent['seconds']:.1f} s")
    for note in found.get("notes", ()):
        print(f"note: {note}")
