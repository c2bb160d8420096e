"""A session that invents plausible results at once: the workbench's tests run without torch and without waiting."""
from __future__ import annotations

import math
import time
from typing import Any

from tests.app import canned_repair, canned_search, canned_train

CANDIDATES = ("fp16", "w8a16", "w8a8", "w4a8")
BITS = {"fp32": (32, 32), "fp16": (16, 16), "w8a16": (8, 16), "w8a8": (8, 8), "w4a8": (4, 8)}
SAMPLES = 2000


def make_layers(count: int) -> list[dict[str, Any]]:
    """A MobileNet-like chain of blocks of an expansion, a depthwise and a projection."""
    out = []
    for i in range(count):
        block, step = divmod(i, 3)
        width = 16 + 8 * (block // 2)
        shape = [[width * 4, width, 1, 1], [width * 4, 1, 3, 3], [width, width * 4, 1, 1]][step]
        if i == 0:
            shape = [16, 1, 3, 3]
        last = i == count - 1
        shape = [10, width] if last else shape
        params = math.prod(shape) + shape[0]
        name = "classifier" if last else f"features.{block}.conv.{step}"
        side = max(4, 28 // (1 + block // 4))
        out.append({"name": name, "op_type": "Gemm" if last else "Conv", "kind": _kind(i, last), "weight": name + ".weight",
                    "module": "" if last else f"features.{block}.conv", "weight_shape": shape, "params": params,
                    "output_shape": [1, shape[0], side, side], "macs": params * side * side, "reads": [f"t{i}"],
                    "fp32_size_bytes": params * 4, "output": f"t{i + 1}"})
    return out


def _kind(i: int, last: bool) -> str:
    return "gemm" if last else "conv" if i == 0 else "depthwise" if i % 3 == 1 else "pointwise"


class CannedSession:
    """The methods of a session, each with believable numbers that depend on the recipe."""

    def __init__(self, count: int, pause: float, trains: bool = False) -> None:
        self.layers, self.pause, self.trains = make_layers(count), pause, trains

    def open(self, progress: Any) -> dict[str, Any]:
        """The import report."""
        self._work(progress, "reading the model", 2)
        total = {k: sum(x[k] for x in self.layers) for k in ("params", "macs", "fp32_size_bytes")}
        data = {"name": "evaluation.npz", "samples": SAMPLES, "labels": True, "notes": []}
        return {"model": {"name": "canned", "sha256": "c0ffee" * 10, "opset": 18, "path": "model.onnx", "bytes": 900_000},
                "inputs": [{"name": "image", "dtype": "float32", "shape": ["N", 1, 28, 28]}],
                "outputs": [{"name": "logits", "dtype": "float32", "shape": ["N", 10]}], "layers": self.layers,
                "ops": [{"op_type": "Conv", "count": len(self.layers) - 1, "differentiable": True, "reason": ""},
                        {"op_type": "NonMaxSuppression", "count": 1, "differentiable": self.trains, "reason": "no gradient"}],
                "totals": {**total, "activation_peak_bytes": 401_408}, "warnings": [],
                "data": {"evaluation": data, "calibration": {**data, "name": "calibration.npz", "samples": 512},
                         "training": None, "overlap": 0},
                "metric": {"name": "top1", "unit": "share", "higher_is_better": True}}

    def graph(self, progress: Any) -> dict[str, Any]:
        """The chain as it is drawn: an input, the layers, an output."""
        self._work(progress, "drawing", 1)
        ends = [{"name": n, "op": n.capitalize(), "kind": n, "layer": -1, "module": "", "parts": [], "members": [], "shape": [1, 4],
                 "tensors": ["t0"] if n == "input" else []} for n in ("input", "output")]
        nodes = [{"name": x["name"], "op": x["op_type"], "kind": "layer", "layer": i, "module": x["module"], "parts": [x["op_type"]],
                  "members": [x["name"]], "tensors": [x["output"]], "shape": x["output_shape"]} for i, x in enumerate(self.layers)]
        edges = [{"from": i, "to": i + 1, "tensor": f"t{i}", "read": f"t{i}", "via": []} for i in range(len(nodes) + 1)]
        return {"nodes": [ends[0], *nodes, ends[1]], "edges": edges, "hash": f"canned{len(nodes)}", "note": ""}

    def resolve(self, recipe: Any, progress: Any) -> dict[str, Any]:
        """Effective precisions: depthwise layers refuse four bits."""
        rows = self._rows(recipe)
        size, bops = sum(r["size_bytes"] for r in rows), sum(r["bops"] for r in rows)
        why = "no INT4 weights for depthwise convolutions on this target"
        depthwise = {x["name"] for x in self.layers if self._depthwise(x)}
        tensors = [{"name": f"t{i}", "kind": "activation", "quantized": i != 3, "dtype": "int8", "symmetry": "asymmetric",
                    "explain": "read by a layer" if i != 3 else "inside a fused pair: never leaves the accumulator",
                    "tied": None, "carries": None, "calibrated": "never"} for i in range(len(self.layers))]
        total = self._total()
        first, second = self.layers[0]["name"], self.layers[1]["name"]
        changes = [{"tensor": "t1", "from": "int8", "to": "int16", "reader": second, "writer": ""},
                   {"tensor": "t1", "from": "fp16", "to": "int8", "reader": "", "writer": first}]
        return {"layers": rows, "boundaries": 2, "changes": changes, "tensors": tensors,
                "cost": {"size_bytes": size, "fp32_size_bytes": total * 4, "macs": 1, "bops": bops,
                         "fp32_bops": sum(x["macs"] for x in self.layers) * 1024},
                "options": {x["name"]: {p: why if p == "w4a8" and x["name"] in depthwise else "" for p in CANDIDATES}
                            for x in self.layers},
                "target": {"name": recipe.target, "title": "HTP v73", "precisions": list(CANDIDATES)}}

    def measure(self, recipe: Any, progress: Any, partial: Any) -> dict[str, Any]:
        """A report; partial ones with wider intervals come before it."""
        for step, seen in enumerate((256, 512, 1024, SAMPLES)):
            time.sleep(self.pause)
            progress((step + 1) / 4, f"measuring, {seen} samples")
            if seen < SAMPLES:
                partial(self._report(recipe, seen))
        return self._report(recipe, SAMPLES)

    def calibrate(self, recipe: Any, progress: Any) -> dict[str, Any]:
        """Ranges of all tensors."""
        self._work(progress, "calibrating", 10)
        rows = [{"name": f"t{i}", "kind": "activation", "dtype": "int8", "symmetry": "asymmetric", "method": "min_max",
                 "low": -1.0 - i / 10, "high": 2.0 + i / 10, "minimum": -1.2, "maximum": 2.4, "scale": 0.01,
                 "zero_point": 3, "clipped_calibration": 0.0, "clipped_evaluation": 0.0002 * i, "frozen": False,
                 "overridden": False, "histogram": _histogram(3.0)} for i in range(len(self.layers))]
        return {"tensors": rows, "weights": [], "samples": recipe.calibration.samples, "seconds": 0.4}

    def layer_facts(self, recipe: Any, name: str, progress: Any) -> dict[str, Any]:
        """The inspector's facts."""
        n = 24
        high = [0.12 + (0.9 if i == 5 else 0.0) for i in range(n)]
        encoding = {"dtype": "int8", "granularity": "per channel", "low": -0.42, "high": 0.42, "step": 0.84 / 255}
        return {"name": name, "histogram": _histogram(0.5), "encoding": encoding, "explain_weight": "one scale a channel",
                "channels": {"low": [-0.1 - 0.01 * (i % 7) for i in range(n)], "high": high, "limits": None},
                "tensors": [{"name": "t1", "role": "reads", "dtype": "int8", "low": -1.0, "high": 2.0, "explain": "read at 8 bits"},
                            {"name": "t2", "role": "output", "dtype": "fp32", "explain": "the activation after it is fused"}]}

    def repair(self, recipe: Any, progress: Any, partial: Any) -> dict[str, Any]:
        """A chain of steps, measured after each."""
        return canned_repair.repair(self.layers, recipe, self.pause, progress, partial)

    def training_kept(self, recipe: Any) -> dict[str, Any]:
        """What the disk knows of a training that did not end."""
        return {"training": canned_train.kept()}

    def frontier(self, precisions: list[str], recipe: Any, progress: Any, **given: Any) -> dict[str, Any]:
        """Predicted frontiers by one cost."""
        self._work(progress, "scoring", 2)
        column = "bops" if given.get("max_bops") else "latency_us" if given.get("max_latency_us") else "size"
        return canned_search.frontier(self.layers, precisions, column, given.get("latency"))

    def solve(self, precisions: list[str], recipe: Any, max_score: float | None, progress: Any, **given: Any) -> dict[str, Any]:
        """The proven answer to budgets."""
        return canned_search.solve(self.layers, recipe, precisions, given)

    def search_report(self, precisions: list[str], recipe: Any, progress: Any, partial: Any, **given: Any) -> dict[str, Any]:
        """A search that measures four points."""
        return canned_search.search(self.layers, recipe, precisions, given, self.pause, progress, partial)

    def takes(self, recipe: Any, precisions: list[str], max_drop: float, progress: Any, partial: Any) -> dict[str, Any]:
        """Moves for a missed target."""
        self._work(progress, "trying", 2)
        return canned_search.takes(self.layers, recipe, max_drop)

    def tune(self, recipe: Any, progress: Any, partial: Any, **space: Any) -> dict[str, Any]:
        """A search over settings of training."""
        return canned_train.tune(recipe, space, self.pause, progress, partial)

    def quantize(self, recipe: Any, out: str, progress: Any) -> dict[str, Any]:
        """An export without files."""
        self._work(progress, "exporting", 6)
        return {"files": [], "report": self._report(recipe, SAMPLES), "commands": [{"title": "On the device", "text": "qairt-converter …"}],
                "certificate": {"passed": True, "sentence": "The exported files do what the desk shows: 100 % of 2,000 samples agree.",
                                "parity": [{"optimizations": "off", "max_lsb": 1, "mean_lsb": 0.01, "sqnr_db": 62.1, "agreement": 1.0}],
                                "statements": ["Accumulation is FP32."], "first_divergence": None, "missing_encodings": []}}

    def _rows(self, recipe: Any) -> list[dict[str, Any]]:
        asked, muted, out = dict(recipe.layers), set(recipe.bypass), []
        for x in self.layers:
            requested = str(asked[x["name"]].precision) if x["name"] in asked else str(recipe.precision)
            found = "w8a8" if requested == "w4a8" and self._depthwise(x) else requested
            reason = "depthwise weights have 8 bits at least on this target" if found != requested else ""
            found = "fp16" if x["name"] in muted else found
            weight, activation = BITS.get(found, (8, 8))
            out.append({"name": x["name"], "requested": requested, "precision": found, "legal": True, "reason": reason,
                        "bypassed": x["name"] in muted, "size_bytes": x["params"] * weight // 8,
                        "bops": x["macs"] * weight * activation, "macs": x["macs"]})
        return out

    def _report(self, recipe: Any, seen: int) -> dict[str, Any]:
        rows = self._rows(recipe)
        noise = sum({"w4a8": 0.0017, "w8a8": 0.0002}.get(r["precision"], 0.0) for r in rows)
        half, lost = 1.96 * math.sqrt(0.92 * 0.08 / seen), int(noise * seen) + 6
        layers = [{**r, "sqnr_db": {"w4a8": 17.0, "w8a8": 34.0}.get(r["precision"], 58.0) + 7 * math.sin(i)} for i, r in enumerate(rows)]
        ends = [noise - half / 3, noise + half / 3]
        return {"fp32": {"metric": "top1", "value": 0.924, "ci95": [0.924 - half, 0.924 + half], "n": seen},
                "quantized": {"metric": "top1", "value": 0.924 - noise, "ci95": [0.924 - noise - half, 0.924 - noise + half]},
                "drop": {"value": noise, "ci95": ends, "flips_lost": lost, "flips_won": 6}, "sqnr_db": 24.0, "agreement": 0.97,
                "layers": layers, "cost": {"size_bytes": sum(r["size_bytes"] for r in rows), "fp32_size_bytes": self._total() * 4},
                "kl": 0.0123, "seconds": 0.4, "samples": seen, "fingerprint": recipe.fingerprint(), "recipe": recipe.to_dict()}

    def _total(self) -> int:
        return sum(x["params"] for x in self.layers)

    @staticmethod
    def _depthwise(layer: dict[str, Any]) -> bool:
        return bool(layer["kind"] == "depthwise")

    def _work(self, progress: Any, message: str, steps: int) -> None:
        for step in range(steps):
            time.sleep(self.pause)
            progress((step + 1) / steps, message)


def _histogram(width: float) -> dict[str, Any]:
    edges = [width * (i - 32) / 32 for i in range(65)]
    return {"edges": edges, "counts": [int(4000 * math.exp(-((i - 31.5) / 9) ** 2 / 2)) for i in range(64)]}


def for_project(project: Any, store: Any) -> CannedSession:
    """The factory that a worker is given; the model's file name may say how many layers and how slow."""
    words = project.model.stem.split("_")
    count = next((int(w) for w in words if w.isdigit()), 53)
    return CannedSession(count, 0.25 if "slow" in words else 0.12 if "show" in words else 0.0, "train" in words)
