"""Many layers set in one line: what is met, that the last hand wins, and that the engine reads it as it was meant."""
from __future__ import annotations

import json
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from app import recipes, rules, state
from app.app_pages import rules_panel
from app.client import Client
from engine.errors import BadInput
from engine.graph import load_model
from engine.recipe import Recipe, match_bypass, match_layers
from engine.session import Session
from tests.app.test_javascript import HERE, NODE
from tests.app.test_repair_page import client, project

client = client  # the fixture
LAYERS: list[dict[str, Any]] = [{"name": n, "module": m, "op_type": o} for n, m, o in (
    ("features.0.conv", "features.0", "Conv"), ("features.2.dw", "features.2.dw", "Conv"), ("features.2.pw", "features.2.pw", "Conv"),
    ("features.20.conv", "features.20", "Conv"), ("head", "", "Gemm"), ("attn.q", "attn", "MatMul"))]


def effective(doc: recipes.Doc) -> dict[str, str]:
    """By the engine's own matching."""
    found = Recipe.from_yaml(recipes.write({"mixdown": 1, **doc}))
    class Info:
        def __init__(self, row: dict[str, Any]) -> None:
            self.name, self.module, self.op_type = row["name"], row["module"] or None, row["op_type"]
    infos = [Info(x) for x in LAYERS]
    asked, muted = match_layers(found, infos), match_bypass(found, infos)
    said = {n: str(r.precision) for n, r in asked.items()} | dict.fromkeys(muted, "float")
    return {x.name: said.get(x.name, str(found.precision)) for x in infos}


@pytest.mark.parametrize(("what", "which", "names", "keys"), [
    ("layer", "head", ["head"], ["head"]), ("type", "Gemm", ["head"], ["op:Gemm"]),
    ("module", "features.2", ["features.2.dw", "features.2.pw"], ["features.2.*"]), ("module", "attn", ["attn.q"], ["attn"]),
    ("module", "features", [x["name"] for x in LAYERS[:4]], ["features.*"]),
    ("pattern", "*.conv", ["features.0.conv", "features.20.conv"], ["*.conv"]), ("pattern", "features.[02]?*", None, None)])
def test_what_is_met_and_how_it_is_said(what: str, which: str, names: list[str] | None, keys: list[str] | None) -> None:
    found = rules.met(what, which, LAYERS)
    if names is None:
        assert found
        return
    assert found == names and rules.patterns(what, which, LAYERS) == keys
    doc, label = rules.put(recipes.read("precision: w8a8"), what, which, "w4a8", LAYERS)
    assert {n for n, p in effective(doc).items() if p == "w4a8"} == set(names) and list(doc["layers"]) == keys and which in label


@pytest.mark.parametrize("before", [
    {"layers": {"features.2.dw": "w8a16"}}, {"layers": {"features.2.dw": {"precision": "w8a16", "weights": {"granularity": "per_tensor"}}}},
    {"layers": {"features.2.dw": "w8a16", "feat*": "w8a16"}}, {"bypass": ["features.2.dw"]}, {"bypass": ["feat*"]}, {"bypass": ["op:Conv"]},
    {"layers": {"features.2.dw": "w8a16", "op:Conv": "w8a8"}}])
@pytest.mark.parametrize(("what", "which"), [("type", "Conv"), ("pattern", "*.dw"), ("module", "features.2"), ("layer", "features.2.dw")])
@pytest.mark.parametrize("to", ["w4a8", "base", "float"])
def test_the_last_hand_wins_and_the_others_keep_what_they_had(before: recipes.Doc, what: str, which: str, to: str) -> None:
    doc = {"mixdown": 1, "precision": "w8a8", **before}
    names, had = rules.met(what, which, LAYERS), effective(doc)
    new, label = rules.put(doc, what, which, to, LAYERS)
    now = effective(new)
    assert {now[n] for n in names} == {"w8a8" if to == "base" else to} and to in label
    assert {n: p for n, p in now.items() if n not in names} == {n: p for n, p in had.items() if n not in names}
    old = doc.get("layers", {}).get("features.2.dw")
    if isinstance(old, dict) and to == "w4a8":
        assert new["layers"]["features.2.dw"] == {**old, "precision": "w4a8"}, "how its weights are cut stays"


def test_a_models_ends_have_a_type_and_keep_their_range() -> None:
    doc = {"precision": "w8a8", "tensors": {"x": {"min": 0, "max": 6}}}
    new, label = rules.put(doc, "input", "x", "a16", LAYERS)
    assert new["tensors"] == {"x": {"min": 0, "max": 6, "type": "a16"}} and label == "input x to a16"
    back, _ = rules.put(new, "input", "x", "base", LAYERS)
    assert back["tensors"] == doc["tensors"]
    out, _ = rules.put(doc, "output", "logits", "a16", LAYERS)
    assert out["tensors"]["logits"] == {"type": "a16"}
    assert rules.put(out, "output", "logits", "base", LAYERS)[0]["tensors"] == doc["tensors"]


def test_the_lines_that_are_there_are_told_and_go_one_by_one() -> None:
    doc = {"precision": "w8a8", "layers": {"op:Conv": "w4a8", "features.0.conv": "w8a16", "head": "w4a8"}, "bypass": ["attn*"],
           "tensors": {"logits": {"type": "a16"}}}
    found = rules.lines(doc, LAYERS)
    wanted = [("layers", "op:Conv", "w4a8"), ("bypass", "attn*", "float"), ("tensors", "logits", "a16")]
    assert [(x.section, x.key, x.says) for x in found] == wanted
    assert found[0].words == "4 layers, 1 of them set otherwise by a stronger line"
    for line in found:
        doc, label = rules.drop(doc, line.section, line.key)
        assert line.key in label
    assert not rules.lines(doc, LAYERS) and list(doc["layers"]) == ["features.0.conv", "head"]
    for bad in ("steps", ""):
        with pytest.raises(BadInput):
            rules.drop(doc, bad, "x")


@pytest.mark.parametrize(("what", "which"), [("pattern", "zz*"), ("layer", "nope"), ("module", "feat"), ("odd", "x"), ("pattern", "")])
def test_what_means_nothing_is_refused(what: str, which: str) -> None:
    with pytest.raises(BadInput):
        rules.put({"precision": "w8a8"}, what, which, "w4a8", LAYERS)


def test_an_op_without_weights_can_be_set_by_its_type() -> None:
    new, _ = rules.put({"precision": "w8a8"}, "type", "Softmax", "w8a16", LAYERS)
    assert new["layers"] == {"op:Softmax": "w8a16"}


def test_the_browser_meets_the_same_layers() -> None:
    patterns = ["*", "features.*", "features.?.*", "*.conv", "features.[02]*", "features.[!0]*", "feat", "a+b", "[", "x[",
                "features.2.[a-e]w",
                "*.(pw)", "features.20.conv", "*q", "^*", "[^h]ead", "[]]*", "[!]]*", "[a-", "features.[0-2].conv"]
    names = [x["name"] for x in LAYERS] + ["a+b", "[", "x[", "]x", "^a", "[a-", "x\\y"]
    code = f"""import {{ glob }} from {json.dumps((HERE.parents[2] / 'app/static/setter.js').as_uri())};
    console.log(JSON.stringify({json.dumps(patterns)}.map((p) => {json.dumps(names)}.map((n) => glob(p).test(n)))));"""
    done = subprocess.run([str(NODE), "--input-type=module", "-e", code], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == [[fnmatchcase(n, p) for n in names] for p in patterns]


def test_the_panel_sets_drops_and_tells(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window = state.Window()
    monkeypatch.setattr(state, "window", lambda: window)
    name = project(client, tmp_path)
    count = len(client.history(name))
    rules_panel.act(name, "set", {"what": "type", "which": "Conv", "to": "w4a8"})
    assert recipes.read(client.state(name).recipe)["layers"] == {"op:Conv": "w4a8"} and len(client.history(name)) == count + 1
    found = rules_panel.benches.load(client, name, 0)
    data = rules_panel.setter_data(found, window.desk(name), "dark")
    assert data["lines"][0][:3] == ["layers", "op:Conv", "w4a8"] and data["inputs"] == ["image"] and data["outputs"] == ["logits"]
    assert "a16" in data["kinds"] and "a8" in data["kinds"] and "Conv" in data["types"]
    rules_panel.act(name, "set", {"what": "output", "which": "logits", "to": "a16"})
    assert recipes.read(client.state(name).recipe)["tensors"] == {"logits": {"type": "a16"}}
    rules_panel.act(name, "drop", {"section": "layers", "key": "op:Conv"})
    assert "layers" not in recipes.read(client.state(name).recipe)
    rules_panel.act(name, "set", {"what": "pattern", "which": "zz*", "to": "w4a8"})
    assert "zz*" in window.desk(name).error and len(client.history(name)) == count + 3
    client.undo(name)
    assert recipes.read(client.state(name).recipe)["layers"] == {"op:Conv": "w4a8"}


def test_strict_is_the_engines_own_refusal(tmp_path: Path, mobilenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.errors import IllegalPrecision

    window, real = state.Window(), Client(tmp_path / "home")
    monkeypatch.setattr(state, "window", lambda: window)
    monkeypatch.setattr(state, "client", lambda: real)
    session = Session(load_model(mobilenet / "model.onnx"))
    mixed = Recipe(precision="w8a16").with_layer("features.2.expand.conv", "w4a8")
    try:
        name = real.create_project("p", mobilenet / "model.onnx").id
        for verb, args in (("open", {}), ("resolve", {"recipe": real.state(name).recipe})):
            assert real.wait(real.submit(name, verb, args)).state == "done"
        before = real.state(name).recipe
        rules_panel.act(name, "set", {"what": "type", "which": "Conv", "to": "w2a8", "strict": True})
        assert window.desk(name).error.startswith("Strict:") and real.state(name).recipe == before
        rules_panel.act(name, "set", {"what": "type", "which": "Conv", "to": "w2a8"})
        assert not window.desk(name).error and "op:Conv" in real.state(name).recipe
        with pytest.raises(IllegalPrecision):
            session.resolve(Recipe.from_yaml(real.state(name).recipe), strict=True)
        session.resolve(mixed)
    finally:
        real.shutdown()
