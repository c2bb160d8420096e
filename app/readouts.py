"""The words and widths of the readout bar, made from a bench: pure functions, tested without a browser."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import numbers, recipes
from app.bench import Bench, measurable

BUDGET = 0.02  # the drop that fills half of the gauge
VERBS = {"open": "Reading the model", "resolve": "Resolving the recipe", "float": "Float accuracy",
         "measure": "Measuring", "calibrate": "Calibrating", "layer": "Looking into a layer",
         "quantize": "Exporting", "verify": "Verifying",
         "sensitivity": "Scoring layers", "diagnose": "Looking for causes", "compare": "Comparing"}
Part = dict[str, Any]


def metric(bench: Bench) -> tuple[str, str]:
    """The metric's name and unit."""
    said = dict((bench.model or {}).get("metric") or {})
    unit = {"share": "%"}.get(str(said.get("unit") or ""), str(said.get("unit") or ""))
    name = str(said.get("name") or bench.project.metric or "")
    return name, unit or ("%" if name in ("top1", "top5", "agreement", "accuracy", "miou", "") else "")


def current(bench: Bench) -> Mapping[str, Any] | None:
    """The report to show: this recipe's, else what its measurement knows so far, else the one before."""
    return bench.report or bench.partial or bench.before


def badge(bench: Bench) -> tuple[str, str, str]:
    """Kind, text and meaning of the badge beside the accuracy."""
    report, job = current(bench), bench.measuring
    seen = int((report or {}).get("samples") or 0)
    if bench.report is not None:
        return "measured", "measured", f"Measured on {seen:,} samples of the evaluation data"
    if job is not None and bench.partial is not None:
        return "moving", f"moving \u00b7 {seen:,}", f"Measured on the first {seen:,} samples; the interval shrinks"
    if job is not None:
        return "moving", "moving", "The measurement of this recipe waits or begins; the figures are the last ones"
    if bench.job("measure") is not None and bench.job("measure").state == "failed":  # type: ignore[union-attr]
        return "failed", "failed", "The measurement failed; the figures are the last ones"
    if not measurable(bench):
        return "none", "no data", "No evaluation data: sizes are exact, accuracy is unknown"
    if report is None:
        return "none", "not measured", "Nothing was measured yet"
    return "stale", "stale", "Measured for an earlier recipe: press Measure"


def accuracy(bench: Bench) -> Part:
    """The accuracy block."""
    report = current(bench) or {}
    name, unit = metric(bench)
    kind, text, title = badge(bench)
    quantized, fp32 = report.get("quantized"), report.get("fp32")
    value = (quantized or {}).get("value")
    half = numbers.half_width(quantized)
    sub = [] if half is None else [[f"\u00b1 {numbers.figure(half, unit)}", "hide-n"]]
    if fp32:
        sub.append([f"float {numbers.figure(fp32.get('value'), unit)}", ""])
    fill = min(1.0, max(0.0, float(value))) if value is not None and unit == "%" else 0.0
    label = "Accuracy" if name in ("", "top1", "accuracy") else name
    return {"num": numbers.figure(value, unit), "unit": unit, "sub": sub, "fill": fill, "tone": "accent", "label": label,
            "mark": (fp32 or {}).get("value") if unit == "%" and fp32 else None, "badge": kind, "badgeText": text,
            "badgeTitle": title, "title": f"{name or 'accuracy'} of the quantized model, 95 % interval; mark: float"}


def drop(bench: Bench) -> Part:
    """The headline: the paired drop, its interval, and the samples lost and won."""
    report = current(bench) or {}
    found = report.get("drop")
    unit = metric(bench)[1]
    if not found:
        return {"num": numbers.figure(None, unit), "unit": "", "sub": [], "flips": [], "fill": 0, "mark": 0.5,
                "title": ""}
    value, ends = float(found["value"]), numbers.bounds(found)
    shown = numbers.figure(value, unit)
    sub: list[list[str]] = []
    if ends:
        low, high = (numbers.figure(e, unit) for e in ends)
        sub.append([f"[{low}, {high}]", "hide-n"])
        sub.append([f"\u00b1 {numbers.figure((ends[1] - ends[0]) / 2, unit)}", "only-n"])
    lost, won = found.get("flips_lost"), found.get("flips_won")
    flips = [] if lost is None else [[f"{lost:,}", "b"], ["lost", ""], [f"{won:,}", "b"], ["won", ""]]
    resolved = ends is None or ends[0] > 0 or ends[1] < 0
    tone = "hot" if value > BUDGET else "mid" if value > 0.6 * BUDGET else "ok"
    title = ("Float minus quantized on the same samples: above zero is a loss. 95 % paired interval. "
             + ("" if resolved else "Below resolution: the interval includes zero. ") + "The mark is 2 points.")
    return {"num": shown, "unit": "pp" if unit == "%" else unit, "sub": sub, "flips": flips, "tone": tone, "mark": 0.5,
            "fill": min(1.0, max(0.0, value / (2 * BUDGET))), "title": title}


def costs(bench: Bench) -> tuple[Part, Part]:
    """Size and compute, exact for the recipe once it is resolved."""
    known = (bench.resolved or bench.resolved_before or {}).get("cost")
    if not known:
        empty: Part = {"num": "\u2013", "unit": "", "sub": [], "fill": 0, "title": ""}
        return empty, empty
    number, unit = numbers.size(known["size_bytes"])
    ratio = known["fp32_size_bytes"] / max(known["size_bytes"], 1)
    part = known["bops"] / max(known["fp32_bops"], 1)
    return ({"num": number, "unit": unit, "sub": [[f"{ratio:.2f}\u00d7", "b"], ["smaller", "hide-w"]],
             "fill": min(1.0, 1 / max(ratio, 1e-9)), "title": "Weights of all layers; exact"},
            {"num": f"{part * 100:.2f}", "unit": "%", "fill": min(1.0, part),
             "sub": [["of FP32 BOPs" if part < 0.1 else "of FP32", "hide-n"]],
             "title": f"Bit operations: MACs times the bits of both factors; {numbers.count_text(known['bops'])} BOPs"})


def measure_button(bench: Bench) -> Part:
    """What the Measure button says and does."""
    if bench.measuring is not None:
        done = int(100 * float(bench.measuring.fraction))
        return {"text": f"{done} %", "title": "Measuring; press to cancel", "action": "stop"}
    if bench.report is not None:
        return {"text": "Measured", "title": "These figures are measured for this recipe", "action": ""}
    ready = measurable(bench)
    return {"text": "Measure", "title": "Measure this recipe on the evaluation data" if ready else
            "There are no evaluation data", "action": "measure" if ready else ""}


def running(bench: Bench) -> Part | None:
    """The job that runs, for the strip under the bar."""
    if not bench.active:
        return None
    job, more = bench.active[0], len(bench.active) - 1
    text = "starting" if job.state == "queued" else job.message or VERBS.get(job.verb, job.verb)
    return {"id": job.id, "text": text + (f" \u00b7 {more} waiting" if more else ""), "fraction": float(job.fraction),
            "eta": numbers.seconds(job.eta)}


def calibration_state(bench: Bench) -> str:
    """`fresh`, `stale` or `never`, over all tensors that need ranges from data."""
    tensors = (bench.resolved or bench.resolved_before or {}).get("tensors", [])
    states = {t.get("calibrated") for t in tensors if t.get("quantized")}
    if bench.calibrated is not None or bench.report is not None or (states and not states & {"never", "stale"}):
        return "fresh"
    return "stale" if "stale" in states or "fresh" in states else "never"


def guide(bench: Bench) -> list[Part]:
    """The steps of the main job: done, next, or later."""
    exported = any(j.verb == "quantize" and j.state == "done" and same_text(j, bench.recipe) for j in bench.jobs)
    mixed = any(r.own for r in recipes.requests(bench.doc, bench.layers))
    done = {"calibrate": calibration_state(bench) == "fresh",
            "see": bench.report is not None, "mix": mixed, "export": exported}
    words = {"calibrate": "Ranges from data", "see": "The measured effect of this recipe",
             "mix": "Precisions of single layers", "export": "Files with their certificate"}
    following = next((k for k, v in done.items() if not v), None)
    return [{"label": k, "title": words[k], "state": "done" if v else "next" if k == following else "later"}
            for k, v in done.items()]


def same_text(job: Any, recipe: str) -> bool:
    """Whether a job was started for exactly this recipe."""
    return bool(job.args.get("recipe") == recipe)


def spoken(bench: Bench, parts: Mapping[str, Part]) -> str:
    """What a screen reader says after a change."""
    acc, lost, mass = parts["acc"], parts["drop"], parts["size"]
    return (f"{acc['label']} {acc['num']} {acc['unit']}, {acc['badgeText']}; drop {lost['num']} {lost['unit']}; "
            f"size {mass['num']} {mass['unit']}")


def readout_data(bench: Bench, targets: Sequence[str]) -> Part:
    """All that the bar shows about a project."""
    mass, compute = costs(bench)
    parts = {"acc": accuracy(bench), "drop": drop(bench), "size": mass, "bops": compute}
    unmeasured = bench.report is None and bench.partial is None
    for name, part in parts.items():
        part["stale"] = unmeasured if name in ("acc", "drop") else bench.resolved is None
    chosen = str(bench.doc.get("target") or bench.project.target)
    return {**parts, "target": chosen, "targets": [[t, t] for t in dict.fromkeys([*targets, chosen])],
            "undo": {"on": bench.can_undo, "title": "Undo (Ctrl+Z)"}, "project": bench.project.id,
            "redo": {"on": bench.can_redo, "title": "Redo (Ctrl+Shift+Z)"}, "measure": measure_button(bench),
            "job": running(bench), "guide": guide(bench), "spoken": spoken(bench, parts)}
