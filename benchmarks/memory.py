"""Resident memory of plain ONNX Runtime and of the chain on the same images, each in a process of its own."""
from __future__ import annotations

import subprocess
import sys

IMAGES = 8
SCRIPT = """
import sys
from benchmarks.models import CASES
from benchmarks.simulate import session
from engine.recipe import Recipe
from engine.sim.quantization import FLOAT
from engine.sim.quantsim import QuantSim
case = CASES[sys.argv[1]]({images})
if sys.argv[2] == "quantized":
    sim = QuantSim(case.model, Recipe(precision="w8a8"))
    sim.calibrate(case.data, histograms=False)
run = {{"nothing": lambda feeds: None, "plain": lambda feeds: plain.run(None, feeds),
        "chain": lambda feeds: chain.run(FLOAT, feeds), "quantized": lambda feeds: sim.run(feeds)}}[sys.argv[2]]
if sys.argv[2] == "plain":
    plain = session(case.path)
if sys.argv[2] == "chain":
    from engine.sim.chain import Chain
    chain = Chain(case.model)
for i in range({images}):
    run(case.data.batch(i, i + 1))
status = open("/proc/self/status").read()  # getrusage would count the parent that started this process
print(status.split("VmHWM:")[1].split()[0])
"""


def peak(name: str, what: str) -> float:
    """Peak resident MB of a process that runs a case."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT.format(images=IMAGES), name, what], capture_output=True, text=True,
                          check=True)
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
