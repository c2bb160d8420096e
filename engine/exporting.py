"""A session's way out: files, their proof, and all of it in one go."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.export import commands, export, verify
from engine.progress import Progress, part, silent
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim


def write(sim: QuantSim, out: Path, progress: Progress = silent, versions: tuple[str, ...] = ("1.0.0", "0.6.1"),
          allow_illegal: bool = False, found: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The float model with its encodings, the QDQ model, the recipe and the report, in a folder.

    Raises:
        IllegalPrecision: the target does not run some layer as it is, and that is not allowed.
    """
    sim.plan.refuse_illegal(allow_illegal)
    files = export(sim, out, dict(found) if found else None, versions, progress, allow_illegal=allow_illegal)
    return {"files": [{"name": f.name, "bytes": f.bytes, "path": str(f.path)} for f in files]}


def quantized(session: Any, recipe: Recipe, out: Path, progress: Progress, allow_illegal: bool, waterfall: bool) -> dict[str, Any]:
    """`Session.quantize`: measured, exported, verified."""
    steps = session.repair(recipe, part(progress, 0.0, 0.3)) if waterfall else None
    found = session.measure(recipe, part(progress, 0.3 if waterfall else 0.0, 0.5))
    steps = steps or session.repair_known(recipe)
    found = found | ({"repair": steps} if steps else {})
    files = session.export(recipe, out, part(progress, 0.5, 0.7), allow_illegal=allow_illegal, found=found)
    certificate = verify(out, session.evaluation, part(progress, 0.7, 1.0)).to_json()
    return {**files, "report": found, "certificate": certificate, "commands": commands(out)}
