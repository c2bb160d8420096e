"""The command line. Exit 0: done; 1: the result misses what was asked; 2: bad input; 130: stopped by Ctrl-C.

A stable contract that others script against: `--json FILE` writes the full result, `-q` silences
progress, `--set KEY=VALUE` overrides any recipe key, `--precision` replaces the base.
"""
from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.arguments_resolve import add_arguments as resolve_arguments
from engine.arguments_search import add_arguments as search_arguments
from engine.errors import Cancelled, MixdownError

MAX_LINES = 10
Arguments = argparse.Namespace

EXAMPLES = {
    "inspect": "python -m engine inspect model.onnx",
    "resolve": "python -m engine resolve model.onnx --recipe recipe.yaml --ahead features.3.conv=w4a8",
    "simulate": "python -m engine simulate model.onnx --evaluation evaluation.npz --calibration calibration.npz --precision w8a8",
    "sensitivity": "python -m engine sensitivity model.onnx --calibration calibration.npz --precisions w8a8,w4a8 --mode one-on",
    "search": "python -m engine search model.onnx --evaluation evaluation.npz --calibration calibration.npz --precisions w8a16,w8a8,w4a8 "
              "--max-drop 0.01 --out recipe.yaml",
    "quantize": "python -m engine quantize recipe.yaml model.onnx --evaluation evaluation.npz --calibration calibration.npz --out exported",
    "export": "python -m engine export model.onnx --recipe recipe.yaml --calibration calibration.npz --out exported",
    "verify": "python -m engine verify exported --evaluation evaluation.npz",
    "report": "python -m engine report exported --out report.html",
}
WATERFALL_HELP = "measure what each step of the recipe gives, one after the other, and name those that do harm"
DATA_HELP = ("an .npz with arrays named as the model's inputs (and optional labels), a data.yaml of an image folder, "
             "or package.module:function")


def build_parser() -> argparse.ArgumentParser:
    """One subcommand per verb, each with an example."""
    parser = argparse.ArgumentParser(prog="python -m engine", description="Mixdown: quantization simulated, measured, exported, proven.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    inspect = _verb(verbs, "inspect", "layers, ops and their support, inputs, parameters, MACs, size")
    inspect.add_argument("model", metavar="MODEL", type=Path)
    resolve_arguments(_verb(verbs, "resolve", "what a recipe comes to on its target, and what a move would bring with it"))
    simulate = _verb(verbs, "simulate", "the whole recipe measured: float against quantized")
    simulate.add_argument("model", metavar="MODEL", type=Path)
    simulate.add_argument("--outputs", metavar="F.npz", type=Path, help="write the output arrays as fp32/NAME and quantized/NAME")
    simulate.add_argument("--no-steps", action="store_true", help="leave out the recipe's steps (BatchNormalization stays)")
    simulate.add_argument("--waterfall", action="store_true", help=WATERFALL_HELP)
    simulate.add_argument("--max-drop", metavar="X", type=float, help="exit 1 when the drop is larger (absolute: 0.01 is one point)")
    _sensitivity(_verb(verbs, "sensitivity", "which layers hurt: scores with confidence"))
    search_arguments(_verb(verbs, "search", "mixed precision: the right bits for every layer, measured and promised"))
    quantize = _verb(verbs, "quantize", "simulate, export and verify in one go")
    quantize.add_argument("recipe", metavar="RECIPE", type=Path)
    quantize.add_argument("model", metavar="MODEL", type=Path, nargs="?", help="when the recipe names no model")
    quantize.add_argument("--waterfall", action="store_true", help=WATERFALL_HELP)
    export = _verb(verbs, "export", "the float model with its encodings, and a QDQ model")
    export.add_argument("model", metavar="MODEL", type=Path)
    export.add_argument("--encodings", metavar="V", action="append", help="encodings dialect: 1.0.0 or 0.6.1 (default: both)")
    verify = _verb(verbs, "verify", "exported files, re-read and run in ONNX Runtime, against the simulation")
    verify.add_argument("folder", metavar="DIR", type=Path)
    report = _verb(verbs, "report", "an export as one page for those who decide: a single HTML file that needs no network")
    report.add_argument("folder", metavar="DIR", type=Path)
    report.add_argument("--out", metavar="F.html", type=Path, help="where to write it (default: report.html in DIR)")
    for name, sub in verbs.choices.items():
        _shared(name, sub)
    return parser


def _sensitivity(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("model", metavar="MODEL", type=Path)
    sub.add_argument("--precisions", metavar="P,P", required=True, help="such as w8a8,w4a8")
    sub.add_argument("--mode", default="one-on", choices=("one-on", "one-off", "cumulative", "estimate", "data-free"),
                     help="one-on: only this item quantized (cause); one-off: all but this; cumulative: all on, read at every layer; "
                          "estimate: from gradients; data-free: weight error alone")
    sub.add_argument("--what", default="both", choices=("weights", "activations", "both"))
    sub.add_argument("--items", default="layers", choices=("layers", "ops", "groups", "blocks"))
    sub.add_argument("--on", default="calibration", choices=("calibration", "evaluation"), help="the data that scores are taken on")
    sub.add_argument("--samples", metavar="N", type=int, default=128)
    sub.add_argument("--racing", action="store_true", help="more samples only where the top is undecided")
    sub.add_argument("--top", metavar="K", type=int, default=10)
    sub.add_argument("--resume", action="store_true", help="keep scores by content, and go on from those of an earlier run")
    sub.add_argument("--time-budget", metavar="S", type=float,
                     help="stop after S seconds with what is there; every item is scored on a few samples first")


def _verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, words: str) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".", epilog=f"example: {EXAMPLES[name]}",
                            formatter_class=argparse.RawDescriptionHelpFormatter)


def _shared(name: str, sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", metavar="FILE", type=Path, help="write the full result as JSON")
    sub.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    if name == "report":
        return
    if name == "inspect":
        sub.add_argument("--target", metavar="T", help="also list which tensors this target quantizes, and why not")
        return
    sub.add_argument("--evaluation", metavar="D", required=name in ("quantize", "verify"), help=DATA_HELP)
    sub.add_argument("--metric", metavar="M", help="top1, top5, agreement, cosine, … or module:function (higher is better)")
    if name == "verify":
        return
    if name != "quantize":
        sub.add_argument("--recipe", metavar="R", type=Path, help="a recipe in YAML or JSON")
    sub.add_argument("--calibration", metavar="D", required=name == "quantize", help=DATA_HELP)
    sub.add_argument("--training", metavar="D", help="what the step qat trains on (default: the calibration data); like --evaluation")
    sub.add_argument("--precision", metavar="P", help="the base precision: w8a8, w4a8, fp16, …")
    sub.add_argument("--target", metavar="T", help="htp_v73 (default), generic, onnxruntime, or a JSON file")
    sub.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="changes", help="override a recipe key by dotted path")
    sub.add_argument("--strict", action="store_true", help="an illegal result is an error instead of more bits")
    if name in ("quantize", "export"):
        sub.add_argument("--out", metavar="DIR", type=Path, required=True)
        sub.add_argument("--allow-illegal", action="store_true", help="export precisions that the target does not run")


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Keeps a Ctrl-C until the block ends: an interrupted native import fails as something else than an interrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb and returns the exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        with held_interrupts():
            from engine.verbs import VERBS  # torch and ONNX Runtime load here: --help does not wait for them
        return VERBS[arguments.verb](arguments)
    except Cancelled:
        print("Stopped. Nothing was left half-written.", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("\nStopped. Nothing was left half-written.", file=sys.stderr)
        return 130
    except MixdownError as error:
        lines = str(error).splitlines() or ["bad input"]
        print("\n".join(["error: " + lines[0], *lines[1:MAX_LINES]]), file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    except (MemoryError, RecursionError) as error:
        words = "needs more memory than there is" if isinstance(error, MemoryError) else "nests too deep"
        print(f"error: the input {words}; use a smaller model or fewer samples", file=sys.stderr)
        return 2
