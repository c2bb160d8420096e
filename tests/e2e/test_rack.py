"""The rack in a real browser: faders by mouse and keyboard, predicted then measured, undo, solo and mute, 300 layers."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from app import recipes
from engine.store import Store
from tests.e2e.conftest import Desk, keep
from tests.e2e.test_main_job import create_project, figures, measured, open_sample
from tests.graphs import deep_net

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]
PLACE = """([i, y]) => {
  const R = window.__rack, r = R.D.scroll.getBoundingClientRect(), it = R.L.items[R.L.itemOf[i]];
  return [r.x + it.x + it.w / 2 - R.D.scroll.scrollLeft, r.y + (y < 0 ? R.grid.y(y === -1 ? R.S.prec[i] : -2 - y) : y)];
}"""
# Counts frames, and by how many of them a repaint came after the hand's move; whatever else the machine does, these are few.
FRAMES = """() => {
  const R = window.__rack, F = (window.__frames = { now: 0, hand: 0, moved: 0, late: [] }), { draw, moved } = R;
  const tick = () => { F.now += 1; requestAnimationFrame(tick); };
  addEventListener("pointermove", () => (F.hand = F.now), true);
  R.moved = (...given) => ((F.moved ||= F.hand), moved.apply(R, given)); // this step of the hand moved something; others need no paint
  R.draw = () => { draw.call(R); if (F.moved) F.late.push(F.now - F.moved), (F.moved = 0); };
  tick();
}"""
# One repaint's calls of the canvases: the work that it is, without the time that it takes.
CALLS = """() => {
  const P = CanvasRenderingContext2D.prototype, kept = {};
  let calls = 0;
  for (const name of Object.getOwnPropertyNames(P)) {
    const own = Object.getOwnPropertyDescriptor(P, name);
    if (typeof own.value !== "function") continue;
    kept[name] = own.value;
    P[name] = function (...given) { calls += 1; return kept[name].apply(this, given); };
  }
  try { window.__rack.draw(); } finally { Object.assign(P, kept); }
  return calls;
}"""
CAP = -1


def detent(p: int) -> int:
    """The row of a detent, for `place`."""
    return -2 - p


def place(page: Any, strip: int, row: int) -> tuple[float, float]:
    """Where a row of a strip is on the page: `CAP`, a detent, or px from the strips' top."""
    x, y = page.evaluate(PLACE, [strip, row])
    return x, y


def rack(page: Any, expression: str) -> Any:
    """Something of the rack `R`."""
    return page.evaluate(f"(R => {expression})(window.__rack)")


def settled(page: Any) -> None:
    """The server has answered the last move, and it is painted."""
    page.wait_for_function("window.__rack.S.live.ack >= window.__rack.S.seq && !window.__rack.frame && !window.__rack.drag")


def ready(desk: Desk) -> tuple[Any, str]:
    """The sample's Desk with its curve there, so that predictions are shown."""
    project = open_sample(desk)
    desk.page.wait_for_function("window.__rack?.scores?.curve?.enough", timeout=120_000)
    desk.page.wait_for_function("window.__rack.S.live.exact && document.fonts.status === 'loaded'")
    return desk.page, project


def drag(page: Any, strip: int, p: int) -> dict[str, Any]:
    """Drags a cap to a detent; what the bar showed before the hand let go, and by how many frames the paint lagged behind the hand."""
    page.mouse.move(*place(page, strip, CAP))
    page.evaluate(FRAMES)
    page.mouse.down()
    page.mouse.move(*place(page, strip, detent(p)), steps=4)
    page.wait_for_function("!window.__rack.frame")
    shown = {"badge": page.locator(".ro-acc .badge").inner_text(), "label": page.locator(".ro-drop .lab").inner_text(),
             "dot": page.locator(".ro-drop .gauge b").get_attribute("class"), "size": figures(page)["size"],
             "frames": page.evaluate("window.__frames.late")}
    page.mouse.up()
    settled(page)
    return shown


def recipe(desk: Desk, project: str) -> dict[str, Any]:
    """The recipe as the store has it."""
    store = Store(desk.home)
    found = recipes.read(store.history.current(project).recipe)
    store.close()
    return found


def test_a_fader_by_mouse_is_predicted_at_once_then_measured_and_undone(desk: Desk) -> None:
    page, project = ready(desk)
    before = figures(page)
    shown = drag(page, 4, rack(page, "R.S.precisions.findIndex(p => p.id === 'w4a8')"))
    assert shown["badge"] == "predicted" and shown["label"].lower() == "drop, predicted" and shown["dot"] == "hollow"
    assert shown["size"] != before["size"] and 0 < max(shown["frames"]) <= 2, "a move is painted within two frames"
    measured(page)
    name = rack(page, "R.S.layers[4].n")
    assert recipe(desk, project)["layers"] == {name: "w4a8"}
    assert page.locator(".ro-drop .lab").inner_text().lower() == "drop, paired"
    assert page.locator(".ro-drop .gauge b").get_attribute("class") == "filled"
    after = figures(page)
    assert float(after["size"]) == pytest.approx(float(shown["size"]), rel=0.01), "what the hand was told is what it became"
    page.keyboard.press("Control+z")
    page.wait_for_function("window.__rack.S.prec[4] === window.__rack.S.live.base")
    measured(page)
    assert figures(page) == before


def test_the_keyboard_moves_mutes_solos_and_a_burst_converges(desk: Desk) -> None:
    page, project = ready(desk)
    sliders = page.locator(".rk-sem [role=slider]")
    assert sliders.count() == rack(page, "R.S.n") and page.locator(".rk-sem [tabindex='0']").count() == 1
    page.mouse.click(*place(page, 6, 150))
    settled(page)
    page.wait_for_selector(".layersroot tr.cur[data-i='6']")  # one selection, everywhere
    page.keyboard.press("ArrowDown")
    settled(page)
    name = rack(page, "R.S.layers[6].n")
    assert recipe(desk, project)["layers"] == {name: "w4a8"}
    spoken = sliders.nth(6).get_attribute("aria-valuetext")
    assert spoken.startswith("w4a8, predicted loss") and spoken.endswith("selected")
    page.keyboard.press("m")
    settled(page)
    assert recipe(desk, project)["bypass"] == [name]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("s")
    page.wait_for_selector(".badge.solo.measured")
    assert page.locator(".ro-acc .badge").inner_text() == "solo 1"
    assert "precision: fp32" not in recipes.write(recipe(desk, project)), "an audition is not saved"
    page.keyboard.press("Escape")
    page.wait_for_selector(".badge.solo", state="detached")
    for key in "1423142142":
        page.keyboard.press(key)
    settled(page)
    page.wait_for_function("window.__rack.S.live.exact")
    place_of = rack(page, "R.S.prec[7]")
    assert place_of == 1 and recipe(desk, project)["layers"][rack(page, "R.S.layers[7].n")] == rack(page, "R.S.precisions[1].id")
    measured(page)


def test_three_hundred_layers_open_in_one_view_drag_paint_fold_and_scroll(desk: Desk, tmp_path: Path) -> None:
    model, data = tmp_path / "deep.onnx", tmp_path / "data.npz"
    onnx.save(deep_net(), model)
    np.savez(data, x=np.random.default_rng(0).normal(size=(64, 1, 12, 12)).astype(np.float32))
    page = desk.page
    create_project(desk, model, data)
    page.wait_for_url("**page=model**")
    page.get_by_role("link", name="Desk", exact=True).click()
    page.wait_for_function("window.__rack?.draws > 0 && window.__rack.S.n === 299", timeout=120_000)
    project = re.search(r"project=([^&]+)", page.url).group(1)  # type: ignore[union-attr]
    page.wait_for_function("window.__rack.S.live.exact", timeout=120_000)
    assert rack(page, "R.density") == "overview" and rack(page, "R.L.total <= R.L.W + 1"), "all in view"
    page.mouse.move(*place(page, 30, detent(3)))
    page.mouse.down()
    page.mouse.move(*place(page, 60, detent(3)), steps=12)
    assert page.evaluate(CALLS) < 20 * 299, "a repaint is a few canvas calls a strip"
    page.mouse.up()
    settled(page)
    painted = [p for p in recipe(desk, project)["layers"].values() if p == "w4a8"]
    illegal = rack(page, "R.S.no.slice(30, 61).filter(n => n[3]).length")
    assert len(painted) == 31 - illegal > 5
    rack(page, "R.D.fold.click()")
    page.wait_for_function("window.__rack.L.items.length === 101")
    rack(page, "R.D.density.querySelector('[data-value=console]').click()")
    page.mouse.move(*place(page, 0, 150))
    page.mouse.wheel(0, 400)
    page.wait_for_function("window.__rack.D.scroll.scrollLeft > 300")
    keep(desk, "rack_300_folded")


def test_the_master_is_a_slider_that_moves_the_base_past_a_layer_set_by_hand(desk: Desk) -> None:
    page, project = ready(desk)
    drag(page, 4, rack(page, "R.S.precisions.findIndex(p => p.id === 'w8a16')"))
    name = rack(page, "R.S.layers[4].n")
    master = page.get_by_role("slider", name="Master, base precision")
    master.focus()
    page.keyboard.press("Home")
    settled(page)
    found = recipe(desk, project)
    assert found["precision"] == "w4a8" and found["layers"] == {name: "w8a16"}
    assert master.get_attribute("aria-valuetext") == f"w4a8, {rack(page, 'R.S.n') - 1} layers at the base, 1 set by hand"
    page.wait_for_function("window.__rack.S.live.exact")
    page.keyboard.press("Control+z")
    page.wait_for_function("window.__rack.S.base === window.__rack.S.precisions.findIndex(p => p.id === 'w8a8')")
    assert recipe(desk, project)["layers"] == {name: "w8a16"}, "one undo"
    box = master.bounding_box()
    page.mouse.move(box["x"] + 34, box["y"] + rack(page, "R.grid.y(R.S.base)"))
    page.mouse.down()
    page.mouse.move(box["x"] + 34, box["y"] + rack(page, "R.grid.y(1)"), steps=4)
    page.mouse.up()
    settled(page)
    assert recipe(desk, project)["precision"] == "w8a16" and "layers" not in recipe(desk, project), "its line would repeat the base"
