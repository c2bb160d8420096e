"""What the rack shows of a move before it is made is what `resolve` makes of it: both computed, for every layer and precision."""
from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import IllegalPrecision
from engine.graph import Model, load_model
from engine.progress import silent
from engine.ptq.fold_batch_norm import FoldBatchNorm, fold_batch_norm
from engine.quant.precision import Precision
from engine.recipe import Recipe
from engine.sim.quantsim import QuantSim
from engine.targets import Placement, Target, load_target, place, resolve, target_names
from engine.targets.cost import cost_of
from engine.targets.foresight import foresight
from tests.app.test_javascript import HERE, NODE
from tests.engine.targets.graphs import build

SAMPLES = Path(__file__).parents[2] / "sample_models"
DETENTS = ("fp32", "fp16", "w16a16", "w8a16", "w8a8", "w4a8")


def sample(name: str) -> Model:
    path = SAMPLES / name / "model.onnx"
    if not path.is_file():
        pytest.skip(f"{path} has not been made")
    sim = QuantSim(load_model(path), Recipe())
    fold_batch_norm(sim, None, FoldBatchNorm(), silent)
    return sim.model


def joined() -> Model:
    """Concat and Add of two branches, a weight that three layers share, a depthwise layer, a pool, a shape that is looked at."""
    return build(
        ["c0 = Conv(x, w0) -> t0", "r0 = Relu(t0) -> a", "c1 = Conv(a, w1) -> t1", "c2 = Conv(a, w1) -> t2", "cat = Concat(t1, t2) -> j",
         "dw = Conv(j, wd) -> d", "rd = Relu(d) -> dr", "c3 = Conv(dr, w3) -> t3", "sum = Add(t3, a) -> s", "c4 = Conv(s, w1) -> t4",
         "max = MaxPool(t4) -> p", "half = Mul(p, k) -> h", "c5 = Conv(h, w5) -> t5", "flat = GlobalAveragePool(t5) -> g",
         "shape = Shape(g) -> n", "c6 = Conv(p, w6) -> y", "pr = PRelu(g, slope) -> z"],
        {"x": (1, 4, 8, 8)}, ["y", "z", "n"],
        {"w0": (4, 4, 1, 1), "w1": (4, 4, 1, 1), "wd": (8, 1, 1, 1), "w3": (4, 8, 1, 1), "w5": (4, 4, 1, 1), "w6": (3, 4, 1, 1),
         "k": 0.5, "slope": (4, 1, 1)}, types={"n": "int64"},
        attributes={"cat": {"axis": 1}, "dw": {"group": 8}, "max": {"kernel_shape": [2, 2], "strides": [2, 2]}})


def attending() -> Model:
    """A product of two activations, norms of both kinds, layers that share a tensor, an LSTM and a table of embeddings."""
    return build(
        ["table = Gather(e, ids) -> x", "n0 = LayerNormalization(x, g0, b0) -> a", "q = MatMul(a, wq) -> tq", "k = MatMul(a, wk) -> tk",
         "turn = Transpose(tk) -> tr", "dot = MatMul(tq, tr) -> s", "soft = Softmax(s) -> w", "mix = MatMul(w, a) -> m",
         "o = Gemm2(m, wo) -> to".replace("Gemm2", "MatMul"), "add = Add(to, x) -> r", "up = MatMul(r, wu) -> u",
         "lstm = LSTM(u, lw, lr) -> sequence, state", "head = MatMul(r, wh) -> y"],
        {"ids": (5, 3)}, ["y", "sequence"],
        {"e": (11, 4), "g0": (4,), "b0": (4,), "wq": (4, 4), "wk": (4, 4), "wo": (4, 4), "wu": (4, 4), "wh": (4, 2), "lw": (1, 8, 4),
         "lr": (1, 8, 2)}, types={"ids": "int64"}, attributes={"turn": {"perm": [0, 2, 1]}, "lstm": {"hidden_size": 2}})


GRAPHS = {"joined": joined, "attending": attending, "fashion_mobilenet": lambda: sample("fashion_mobilenet"),
          "fashion_vit": lambda: sample("fashion_vit")}


def recipes(model: Model, target: str) -> Iterator[Recipe]:
    """Recipes to start from: plain, mixed by hand, with lines for kinds of op and for tensors."""
    names, rng = [layer.name for layer in model.layers], random.Random(7)
    plain = Recipe(target=target, candidates=DETENTS)  # type: ignore[arg-type]
    yield plain
    yield plain.with_layers({n: rng.choice(DETENTS[1:]) for n in names}).with_bypass(rng.sample(names, 2))
    ops = dict.fromkeys(f"op:{n.op_type}" for n in model.graph if str(n.name) not in names and n.op_type in ("Relu", "Add", "Softmax"))
    pinned = model.layers[len(names) // 2]
    yield replace(plain, precision=Precision.parse("w4a8"), layers=tuple((o, "w8a16") for o in ops),  # type: ignore[arg-type]
                  tensors=((pinned.reads[0], {"type": "a16"}), (model.layers[0].weight, {"type": "w8"})))  # type: ignore[arg-type]


def asked(recipe: Recipe, hand: dict[str, Any], names: list[str]) -> Recipe:
    """The recipe as the hand has it: a line for every layer, those in float, the base."""
    known = tuple((p, r) for p, r in recipe.layers if p not in names)
    lines = tuple((n, DETENTS[p]) for n, p in zip(names, hand["prec"], strict=True))
    return replace(recipe, precision=Precision.parse(DETENTS[hand["base"]]), layers=(*known, *lines),  # type: ignore[arg-type]
                   bypass=tuple(names[i] for i in hand["mute"]))


def moves(recipe: Recipe, names: list[str]) -> Iterator[dict[str, Any]]:
    """Every layer to every detent and to float, every base, and some moves of many layers at once."""
    rng, lines = random.Random(3), dict(recipe.layers)
    base = DETENTS.index(str(recipe.precision))
    prec = [DETENTS.index(str(lines[n].precision)) if n in lines else base for n in names]
    mute = [i for i, n in enumerate(names) if n in recipe.bypass]
    for i in range(len(names)):
        yield from ({"prec": [*prec[:i], p, *prec[i + 1:]], "mute": mute, "base": base} for p in range(len(DETENTS)))
        yield {"prec": prec, "mute": sorted({*mute} ^ {i}), "base": base}
    for b in range(len(DETENTS)):
        yield {"prec": [b if p == base else p for p in prec], "mute": mute, "base": b}
        for _ in range(6):
            some = [rng.choice([p, rng.randrange(len(DETENTS))]) for p in prec]
            yield {"prec": some, "mute": sorted(rng.sample(range(len(names)), rng.randrange(3))), "base": b}


def truth(model: Model, recipe: Recipe, target: Target, placement: Placement) -> dict[str, Any]:
    """What `resolve` says."""
    plan = resolve(model, recipe, target, placement)
    cost = cost_of(model, plan)
    try:
        resolve(model, recipe, target, placement, strict=True)
        strict = False
    except IllegalPrecision:
        strict = True
    return {"layers": [str(x.precision) for x in plan.layers], "illegal": [i for i, x in enumerate(plan.layers) if not x.legal],
            "boundaries": len(plan.boundaries), "size": cost.size_bytes, "bops": cost.bops, "strict": strict}


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", target_names())
def test_the_browser_finds_what_resolve_finds(graph: str, name: str, tmp_path: Path) -> None:
    model, target = GRAPHS[graph](), load_target(name)
    placement, names, cases = place(model, target), [layer.name for layer in model.layers], []
    for recipe in recipes(model, name):
        hands = list(moves(recipe, names))
        cases.append({"name": graph, "data": foresight(model, target, placement, recipe), "detents": DETENTS,
                      "moves": [h | {"want": truth(model, asked(recipe, h, names), target, placement)} for h in hands]})
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    done = subprocess.run([str(NODE), str(HERE / "resolve_check.mjs"), str(tmp_path / "cases.json")], capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["count"] == sum(len(c["moves"]) for c in cases) > 100 and not found["wrongs"], found["wrong"]


def small_rack() -> Model:
    """The seven layers of the browser's own tests: two blocks, in the second one two layers that read one tensor."""
    names = ["a.0.expand", "a.0.depthwise", "a.0.project", "a.1.expand", "a.1.depthwise", "a.1.project", "head"]
    reads, makes = ["x", "t0", "t1", "t2", "t3", "t2", "s"], ["t0", "t1", "t2", "t3", "t4", "t5", "y"]
    lines = [f"{n} = Conv({r}, w{i}) -> {m}" for i, (n, r, m) in enumerate(zip(names, reads, makes, strict=True))]
    shapes: dict[str, tuple[int, ...]] = {f"w{i}": (8, 1 if n.endswith("depthwise") else 8, 1, 1) for i, n in enumerate(names)}
    return build([*lines[:6], "sum = Add(t4, t5) -> s", lines[6]], {"x": (1, 8, 4, 4)}, ["y"], shapes,
                 attributes={n: {"group": 8} for n in names if n.endswith("depthwise")})


def test_the_browsers_tests_have_the_rules_that_the_engine_makes() -> None:
    model, target = small_rack(), load_target("htp_v73")
    kept = json.loads((HERE / "rack.foresight.json").read_text())
    assert foresight(model, target, place(model, target), Recipe()) == kept
