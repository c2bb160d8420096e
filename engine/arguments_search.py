"""The arguments of the verb `search`; nothing heavy is loaded for `--help`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """The arguments that this verb alone has."""
    sub.add_argument("model", metavar="MODEL", type=Path)
    sub.add_argument("--precisions", metavar="P,P", required=True, help="the candidates, such as w8a16,w8a8,w4a8")
    target = sub.add_argument_group("target (at least one)")
    target.add_argument("--max-drop", metavar="X", type=float, help="of the metric, absolute: 0.01 is one point")
    target.add_argument("--max-size", metavar="R", type=float, help="fraction of the FP32 size")
    target.add_argument("--max-bops", metavar="R", type=float, help="fraction of the FP32 bit operations")
    target.add_argument("--average-bits", metavar="B", type=float, help="of a weight")
    target.add_argument("--max-latency", metavar="US", type=float, dest="max_latency_us", help="microseconds by --latency")
    target.add_argument("--judge", default="estimate", choices=("estimate", "bound"),
                        help="whether the drop itself (default) or the upper end of its paired 95 %% interval must keep to --max-drop")
    target.add_argument("--aim", default="bops", choices=("bops", "size_bytes", "latency_us"), help="what is made least under --max-drop")
    sub.add_argument("--latency", metavar="FILE.csv", type=Path, help="op_type,precision,microseconds and optionally shape")
    sub.add_argument("--scores", dest="kind", default="estimate", choices=("estimate", "exact", "mixed"), help="mixed: the largest exactly")
    sub.add_argument("--score-samples", metavar="N", type=int, default=0, help="calibration samples that scores are taken on")
    sub.add_argument("--samples", metavar="N", type=int, default=0, help="of the validation half to measure on (default: all)")
    sub.add_argument("--points", metavar="N", type=int, default=5, help="measurements along the frontier")
    sub.add_argument("--rounds", metavar="N", type=int, default=12, help="measurements for repair")
    sub.add_argument("--keep", action="store_true", help="layers that the recipe sets stay as they are (bypassed ones always do)")
    sub.add_argument("--with-steps", action="store_true",
                     help="run steps that look at bits (gptq, …) for every measured recipe; without it they run on the choice alone")
    sub.add_argument("--holdout", metavar="D", help="data for the promise, instead of the unused half of --evaluation")
    sub.add_argument("--method", default="search", choices=("search", "amp", "amp_reverse", "lite"),
                     help="amp: AIMET's procedure; lite: the worst --percent of the layers get the widest candidate; to compare with")
    sub.add_argument("--percent", metavar="P", type=float, default=20.0, help="for --method lite")
    sub.add_argument("--time-budget", metavar="S", type=float, help="stop after S seconds with the best so far")
    sub.add_argument("--resume", action="store_true", help="keep measurements by content, and go on from those of an earlier run")
    sub.add_argument("--allow-illegal", action="store_true", help="also what the target does not run")
    sub.add_argument("--out", metavar="RECIPE.yaml", type=Path, help="write the chosen recipe")
