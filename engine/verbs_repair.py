"""What the command line shows of a recipe's steps: what each did and, where it was measured, what each gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.terminal import share, table

MAX_WARNINGS = 5


def show_steps(found: Mapping[str, Any]) -> None:
    """The waterfall of a report that has one, else a line for each step that changed something beside folding."""
    if found.get("repair"):
        show_waterfall(found["repair"])
        return
    for step in found.get("steps", ()):
        if step["name"] != "fold_batch_norm" or step["warnings"]:
            print(f"  step {step['name']}: {len(step['changes'])} changes, {step['seconds']:.1f} s{_warned(step['warnings'])}")


def show_waterfall(found: Mapping[str, Any]) -> None:
    """One row for each prefix of the steps, and what is to be said of each."""
    metric, scale = found["metric"], 1.0 if found["metric"] == "sqnr" else 100.0
    rows = [("step", metric, "gain over the row before", "SQNR", "change", "seconds", "")]
    for row in found["rows"]:
        change = row["change"]
        rows.append((
            row["step"] or "none",
            share(row["quantized"]["value"], row["quantized"]["ci95"], scale),
            "" if change is None else share(change["value"], change["ci95"], scale),
            f"{row['sqnr_db']:.1f} dB",
            "" if row["sqnr_change_db"] is None else f"{row['sqnr_change_db']:+.1f} dB",
            f"{row['seconds']:.1f}",
            "HARM" if row["harm"] else "",
        ))
    print(table(rows, right=(1, 2, 3, 4, 5)))
    for row in found["rows"][1:]:
        print(f"  {row['words']}{_warned(row['warnings'])}")
    print(f"  {found['words']}")


def _warned(warnings: list[str]) -> str:
    more = f"\n    … and {len(warnings) - MAX_WARNINGS} more" if len(warnings) > MAX_WARNINGS else ""
    return "".join(f"\n    {line}" for line in warnings[:MAX_WARNINGS]) + more
