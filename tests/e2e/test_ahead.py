"""What a move brings with it, in a real browser: shown before it is made by pointer, drag and keys, and what was promised comes."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.e2e.conftest import Desk, keep
from tests.e2e.test_main_job import create_project
from tests.e2e.test_rack import CAP, detent, place, rack, recipe, settled
from tests.graphs import proto, weights

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]
# How many pixels of a strip's canvas have the colour of ghosts, between its head and its foot.
GHOST = """(i) => {
  const R = window.__rack, it = R.L.items[R.L.itemOf[i]], c = R.D.strips;
  const hex = R.t.accent.slice(1).match(/../g).map((h) => parseInt(h, 16));
  const x0 = (it.x - R.D.scroll.scrollLeft) * R.dpr, d = c.getContext("2d").getImageData(x0, 0, it.w * R.dpr, 306 * R.dpr).data;
  let n = 0;
  for (let k = 0; k < d.length; k += 4) n += [0, 1, 2].every((j) => Math.abs(d[k + j] - hex[j]) < 12);
  return n;
}"""
CHANGED = "n => (window.__layers.d.foot.match(/(\\d+) changes of type/) || [])[1] === `${n}`"  # what the engine counts, under the table


def forked_net(blocks: int = 3, channels: int = 8) -> onnx.ModelProto:
    """Blocks of two convolutions that read one tensor and are joined; the classifier shares nothing: 2 x blocks + 2 layers."""
    nodes, constants = [], {"stem.w": weights(channels, 1, 3, 3)}
    nodes.append(helper.make_node("Conv", ["x", "stem.w"], ["t0"], name="stem.conv", pads=[1, 1, 1, 1]))
    for i in range(blocks):
        at = f"stage{i // 20}.{i % 20}"
        for k, side in enumerate(("left", "right")):
            constants[f"{at}.{side}.w"] = 0.4 * weights(channels, channels, 1, 1, seed=2 * i + k)
            nodes.append(helper.make_node("Conv", [f"t{i}", f"{at}.{side}.w"], [f"{at}.{side}.out"], name=f"{at}.{side}.conv"))
        nodes.append(helper.make_node("Add", [f"{at}.left.out", f"{at}.right.out"], [f"{at}.sum"], name=f"{at}.add"))
        nodes.append(helper.make_node("Relu", [f"{at}.sum"], [f"t{i + 1}"], name=f"{at}.relu"))
    constants["fc"] = weights(10, channels, seed=99)
    nodes += [
        helper.make_node("GlobalAveragePool", [f"t{blocks}"], ["pool"], name="pool"),
        helper.make_node("Flatten", ["pool"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "fc"], ["logits"], name="classifier", transB=1),
    ]
    return proto(nodes, {"x": ["batch", 1, 12, 12]}, {"logits": ["batch", 10]}, constants)


def opened(desk: Desk, folder: Path, blocks: int = 3) -> tuple[Any, str]:
    """The Desk of a forked network, resolved; the project's id."""
    model, data = folder / "forked.onnx", folder / "data.npz"
    onnx.save(forked_net(blocks), model)
    np.savez(data, x=np.random.default_rng(0).normal(size=(64, 1, 12, 12)).astype(np.float32))
    page = desk.page
    create_project(desk, model, data)
    page.wait_for_url("**page=model**")
    page.get_by_role("link", name="Desk", exact=True).click()
    page.wait_for_function(f"window.__rack?.draws > 0 && window.__rack.S.n === {2 * blocks + 2}", timeout=120_000)
    page.wait_for_function("window.__rack.S.live.exact && window.__rack.S.F && window.__rack.scores", timeout=120_000)
    return page, re.search(r"project=([^&]+)", page.url).group(1)  # type: ignore[union-attr]


def wide(page: Any) -> int:
    """The detent w8a16."""
    return int(rack(page, "R.S.precisions.findIndex(p => p.id === 'w8a16')"))


def changes(page: Any) -> int:
    """How many changes of type the engine counts, as the table says."""
    page.wait_for_function("/changes of type/.test(window.__layers?.d.foot)")
    return int(page.evaluate("window.__layers.d.foot.match(/(\\d+) changes of type/)[1]"))


def test_hovering_a_detent_shows_who_would_follow_and_edits_nothing_and_then_it_happens(desk: Desk, tmp_path: Path) -> None:
    page, project = opened(desk, tmp_path)
    before, count, cost = page.evaluate(GHOST, 4), changes(page), rack(page, "[R.S.live.size, R.S.live.bops]")
    page.mouse.move(*place(page, 3, detent(wide(page))))
    line = page.locator(".rk-tip .ahead")
    line.wait_for()
    page.wait_for_function("!window.__rack.frame")
    said, promised = line.inner_text(), rack(page, "R.ahead")
    assert said.startswith(f"w8a16: 1 neighbour follows ({rack(page, 'R.S.layers[4].n')} → w8a16: it reads a tensor that changes)")
    assert [(f["i"], f["to"]) for f in promised["follows"]] == [(4, "w8a16")]
    assert page.evaluate(GHOST, 4) > before + 20, "a ghost where the follower would run"
    assert f"+{promised['boundaries']} boundar" in said and "BOPs +" in said
    assert re.search(r"predicted drop|score .* nats", said), said
    assert not recipe(desk, project).get("layers") and rack(page, "R.S.prec[3] === R.S.base"), "nothing is edited by looking"
    page.mouse.down()
    page.mouse.up()
    settled(page)
    page.wait_for_function("window.__rack.S.live.exact && window.__rack.S.eff[4] >= 0")
    assert recipe(desk, project)["layers"] == {rack(page, "R.S.layers[3].n"): "w8a16"}
    assert rack(page, "R.S.precisions[R.S.eff[4]].id") == "w8a16", "the engine says what was promised"
    after = rack(page, "[R.S.live.size, R.S.live.bops]")
    assert [b - a for a, b in zip(cost, after, strict=True)] == [promised["size"], promised["bops"]]
    page.wait_for_function(CHANGED, arg=count + promised["boundaries"])
    assert rack(page, "R.ahead") is None, "the ghosts are gone"


def test_a_drag_shows_it_before_the_hand_lets_go_and_escape_leaves_all_as_it_was(desk: Desk, tmp_path: Path) -> None:
    page, project = opened(desk, tmp_path)
    page.mouse.move(*place(page, 1, CAP))
    page.mouse.down()
    page.mouse.move(*place(page, 1, detent(wide(page))), steps=4)
    page.locator(".rk-tip .ahead").wait_for()
    assert rack(page, "R.ahead.follows.map(f => f.i)") == [2]
    page.keyboard.press("Escape")
    page.mouse.up()
    assert rack(page, "R.ahead") is None and page.locator(".rk-tip").is_hidden()
    assert not recipe(desk, project).get("layers")
    master = page.get_by_role("slider", name="Master, base precision").bounding_box()
    page.mouse.move(master["x"] + 34, master["y"] + rack(page, "R.grid.y(R.S.precisions.length - 1)"))
    assert page.locator(".rk-tip .ahead").inner_text().startswith(f"base w4a8, {rack(page, 'R.S.n')} layers at it: ")


def test_keys_look_ahead_and_are_spoken_and_enter_takes_it(desk: Desk, tmp_path: Path) -> None:
    page, project = opened(desk, tmp_path)
    page.mouse.click(*place(page, 5, 150))
    settled(page)
    page.mouse.move(5, 5)
    page.keyboard.press("Shift+ArrowUp")
    said = page.locator(".rk-said[role=status]").inner_text()
    assert said.startswith("w8a16: 1 neighbour follows") and page.locator(".rk-tip .ahead").inner_text() == said
    assert not recipe(desk, project).get("layers") and rack(page, "R.looking !== null")
    page.keyboard.press("Escape")
    assert rack(page, "R.looking") is None and page.locator(".rk-tip").is_hidden()
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Enter")
    settled(page)
    assert rack(page, "R.looking") is None and page.locator(".rk-tip").is_hidden()
    page.wait_for_function("window.__rack.S.live.exact && window.__rack.S.eff[6] >= 0")
    assert recipe(desk, project)["layers"] == {rack(page, "R.S.layers[5].n"): "w8a16"}


def test_three_hundred_layers_foresee_a_selection_within_a_frame(desk: Desk, tmp_path: Path) -> None:
    page, _ = opened(desk, tmp_path, 149)
    rack(page, "(R.S.sel = new Set(R.S.prec.map((_, i) => i).filter((i) => i % 2)), R.chooses())")
    settled(page)
    page.mouse.move(*place(page, 151, detent(wide(page))))
    page.wait_for_function("window.__rack.ahead?.follows.length > 0 && !window.__rack.frame")
    assert rack(page, "R.ahead.moved.length") == 150 and rack(page, "R.ahead.follows.length") == 149
    keep(desk, "rack_300_ahead")
