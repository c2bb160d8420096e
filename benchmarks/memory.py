"""Peak resident memory of plain ONNX Runtime, the chain and the exact sweep on the same images, each in a process of its own."""
from __future__ import annotations

import subprocess
import sys

IMAGES = 8
SCRIPT = """
import sys
from benchmarks.models import CASES
from engine.sim.quantization import FLOAT
name, what, images = sys.argv[1], sys.argv[2], int(sys.argv[3])
case = CASES[name](images)
feeds = [case.data.batch(i, i + 1) for i in range(images)] if what in ("plain", "chain", "quantized") else []
if what == "plain":
    from benchmarks.simulate import session
    run = lambda one, plain=session(case.path): plain.run(None, one)
if what == "chain":
    from engine.sim.chain import Chain
    run = lambda one, chain=Chain(case.model): chain.run(FLOAT, one)
if what == "quantized":
    from engine.recipe import Recipe
    from engine.sim.quantsim import QuantSim
    sim = QuantSim(case.model, Recipe(precision="w8a8"))
    sim.calibrate(case.data, histograms=False)
    run = sim.run
for one in feeds:
    run(one)
if what.startswith("one-"):
    from benchmarks.sensitivity import swept
    swept(case, what)
status = open("/proc/self/status").read()  # getrusage would count the parent that started this process
print(status.split("VmHWM:")[1].split()[0])
"""


def peak(name: str, what: str, images: int = IMAGES) -> float:
    """Peak resident MB of a process that runs a case: `nothing`, `plain`, `chain`, `quantized`, `one-on` or `one-off`."""
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, name, what, str(images)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024


def peak_of(names: tuple[str, ...]) -> list[dict[str, object]]:
    """MB that each way of running adds to a process with the model and the images loaded."""
    found: list[dict[str, object]] = []
    for name in names:
        nothing = peak(name, "nothing")
        for what, words in (("plain", "plain ONNX Runtime, float"), ("chain", "chain, float"),
                            ("quantized", "chain, W8A8, calibration included")):
            found.append({"model": name, "run": f"memory: {words}", "extra_mb": round(peak(name, what) - nothing)})
    return found
