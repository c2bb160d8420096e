"""The page Train without a browser: settings and their place in the recipe, words, data of the curves, the map and the trials."""
from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import engine.training  # noqa: F401  (registers the step)
from app.repair.draft import Line
from app.reproduce import reproduce
from app.train import bits, curves, outcome, own_loop, panel, settings, trials, view, words
from app.train.ask import Known
from app.train.view import View
from engine.ptq.describe import describe
from engine.qat import Qat
from engine.qat.trials import SEARCHABLE
from engine.store import Project
from tests.app import canned_repair, canned_train

SAMPLE = Path("sample_models/fashion_mobilenet")
FIELDS = next(s for s in describe()["steps"] if s["name"] == "qat")["fields"]


def bench(training: int | None = 6000, labels: bool = True, ops: tuple[str, ...] = (), evaluation: bool = True) -> Any:
    data = {"training": None if training is None else {"name": "training.npz", "samples": training, "labels": labels},
            "calibration": {"name": "calibration.npz", "samples": 512, "labels": labels}}
    listed = [{"op_type": op, "count": 2, "differentiable": False} for op in ops]
    project = SimpleNamespace(id="p", training=None, evaluation=Path("e.npz") if evaluation else None)
    return SimpleNamespace(model={"data": data, "ops": listed}, project=project, stopped="", doc={}, recipe="", jobs=[])


def job(state: str = "running", **more: Any) -> Any:
    usual = {"id": 3, "state": state, "message": "starts", "eta": 90.0, "error": "", "fraction": 0.5, "partial": None,
             "interrupted": False}
    return SimpleNamespace(**usual | more)


def figures(count: int, best: int | None = None, **more: Any) -> dict[str, Any]:
    epochs = [canned_train.epoch(n) for n in range(1, count + 1)]
    return {"start": 2.1, "epochs": epochs, "best": count if best is None else best, "notes": [], "metric": "top1", "start_score": 0.31,
            "float_score": 0.92, **more}


def rows() -> tuple[dict[str, Any], dict[str, Any]]:
    before = canned_repair._row(1, "fold_batch_norm", canned_repair._row(0, None, None, ["a"]), ["a"])
    return before, canned_repair._row(2, "qat", before, ["a"])


def test_every_field_of_the_config_is_in_the_form_once_and_the_stop_is_a_button() -> None:
    names = [f["name"] for g in settings.grouped(FIELDS) for f in g["fields"]]
    assert sorted(names) == sorted(set(Qat.__dataclass_fields__) - {settings.STOP})
    assert [g["folded"] for g in settings.grouped(FIELDS)][:2] == [False, True]
    extra = [*FIELDS, {"name": "brand_new", "default": 1}]
    assert settings.grouped(extra)[-1] == {"title": "More", "folded": True, "fields": [{"name": "brand_new", "default": 1}]}


def test_a_training_is_the_recipes_last_step() -> None:
    doc = {"steps": ["fold_batch_norm", "cle", {"qat": {"epochs": 2}}]}
    assert settings.before(doc) == (Line("fold_batch_norm"), Line("cle")) and settings.of_recipe(doc) == {"epochs": 2}
    assert settings.lines(doc, {"epochs": 3})[-1].step == {"qat": {"epochs": 3}}
    assert settings.of_recipe({}) is None and settings.lines({}, {}) == (Line("fold_batch_norm"), Line("qat"))
    middle = {"steps": [{"qat": {}}, "bias_correction"]}
    assert settings.of_recipe(middle) is None and len(settings.lines(middle, {})) == 3


def test_what_is_stopped_can_be_kept_and_goes_on() -> None:
    kept = settings.stopped_at({"epochs": 8}, 3)
    assert kept == {"epochs": 8, "stop_after": 3} and settings.stopped_at(kept, 0) == {"epochs": 8}
    assert settings.told(kept, FIELDS) == "training: 3 of 8 epochs" and settings.told({}, FIELDS) == "training: 4 epochs"


def test_settings_of_a_search_are_merged_and_defaults_need_no_entry() -> None:
    found = settings.merged({"epochs": 8}, {"learning_rate": 0.00112058, "range_rate": 1e-3, "epochs": 4, "nonsense": 1}, FIELDS)
    assert found == {"learning_rate": 0.00112058}, "what was tried, to its last digit"


@pytest.mark.parametrize("bad", [None, [], {"epochs": [1]}, {"epochs": float("nan")}, {"match": "x" * 300}, {"a": {"b": 1}}])
def test_a_document_from_outside_is_read_or_refused(bad: Any) -> None:
    assert settings.read(bad) is None
    assert settings.read({"epochs": 2, "ranges": "pact"}) == {"epochs": 2, "ranges": "pact"}


class Home:
    """The part of a client that keeps settings."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def setting(self, name: str, otherwise: Any = None) -> Any:
        return self.kept.get(name, otherwise)

    def keep_setting(self, name: str, value: Any) -> None:
        self.kept[name] = value


def test_the_form_follows_the_recipe_unless_it_says_something_of_its_own() -> None:
    home, seen = Home(), View()
    view.settle(home, "p", seen, {})
    assert seen.options == {} and not view.inside(seen)
    view.settle(home, "p", seen, {"steps": [{"qat": {"epochs": 2}}]})
    assert seen.options == {"epochs": 2} and view.inside(seen)
    assert view.take(home, "p", seen, {"seq": 1, "options": {"epochs": 5}}) and seen.options == {"epochs": 5}
    view.settle(home, "p", seen, {"steps": [{"qat": {"epochs": 3}}]})
    assert seen.options == {"epochs": 5}, "a draft is not overwritten"
    assert not view.take(home, "p", seen, {"seq": 1, "options": {}}), "an older document changes nothing"
    again = View()
    view.settle(home, "p", again, {})
    assert again.options == {"epochs": 5}, "a reload finds the draft"


def test_undoing_an_accepted_training_leaves_it_as_a_draft() -> None:
    home, seen = Home(), View()
    view.settle(home, "p", seen, {"steps": [{"qat": {"epochs": 2}}]})
    view.settle(home, "p", seen, {})
    assert seen.options == {"epochs": 2} and not view.inside(seen) and home.kept["train:p"] == {"epochs": 2}


def test_other_settings_begin_anew_and_the_same_ones_keep_the_stop() -> None:
    home, seen = Home(), View(options={"epochs": 8, "stop_after": 3}, looked=True)
    view.take(home, "p", seen, {"seq": 1, "options": {"epochs": 8}})
    assert seen.options == {"epochs": 8, "stop_after": 3}
    view.take(home, "p", seen, {"seq": 2, "options": {"epochs": 9}})
    assert seen.options == {"epochs": 9}


def test_words_say_which_data_serve_and_what_the_loss_follows() -> None:
    first, second = words.data_lines(bench(), {}, FIELDS)
    assert "6,000 samples of training.npz" in first["text"] and "5,400 train, 600 are held out" in first["text"] and first["tone"] == ""
    assert "distillation" in second["text"] and "only tell the score" in second["text"]
    first, second = words.data_lines(bench(training=None, labels=False), {"distillation": 0.5, "validation": 0.5}, FIELDS)
    assert "No training set" in first["text"] and "256 train" in first["text"] and first["tone"] == "mid"
    assert "no labels" in second["text"] and second["tone"] == "mid"
    assert "75 %" in words.data_lines(bench(), {"distillation": 0.75}, FIELDS)[1]["text"]


def test_a_set_that_was_not_counted_is_named() -> None:
    found = bench(training=None)
    found.project.training = Path("/x/mine.npz")
    first, second = words.data_lines(found, {"distillation": 0.5}, FIELDS)
    assert "mine.npz. 10 % of it" in first["text"] and "no labels" not in second["text"]


def test_why_nothing_can_be_started() -> None:
    assert "NonMaxSuppression (2×)" in words.blocked(bench(ops=("NonMaxSuppression",))) and words.blocked(bench()) == ""
    assert words.blocked(bench(evaluation=False)) == words.NO_MEASURE
    nothing = bench()
    nothing.model = {"data": {}}
    assert words.blocked(nothing) == words.NO_DATA


def test_buttons_follow_the_state() -> None:
    def of(known: Known, **options: Any) -> dict[str, Any]:
        return panel.buttons(bench(), View(options=options), known, FIELDS)

    before, after = rows()
    assert of(Known())["run"]["text"] == "Start" and of(Known())["accept"]["off"]
    running = of(Known(job=job(), figures=figures(1)))
    assert running["run"]["a"] == "stop" and running["keep"] is None
    stopped = of(Known(ended=job("cancelled"), figures=figures(2)))
    assert stopped["run"]["text"] == "Continue" and stopped["keep"]["a"] == "keep" and stopped["accept"]["off"]
    kept = of(Known(start=before, after=after, figures=figures(2)), stop_after=2, epochs=8)
    assert (kept["run"]["a"], kept["run"]["text"], kept["keep"], kept["accept"]["off"]) == ("continue", "Continue", None, False)
    done = of(Known(start=before, after=after, figures=figures(4)))
    assert done["run"]["off"] and done["accept"]["primary"]
    assert of(Known(ended=job("failed", error="no")))["keep"] is None


def test_sentences_tell_what_runs_what_came_out_and_what_went_wrong() -> None:
    before, after = rows()
    live = {"epoch": 2, "epochs": 4, "step": 6, "steps": 16, "samples_per_second": 610.0, "loss": 0.8}
    known = Known(job=job(), live=live, figures=figures(1))
    assert words.said(bench(), known, {}, "%") == "Running: epoch 2 of 4" and words.pace(known) == "610 samples/s · 30 s left"
    assert "+52.00 pp by training" in words.said(bench(), Known(start=before, after=after, figures=figures(4)), {}, "%")
    assert "nothing was changed" in words.said(bench(), Known(after=after, figures=figures(4, best=0)), {}, "%")
    assert "Failed: boom" in words.said(bench(), Known(ended=job("failed", error="boom")), {}, "%")
    assert "2 epochs are kept" in words.said(bench(), Known(ended=job("cancelled"), figures=figures(2)), {}, "%")
    ended = Known(ended=job("failed", interrupted=True), figures=figures(1))
    assert words.said(bench(), ended, {"epochs": 8}, "%").startswith("It ended with the workbench. 1 epoch of 8 is kept: Continue")
    noted = words.notes(Known(after=after, figures=figures(3, notes=["epoch 2: the loss was no finite number; went back"])))
    assert noted[0].startswith("Epoch 2: the loss") and "more epochs may give more" in noted[1]


def test_the_curves_have_the_start_the_float_model_and_the_running_epoch() -> None:
    live = {"kind": "training", "epoch": 3, "epochs": 4, "step": 10, "steps": 16, "samples_per_second": 610.0, "loss": 0.7}
    data = curves.curves_data(Known(job=job(), live=live, figures=figures(2)), {}, FIELDS, "dark")
    assert (data["epochs"], data["start"], data["startScore"], data["float"]) == (4, 2.1, 31.0, 92.0)
    assert [p["n"] for p in data["points"]] == [1, 2] and data["live"]["x"] == 2.5 and "epoch 2 is the best" in data["words"]
    empty = curves.curves_data(Known(), {"epochs": 7}, FIELDS, "dark")
    assert empty["points"] == [] and empty["epochs"] == 7 and empty["live"] is None and empty["metric"] == ""


def test_what_training_gave_is_paired_and_beside_the_best_repair() -> None:
    before, after = rows()
    known = Known(start=before, after=after, figures=figures(4), result={"fp32": {"value": 0.924}, "samples": 2000})
    repair = "mixdown: 1\n", canned_repair._row(2, "gptq", before, ["a"])
    found = outcome.stages(known, repair, "%")
    assert [s.name for s in found] == ["Before training", "Best repair", "After training", "Float model"]
    assert all(s.low is not None and s.low < s.value < s.high for s in found[:3])  # type: ignore[operator]
    html = outcome.html(found, "%", "top-1 <accuracy>")
    assert html.count("role=row") == 4 and "&lt;accuracy&gt;" in html and "92.40" in html
    assert "+52.00 pp" in outcome.flips(known, "%") and "samples won" in outcome.flips(known, "%")
    compared = {"drop": {"value": -0.05, "ci95": [-0.07, -0.03]}}
    assert outcome.over_repair(compared, "%") == "Against the best repair +5.00 pp (3.00 to 7.00), paired."
    assert "below resolution" in outcome.over_repair({"drop": {"value": 0.01, "ci95": [-0.02, 0.04]}}, "%")
    assert outcome.over_repair(None, "%") == ""


def test_the_map_says_bits_by_height_and_escapes_names() -> None:
    layers = [{"name": "a<b>", "precision": "w4a8"}, {"name": "c", "precision": "fp16"}, {"name": "d", "precision": "w8a8"}]
    html = bits.html(layers)
    assert "a&lt;b&gt;: w4a8; weights train through their rounding" in html and "class='f'" in html and "height:50%" in html
    assert bits.told(layers, "fixed").endswith("weights learn, ranges stay") and "1 at fp16" in bits.told(layers)
    many = bits.html([{"name": str(i), "precision": "w4a4"} for i in range(300)])
    assert "tr-bits many" in many and "<s>" not in many


def test_the_search_offers_what_the_engine_can_search() -> None:
    assert sorted(trials.OVER) == sorted(SEARCHABLE)


def test_what_is_searched_is_not_in_the_question_so_that_a_study_goes_on() -> None:
    found = bench()
    before = trials.arguments(found, View(options={"epochs": 2}))
    taken = trials.arguments(found, View(options={"epochs": 2, "learning_rate": 0.01, "stop_after": 1}))
    assert before == taken and before["space"] == {"trials": 8, "over": "learning_rate range_rate"}
    assert "epochs: 2" in before["recipe"] and "learning_rate" not in before["recipe"]


def test_trials_are_told_with_axes_the_best_and_what_taking_over_sets() -> None:
    answer = canned_train.tune(None, {"trials": 4, "over": "learning_rate ranges"}, 0.0, lambda *_: None, lambda _: None)
    args = {"recipe": "mixdown: 1\nsteps:\n- fold_batch_norm\n- qat\n"}
    newest = SimpleNamespace(id=9, verb="tune", state="done", active=False, args=args, partial=None, message="", error="")
    found, client = bench(), SimpleNamespace(result=lambda number: answer)
    found.jobs, found.recipe = [newest], "mixdown: 1\n"
    data = trials.trials_data(client, found, View(), Known(figures=figures(2)), FIELDS, "dark")
    assert [a["name"] for a in data["axes"]] == ["learning_rate", "ranges"] and data["axes"][1]["kinds"] == ["lsq"]
    assert data["best"] == data["chosen"] == 3 and "1 of them ended early" in data["say"]
    assert "learning rate 0.004" in data["take"]["title"] and not data["take"]["off"]
    assert "about 6 min" in data["go"]["title"]


def project(**more: Any) -> Project:
    files = {name: SAMPLE / f"{name}.npz" for name in ("evaluation", "calibration", "training")}
    values: dict[str, Any] = dict.fromkeys(Project.__dataclass_fields__)
    return Project(**values | {"id": "p", "model": SAMPLE / "model.onnx", "metric": ""} | files | more)


def test_the_command_line_names_the_training_set_where_a_step_trains() -> None:
    recipe = "mixdown: 1\nsteps:\n- fold_batch_norm\n- qat: {epochs: 2}\n"
    shell = reproduce(project(), recipe, "shell", "train")
    assert "--training sample_models/fashion_mobilenet/training.npz" in shell and "--waterfall" in shell
    python = reproduce(project(), recipe, "python", "train")
    ast.parse(python)
    assert "training=load_data" in python and "--training" not in reproduce(project(), "mixdown: 1\n")


def test_the_example_of_a_loop_of_ones_own_runs(tmp_path: Path) -> None:
    import numpy as np

    kept = np.load(SAMPLE / "training.npz")
    np.savez(tmp_path / "few.npz", **{k: kept[k][:256] if kept[k].ndim and len(kept[k]) > 256 else kept[k] for k in kept.files})
    code = own_loop.example(project(training=tmp_path / "few.npz"), "mixdown: 1\ntarget: generic\nprecision: w4a8\n", epochs=1)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and done.stdout.startswith("[["), done.stderr[-2000:]
