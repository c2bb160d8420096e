"""What each verb of the command line does with a `Session`, and what it prints."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.analysis.facts import model_facts
from engine.data import Dataset, load_data
from engine.errors import BadInput
from engine.graph import Model, load_model
from engine.quant.precision import Precision
from engine.recipe import Recipe, load_recipe
from engine.session import Session
from engine.targets import load_target, place
from engine.terminal import Bar, count, share, table, write_json
from engine.verbs_repair import show_steps
from engine.verbs_report import report
from engine.verbs_resolve import answer as resolve_answer
from engine.verbs_resolve import show as show_resolved
from engine.verbs_search import find, save_recipe, search_cache
from engine.verbs_search import show as show_search
from engine.verbs_sensitivity import ask, cache_of, show

Arguments = argparse.Namespace


def recipe_of(arguments: Arguments) -> Recipe:
    """The recipe file (or an empty recipe) with `--target`, `--precision` and `--set` on top, in that order."""
    path = getattr(arguments, "recipe", None)
    recipe = load_recipe(path) if path else Recipe()
    if arguments.target:
        recipe = replace(recipe, target=arguments.target)
    if arguments.precision:
        recipe = replace(recipe, precision=Precision.parse(arguments.precision))
    for change in arguments.changes:
        recipe = recipe.set_text(change)
    if getattr(arguments, "no_steps", False):
        recipe = replace(recipe, steps=())
    load_target(recipe.target)
    return recipe


def _model_of(arguments: Arguments, recipe: Recipe) -> Model:
    if arguments.model is not None:
        return load_model(arguments.model)
    if recipe.model is None or recipe.model.path is None:
        raise BadInput(f"{arguments.recipe}: the recipe names no model; give it as the second argument")
    return load_model(Path(arguments.recipe).parent / recipe.model.path)


def _session(arguments: Arguments, model: Model, cache: Path | None = None) -> Session:
    evaluation, calibration, training = (
        _data(getattr(arguments, key, None), model) for key in ("evaluation", "calibration", "training"))
    return Session(
        model,
        evaluation,
        calibration,
        training,
        metric=arguments.metric,
        cache=cache,
        allow_code=True,
        strict=arguments.strict,
        base=Path(arguments.recipe).parent if getattr(arguments, "recipe", None) else Path(),
    )


def _data(spec: str | None, model: Model) -> Dataset | None:
    return None if spec is None else load_data(spec, model.inputs, allow_code=True)


def inspect(arguments: Arguments) -> int:
    """Prints the facts of a model."""
    model = load_model(arguments.model)
    facts = model_facts(model)
    if arguments.target:
        placement = place(model, load_target(arguments.target))
        facts["tensors"] = [{"name": n, "quantized": s.quantized, "explain": placement.explain(n)} for n, s in placement.slots.items()]
    _save(arguments, facts)
    totals = facts["totals"]
    print(
        f"{model.name}: opset {model.opset}, {totals['nodes']} nodes, {totals['layers']} layers, {count(totals['params'])} parameters, "
        f"{count(totals['macs'])} MACs a sample, {totals['fp32_size_bytes'] / 1e6:.2f} MB in FP32"
    )
    print("inputs:  " + ", ".join(i.describe() for i in model.inputs))
    print("outputs: " + ", ".join(o.describe() for o in model.outputs))
    rows = [("layer", "op", "weight", "params", "MACs")] + [
        (x["name"], x["op_type"], "x".join(map(str, x["weight_shape"])), count(x["params"]), count(x["macs"])) for x in facts["layers"]
    ]
    print(table(rows, right=(3, 4)))
    print("ops: " + ", ".join(f"{x['count']} {x['op_type']}{'' if x['differentiable'] else ' (no gradient)'}" for x in facts["ops"]))
    for tensor in facts.get("tensors", []):
        print(tensor["explain"])
    for warning in facts["warnings"]:
        print(f"note: {warning}")
    return 0


def resolve(arguments: Arguments) -> int:
    """Prints what a recipe comes to on its target; exit 1 where `--strict` would refuse what a move brings with it."""
    recipe = recipe_of(arguments)
    session = _session(arguments, load_model(arguments.model))
    found = _with_bar(arguments, lambda progress: resolve_answer(session, recipe, arguments.ahead, progress))
    _save(arguments, found)
    show_resolved(found)
    return 1 if arguments.strict and found.get("ahead", {}).get("refused") else 0


def simulate(arguments: Arguments) -> int:
    """Measures a recipe."""
    recipe = recipe_of(arguments)
    session = _session(arguments, load_model(arguments.model))
    steps = _with_bar(arguments, lambda progress: session.repair(recipe, progress)) if arguments.waterfall else None
    found, outputs = _with_bar(arguments, lambda progress: session.simulate_outputs(recipe, progress))
    found = found | ({"repair": steps} if steps else {})
    _save(arguments, found)
    if arguments.outputs:
        _save_outputs(arguments.outputs, outputs)
    _print_report(found)
    show_steps(found)
    if arguments.max_drop is not None and found["drop"]["value"] > arguments.max_drop:
        print(f"The drop {found['drop']['value']:.4f} is larger than the {arguments.max_drop} that was asked for.")
        return 1
    return 0


def quantize(arguments: Arguments) -> int:
    """Measures, exports and verifies. What calibration and steps found is kept beside the output until all is done, so that a
    second start after an interruption goes on from there, with the same result."""
    recipe = recipe_of(arguments)
    kept = arguments.out.with_name(f".{arguments.out.name}.resume")
    session = _session(arguments, _model_of(arguments, recipe), kept)
    found = _with_bar(arguments, lambda progress: session.quantize(
        recipe, arguments.out, progress, arguments.allow_illegal, arguments.waterfall))
    shutil.rmtree(kept, ignore_errors=True)
    _save(arguments, found)
    _print_report(found["report"])
    show_steps(found["report"])
    _print_files(found["files"])
    return _print_certificate(found["certificate"])


def export(arguments: Arguments) -> int:
    """Writes the files of a recipe."""
    recipe = recipe_of(arguments)
    session = _session(arguments, load_model(arguments.model))
    versions = tuple(arguments.encodings or ("1.0.0", "0.6.1"))
    found = _with_bar(arguments, lambda progress: session.export(recipe, arguments.out, progress, versions, arguments.allow_illegal))
    _save(arguments, found)
    _print_files(found["files"])
    return 0


def verify(arguments: Arguments) -> int:
    """Checks exported files against the simulation."""
    model = load_model(arguments.folder / "model.onnx")
    session = Session(
        model, _data(arguments.evaluation, model), _data(arguments.evaluation, model), metric=arguments.metric, allow_code=True
    )
    found = _with_bar(arguments, lambda progress: session.verify(arguments.folder, progress))
    _save(arguments, found)
    return _print_certificate(found)


def sensitivity(arguments: Arguments) -> int:
    """Scores the layers."""
    recipe = recipe_of(arguments)
    session = _session(arguments, load_model(arguments.model), cache_of(arguments))
    found = _with_bar(arguments, lambda progress: ask(session, recipe, arguments, progress))
    _save(arguments, found)
    show(found)
    return 0


def search(arguments: Arguments) -> int:
    """Finds the bits of every layer."""
    recipe, model = recipe_of(arguments), load_model(arguments.model)
    session, holdout = _session(arguments, model, search_cache(arguments)), _data(arguments.holdout, model)
    holdout = None if holdout is None else holdout.bind(model.inputs)
    found = _with_bar(arguments, lambda progress: find(session, recipe, arguments, holdout, progress))
    _save(arguments, found)
    save_recipe(found, arguments, model.sha256)
    show_search(found)
    return 0 if found["chosen"] is not None and (found["kept"] or found.get("stopped")) else 1


VERBS: dict[str, Callable[[Arguments], int]] = {
    "inspect": inspect,
    "resolve": resolve,
    "simulate": simulate,
    "sensitivity": sensitivity,
    "search": search,
    "quantize": quantize,
    "export": export,
    "verify": verify,
    "report": report,
}


def _with_bar(arguments: Arguments, work: Callable[[Any], Any]) -> Any:
    bar = Bar(arguments.quiet)
    try:
        return work(bar.progress)
    finally:
        bar.close()


def _save(arguments: Arguments, found: dict[str, Any]) -> None:
    if arguments.json:
        write_json(arguments.json, found)


def _save_outputs(path: Path, outputs: dict[str, np.ndarray]) -> None:
    try:
        with path.open("wb") as file:
            np.savez_compressed(file, **outputs)  # type: ignore[arg-type]
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror}); name a file in a folder that exists") from None


def _print_report(found: dict[str, Any]) -> None:
    fp32, quantized, drop, cost = found["fp32"], found["quantized"], found["drop"], found["cost"]
    print(f"{fp32['metric']} on {found['samples']} samples (95 % interval)")
    print(f"  float      {share(fp32['value'], fp32['ci95'])}")
    print(f"  quantized  {share(quantized['value'], quantized['ci95'])}")
    flips = "" if drop["flips_lost"] is None else f"; {drop['flips_lost']} samples lost, {drop['flips_won']} won"
    print(f"  drop       {share(drop['value'], drop['ci95'])}, paired{flips}")
    agreement = "" if found["agreement"] is None else f", agreement with float {found['agreement'] * 100:.2f} %"
    print(f"  SQNR {found['sqnr_db']:.1f} dB{agreement}")
    print(
        f"  size {cost['size_bytes'] / 1e6:.3f} MB ({cost['fp32_size_bytes'] / max(cost['size_bytes'], 1):.2f}x smaller), "
        f"BOPs {cost['bops'] / max(cost['fp32_bops'], 1) * 100:.1f} % of FP32, {found['seconds']:.1f} s"
    )
    illegal = [x for x in found["layers"] if not x["legal"]]
    if illegal:
        print(f"  {len(illegal)} layers are illegal on {found['target']}: {illegal[0]['name']}: {illegal[0]['reason']}")
    for note in found.get("notes", []):
        print(f"  note: {note}")


def _print_files(files: list[dict[str, Any]]) -> None:
    print(table([(f["path"], f"{f['bytes'] / 1e6:.3f} MB") for f in files], right=(1,)))


def _print_certificate(found: dict[str, Any]) -> int:
    print(found["sentence"])
    for row in found["parity"]:
        values = ", ".join(f"{k} {v:.4g}" for k, v in row.items() if isinstance(v, int | float) and not isinstance(v, bool))
        print(f"  optimizations {row['optimizations']}: {values}")
    for statement in found["statements"]:
        print(f"  {statement}")
    return 0 if found["passed"] else 1
