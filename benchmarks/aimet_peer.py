"""The peer's side of `aimet.sh`, run by a Python that has aimet-onnx 2.42.0 and nothing of this project.

    python aimet_peer.py FOLDER     (holds model.onnx and images.npy; writes aimet.json)

Unit: evals, CPU seconds over those of one float run of the same images in plain ONNX Runtime, same process, one thread.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from aimet_onnx.quant_analyzer import QuantAnalyzer
from aimet_onnx.quantsim import QuantizationSimModel

ROUNDS = 5


def cpu(run: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


def median(run: Callable[[], object]) -> float:
    """The median of several calls, after one to warm up."""
    run()
    return float(np.median([cpu(run) for _ in range(ROUNDS)]))


def main(folder: Path) -> None:
    """Simulation, calibration and both per-layer sweeps of one model."""
    images = np.load(folder / "images.npy", allow_pickle=False)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    plain = ort.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    name = plain.get_inputs()[0].name

    def over(session: ort.InferenceSession) -> float:
        for i in range(len(images)):
            session.run(None, {name: images[i : i + 1]})
        return 0.0

    one = median(lambda: over(plain))
    model, dummy = onnx.load(str(folder / "model.onnx")), {name: images[:1]}
    threads = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
    sim = QuantizationSimModel(model, dummy_input=dummy, providers=["CPUExecutionProvider"], session_options_kwargs=threads)
    sim.compute_encodings(over)  # both sides are timed from the second pass on
    calibration = cpu(lambda: sim.compute_encodings(over))
    found = {"images": len(images), "simulation": median(lambda: over(sim.session)) / one, "calibration": calibration / one}
    analyzer = QuantAnalyzer(onnx.load(str(folder / "model.onnx")), dummy, over, over)
    with tempfile.TemporaryDirectory() as out:
        scores: dict[str, float] = {}
        found["one-on"] = cpu(lambda: scores.update(analyzer.perform_per_layer_analysis_by_enabling_quantizers(sim, out))) / one
        found["items"] = len(scores)
        found["one-off"] = cpu(lambda: analyzer.perform_per_layer_analysis_by_disabling_quantizers(sim, out)) / one
    (folder / "aimet.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
