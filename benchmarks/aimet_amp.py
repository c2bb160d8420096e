"""The peer's automatic mixed precision, run by a Python that has aimet-onnx 2.42.0 and nothing of this project.

    python aimet_amp.py FOLDER     (holds model.onnx and images.npy; writes amp.json)

Candidates are its own w8a16 and w8a8. What is accepted: a KL from the float model's output of at most the geometric mean of those
of the two uniform networks, which is measured beforehand and counted as nothing. Unit: evals, CPU seconds over those of one
float run of the same images in plain ONNX Runtime, same process, one thread.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from aimet_onnx.mixed_precision import _set_precision, analyze_mixed_precision_sensitivity, apply_amp, w8a8, w8a16
from aimet_onnx.quantsim import QuantizationSimModel

ROUNDS = 5


def main(folder: Path) -> None:
    """Analysis and search of one model."""
    images = np.load(folder / "images.npy", allow_pickle=False)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    plain = ort.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    name = plain.get_inputs()[0].name
    calls = {"n": 0}

    def outputs(session: ort.InferenceSession) -> np.ndarray:
        return np.concatenate([session.run(None, {name: images[i : i + 1]})[0] for i in range(len(images))])

    times = []
    for _ in range(ROUNDS + 1):
        begin = time.process_time()
        reference = outputs(plain)
        times.append(time.process_time() - begin)
    one = float(np.median(times[1:]))
    p = reference.astype(np.float64) - reference.max(1, keepdims=True)
    p -= np.log(np.exp(p).sum(1, keepdims=True))

    def kl(session: ort.InferenceSession) -> float:
        calls["n"] += 1
        q = outputs(session).astype(np.float64)
        q -= q.max(1, keepdims=True)
        q -= np.log(np.exp(q).sum(1, keepdims=True))
        return float((np.exp(p) * (p - q)).sum(1).mean())

    calibration = [{name: images[i : i + 1]} for i in range(len(images))]
    threads = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}

    def simulation() -> QuantizationSimModel:
        return QuantizationSimModel(onnx.load(str(folder / "model.onnx")), dummy_input=calibration[0], providers=["CPUExecutionProvider"],
                                    session_options_kwargs=threads)

    ends = []
    for precision in (w8a16, w8a8):
        sim = simulation()
        _set_precision(sim, *precision)
        sim.compute_encodings(calibration)
        ends.append(kl(sim.session))
    cap = float(np.sqrt(max(ends[0], 1e-12) * ends[1]))
    sim, calls["n"] = simulation(), 0
    begin, wall = time.process_time(), time.perf_counter()
    scores = analyze_mixed_precision_sensitivity(sim, [w8a16, w8a8], lambda s: -kl(s), calibration)
    analysis, evaluations = time.process_time() - begin, calls["n"]
    apply_amp(sim, scores, lambda s: kl(s) <= cap)
    seconds = time.process_time() - begin
    found = {"images": len(images), "eval_seconds": one, "seconds": seconds, "evals": seconds / one, "analysis_seconds": analysis,
             "runs": calls["n"], "analysis_runs": evaluations, "wall": time.perf_counter() - wall, "cap": cap, "ends": ends,
             "kl": kl(sim.session)}
    (folder / "amp.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
