"""How often does the remedy that a diagnosis names first really help?

    python benchmarks/diagnosis.py [--precision w4a8] [--weights per_tensor] [--images 256] [--models fashion_vit …]

Diagnoses each model on calibration images, then applies the first remedy of each diagnosis alone and measures the KL divergence
of the output from the float model's on evaluation images, before and after, on the same images: `layer` with only this layer
quantized (what the diagnosis speaks of), `recipe` with everything quantized (where forty other layers add their noise).
`helped` and `hurt` are beyond twice the standard error of the paired difference, `open` lies within. EfficientNet-lite0 takes
part where `make registry` has run.
"""
from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.analysis.diagnosis import Diagnosis, apply_change, diagnose
from engine.analysis.runner import Runner
from engine.analysis.sensitivity.items import items_of, switched_on
from engine.data import Dataset, load_data
from engine.data.builtin_metrics import kl_divergence
from engine.graph import Model, load_model
from engine.ptq import apply_steps
from engine.recipe import Recipe
from engine.sim.calibration import gather
from engine.sim.quantization import FLOAT
from engine.sim.quantsim import QuantSim
from tests.registry.packages import available

SAMPLES = Path(__file__).resolve().parents[1] / "sample_models"
CALIBRATION, LARGE = 128, 24  # images to calibrate on; calibration and evaluation images of a model at 224x224
RESOLVED = 2.0  # standard errors


@dataclass(frozen=True)
class Case:
    """A model with its data."""

    model: Model
    calibration: Dataset
    evaluation: Dataset


def sample(name: str, images: int) -> Case:
    """A bundled sample."""
    model = load_model(SAMPLES / name / "model.onnx")
    calibration, evaluation = (load_data(SAMPLES / name / f"{which}.npz").bind(model.inputs) for which in ("calibration", "evaluation"))
    return Case(model.with_sample(calibration.batch(0, 1)), calibration.subset(CALIBRATION), evaluation.subset(images))


def efficientnet(images: int) -> Case:
    """EfficientNet-lite0 on crops of real pictures, other ones for evaluation."""
    from tests.registry import data, models

    model = models.load("efficientnet_lite0")
    sets = [Dataset(which, {"image": data.pictures(which, min(images, LARGE))}) for which in ("calibration", "evaluation")]
    return Case(model.with_sample(sets[0].batch(0, 1)), sets[0], sets[1])


CASES: dict[str, Callable[[int], Case]] = {name: partial(sample, name) for name in ("fashion_mobilenet", "fashion_vit")}
if available():
    CASES["efficientnet_lite0"] = efficientnet


class Tally:
    """Counts by (cause, remedy)."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str], list[tuple[str, float]]] = defaultdict(list)

    def add(self, diagnosis: Diagnosis, where: str, before: np.ndarray, after: np.ndarray) -> None:
        """One remedy's effect; both are KL by sample."""
        change = after - before
        error = RESOLVED * float(change.std()) / np.sqrt(len(change))
        verdict = "helped" if change.mean() < -error else "hurt" if change.mean() > error else "open"
        name = diagnosis.remedies[0].title.split(" for ")[0]
        self.rows[where, diagnosis.cause, name].append((verdict, float(after.mean() / max(before.mean(), 1e-30))))

    def show(self) -> None:
        """One line per cause and remedy, then the sum."""
        print(f"  {'':6} {'cause':18} {'first remedy':24} {'times':>5} {'helped':>6} {'open':>5} {'hurt':>5}  KL after / before, median")
        rows = sorted(self.rows.items())
        for where in ("layer", "recipe"):
            rows.append(((where, "all", ""), [one for key, found in self.rows.items() if key[0] == where for one in found]))
        for (where, cause, remedy), found in rows:
            counts = [sum(v == verdict for v, _ in found) for verdict in ("helped", "open", "hurt")]
            median = float(np.median([ratio for _, ratio in found])) if found else float("nan")
            print(f"  {where:6} {cause:18} {remedy:24} {len(found):5} {counts[0]:6} {counts[1]:5} {counts[2]:5}  {median:.3f}")


def run(name: str, recipe: Recipe, images: int) -> None:
    """One model: diagnose, then try each first remedy on the whole recipe."""
    case = CASES[name](images)
    sim = QuantSim(case.model.clone(), recipe)
    apply_steps(sim, case.calibration)
    sim.calibrate(case.calibration)
    unseen = gather(sim.chain, case.evaluation, sim.statistics)
    begin = time.process_time()
    diagnoses = diagnose(sim, case.calibration, unseen)
    spent = time.process_time() - begin
    runner, output = Runner(sim.chain, case.evaluation), sim.chain.output_names[0]

    def kl(layer: str | None = None) -> np.ndarray:
        quantization = sim.quantization if layer is None else switched_on(sim.quantization, items[layer])
        return np.asarray(kl_divergence(reference, runner.run(quantization, case.evaluation, 0, len(case.evaluation))[output]))

    reference = runner.run(FLOAT, case.evaluation, 0, len(case.evaluation))[output]
    items = {item.name: item for item in items_of(sim, "layers", "both")}
    whole, alone = kl(), {d.layer: kl(d.layer) for d in diagnoses if d.remedies}
    tally, first = Tally(), [d for d in diagnoses if d.remedies]
    for diagnosis in first:
        sim.update(apply_change(recipe, diagnosis.remedies[0].change))
        tally.add(diagnosis, "recipe", whole, kl())
        tally.add(diagnosis, "layer", alone[diagnosis.layer], kl(diagnosis.layer))
    print(f"{name}: {len(diagnoses)} diagnoses ({len(first)} with a remedy) in {spent:.2f} CPU s; KL of the whole recipe "
          f"{whole.mean():.4f} on {len(case.evaluation)} evaluation images")
    tally.show()


def main() -> None:
    """Prints a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", default="w4a8")
    parser.add_argument("--weights", choices=("per_tensor", "per_channel"), help="granularity; default: the target's")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--models", nargs="+", choices=tuple(CASES), default=tuple(CASES))
    options = parser.parse_args()
    settings = {"mixdown": 1, "precision": options.precision} | ({"weights": {"granularity": options.weights}} if options.weights else {})
    for name in options.models:
        run(name, Recipe.parse(settings), options.images)


if __name__ == "__main__":
    main()
