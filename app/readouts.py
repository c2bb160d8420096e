"""The words and widths of the readout bar, made from a bench: pure functions, tested without a browser."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import guide, numbers
from app.bench import Bench, measurable
from app.prediction import Predicted

BUDGET = 0.02  # the drop that fills half of the gauge
VERBS = {"open": "Reading the model", "resolve": "Resolving the recipe", "float": "Float accuracy",
         "measure": "Measuring", "ready": "Getting ready", "calibrate": "Calibrating", "layer": "Looking into a layer",
         "quantize": "Exporting", "verify": "Verifying",
         "sensitivity": "Scoring layers", "diagnose": "Looking for causes", "compare": "Comparing",
         "repair": "Repairing", "train": "Training", "trained": "Looking for kept epochs",
         "tune": "Searching settings", "steps": "Listing the techniques", "curve": "Learning to predict",
         "additivity": "Checking sums",
         "frontier": "Scoring for budgets", "solve": "Solving", "search": "Searching", "takes": "Looking for what it takes"}
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


def tells(bench: Bench, said: Predicted | None) -> Predicted | None:
    """The prediction, where it is what there is to show: nothing is measured of this recipe yet."""
    return said if bench.report is None and bench.partial is None and said is not None and said.value is not None else None


def samples_of(bench: Bench) -> int:
    """How many evaluation samples there are; 0 where that is unknown."""
    return int(((bench.model or {}).get("data", {}).get("evaluation") or {}).get("samples") or 0)


def whole(bench: Bench) -> bool:
    """Whether the figures are of all samples: reported, or measured while the layers' figures are still to come."""
    return bench.report is not None or (bench.partial is not None and int(bench.partial.get("samples") or 0) == samples_of(bench))


def badge(bench: Bench, said: Predicted | None = None, solo: int = 0) -> tuple[str, str, str]:
    """Kind, text and meaning of the badge beside the accuracy."""
    report, job = current(bench), bench.measuring
    seen = int((report or {}).get("samples") or 0)
    alone = f"Audition: only {solo} soloed {'layer is' if solo == 1 else 'layers are'} quantized; not saved. " if solo else ""
    if bench.report is not None:
        return ("solo measured" if solo else "measured", f"solo {solo}" if solo else "measured",
                f"{alone}Measured on {seen:,} samples of the evaluation data")
    if job is not None and whole(bench):
        return ("solo measured" if solo else "measured", f"solo {solo}" if solo else "measured",
                f"{alone}Measured on {seen:,} samples of the evaluation data; the layers' SQNR follows")
    if job is not None and bench.partial is not None:
        return ("solo moving" if solo else "moving", f"solo {solo} \u00b7 {seen:,}" if solo else f"moving \u00b7 {seen:,}",
                f"{alone}Measured on the first {seen:,} samples; the interval shrinks")
    if tells(bench, said) is not None:
        return ("solo" if solo else "predicted", f"solo {solo} \u00b7 predicted" if solo else "predicted", alone + _predicted_words(said))
    if job is not None:
        return "moving", f"solo {solo}" if solo else "moving", f"{alone}The measurement waits or begins; the figures are the last ones"
    if bench.job("measure") is not None and bench.job("measure").state == "failed":  # type: ignore[union-attr]
        return "failed", "failed", "The measurement failed; the figures are the last ones"
    if not measurable(bench):
        return "none", "no data", "No evaluation data: sizes are exact, accuracy is unknown"
    if report is None:
        return "none", "not measured", "Nothing was measured yet"
    return "stale", "stale", "Measured for an earlier recipe: press Measure"


def _predicted_words(said: Predicted | None) -> str:
    kind = "exact scores" if said is not None and said.kind == "exact" else "estimates"
    beyond = " The sum lies beyond all that was measured: take it as a lower bound." if said is not None and said.beyond else ""
    return f"Predicted from the sum of the layers' {kind}, by a curve fitted to measured recipes; 95 % interval.{beyond}"


def accuracy(bench: Bench, said: Predicted | None = None, solo: int = 0) -> Part:
    """The accuracy block."""
    report = current(bench) or {}
    name, unit = metric(bench)
    kind, text, title = badge(bench, said, solo)
    quantized, fp32, told = report.get("quantized"), report.get("fp32"), tells(bench, said)
    value, half = (quantized or {}).get("value"), numbers.half_width(quantized)
    if told is not None:
        value, half, fp32 = told.score, None, {"value": told.fp32}
    sub = [] if half is None else [[f"\u00b1 {numbers.figure(half, unit)}", "hide-n"]]
    if fp32:
        sub.append([f"float {numbers.figure(fp32.get('value'), unit)}", ""])
    fill = min(1.0, max(0.0, float(value))) if value is not None and unit == "%" else 0.0
    label = "Accuracy" if name in ("", "top1", "accuracy") else name
    return {"num": numbers.figure(value, unit), "unit": unit, "sub": sub, "fill": fill, "tone": "accent", "label": label,
            "mark": (fp32 or {}).get("value") if unit == "%" and fp32 else None, "badge": kind, "badgeText": text,
            "badgeTitle": title, "title": f"{name or 'accuracy'} of the quantized model, 95 % interval; mark: float"}


def drop(bench: Bench, said: Predicted | None = None) -> Part:
    """The headline: the paired drop, its interval, and the samples lost and won; before it is measured, the predicted drop."""
    unit, told = metric(bench)[1], tells(bench, said)
    if told is not None:
        ends = (told.low, told.high) if told.low is not None and told.high is not None else None
        return _drop(unit, float(told.value or 0.0), ends, [[f"from {'exact scores' if told.kind == 'exact' else 'estimates'}", ""]],
                     "hollow", "Predicted drop of the metric, float minus quantized: above zero is a loss. " + _predicted_words(told))
    found = (current(bench) or {}).get("drop")
    if not found:
        decibels = said.sqnr_db if said is not None else None
        sub = [] if decibels is None else [[f"SQNR {numbers.figure(decibels, 'dB')} dB predicted", ""]]
        return {"num": numbers.figure(None, unit), "unit": "", "sub": sub, "flips": [], "fill": 0, "mark": 0.5, "title": "",
                "label": "Drop, paired", "dot": None, "band": None}
    ends = numbers.bounds(found)
    lost, won = found.get("flips_lost"), found.get("flips_won")
    flips = [] if lost is None else [[f"{lost:,}", "b"], ["lost", ""], [f"{won:,}", "b"], ["won", ""]]
    resolved = ends is None or ends[0] > 0 or ends[1] < 0
    title = ("Float minus quantized on the same samples: above zero is a loss. 95 % paired interval. "
             + ("" if resolved else "Below resolution: the interval includes zero. ") + _was(said, unit))
    return _drop(unit, float(found["value"]), ends, flips, "filled" if whole(bench) else "half", title)


def _was(said: Predicted | None, unit: str) -> str:
    return "" if said is None or said.value is None else f"Predicted: {numbers.figure(said.value, unit)}. "


def _drop(unit: str, value: float, ends: tuple[float, float] | None, flips: list[list[str]], dot: str, title: str) -> Part:
    """The block: number, interval, and the gauge from 0 to four points with its dot and band."""
    sub: list[list[str]] = []
    if ends:
        low, high = (numbers.figure(e, unit) for e in ends)
        sub.append([f"[{low}, {high}]", "hide-n"])
        sub.append([f"\u00b1 {numbers.figure((ends[1] - ends[0]) / 2, unit)}", "only-n"])
    return {"num": numbers.figure(value, unit), "unit": "pp" if unit == "%" else unit, "sub": sub, "flips": flips, "tone": tone(value),
            "mark": place(BUDGET), "fill": place(value), "dot": dot, "band": [place(e) for e in ends] if ends else None,
            "title": title + "The mark is 2 points; the gauge begins at 1 point won.",
            "label": "Drop, predicted" if dot == "hollow" else "Drop, paired"}


def place(value: float) -> float:
    """Where a drop stands on the gauge, as in static/gauge.js: from half a budget won (0) to two lost (1)."""
    return min(1.0, max(0.0, (value + BUDGET / 2) / (2.5 * BUDGET)))


def tone(value: float) -> str:
    """The colour of a drop, as in static/gauge.js: within the budget, near its end, beyond it."""
    return "hot" if value > BUDGET else "mid" if value > 0.6 * BUDGET else "ok"


def costs(bench: Bench) -> tuple[Part, Part]:
    """Size and compute, exact for the recipe once it is resolved."""
    known = (bench.outcome or bench.resolved_before or bench.before or {}).get("cost")
    if not known:
        empty: Part = {"num": "\u2013", "unit": "", "sub": [], "fill": 0, "title": ""}
        return empty, empty
    number, unit = numbers.size(known["size_bytes"])
    ratio = known["fp32_size_bytes"] / max(known["size_bytes"], 1)
    part = known["bops"] / max(known["fp32_bops"], 1)
    return ({"num": number, "unit": unit, "sub": [[f"{ratio:.2f}\u00d7", "b"], ["smaller", "hide-w"]],
             "fill": min(1.0, 1 / max(ratio, 1e-9)), "title": "Weights of all layers; exact"},
            {"num": f"{part * 100:.2f}", "unit": "%", "fill": min(1.0, part),
             "sub": [["of FP32", "hide-n"]],
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


def spoken(bench: Bench, parts: Mapping[str, Part]) -> str:
    """What a screen reader says after a change."""
    acc, lost, mass = parts["acc"], parts["drop"], parts["size"]
    return (f"{acc['label']} {acc['num']} {acc['unit']}, {acc['badgeText']}; drop {lost['num']} {lost['unit']}; "
            f"size {mass['num']} {mass['unit']}")


def readout_data(bench: Bench, targets: Sequence[str], said: Predicted | None = None, solo: int = 0) -> Part:
    """All that the bar shows about a project; `said` is the prediction, `solo` the number of soloed layers."""
    mass, compute = costs(bench)
    parts = {"acc": accuracy(bench, said, solo), "drop": drop(bench, said), "size": mass, "bops": compute}
    unmeasured = bench.report is None and bench.partial is None and tells(bench, said) is None
    for name, part in parts.items():
        part["stale"] = unmeasured if name in ("acc", "drop") else bench.outcome is None
    chosen = str(bench.doc.get("target") or bench.project.target)
    return {**parts, "target": chosen, "targets": [[t, t] for t in dict.fromkeys([*targets, chosen])],
            "undo": {"on": bench.can_undo, "title": "Undo (Ctrl+Z)"}, "project": bench.project.id,
            "redo": {"on": bench.can_redo, "title": "Redo (Ctrl+Shift+Z)"}, "measure": measure_button(bench),
            "job": running(bench), "guide": guide.steps(bench), "spoken": spoken(bench, parts)}
